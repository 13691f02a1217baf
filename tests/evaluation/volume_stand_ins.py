# Copyright (c) monai_synthfm contributors
# Licensed under the Apache License, Version 2.0 (http://www.apache.org/licenses/LICENSE-2.0).
# SPDX-License-Identifier: Apache-2.0
"""Stand-ins for the evaluation of volumes: a dataset in memory, and a model that extrudes what was prompted."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch
from monai.data import MetaTensor

from monai_synthfm.data.case_preprocessing import MedSAMPreprocessing
from monai_synthfm.data.case_volumes import CutIntoVolume
from monai_synthfm.data.datasets.base import LabelledDataset
from monai_synthfm.data.datasets.case import Case
from monai_synthfm.evaluation.prompt_plan import PromptPlan
from monai_synthfm.evaluation.volume_plan import PlannedPrompt, VolumePlan
from monai_synthfm.evaluation.volume_predictors import VolumePredictor
from monai_synthfm.evaluation.volume_protocol import VolumeProtocol
from tests.evaluation.stand_ins import disc

SIZE = (20, 16, 9)
SPACING = [1.0, 1.0, 2.0]
PROTOCOL = VolumeProtocol(
    CutIntoVolume(MedSAMPreprocessing(min_voxels=0, min_pixels=0)),
    VolumePlan(PromptPlan(click_pairs=((1, 0), (2, 1)), box=True), slices=("first", "middle", "largest")),
)


class Volumes(LabelledDataset):
    """Volumes with a ball, and every second one with a rod besides, made from their number."""

    modality = "mr"
    table = {"ball": 1, "rod": 2}  # noqa: RUF012
    evaluated = ("ball", "rod")
    expected = {}  # noqa: RUF012

    def __init__(self, count: int = 3, name: str = "volumes") -> None:
        self.name, self.count = name, count
        super().__init__(".")

    def find_root(self, root: Path) -> Path:
        return root

    def scan(self) -> Iterator[Case]:
        for k in range(self.count):
            yield self.case(f"case{k}", "test", f"{k}.nii", f"{k}_label.nii", patient_id=f"p{k}", spacing=SPACING)

    def read(self, case: Case) -> tuple[MetaTensor, MetaTensor]:
        number = int(case["case_id"][4:])
        rng = np.random.default_rng(number)
        x, y, z = np.indices(SIZE)
        label = np.zeros(SIZE, dtype=np.int16)
        label[(x - 6 - number % 2) ** 2 + (y - 8) ** 2 + 2 * (z - 4) ** 2 <= 20] = 1
        if number % 2:
            label[15:18, 4:8, 1:6] = 2
        image = 40.0 * label + rng.uniform(1, 50, SIZE)
        tensors = (torch.from_numpy(array)[None] for array in (image.astype(np.float32), label))
        affine = np.diag([*SPACING, 1.0])
        first, second = (MetaTensor(t, affine=affine, meta={"filename_or_obj": case["label"]}) for t in tensors)
        return first, second


class Extruder(VolumePredictor):
    """Discs of radius 4 at positive clicks, the box or the mask, on ``reach`` more slices than the prompted one."""

    def __init__(self, name: str = "extruder", reach: int = 2) -> None:
        super().__init__(name)
        self.reach, self.looks, self.answers = reach, 0, 0

    @contextmanager
    def look(self, image: torch.Tensor, axis: int) -> Iterator[tuple[tuple[int, ...], int]]:
        self.looks += 1
        yield tuple(image.shape[1:]), axis

    def segment(self, seen: tuple[tuple[int, ...], int], prompt: PlannedPrompt, direction: str) -> np.ndarray:
        self.answers += 1
        size, axis = seen
        width, height = (n for a, n in enumerate(size) if a != axis)
        plane = np.zeros((height, width), bool) if prompt.mask is None else prompt.mask.copy()
        if prompt.prompts.points is not None:
            for (x, y), label in zip(prompt.prompts.points[0], prompt.prompts.point_labels[0], strict=True):
                if label == 1:
                    plane |= disc(plane.shape, float(y), float(x), 4)
        if prompt.prompts.boxes is not None and prompt.prompts.boxes.isfinite().all():
            left, top, right, bottom = prompt.prompts.boxes[0].int().tolist()
            plane[top : bottom + 1, left : right + 1] = True
        before = 0 if direction in ("forward", "none") else self.reach
        after = 0 if direction in ("backward", "none") else self.reach
        found = np.zeros(size, bool)
        for index in range(max(0, prompt.index - before), min(size[axis], prompt.index + after + 1)):
            np.moveaxis(found, axis, 0)[index] = plane.T
        return found

    def describe(self) -> dict[str, Any]:
        return {"reach": self.reach}
