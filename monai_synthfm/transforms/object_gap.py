# Copyright (c) monai_synthfm contributors
# Licensed under the Apache License, Version 2.0 (http://www.apache.org/licenses/LICENSE-2.0).
# SPDX-License-Identifier: Apache-2.0
"""Objects that end at a gap, beyond which their like begins, as one vertebra beside the next."""

from __future__ import annotations

from typing import ClassVar

import numpy as np
import torch
from monai.transforms import Transform
from monai.utils import TransformBackends

from monai_synthfm.transforms.random_state import SharedRandomizable

__all__ = ["RandObjectGap"]

_TEXTURE = (0.3, 1.0)  # of the object that is left in the gap
_LEAST_CONTRAST = 0.08  # between the gap and the object, grey levels of 0 to 1
_FARTHEST = 11.0  # slices from the kept one to the gap
_TRIES = 8


class RandObjectGap(SharedRandomizable, Transform):
    r"""
    Cut an object in two by a tilted gap of other tissue between slices; what lies beyond is no longer the object.

    With the distance h of a voxel to the middle of the gap along the slices' axis, which changes linearly within a
    slice, and the thickness t, the object's voxels are other tissue by

    .. math:: s = \mathrm{clip}\left(\tfrac{t}{2} + \tfrac{1}{2} - |h|, 0, 1\right), \quad
        I' = (1 - s) I + s \left(v + c (I - \bar I)\right)

    with the mean grey level of the object, another level v and c of 0.3 to 1.

    Args:
        prob: of a gap.
        thickness: smallest and largest t, in slices.

    Raises:
        ValueError: when an argument is out of its range.

    Source: not given in the papers; our choice. Networks that carry objects go on into the next vertebra otherwise.

    Example:
        >>> pictures, mask = torch.rand(12, 20, 20), torch.zeros(12, 20, 20, dtype=torch.bool)
        >>> mask[:, 5:15, 5:15] = True
        >>> _, shorter = RandObjectGap(prob=1.0).set_random_state(seed=0)(pictures, mask, 2)
        >>> bool(shorter[2].any()), bool(shorter[-1].any())
        (True, False)
    """

    backend: ClassVar[list[TransformBackends]] = [TransformBackends.TORCH]

    def __init__(self, prob: float = 0.2, thickness: tuple[float, float] = (1.0, 3.5)) -> None:
        if not 0 <= prob <= 1:
            raise ValueError(f"prob must lie in 0..1, got {prob}.")
        if not 0 < thickness[0] <= thickness[1]:
            raise ValueError(f"thickness must be two increasing numbers of slices above 0, got {thickness}.")
        self.prob = prob
        self.thickness = thickness

    def __call__(self, pictures: torch.Tensor, mask: torch.Tensor, kept: int) -> tuple[torch.Tensor, torch.Tensor]:
        """
        Cut an object.

        Args:
            pictures: [D, H, W] in [0, 1].
            mask: booleans [D, H, W].
            kept: index of a slice on which the object stays whole.

        Returns:
            pictures and mask, new ones where there is a gap.
        """
        if self.R.rand() >= self.prob:
            return pictures, mask
        thickness = float(self.R.uniform(*self.thickness))
        held = mask.any(dim=2).any(dim=1).nonzero()[:, 0].numpy()
        away = np.abs(held - kept)
        places = held[(away > thickness / 2 + 1) & (away < _FARTHEST)]
        if not len(places):
            return pictures, mask
        middle = int(self.R.choice(places))
        room = abs(middle - kept) - thickness / 2 - 0.5
        tilt, angle = self.R.uniform(0, room) * self.R.rand(), self.R.uniform(0, 2 * np.pi)
        heights = np.sign(middle - kept) * (torch.arange(len(mask)) - middle)[:, None, None]
        heights = heights + tilt * _across(mask, angle)
        share = (thickness / 2 + 0.5 - heights.abs()).clamp(0, 1) * mask
        mean = float(pictures[mask].mean())
        other = self._other(mean) + float(self.R.uniform(*_TEXTURE)) * (pictures - mean)
        return torch.lerp(pictures, other.clamp(0, 1), share), mask & (heights < -thickness / 2)

    def _other(self, mean: float) -> float:
        """Draw a grey level that is not the object's."""
        levels = self.R.uniform(size=_TRIES)
        apart = levels[np.abs(levels - mean) > _LEAST_CONTRAST]
        return float(apart[0] if len(apart) else (mean + 0.5) % 1.0)


def _across(mask: torch.Tensor, angle: float) -> torch.Tensor:
    """Return how far pixels [H, W] lie from the middle of the object's box, -1 to 1 within it, in one direction."""
    within = mask.any(dim=0)
    rows, columns = within.any(dim=1).nonzero()[:, 0], within.any(dim=0).nonzero()[:, 0]
    height, width = (float(one[-1] - one[0]) + 1 for one in (rows, columns))
    y = torch.arange(within.shape[0]) - (rows[0] + rows[-1]) / 2
    x = torch.arange(within.shape[1]) - (columns[0] + columns[-1]) / 2
    radius = 0.5 * float(np.hypot(height, width))
    return (np.sin(angle) * y[:, None] + np.cos(angle) * x[None, :]) / radius
