# Copyright (c) monai_synthfm contributors
# Licensed under the Apache License, Version 2.0 (http://www.apache.org/licenses/LICENSE-2.0).
# SPDX-License-Identifier: Apache-2.0
"""Slices of a window that drift and bend from one to the next, as what thick slices of a real volume show."""

from __future__ import annotations

from typing import ClassVar

import numpy as np
import torch
from monai.transforms import Transform
from monai.utils import TransformBackends
from scipy import ndimage

from monai_synthfm.transforms.random_state import SharedRandomizable

__all__ = ["RandSliceDrift"]

_KNOTS = 4  # along each side of a window
_FARTHEST = (0.35, 0.15)  # of the window's side: what all of a slice moves, and what a part of it moves besides


class RandSliceDrift(SharedRandomizable, Transform):
    r"""
    Draw by how much the places of slices move, so that an object lies elsewhere on each, and what surrounds it too.

    With increments e of slices, smooth along them and of standard deviation 1, the path of all of a slice and that of
    each of 4 by 4 knots on it are, from the slice c on that stays,

    .. math:: m \tanh\left(\tfrac{a}{m} \sum_{c < k \le z} e_k\right), \quad
        a = a_\mathrm{max} u^2, \quad u \sim U(0, 1)

    with m of 0.35 and 0.15 of the window's side; they are added, and linear between knots.

    Args:
        prob: of a drift.
        drift: a_max of all of a slice, in sides of the window for each slice.
        bend: a_max of each knot.

    Raises:
        ValueError: when an argument is out of its range.

    Source: not given in the papers; our choice. Networks that carry objects leave them on the spot otherwise.

    Example:
        >>> moved = RandSliceDrift(prob=1.0).set_random_state(seed=0)(16, 8)
        >>> moved.shape, bool(moved[8].any()), bool(moved[15].any())
        (torch.Size([16, 2, 4, 4]), False, True)
    """

    backend: ClassVar[list[TransformBackends]] = [TransformBackends.NUMPY]

    def __init__(self, prob: float = 0.6, drift: float = 0.07, bend: float = 0.04) -> None:
        if not 0 <= prob <= 1:
            raise ValueError(f"prob must lie in 0..1, got {prob}.")
        if min(drift, bend) < 0:
            raise ValueError(f"drift and bend must be at least 0, got {drift} and {bend}.")
        self.prob = prob
        self.amplitudes = (drift, bend)

    def __call__(self, depth: int, kept: int) -> torch.Tensor | None:
        """
        Draw a drift.

        Args:
            depth: D, number of slices.
            kept: index of the slice that stays as it is.

        Returns:
            x and y [D, 2, 4, 4] of the way of knots, in sides of the window, for
            :meth:`~monai_synthfm.windows.object_window.ObjectWindow.read`; None where nothing moves.
        """
        if self.R.rand() >= self.prob:
            return None
        moved = np.zeros((depth, 2, _KNOTS, _KNOTS))
        for largest, farthest, knots in zip(self.amplitudes, _FARTHEST, (1, _KNOTS), strict=True):
            amplitude, smoothness = largest * self.R.rand() ** 2, self.R.uniform(1.0, 4.0)
            steps = ndimage.gaussian_filter1d(self.R.normal(size=(depth, 2, knots, knots)), smoothness, axis=0)
            path = np.cumsum(amplitude * steps / steps.std(), axis=0)
            moved = moved + farthest * np.tanh((path - path[kept]) / farthest)
        return torch.from_numpy(moved).float()
