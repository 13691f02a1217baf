# Copyright (c) monai_synthfm contributors
# Licensed under the Apache License, Version 2.0 (http://www.apache.org/licenses/LICENSE-2.0).
# SPDX-License-Identifier: Apache-2.0
"""How far the grey level of an object may shift from slice to slice, given what surrounds it."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from scipy import ndimage

__all__ = ["GreyRange", "allowed_shift", "mean_grey"]

_SHARE, _LOWEST, _HIGHEST = 0.6, 0.08, 0.2
# of the radius of a circle with the area of the object
_REACH = 0.4


def mean_grey(picture: torch.Tensor, inside: torch.Tensor) -> float:
    """Return the mean grey level of an object.

    Args:
        picture: [C, H, W].
        inside: booleans [H, W], somewhere True.
    """
    return float(picture.mean(dim=0)[inside].mean())


def allowed_shift(picture: torch.Tensor, inside: torch.Tensor) -> float:
    r"""
    Return the shift of the mean grey level beyond which an object has given way to something else.

    .. math:: g = \min(\max(0.6 \, |\bar{I}(M) - \bar{I}(R)|, \; 0.08), \; 0.2)

    R is the surroundings of the mask M: beyond the pixels next to it, as far as 0.4 times the radius of a circle of its
    area, and at least 2 pixels. An organ in fat may change much and is still an organ; one beside its like has ended
    after a small change.

    Source: not given in the papers; our choice. Measurements are in ``docs/experiments.md``, section "What carries a
    mask to the next slice".

    Args:
        picture: [C, H, W] with grey levels of 0 to 1.
        inside: M, booleans [H, W], somewhere True.

    Example:
        >>> picture = torch.zeros(1, 9, 9)
        >>> picture[:, 3:6, 3:6] = 0.25
        >>> round(allowed_shift(picture, picture[0] > 0), 3)
        0.15
    """
    reach = max(2.0, _REACH * math.sqrt(int(inside.sum()) / math.pi))
    distance = ndimage.distance_transform_edt(~inside.cpu().numpy())
    around = torch.from_numpy((distance > 1) & (distance <= 1 + reach)).to(inside.device)
    contrast = abs(mean_grey(picture, inside) - mean_grey(picture, around)) if around.any() else 0.0
    return min(max(_SHARE * contrast, _LOWEST), _HIGHEST)


@dataclass(frozen=True)
class GreyRange:
    """
    The mean grey levels that an object may have on other slices than the one where it was prompted.

    Args:
        mean: on that slice.
        shift: by how much it may differ from that elsewhere.
    """

    mean: float
    shift: float

    @classmethod
    def of(cls, picture: torch.Tensor, inside: torch.Tensor, shift: float | None = None) -> GreyRange:
        """
        Measure the object on the prompted slice.

        Args:
            picture: [C, H, W] with grey levels of 0 to 1.
            inside: booleans [H, W], somewhere True.
            shift: None = :func:`allowed_shift`.
        """
        return cls(mean_grey(picture, inside), allowed_shift(picture, inside) if shift is None else shift)

    def holds(self, picture: torch.Tensor, inside: torch.Tensor) -> bool:
        """
        Return whether what is inside a mask may be the object.

        Args:
            picture: [C, H, W].
            inside: booleans [H, W], somewhere True.
        """
        return abs(mean_grey(picture, inside) - self.mean) <= self.shift
