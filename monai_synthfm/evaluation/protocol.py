# Copyright (c) monai_synthfm contributors
# Licensed under the Apache License, Version 2.0 (http://www.apache.org/licenses/LICENSE-2.0).
# SPDX-License-Identifier: Apache-2.0
"""What a kind of evaluation says of itself; the runner, the dry run and the replay ask nothing else of it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any

from monai_synthfm.data.datasets.case import LoadedCase
from monai_synthfm.evaluation.figures import Example

__all__ = ["EvaluationProtocol"]


class EvaluationProtocol(ABC):
    """
    How a loaded case becomes rows of the table, with models of one kind.

    Each protocol has a kind of prepared case of its own, with ``case``, its names, and ``skipped``, the records of what
    is left out of it and why, for JSON.
    """

    @abstractmethod
    def describe(self) -> dict[str, Any]:
        """Return what decides the rows besides the model and the data, for JSON."""

    @abstractmethod
    def prepare(self, sample: LoadedCase) -> Any:
        """
        Make a loaded case ready; worker processes may do so.

        Raises:
            FaultError: when the case cannot be used.
        """

    @abstractmethod
    def rows(self, model: Any, prepared: Any) -> list[dict[str, Any]]:
        """Prompt and score all targets of a case; rows have :data:`~monai_synthfm.evaluation.results_table.COLUMNS`."""

    def score(self, model: Any, prepared: Any) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
        """
        Return the rows of a case, and of whole volumes also the slices behind them.

        Slices have :data:`~monai_synthfm.evaluation.slice_profiles.SLICE_COLUMNS`.
        """
        return self.rows(model, prepared), []

    @abstractmethod
    def example(self, model: Any, prepared: Any, row: Mapping[str, Any]) -> Example | None:
        """Make the answer of a row again, to be looked at; None when the case has no such row."""

    @property
    @abstractmethod
    def answers(self) -> int:
        """The largest number of rows of one target with one model."""

    @abstractmethod
    def count(self, prepared: Any) -> Mapping[str, tuple[int, int]]:
        """Count the slices that show a structure, and its targets, by its name."""
