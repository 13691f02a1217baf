# Copyright (c) monai_synthfm contributors
# Licensed under the Apache License, Version 2.0 (http://www.apache.org/licenses/LICENSE-2.0).
# SPDX-License-Identifier: Apache-2.0
"""Evaluation of whole volumes and sequences: one slice is prompted, and the whole mask is scored."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from time import perf_counter
from typing import Any

import numpy as np
import torch

from monai_synthfm.data.case_volumes import CaseVolume, CutIntoVolume, VolumeTarget
from monai_synthfm.data.datasets.case import LoadedCase
from monai_synthfm.evaluation.figures import Example
from monai_synthfm.evaluation.protocol import EvaluationProtocol
from monai_synthfm.evaluation.results_table import IDENTITY
from monai_synthfm.evaluation.slice_profiles import profile
from monai_synthfm.evaluation.volume_figures import volume_example
from monai_synthfm.evaluation.volume_interaction import challenge_box, challenge_clicks_of, challenge_steps
from monai_synthfm.evaluation.volume_metrics import score_volume
from monai_synthfm.evaluation.volume_plan import VolumePlan, VolumeQuestion
from monai_synthfm.evaluation.volume_predictors import VolumePredictor

__all__ = ["VolumeProtocol"]


@dataclass(frozen=True)
class _Answer:
    """What a model says to a question that was planned, or to an interaction."""

    target: VolumeTarget
    names: list[str]
    seed: int
    index: int
    mask: np.ndarray
    seconds: float


@dataclass(frozen=True)
class VolumeProtocol(EvaluationProtocol):
    """
    Prompt one slice of a volume, follow the object through the others, and score the mask of the whole volume.

    In the rows, ``slice_index`` is the prompted slice and ``prompts`` says what was prompted, on which slice, and the
    direction: ``1p0n@largest/both``; or the interaction: ``challenge-03`` for the third click, with the slice of the
    box. ``seconds`` is the time of the answer with the encoding of the slices that no
    answer before had led to. The whole volume is scored whatever the direction.

    Args:
        cases: which volumes and targets.
        plan: which prompts.
    """

    cases: CutIntoVolume = field(default_factory=CutIntoVolume)
    plan: VolumePlan = field(default_factory=VolumePlan)

    def describe(self) -> dict[str, Any]:
        """Return the settings of both."""
        return asdict(self)

    def prepare(self, sample: LoadedCase) -> CaseVolume:
        """Make a volume or sequence ready."""
        return self.cases(sample)

    def rows(self, model: VolumePredictor, prepared: CaseVolume) -> list[dict[str, Any]]:
        """Prompt and score all targets of a volume; every slice is encoded once at most."""
        return self.score(model, prepared)[0]

    def score(self, model: VolumePredictor, prepared: CaseVolume) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
        """Return the rows of a volume, and the slices behind them."""
        rows: list[dict[str, Any]] = []
        slices: list[dict[str, Any]] = []
        axis, spacing, in_time = prepared.axis, prepared.spacing, prepared.is_sequence
        for answer in self._answers(model, prepared):
            identity = {
                "model": model.name,
                **{name: prepared.case[name] for name in IDENTITY if name in prepared.case},
                "structure": answer.target.structure,
                "slice_index": answer.index,
                "instance": answer.target.instance,
                "seed": answer.seed,
            }
            mask = answer.target.mask(prepared.size)
            scores = asdict(score_volume(answer.mask, mask, answer.index, axis, spacing, in_time))
            scores |= {"split": prepared.case["split"], "seconds": answer.seconds}
            on_slices = profile(answer.mask, mask, answer.index, axis, None if in_time else spacing)
            for name in answer.names:
                rows.append({**identity, "prompts": name, **scores})
                slices += [{**identity, "prompts": name, **record} for record in on_slices]
        return rows, slices

    def example(self, model: VolumePredictor, prepared: CaseVolume, row: Mapping[str, Any]) -> Example | None:
        """Ask the row's question again, or go through its interactions up to the row's."""
        clicks = challenge_clicks_of(row["prompts"])
        for target in prepared.targets:
            if (target.structure, target.instance) != (row["structure"], row["instance"]):
                continue
            mask = target.mask(prepared.size)
            with model.look(torch.from_numpy(prepared.image), prepared.axis) as seen:
                if clicks is not None and clicks <= self.plan.challenge_clicks:
                    *_, last = challenge_steps(model.session(seen), mask, prepared.axis, clicks)
                    return volume_example(prepared, mask, last.mask, challenge_box(mask, prepared.axis))
                for question in self._questions(prepared, target, mask):
                    wanted = (question.prompt.index, question.seed) == (row["slice_index"], row["seed"])
                    if wanted and row["prompts"] in question.names:
                        answer = model.segment(seen, question.prompt, question.direction)
                        return volume_example(prepared, mask, answer, question.prompt)
        return None

    @property
    def answers(self) -> int:
        """Those of the plan."""
        return self.plan.answers

    def count(self, prepared: CaseVolume) -> dict[str, tuple[int, int]]:
        """Count slices and targets by structure."""
        shown: dict[str, list[set[int]]] = {}
        for target in prepared.targets:
            shown.setdefault(target.structure, []).append(set(target.areas(prepared.axis)))
        return {name: (len(set().union(*on_slices)), len(on_slices)) for name, on_slices in shown.items()}

    def _answers(self, model: VolumePredictor, prepared: CaseVolume) -> Iterator[_Answer]:
        if not prepared.targets:
            return
        with model.look(torch.from_numpy(prepared.image), prepared.axis) as seen:
            # first of all, so that a model without one is refused before any work
            session = model.session(seen) if self.plan.challenge_clicks else None
            for target in prepared.targets:
                mask = target.mask(prepared.size)
                for question in self._questions(prepared, target, mask):
                    start = perf_counter()
                    found = model.segment(seen, question.prompt, question.direction)
                    seconds = perf_counter() - start
                    yield _Answer(target, question.names, question.seed, question.prompt.index, found, seconds)
                if session is not None:
                    index, seed = challenge_box(mask, prepared.axis).index, self.plan.first_seed
                    for step in challenge_steps(session, mask, prepared.axis, self.plan.challenge_clicks):
                        yield _Answer(target, [step.name], seed, index, step.mask, step.seconds)

    def _questions(self, prepared: CaseVolume, target: VolumeTarget, mask: np.ndarray) -> Iterator[VolumeQuestion]:
        names = (prepared.case["dataset"], prepared.case["case_id"])
        return self.plan(mask, prepared.axis, *names, target.structure, target.instance)
