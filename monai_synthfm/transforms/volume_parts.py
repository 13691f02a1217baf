# Copyright (c) monai_synthfm contributors
# Licensed under the Apache License, Version 2.0 (http://www.apache.org/licenses/LICENSE-2.0).
# SPDX-License-Identifier: Apache-2.0
"""The growing list of the parts of an anatomy: their tissue, labels, walls, bumps and place along the slices."""

from __future__ import annotations

import numpy as np

from monai_synthfm.synthesis.solid_grid import MottleParams, SolidPartParams
from monai_synthfm.synthesis.solids import BlobParams, TreeParams, solid_bounds
from monai_synthfm.transforms.generator import draw_seed
from monai_synthfm.transforms.solids import move_solid
from monai_synthfm.transforms.volume_presets import TissueRange, VolumePreset

__all__ = ["PartList", "Solids"]

Solids = tuple[BlobParams | TreeParams, ...]


class PartList:
    """Parts of an anatomy as they are drawn one after the other.

    Args:
        random: source of all numbers.
        preset: kinds of tissue.
        depth: of the volume as a fraction of the shorter side of its slices; 0 = all slices show one place.
    """

    def __init__(self, random: np.random.RandomState, preset: VolumePreset, depth: float) -> None:
        self.random = random
        self.preset = preset
        self.depth = depth
        self.parts: list[SolidPartParams] = []
        self.tissues: list[TissueRange | None] = []
        self.labels = 0

    def place(self, solids: Solids, end_prob: float) -> Solids:
        """Move along the slices: to where an end lies inside the volume, or anywhere that it is seen."""
        bounds = np.stack([solid_bounds(solid)[:, 2] for solid in solids])
        low, high = bounds[:, 0].min(), bounds[:, 1].max()
        if self.depth == 0.0:
            shift = self.random.uniform(-0.4, 0.4) * (high - low) - (low + high) / 2.0
        elif self.random.rand() < end_prob:
            end = self.random.uniform(0.05, 0.9) * self.depth
            shift = end - low if self.random.rand() < 0.5 else self.depth - end - high
        else:
            beyond = 0.35 * (high - low)
            shift = self.random.uniform(-beyond, self.depth + beyond) - (low + high) / 2.0
        return tuple(move_solid(solid, (0.0, 0.0, float(shift))) for solid in solids)

    def draw_waves(self, radius: float, size: float) -> tuple[float, float, int] | None:
        """Bumps of a surface, ``size`` relative to its radius; None when they are too small to see."""
        if size < 0.01:
            return None
        return size * radius, radius * float(self.random.uniform(0.35, 0.9)), draw_seed(self.random)

    def new(self) -> int:
        """Return the label of a new instance."""
        self.labels += 1
        return self.labels

    def add(
        self,
        solids: tuple[BlobParams | TreeParams | MottleParams, ...],
        parent: int,
        radius: float,
        tissue: TissueRange | None,
        label: int = 0,
        wall: tuple[float, float] | None = None,
        waves: tuple[float, float, int] | None = None,
        like: int = 0,
        wall_label: int | None = None,
    ) -> int:
        """Add a part and return its number; ``wall`` is the range of its thickness and whole where the wall is not the
        part's own, see ``SolidPartParams`` for the rest."""
        thickness = float(self.random.uniform(*wall)) if wall else 0.0
        gaps = (0.0, 0)
        if thickness and label and wall_label is None and self.random.rand() < 0.3:
            gaps = (float(self.random.uniform(0.2, 0.7)), draw_seed(self.random))
        owner = label if wall_label is None else wall_label
        part = SolidPartParams(solids, parent, radius, waves, thickness, gaps, label, owner, like)
        self.parts.append(part)
        self.tissues.append(tissue)
        return len(self.parts)
