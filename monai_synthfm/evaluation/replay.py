# Copyright (c) monai_synthfm contributors
# Licensed under the Apache License, Version 2.0 (http://www.apache.org/licenses/LICENSE-2.0).
# SPDX-License-Identifier: Apache-2.0
"""A row of the table made again, to be looked at: the image, the target, the prompts and the answer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import lru_cache
from typing import Any

import numpy as np

from monai_synthfm.data.case_slices import CaseSlicer, SlicedCase
from monai_synthfm.data.datasets import LabelledDataset
from monai_synthfm.evaluation.figures import Example
from monai_synthfm.evaluation.predictors import Predictor
from monai_synthfm.evaluation.prompt_plan import PromptPlan
from monai_synthfm.evaluation.protocol import prompted_masks

__all__ = ["RowReplay"]


class RowReplay:
    """
    Make the answer of a row again; masks are not stored, as they follow from the row.

    Args:
        datasets: those of the run.
        models: those of the run.
        slicer: that of the run.
        plan: that of the run.
    """

    def __init__(
        self, datasets: Sequence[LabelledDataset], models: Sequence[Predictor], slicer: CaseSlicer, plan: PromptPlan
    ) -> None:
        self.datasets = {dataset.name: dataset for dataset in datasets}
        self.models = {model.name: model for model in models}
        self.slicer, self.plan = slicer, plan
        # Rows that are shown together often are of one case.
        self._sliced = lru_cache(maxsize=4)(self._slice)

    def __call__(self, row: Mapping[str, Any]) -> Example:
        """
        Make a row again.

        Args:
            row: its identity, see :data:`~monai_synthfm.evaluation.rows.IDENTITY`.

        Raises:
            ValueError: when the run has no such row.
        """
        for item in self._sliced(row["dataset"], row["case_id"]).slices:
            wanted = [t for t in item.targets if (t.structure, t.instance) == (row["structure"], row["instance"])]
            if item.index != row["slice_index"] or not wanted:
                continue
            model = self.models[row["model"]]
            only = replace(item, targets=wanted)
            for answer in prompted_masks(model, only, self.plan, row["dataset"], row["case_id"]):
                if (answer.name, answer.seed) == (row["prompts"], row["seed"]):
                    picture = item.image[0] if len(item.image) == 1 else np.moveaxis(item.image, 0, -1)
                    aspect = item.spacing[0] / item.spacing[1] if item.spacing else 1.0
                    return Example(picture, answer.target.mask, answer.mask, answer.prompts, aspect)
        raise ValueError(f"the run has no row {dict(row)}.")

    def _slice(self, dataset: str, case_id: str) -> SlicedCase:
        opened = self.datasets[dataset]
        return self.slicer(opened.load(next(case for case in opened.data if case["case_id"] == case_id)))
