# Copyright (c) monai_synthfm contributors
# Licensed under the Apache License, Version 2.0 (http://www.apache.org/licenses/LICENSE-2.0).
# SPDX-License-Identifier: Apache-2.0
"""How an image becomes a square input: longest side and padding as in SAM, or squashed as in MedSAM and SAM 2."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Literal

import torch
from monai.utils import convert_to_tensor
from torch.nn import functional as F

from monai_synthfm.networks.contrast_channels import contrast_channels
from monai_synthfm.prompts.tracing import int_sizes, is_traced

__all__ = [
    "MASK_LOGIT",
    "Preprocessing",
    "as_logits",
    "checked_image",
    "longest_side_size",
    "medsam_input",
    "sam_input",
    "square_input",
]

Preprocessing = Literal["sam", "contrast", "medsam"]
_GREY_LEVEL = 1 / 255
MASK_LOGIT = 10.0
"""Logit of the inside of a known mask; that of the outside is its negative."""


def as_logits(masks: torch.Tensor) -> torch.Tensor:
    """Turn booleans into logits of plus and minus ``MASK_LOGIT``; other masks are taken for logits.

    Example:
        >>> as_logits(torch.tensor([True, False])).tolist(), as_logits(torch.tensor([0.5])).tolist()
        ([10.0, -10.0], [0.5])
    """
    return MASK_LOGIT * (2.0 * masks.float() - 1.0) if masks.dtype == torch.bool else masks.float()


def checked_image(image: torch.Tensor) -> torch.Tensor:
    """Return an image without metadata after checking that networks can take it.

    Values may leave [0, 1] by one of 255 grey levels, which rounding and interpolation do. They are not looked at while
    torch traces, when there are none.

    Raises:
        ValueError: when it is not ``[B, 1 or 3, H, W]`` in floating point, has no pixels, or has values that are not
            finite or not in [0, 1].

    Example:
        >>> checked_image(torch.full((1, 1, 2, 2), 255.0))
        Traceback (most recent call last):
        ...
        ValueError: image must be [B, 1 or 3, H, W], floating point in [0, 1], got values from 255 to 255.
    """
    plain: torch.Tensor = convert_to_tensor(image, track_meta=False)
    wanted = "image must be [B, 1 or 3, H, W], floating point in [0, 1]"
    shape = int_sizes(plain.shape)
    if plain.ndim != 4 or plain.shape[1] not in (1, 3) or not plain.is_floating_point() or 0 in shape:
        raise ValueError(f"{wanted}, got shape {shape} of {plain.dtype}.")
    if is_traced():
        return plain
    low, high = (float(value) for value in plain.detach().aminmax())  # NaN when there is one
    if not math.isfinite(low) or not math.isfinite(high):
        broken = plain.numel() - int(plain.isfinite().sum())
        raise ValueError(f"{wanted}, got {broken} of {plain.numel()} values that are NaN or infinite.")
    if low < -_GREY_LEVEL or high > 1.0 + _GREY_LEVEL:
        raise ValueError(f"{wanted}, got values from {low:g} to {high:g}.")
    return plain


def longest_side_size(size: Sequence[int], longest: int) -> tuple[int, int]:
    """Scale (H, W) so that the longer one becomes ``longest``: ``int(side * longest / max(H, W) + 0.5)``, as SAM does.

    Example:
        >>> longest_side_size((480, 640), 1024)
        (768, 1024)
    """
    sides = int_sizes(size)
    scale = longest / max(sides)
    height, width = (int(side * scale + 0.5) for side in sides)
    # An image thinner than half a pixel after scaling would otherwise vanish.
    return max(height, 1), max(width, 1)


def sam_input(
    image: torch.Tensor, image_size: int, mean: torch.Tensor, std: torch.Tensor, contrast: bool = False
) -> tuple[torch.Tensor, tuple[int, int]]:
    """Resize, normalise and pad as SAM does: ``(255 image' - mean) / std``, zeros right and below.

    Resizing is antialiased bilinear, the tensor path of segment-anything's ``ResizeLongestSide``.

    Args:
        image: ``[B, 1 or 3, H, W]`` in [0, 1].
        image_size: side of the square in pixels.
        mean: of the 0-255 RGB channels, ``[3, 1, 1]``.
        std: of the 0-255 RGB channels, ``[3, 1, 1]``.
        contrast: turn the resized image into its :func:`~monai_synthfm.networks.contrast_channels.contrast_channels`.

    Returns:
        ``[B, 3, image_size, image_size]`` and the (H', W') before padding.
    """
    size = longest_side_size(image.shape[-2:], image_size)
    if size != int_sizes(image.shape[-2:]):
        image = F.interpolate(image, size, mode="bilinear", align_corners=False, antialias=True)
    if contrast:
        image = contrast_channels(image)
    image = (255.0 * image - mean) / std
    return F.pad(image, (0, image_size - size[1], 0, image_size - size[0])), size


def medsam_input(image: torch.Tensor, image_size: int) -> tuple[torch.Tensor, tuple[int, int]]:
    """Squash to a square and stretch each image to [0, 1] as MedSAM does, without mean and standard deviation.

    ``(image' - min) / (max - min)`` after antialiased bicubic resizing clamped to [0, 1] (Nat Commun 15:654 and its
    code).

    Args:
        image: ``[B, 1 or 3, H, W]`` in [0, 1].
        image_size: side of the square in pixels.

    Returns:
        ``[B, 3, image_size, image_size]`` and (image_size, image_size).
    """
    size = (image_size, image_size)
    if size != int_sizes(image.shape[-2:]):
        image = F.interpolate(image, size, mode="bicubic", align_corners=False, antialias=True).clamp(0.0, 1.0)
    low = image.amin(dim=(1, 2, 3), keepdim=True)
    high = image.amax(dim=(1, 2, 3), keepdim=True)
    # A blank image is not stretched: MedSAM's 8-bit images would hide a range below one grey level, rounding errors of
    # the interpolation among it.
    image = (image - low) / (high - low).clamp_min(_GREY_LEVEL)
    return image.expand(-1, 3, -1, -1), size


def square_input(
    image: torch.Tensor, image_size: int, mean: torch.Tensor, std: torch.Tensor, contrast: bool = False
) -> torch.Tensor:
    """Squash to a square and normalise as SAM 2 does: ``(image' - mean) / std``.

    Resizing is antialiased bilinear, as sam2's ``SAM2Transforms`` do it.

    Args:
        image: ``[B, 1 or 3, H, W]`` in [0, 1].
        image_size: side of the square in pixels.
        mean: of the RGB channels, ``[3, 1, 1]``.
        std: of the RGB channels, ``[3, 1, 1]``.
        contrast: turn the squashed image into its
            :func:`~monai_synthfm.networks.contrast_channels.contrast_channels`.

    Returns:
        ``[B, 3, image_size, image_size]``.
    """
    size = (image_size, image_size)
    if size != int_sizes(image.shape[-2:]):
        image = F.interpolate(image, size, mode="bilinear", align_corners=False, antialias=True)
    if contrast:
        image = contrast_channels(image)
    return (image - mean) / std
