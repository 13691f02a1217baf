# Copyright (c) monai_synthfm contributors
# Licensed under the Apache License, Version 2.0 (http://www.apache.org/licenses/LICENSE-2.0).
# SPDX-License-Identifier: Apache-2.0
"""Masks as a network finds them, made of true ones."""

from __future__ import annotations

from typing import ClassVar

import numpy as np
import torch
from monai.config import NdarrayOrTensor
from monai.transforms import Transform
from monai.utils import TransformBackends, convert_to_numpy, convert_to_tensor
from scipy import ndimage

from monai_synthfm.transforms.random_state import SharedRandomizable

__all__ = ["RandMaskErrors"]

_OWN_SHARE = 0.35  # of the error of a slice that the others do not have
_EMPTY = -9.0  # pixels: the distance to an object that is not on the slice


class RandMaskErrors(SharedRandomizable, Transform):
    r"""
    Move the border of a mask in and out, by smooth noise that consecutive slices share.

    With the signed distance d to the border in pixels, positive within, smooth noises f of all slices and g of each, of
    standard deviation 1, and a shift b, a pixel belongs to the result by

    .. math:: \mathrm{clip}\left(\tfrac{1}{2} + \tfrac{1}{2} (d + a (f + 0.35 g) + b), 0, 1\right), \quad
        a = a_\mathrm{max} u^2 \sqrt{A}, \quad b \sim N(0, (0.3 a)^2), \quad u \sim U(0, 1)

    where A is the mean area of the mask on the slices that hold it. A mask that would vanish is left as it is.

    Args:
        strength: a_max, 0 or more.
        scales: smallest and largest standard deviation in pixels of the Gaussians that make noise f smooth; that of g
            is at most 2/3 of the largest.

    Raises:
        ValueError: when an argument is out of its range.

    Source: not given in the papers; our choice.

    Example:
        >>> mask = torch.zeros(1, 32, 32)
        >>> mask[:, 8:24, 8:24] = 1
        >>> found = RandMaskErrors().set_random_state(seed=0)(mask)
        >>> found.shape, bool((found == mask).all())
        (torch.Size([1, 32, 32]), False)
    """

    backend: ClassVar[list[TransformBackends]] = [TransformBackends.TORCH, TransformBackends.NUMPY]

    def __init__(self, strength: float = 0.22, scales: tuple[float, float] = (2.0, 9.0)) -> None:
        if strength < 0:
            raise ValueError(f"strength must be at least 0, got {strength}.")
        if not 0 < scales[0] <= scales[1]:
            raise ValueError(f"scales must be two increasing numbers of pixels above 0, got {scales}.")
        self.strength = strength
        self.scales = scales

    def randomize(self, size: tuple[int, int, int]) -> tuple[float, float, np.ndarray]:
        """Draw u^2, b over a, and the noise [D, H, W]."""
        strength, shift = float(self.R.uniform()) ** 2, 0.3 * float(self.R.normal())
        low, high = self.scales
        shared = self._smooth(size[1:], float(self.R.uniform(low, high)))
        own = [self._smooth(size[1:], float(self.R.uniform(low, max(low, 2 * high / 3)))) for _ in range(size[0])]
        return strength, shift, shared + _OWN_SHARE * np.stack(own)

    def _smooth(self, size: tuple[int, ...], scale: float) -> np.ndarray:
        noise: np.ndarray = ndimage.gaussian_filter(self.R.normal(size=size), scale)
        return noise / (noise.std() + 1e-6)

    def __call__(self, masks: NdarrayOrTensor) -> torch.Tensor:
        """
        Return spoilt masks.

        Args:
            masks: shares of an object in [0, 1] on consecutive slices, [D, H, W]; above 0.5 is inside.

        Returns:
            [D, H, W] float32.
        """
        inside = convert_to_numpy(masks) > 0.5
        strength, shift, noise = self.randomize(inside.shape)
        held = inside.any(axis=(1, 2))
        amplitude = self.strength * strength * np.sqrt(inside.sum() / max(1, held.sum()))
        distance = np.stack([_signed_distance(mask) for mask in inside])
        found = np.clip(0.5 + 0.5 * (distance + amplitude * (noise + shift)), 0.0, 1.0)
        whole: torch.Tensor = convert_to_tensor(masks, dtype=torch.float32, track_meta=False)
        return torch.from_numpy(found).float() if (found > 0.5).any() else whole


def _signed_distance(mask: np.ndarray) -> np.ndarray:
    """Return the distance of pixels [H, W] to the border of a mask, half a pixel next to it, negative outside."""
    if not mask.any():
        return np.full(mask.shape, _EMPTY)
    distance: np.ndarray = ndimage.distance_transform_edt(mask) - ndimage.distance_transform_edt(~mask)
    return distance - 0.5 * np.sign(distance)
