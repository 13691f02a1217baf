# Copyright (c) monai_synthfm contributors
# Licensed under the Apache License, Version 2.0 (http://www.apache.org/licenses/LICENSE-2.0).
# SPDX-License-Identifier: Apache-2.0
"""What a network that completes masks is shown in a window: the picture, and the masks that are known in it."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from monai_synthfm.windows.grey_likelihood import GreyLikelihood

__all__ = [
    "NUM_CHANNELS",
    "NUM_PICTURE_CHANNELS",
    "WINDOW_SIZE",
    "WINDOW_SLICES",
    "KnownGreys",
    "mask_channels",
    "window_channels",
]

NUM_CHANNELS = 7
NUM_PICTURE_CHANNELS = 3
"""Channels that come first, which do not depend on where masks are known."""
WINDOW_SIZE = 64
"""Cells along each side of a window."""
WINDOW_SLICES = 16
"""Slices of a window."""
_SMALLEST_SPREAD = 1e-3


@dataclass(frozen=True)
class KnownGreys:
    """
    The grey levels of an object where its mask is known.

    Args:
        mean: of the object.
        likelihood: of each grey level.
    """

    mean: float
    likelihood: GreyLikelihood

    @classmethod
    def of(cls, pictures: torch.Tensor, masks: torch.Tensor) -> KnownGreys:
        """
        Measure them.

        Args:
            pictures: [..., n, n] of the slices where the mask is known.
            masks: shares of the object in [0, 1], of the same shape, somewhere above 0.
        """
        mean = float((pictures * masks).sum() / masks.sum().clamp_min(1e-6))
        return cls(mean, GreyLikelihood(pictures, masks))


def window_channels(
    pictures: torch.Tensor, masks: torch.Tensor, known: torch.Tensor, greys: KnownGreys
) -> torch.Tensor:
    r"""
    Return what a network is shown in a window.

    With pictures I, their mean and standard deviation m and s, masks M in [-1, 1] and the known slice k(z) that is
    nearest to slice z (of two the one with the lower index), the channels of slice z are

    1. (I - m) / s,
    2. (I - mean grey level of the object) / s, cut to [-4, 4],
    3. the likelihood of its grey levels (:class:`~monai_synthfm.windows.grey_likelihood.GreyLikelihood`),
    4. M on slice k(z),
    5. M where it is known, else 0,
    6. 1 where it is known, else 0,
    7. \|z - k(z)\| over the number of slices.

    Args:
        pictures: [D, n, n].
        masks: [D, n, n] in [0, 1], read on known slices alone.
        known: booleans [D], somewhere True.
        greys: of the object.

    Returns:
        [7, D, n, n].

    Source: not given in the papers; our choice.

    Example:
        >>> masks = torch.zeros(4, 8, 8)
        >>> masks[1, 2:6, 2:6] = 1.0
        >>> known = torch.tensor([False, True, False, False])
        >>> greys = KnownGreys.of(masks[1], masks[1])
        >>> window_channels(masks, masks, known, greys)[6, :, 0, 0].tolist()
        [0.25, 0.0, 0.25, 0.5]
    """
    spread = pictures.std() + _SMALLEST_SPREAD
    shown = [
        (pictures - pictures.mean()) / spread,
        ((pictures - greys.mean) / spread).clamp(-4, 4),
        greys.likelihood(pictures),
    ]
    return torch.cat([torch.stack(shown), mask_channels(masks, known)])


def mask_channels(masks: torch.Tensor, known: torch.Tensor) -> torch.Tensor:
    """
    Return the channels 4 to 7 of :func:`window_channels`.

    Args:
        masks: [D, n, n] in [0, 1], read on known slices alone.
        known: booleans [D], somewhere True.

    Returns:
        [4, D, n, n].

    Example:
        >>> mask_channels(torch.ones(3, 2, 2), torch.tensor([False, True, False]))[:, 2, 0, 0].tolist()
        [1.0, 0.0, 0.0, 0.3333333432674408]
    """
    depth = len(masks)
    indexes = known.nonzero()[:, 0]
    away = (torch.arange(depth, device=known.device)[:, None] - indexes).abs()
    distance, nearest = away.min(dim=1)
    flags = known.to(masks)[:, None, None].expand_as(masks)
    carried = 2 * masks[indexes[nearest]] - 1
    far = (distance / depth).to(masks)[:, None, None].expand_as(masks)
    return torch.stack([carried, flags * carried, flags, far])
