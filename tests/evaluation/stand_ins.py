# Copyright (c) monai_synthfm contributors
# Licensed under the Apache License, Version 2.0 (http://www.apache.org/licenses/LICENSE-2.0).
# SPDX-License-Identifier: Apache-2.0
"""Stand-ins for what an evaluation needs: a dataset in memory, a model that answers with discs, a tiny network."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from monai.data import MetaTensor

from monai_synthfm.data.datasets.base import Case, LabelledDataset
from monai_synthfm.data.datasets.faults import FaultError
from monai_synthfm.evaluation.external import ExternalPredictor, PromptRecord
from monai_synthfm.networks import Sam, ViTSize

UNSAID = pytest.mark.filterwarnings("ignore:.* does not say what network it is of:UserWarning")
"""For tests of files that were written before files said it."""


class Pictures(LabelledDataset):
    """Pictures with one or two discs each, made from their number; names in ``broken`` cannot be read."""

    modality = "us"
    table = {"large": 1, "small": 2}  # noqa: RUF012
    evaluated = ("large", "small")
    expected = {}  # noqa: RUF012

    def __init__(self, count: int = 4, name: str = "pictures", broken: tuple[str, ...] = (), **options: Any) -> None:
        self.name, self.count, self.broken = name, count, broken
        super().__init__(".", **options)

    def find_root(self, root: Path) -> Path:
        return root

    def scan(self) -> Iterator[Case]:
        for k in range(self.count):
            yield self.case(
                f"case{k}", "test", f"{k}.png", f"{k}_label.png", patient_id=f"p{k // 2}", spacing=[0.5, 0.5]
            )

    def read(self, case: Case) -> tuple[MetaTensor, MetaTensor]:
        if case["case_id"] in self.broken:
            raise FaultError("unreadable", case["image"], "cut short")
        rng = np.random.default_rng(int(case["case_id"][4:]))
        label = np.zeros((48, 64), dtype=np.int16)
        label[disc((48, 64), rng.uniform(15, 33), rng.uniform(15, 28), 9)] = 1
        if int(case["case_id"][4:]) % 2:
            label[disc((48, 64), 24, 52, 5)] = 2
        image = 40.0 * label + rng.uniform(1, 50, label.shape)
        tensors = (torch.from_numpy(array)[None] for array in (image.astype(np.float32), label))
        first, second = (MetaTensor(tensor, meta={"filename_or_obj": case["label"]}) for tensor in tensors)
        return first, second


def disc(shape: tuple[int, int], row: float, col: float, radius: float) -> np.ndarray:
    rows, cols = np.indices(shape)
    return (rows - row) ** 2 + (cols - col) ** 2 <= radius**2


def discs(image: np.ndarray, objects: list[PromptRecord]) -> np.ndarray:
    """A disc of radius 6 at each positive click, or what the box holds, without discs of radius 3 at negative ones."""
    masks = np.zeros((len(objects), *image.shape[:2]), dtype=bool)
    for mask, prompt in zip(masks, objects, strict=True):
        if prompt["box"]:
            left, top, right, bottom = np.rint(prompt["box"]).astype(int)
            mask[top : bottom + 1, left : right + 1] = True
        clicks = list(zip(prompt["points"], prompt["point_labels"], strict=True))
        for wanted, radius in ((1, 6), (0, 3)):
            for (x, y), label in clicks:
                if label == wanted:
                    mask[disc(mask.shape, y, x, radius)] = bool(wanted)
    return masks


class Counting(ExternalPredictor):
    """The model of discs, counting how often it looks at an image."""

    def __init__(self, name: str = "discs") -> None:
        super().__init__(name, discs)
        self.looks = 0

    def encode(self, image: torch.Tensor) -> np.ndarray:
        self.looks += 1
        return super().encode(image)


def tiny_sam(seed: int = 0) -> Sam:
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return Sam(ViTSize(embed_dim=32, depth=2, num_heads=2, global_attn_indexes=(1,)), image_size=64)
