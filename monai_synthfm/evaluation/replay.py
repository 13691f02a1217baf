# Copyright (c) monai_synthfm contributors
# Licensed under the Apache License, Version 2.0 (http://www.apache.org/licenses/LICENSE-2.0).
# SPDX-License-Identifier: Apache-2.0
"""Rows of the table made again, to be looked at."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any

from monai_synthfm.data.datasets import LabelledDataset
from monai_synthfm.evaluation.figures import Example
from monai_synthfm.evaluation.predictors import Model
from monai_synthfm.evaluation.protocol import EvaluationProtocol

__all__ = ["RowReplay"]


class RowReplay:
    """
    Make the answer of a row again; masks are not stored, as they follow from the row.

    Args:
        datasets: those of the run.
        models: those of the run.
        protocol: that of the run.
    """

    def __init__(
        self, datasets: Sequence[LabelledDataset], models: Sequence[Model], protocol: EvaluationProtocol
    ) -> None:
        self.datasets = {dataset.name: dataset for dataset in datasets}
        self.models = {model.name: model for model in models}
        self.protocol = protocol
        # Rows that are shown together often are of one case.
        self._prepared = lru_cache(maxsize=4)(self._prepare)

    def __call__(self, row: Mapping[str, Any]) -> Example:
        """
        Make a row again.

        Args:
            row: its identity, see :data:`~monai_synthfm.evaluation.results_table.IDENTITY`.

        Raises:
            ValueError: when the run has no such row.
        """
        model, prepared = self.models.get(row["model"]), self._prepared(row["dataset"], row["case_id"])
        example = None if model is None or prepared is None else self.protocol.example(model, prepared, row)
        if example is None:
            raise ValueError(f"the run has no row {dict(row)}.")
        return example

    def _prepare(self, dataset: str, case_id: str) -> Any | None:
        if dataset not in self.datasets:
            return None
        opened = self.datasets[dataset]
        case = next((case for case in opened.data if case.case_id == case_id), None)
        return None if case is None else self.protocol.prepare(opened.load(case))
