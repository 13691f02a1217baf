# Copyright (c) monai_synthfm contributors
# Licensed under the Apache License, Version 2.0 (http://www.apache.org/licenses/LICENSE-2.0).
# SPDX-License-Identifier: Apache-2.0
"""Evaluation of slices and pictures: from a slice, a model and a plan of prompts to rows of the table."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field, replace
from time import perf_counter
from typing import Any

import numpy as np
import torch

from monai_synthfm.data.case_slices import CaseSlices, CutIntoSlices, EvaluationSlice, Target
from monai_synthfm.data.datasets.case import LoadedCase
from monai_synthfm.evaluation.figures import Example
from monai_synthfm.evaluation.metrics import score_mask
from monai_synthfm.evaluation.predictors import Predictor
from monai_synthfm.evaluation.prompt_plan import PromptPlan
from monai_synthfm.evaluation.protocol import EvaluationProtocol
from monai_synthfm.evaluation.simulated_user import challenge_click, interactive_masks
from monai_synthfm.prompts import Prompts, next_click

__all__ = ["PromptedMask", "SliceProtocol", "evaluate_slice", "prompted_masks"]


@dataclass(frozen=True)
class PromptedMask:
    """
    One answer of a model.

    Args:
        target: what was asked for.
        name: of the prompts, as it stands in the table.
        seed: of the prompts.
        prompts: one object.
        mask: the answer, booleans [H, W].
        seconds: to answer, the encoding of the image included.
    """

    target: Target
    name: str
    seed: int
    prompts: Prompts
    mask: np.ndarray
    seconds: float


@dataclass(frozen=True)
class SliceProtocol(EvaluationProtocol):
    """
    The paper's evaluation: every slice or picture is an image of its own.

    Args:
        slicer: which slices and targets.
        plan: which prompts.
    """

    slicer: CutIntoSlices = field(default_factory=CutIntoSlices)
    plan: PromptPlan = field(default_factory=PromptPlan)

    def describe(self) -> dict[str, Any]:
        """Return the settings of both."""
        return asdict(self)

    def prepare(self, sample: LoadedCase) -> CaseSlices:
        """Cut a case into slices."""
        return self.slicer(sample)

    def rows(self, model: Predictor, prepared: CaseSlices) -> list[dict[str, Any]]:
        """Prompt and score all targets, slice by slice."""
        return [row for item in prepared.slices for row in evaluate_slice(model, item, self.plan, prepared.case)]

    def example(self, model: Predictor, prepared: CaseSlices, row: Mapping[str, Any]) -> Example | None:
        """Answer the prompts of the row's target again."""
        for item in prepared.slices:
            wanted = [t for t in item.targets if (t.structure, t.instance) == (row["structure"], row["instance"])]
            if item.index != row["slice_index"] or not wanted:
                continue
            only = replace(item, targets=wanted)
            for answer in prompted_masks(model, only, self.plan, row["dataset"], row["case_id"]):
                if (answer.name, answer.seed) == (row["prompts"], row["seed"]):
                    picture = item.image[0] if len(item.image) == 1 else np.moveaxis(item.image, 0, -1)
                    aspect = item.spacing[0] / item.spacing[1] if item.spacing else 1.0
                    return Example(picture, answer.target.mask, answer.mask, answer.prompts, aspect)
        return None

    @property
    def answers(self) -> int:
        """Those of the plan."""
        return self.plan.answers

    def count(self, prepared: CaseSlices) -> dict[str, tuple[int, int]]:
        """Count slices and targets by structure."""
        targets = Counter(target.structure for item in prepared.slices for target in item.targets)
        on_slices = Counter(name for item in prepared.slices for name in {t.structure for t in item.targets})
        return {name: (on_slices[name], count) for name, count in targets.items()}


def prompted_masks(
    predictor: Predictor, item: EvaluationSlice, plan: PromptPlan, dataset: str, case_id: str
) -> Iterator[PromptedMask]:
    """
    Prompt all targets of a slice. The image is encoded once.

    Args:
        predictor: the model.
        item: the slice.
        plan: of the prompts.
        dataset: its name, which with the case decides the random clicks.
        case_id: of the case.

    Yields:
        First the answers to the prompts that are known beforehand, target by target, then the interactive ones.
    """
    start = perf_counter()
    encoded = predictor.encode(torch.from_numpy(item.image))
    encoding = perf_counter() - start
    for target in item.targets:
        planned = plan(target.mask, dataset, case_id, target.structure, item.index, target.instance)
        if planned.names:
            start = perf_counter()
            answer = predictor.segment(encoded, planned.prompts)
            seconds = encoding + (perf_counter() - start) / len(planned.names)
            for k, (name, seed) in enumerate(zip(planned.names, planned.seeds, strict=True)):
                yield PromptedMask(target, name, seed, planned.one(k), answer.masks[k], seconds)
    for target in item.targets:
        runs = (
            ("interactive", plan.interactive_clicks, False, next_click),
            ("challenge", plan.challenge_clicks, True, challenge_click),
        )
        for name, clicks, with_box, rule in runs:
            if not clicks:
                continue
            start = perf_counter()
            steps = interactive_masks(predictor, encoded, target.mask, clicks, with_box, plan.feed_masks, rule)
            for count, prompts, answer in steps:
                seconds = encoding + perf_counter() - start
                yield PromptedMask(target, f"{name}-{count:02d}", plan.seeds[0], prompts, answer.masks[0], seconds)


def evaluate_slice(
    predictor: Predictor, item: EvaluationSlice, plan: PromptPlan, case: Mapping[str, str]
) -> list[dict[str, Any]]:
    """
    Prompt and score all targets of a slice.

    Args:
        predictor: the model.
        item: the slice.
        plan: of the prompts.
        case: ``dataset``, ``case_id``, ``patient_id``, ``modality`` and ``split``.

    Returns:
        Rows with the columns of :data:`~monai_synthfm.evaluation.results_table.COLUMNS`.
    """
    rows = []
    for answer in prompted_masks(predictor, item, plan, case["dataset"], case["case_id"]):
        identity = {
            "model": predictor.name,
            **case,
            "structure": answer.target.structure,
            "slice_index": item.index,
            "instance": answer.target.instance,
            "prompts": answer.name,
            "seed": answer.seed,
        }
        scores = score_mask(answer.mask, answer.target.mask, item.spacing)
        rows.append({**identity, **asdict(scores), "seconds": answer.seconds})
    return rows
