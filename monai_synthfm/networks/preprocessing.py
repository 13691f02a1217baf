# Copyright (c) monai_synthfm contributors
# Licensed under the Apache License, Version 2.0 (http://www.apache.org/licenses/LICENSE-2.0).
# SPDX-License-Identifier: Apache-2.0
"""How an image becomes SAM's square input: longest side and padding as in SAM, or squashed as in MedSAM."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import torch
from torch.nn import functional as F

__all__ = ["Preprocessing", "longest_side_size", "medsam_input", "sam_input"]

Preprocessing = Literal["sam", "medsam"]


def longest_side_size(size: Sequence[int], longest: int) -> tuple[int, int]:
    """Scale (H, W) so that the longer one becomes ``longest``: ``int(side * longest / max(H, W) + 0.5)``, as SAM does.

    Example:
        >>> longest_side_size((480, 640), 1024)
        (768, 1024)
    """
    scale = longest / max(size)
    height, width = (int(side * scale + 0.5) for side in size)
    # An image thinner than half a pixel after scaling would otherwise vanish.
    return max(height, 1), max(width, 1)


def sam_input(
    image: torch.Tensor, image_size: int, mean: torch.Tensor, std: torch.Tensor
) -> tuple[torch.Tensor, tuple[int, int]]:
    """Resize, normalise and pad as SAM does: ``(255 image' - mean) / std``, zeros right and below.

    Resizing is antialiased bilinear, the tensor path of segment-anything's ``ResizeLongestSide``.

    Args:
        image: ``[B, 1 or 3, H, W]`` in [0, 1].
        image_size: side of the square in pixels.
        mean: of the 0-255 RGB channels, ``[3, 1, 1]``.
        std: of the 0-255 RGB channels, ``[3, 1, 1]``.

    Returns:
        ``[B, 3, image_size, image_size]`` and the (H', W') before padding.
    """
    size = longest_side_size(image.shape[-2:], image_size)
    if size != tuple(image.shape[-2:]):
        image = F.interpolate(image, size, mode="bilinear", align_corners=False, antialias=True)
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
    if size != tuple(image.shape[-2:]):
        image = F.interpolate(image, size, mode="bicubic", align_corners=False, antialias=True).clamp(0.0, 1.0)
    low = image.amin(dim=(1, 2, 3), keepdim=True)
    high = image.amax(dim=(1, 2, 3), keepdim=True)
    # A blank image is not stretched: MedSAM's 8-bit images would hide a range below one grey level, rounding errors of
    # the interpolation among it.
    image = (image - low) / (high - low).clamp_min(1 / 255)
    return image.expand(-1, 3, -1, -1), size
