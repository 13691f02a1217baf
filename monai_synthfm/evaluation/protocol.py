# Copyright (c) monai_synthfm contributors
# Licensed under the Apache License, Version 2.0 (http://www.apache.org/licenses/LICENSE-2.0).
# SPDX-License-Identifier: Apache-2.0
"""What a kind of evaluation says of itself; the runner, the forecast and the replay ask nothing else of it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Generic, Protocol, TypeVar

from monai_synthfm.data.datasets.case import LoadedCase
from monai_synthfm.evaluation.figures import Example
from monai_synthfm.evaluation.predictors import Model

__all__ = ["Effort", "EvaluationProtocol", "Prepared"]


class Prepared(Protocol):
    """A case made ready by a protocol; ``skipped`` are records of what is left out and why, for JSON."""

    @property
    def case(self) -> dict[str, str]: ...

    @property
    def skipped(self) -> list[dict[str, Any]]: ...


@dataclass(frozen=True)
class Effort:
    """
    What a case asks of a model.

    Args:
        slices: images to be encoded.
        decodings: pieces of work of the second kind that :meth:`EvaluationProtocol.seconds` measures.
        structures: numbers of slices with a structure and of its targets, by its name.
    """

    slices: int
    decodings: int
    structures: Mapping[str, tuple[int, int]]


ModelT = TypeVar("ModelT", bound=Model)
PreparedT = TypeVar("PreparedT", bound=Prepared)


class EvaluationProtocol(ABC, Generic[ModelT, PreparedT]):
    """How a loaded case becomes rows of the table, with models of one kind."""

    @abstractmethod
    def describe(self) -> dict[str, Any]:
        """Return what decides the rows besides the model and the data, for JSON."""

    @abstractmethod
    def prepare(self, sample: LoadedCase) -> PreparedT:
        """
        Make a loaded case ready; worker processes may do so.

        Raises:
            FaultError: when the case cannot be used.
        """

    @abstractmethod
    def rows(self, model: ModelT, prepared: PreparedT) -> list[dict[str, Any]]:
        """Prompt and score all targets of a case; rows have :data:`~monai_synthfm.evaluation.results_table.COLUMNS`."""

    def score(self, model: ModelT, prepared: PreparedT) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
        """
        Return the rows of a case, and of whole volumes also the slices behind them.

        Slices have :data:`~monai_synthfm.evaluation.slice_profiles.SLICE_COLUMNS`.
        """
        return self.rows(model, prepared), []

    @abstractmethod
    def example(self, model: ModelT, prepared: PreparedT, row: Mapping[str, Any]) -> Example | None:
        """Make the answer of a row again, to be looked at; None when the case has no such row."""

    @abstractmethod
    def effort(self, prepared: PreparedT) -> Effort:
        """Return what a case asks of a model."""

    @abstractmethod
    def seconds(self, model: ModelT, prepared: PreparedT) -> tuple[float, float]:
        """Measure on a case with targets how long a model takes to encode a slice, and for one decoding."""
