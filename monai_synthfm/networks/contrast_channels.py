# Copyright (c) monai_synthfm contributors
# Licensed under the Apache License, Version 2.0 (http://www.apache.org/licenses/LICENSE-2.0).
# SPDX-License-Identifier: Apache-2.0
"""Grey images as colours in which faint contrasts show, since encoders made for photographs read three channels."""

from __future__ import annotations

import torch
from monai.networks.layers.convutils import gaussian_1d
from monai.networks.layers.simplelayers import separable_filtering
from torch.nn import functional as F

from monai_synthfm.prompts.tracing import int_sizes, is_traced

__all__ = ["contrast_channels", "equalized", "local_contrast"]

_BINS = 256
_CLIPPING_ROUNDS = 20
_CELLS = 48
_FLAT = 0.02  # five of 255 grey levels: less is noise


def contrast_channels(image: torch.Tensor) -> torch.Tensor:
    """Put the image, the image :func:`equalized`, and its :func:`local_contrast` into the three channels.

    A grey image shown in all three channels gives a soft tissue that spans a few of its grey levels as few levels of
    the input, as in CT over its whole range; here the same tissue spans more of the second and third channel.

    Args:
        image: ``[B, 1 or 3, H, W]`` in [0, 1]; colours are averaged.

    Returns:
        ``[B, 3, H, W]`` in [0, 1], computed in float32 whatever the image's type.

    Raises:
        ValueError: when a value is not finite.

    Source: not given in the paper, which repeats the grey image; our choice.

    Example:
        >>> contrast_channels(torch.rand(2, 1, 24, 32)).shape
        torch.Size([2, 3, 24, 32])
    """
    if not is_traced() and not image.isfinite().all():
        raise ValueError("image must hold finite values only.")
    grey = image.float().mean(dim=1, keepdim=True).clamp(0.0, 1.0)
    # differences of averages do not survive bfloat16
    with torch.autocast(grey.device.type, enabled=False):
        return torch.cat([grey, equalized(grey), local_contrast(grey)], dim=1).to(image.dtype)


def equalized(image: torch.Tensor, clip: float = 8.0) -> torch.Tensor:
    """Equalise the histogram of each image, no bin of which counts more than ``clip`` times their mean.

    A grey value becomes the share of the pixels below it, where what the fullest bins (the air around a patient) have
    too much is spread over all of them.

    Args:
        image: ``[B, 1, H, W]`` in [0, 1].
        clip: largest count of one of 256 bins as a multiple of their mean; 1 leaves the image as it is.

    Returns:
        ``[B, 1, H, W]`` in [0, 1].

    Source: the contrast limit of CLAHE (Zuiderveld, Graphics Gems IV, 1994), for the whole image at once.

    Example:
        >>> image = torch.tensor([0.0, 0.5, 0.5, 1.0]).view(1, 1, 2, 2)
        >>> [round(value, 2) for value in equalized(image, clip=1.0).flatten().tolist()]
        [0.0, 0.5, 0.5, 1.0]
    """
    position = image * (_BINS - 1)
    lower = position.floor().clamp(0, _BINS - 2).long()
    first = _BINS * torch.arange(len(image), device=image.device)[:, None]
    counts = torch.bincount((position.round().long().flatten(1) + first).flatten(), minlength=_BINS * len(image))
    share = counts.view(len(image), _BINS).to(image.dtype) / position[0].numel()
    limit = clip / _BINS
    for _ in range(_CLIPPING_ROUNDS):
        spare = (share - limit).clamp_min(0.0).sum(dim=1, keepdim=True)
        share = share.clamp_max(limit) + spare / _BINS
    below = share.cumsum(dim=1)
    below = (below - below[:, :1]) / (below[:, -1:] - below[:, :1])
    left, right = (below.gather(1, index.flatten(1)).view_as(image) for index in (lower, lower + 1))
    return torch.lerp(left, right, position - lower)


def local_contrast(image: torch.Tensor, reach: float = 0.08, gain: float = 0.25) -> torch.Tensor:
    """Compare each pixel with its surroundings: ``1/2 + gain (I - mean) / (std + 0.02)``, clamped to [0, 1].

    Mean and standard deviation are Gaussian averages, taken on a coarse grid.

    Args:
        image: ``[B, 1, H, W]`` in [0, 1].
        reach: standard deviation of the Gaussian as a fraction of the longer side.
        gain: grey values that one standard deviation becomes.

    Returns:
        ``[B, 1, H, W]`` in [0, 1].

    Source: not given in the paper; our choice.

    Example:
        >>> round(local_contrast(torch.full((1, 1, 16, 16), 0.3)).max().item(), 3)
        0.5
    """
    step = image - image.mean(dim=(2, 3), keepdim=True)  # small numbers, whose squares do not cancel
    mean, square = (_smooth(values, reach) for values in (step, step * step))
    spread = (square - mean * mean).clamp_min(0.0).sqrt()
    return (0.5 + gain * (step - mean) / (spread + _FLAT)).clamp(0.0, 1.0)


def _smooth(image: torch.Tensor, reach: float) -> torch.Tensor:
    """Average with a Gaussian on a grid of about ``_CELLS`` cells along the longer side, then interpolate."""
    height, width = int_sizes(image.shape[-2:])
    shrink = min(1.0, _CELLS / max(height, width))
    grid = [max(1, round(size * shrink)) for size in (height, width)]
    kernel = gaussian_1d(torch.tensor(reach * max(grid)), truncated=3.0, normalize=True)
    coarse = F.interpolate(image, grid, mode="bilinear", align_corners=False, antialias=True)
    coarse = separable_filtering(coarse, kernel, mode="replicate")
    return F.interpolate(coarse, (height, width), mode="bilinear", align_corners=False)
