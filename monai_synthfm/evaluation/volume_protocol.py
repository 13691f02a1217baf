# Copyright (c) monai_synthfm contributors
# Licensed under the Apache License, Version 2.0 (http://www.apache.org/licenses/LICENSE-2.0).
# SPDX-License-Identifier: Apache-2.0
"""Evaluation of whole volumes and sequences: one slice is prompted, and the whole mask is scored."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from time import perf_counter
from typing import Any

import numpy as np
import torch

from monai_synthfm.data.case_volumes import CaseVolumes, EvaluationVolume, VolumeTarget
from monai_synthfm.data.datasets.base import Case
from monai_synthfm.evaluation.figures import Example
from monai_synthfm.evaluation.protocol import Effort, EvaluationProtocol
from monai_synthfm.evaluation.volume_figures import volume_example
from monai_synthfm.evaluation.volume_metrics import score_volume
from monai_synthfm.evaluation.volume_plan import VolumePlan, VolumeQuestion
from monai_synthfm.evaluation.volume_predictors import VolumePredictor

__all__ = ["VolumeProtocol"]


@dataclass(frozen=True)
class VolumeProtocol(EvaluationProtocol[VolumePredictor, EvaluationVolume]):
    """
    Prompt one slice of a volume, follow the object through the others, and score the mask of the whole volume.

    In the rows, ``slice_index`` is the prompted slice and ``prompts`` says what was prompted, on which slice, and the
    direction: ``1p0n@largest/both``. ``seconds`` is the time of the answer with the encoding of the slices that no
    answer before had led to. The whole volume is scored whatever the direction.

    Args:
        cases: which volumes and targets.
        plan: which prompts.
    """

    cases: CaseVolumes = field(default_factory=CaseVolumes)
    plan: VolumePlan = field(default_factory=VolumePlan)

    def describe(self) -> dict[str, Any]:
        """Return the settings of both."""
        return asdict(self)

    def prepare(self, sample: Case) -> EvaluationVolume:
        """Make a volume or sequence ready."""
        return self.cases(sample)

    def rows(self, model: VolumePredictor, prepared: EvaluationVolume) -> list[dict[str, Any]]:
        """Prompt and score all targets of a volume; every slice is encoded once at most."""
        rows: list[dict[str, Any]] = []
        if not prepared.targets:
            return rows
        with model.look(torch.from_numpy(prepared.image), prepared.axis) as seen:
            for target, mask, question in self._questions(prepared):
                start = perf_counter()
                answer = model.segment(seen, question.prompt, question.direction)
                seconds = perf_counter() - start
                index = question.prompt.index
                scores = score_volume(answer, mask, index, prepared.axis, prepared.spacing, prepared.is_sequence)
                identity = {
                    "model": model.name,
                    **prepared.case,
                    "structure": target.structure,
                    "slice_index": index,
                    "instance": target.instance,
                    "seed": question.seed,
                }
                rows += [{**identity, "prompts": name, **asdict(scores), "seconds": seconds} for name in question.names]
        return rows

    def example(self, model: VolumePredictor, prepared: EvaluationVolume, row: Mapping[str, Any]) -> Example | None:
        """Ask the row's question again."""
        for target, mask, question in self._questions(prepared):
            wanted = (row["structure"], row["instance"], row["slice_index"], row["seed"])
            found = (target.structure, target.instance, question.prompt.index, question.seed)
            if wanted == found and row["prompts"] in question.names:
                with model.look(torch.from_numpy(prepared.image), prepared.axis) as seen:
                    answer = model.segment(seen, question.prompt, question.direction)
                return volume_example(prepared, mask, answer, question.prompt)
        return None

    def effort(self, prepared: EvaluationVolume) -> Effort:
        """Count the slices and, as decodings, the slices that answers may lead to."""
        slices = prepared.size[prepared.axis] if prepared.targets else 0
        counts: Counter[str] = Counter(target.structure for target in prepared.targets)
        shown = {
            name: len({k for t in prepared.targets if t.structure == name for k in t.areas(prepared.axis)})
            for name in counts
        }
        structures = {name: (shown[name], count) for name, count in counts.items()}
        return Effort(slices, counts.total() * self.plan.answers * slices, structures)

    def seconds(self, model: VolumePredictor, prepared: EvaluationVolume) -> tuple[float, float]:
        """Measure an answer on the prompted slice alone, the first time and again."""
        _, _, question = next(self._questions(prepared))
        times = []
        image = torch.from_numpy(prepared.image)
        # The first look is slower: it builds the network and warms up.
        for looks in (1, 2):
            with model.look(image, prepared.axis) as seen:
                for _ in range(looks):
                    start = perf_counter()
                    model.segment(seen, question.prompt, "none")
                    times.append(perf_counter() - start)
        return max(0.0, times[1] - times[2]), times[2]

    def _questions(self, prepared: EvaluationVolume) -> Iterator[tuple[VolumeTarget, np.ndarray, VolumeQuestion]]:
        names = (prepared.case["dataset"], prepared.case["case_id"])
        for target in prepared.targets:
            mask = target.mask(prepared.size)
            for question in self.plan(mask, prepared.axis, *names, target.structure, target.instance):
                yield target, mask, question
