# Copyright (c) monai_synthfm contributors
# Licensed under the Apache License, Version 2.0 (http://www.apache.org/licenses/LICENSE-2.0).
# SPDX-License-Identifier: Apache-2.0
"""Boxes around a mask: the tight one, and one as loose as a hand-drawn box."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from monai_synthfm.prompts.masks import Rng, as_object, bounding_window, size_scale

__all__ = ["BoxSimulator", "padded_box", "tight_box"]


def tight_box(mask: Any) -> np.ndarray:
    """Return the smallest box that holds a mask, as x0 y0 x1 y1 with the corner pixels inside (SAM's convention).

    Args:
        mask: ``[H, W]``, nonzero inside the object.

    Returns:
        ``[4]`` float32.

    Raises:
        ValueError: when the mask is empty or not two-dimensional.

    Example:
        >>> mask = np.zeros((6, 8))
        >>> mask[2:4, 3:7] = 1
        >>> tight_box(mask).tolist()
        [3.0, 2.0, 6.0, 3.0]
    """
    rows, cols = bounding_window(as_object(mask))
    return np.array([cols.start, rows.start, cols.stop - 1, rows.stop - 1], dtype=np.float32)


def padded_box(mask: Any, margin: float) -> np.ndarray:
    """Return the smallest box that holds a mask, with a margin as far as the image reaches.

    Args:
        mask: ``[H, W]``, nonzero inside the object.
        margin: in pixels, on every side; 0.5 goes from pixel centres to their edges.

    Returns:
        ``[4]`` float32.

    Raises:
        ValueError: when the mask is empty or not two-dimensional.

    Example:
        >>> mask = np.zeros((6, 8))
        >>> mask[2:4, 3:8] = 1
        >>> padded_box(mask, 0.5).tolist()
        [2.5, 1.5, 7.0, 3.5]
    """
    height, width = np.shape(mask)
    box = tight_box(mask) + np.array([-margin, -margin, margin, margin])
    return box.clip(0, [width - 1, height - 1] * 2).astype(np.float32)


@dataclass(frozen=True)
class BoxSimulator:
    r"""Simulate the box that a user draws: the tight box with every side moved at random.

    The x of both corners moves by :math:`u \min(f w,\ m \max(H, W) / 1024)` with independent u uniform in [-1, 1] and w
    the number of pixels of the box in a row; likewise for y. The result is clipped to the image. A box that no longer
    holds any pixel of the mask (thin frames) is replaced by the tight one.

    Boxes are not given in the paper; our choice. The defaults are those of SAM 2's training noise.

    Args:
        fraction: largest move as a fraction f of the box's side, in [0, 0.5).
        max_pixels: largest move m in pixels of an image whose longer side is 1024; scaled to the size of the image.

    Raises:
        ValueError: when a number is out of its range.

    Example:
        >>> mask = np.zeros((1024, 1024))
        >>> mask[100:200, 300:500] = 1
        >>> moved = BoxSimulator()(mask, np.random.default_rng(0)) - tight_box(mask)
        >>> bool((abs(moved) <= [20, 10, 20, 10]).all()), bool((moved != 0).all())
        (True, True)
    """

    fraction: float = 0.1
    max_pixels: float = 20.0

    def __post_init__(self) -> None:
        if not 0 <= self.fraction < 0.5:
            raise ValueError(f"fraction must be in [0, 0.5), got {self.fraction}.")
        if not self.max_pixels >= 0:
            raise ValueError(f"max_pixels must not be negative, got {self.max_pixels}.")

    def __call__(self, mask: Any, rng: Rng) -> np.ndarray:
        """Draw a box around the object in ``mask``.

        Args:
            mask: ``[H, W]``, nonzero inside the object.
            rng: source of the four draws.

        Returns:
            ``[4]`` float32 x0 y0 x1 y1, not rounded to whole pixels.

        Raises:
            ValueError: when the mask is empty or not two-dimensional.
        """
        target = as_object(mask)
        tight = tight_box(target)
        height, width = target.shape
        reach = np.minimum(self.fraction * (tight[2:] - tight[:2] + 1), self.max_pixels * size_scale(target.shape))
        box = tight + rng.uniform(-1.0, 1.0, size=4) * np.tile(reach, 2)
        box = box.clip(0, [width - 1, height - 1] * 2).astype(np.float32)
        left, top = np.ceil(box[:2]).astype(int)
        right, bottom = np.floor(box[2:]).astype(int)
        return box if target[top : bottom + 1, left : right + 1].any() else tight
