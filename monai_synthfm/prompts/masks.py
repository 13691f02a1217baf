# Copyright (c) monai_synthfm contributors
# Licensed under the Apache License, Version 2.0 (http://www.apache.org/licenses/LICENSE-2.0).
# SPDX-License-Identifier: Apache-2.0
"""Geometry of binary masks that clicks and boxes are built on: window, component, centroid, depth and dilation."""

from __future__ import annotations

from typing import Any, TypeAlias

import numpy as np
from scipy import ndimage

__all__ = [
    "Rng",
    "as_object",
    "bounding_window",
    "centroid",
    "depth",
    "dilate",
    "interior",
    "largest_component",
    "nearest_pixel",
    "size_scale",
]

Rng: TypeAlias = np.random.Generator | np.random.RandomState

REFERENCE_SIZE = 1024


def as_object(mask: Any) -> np.ndarray:
    """Return ``mask`` as a boolean array and make sure that there is an object in it.

    Args:
        mask: array or CPU tensor ``[H, W]``, nonzero inside the object.

    Raises:
        ValueError: when the mask is not two-dimensional, or is empty.

    Example:
        >>> as_object([[0, 2], [0, 0]]).tolist()
        [[False, True], [False, False]]
    """
    array = np.asarray(mask) != 0
    if array.ndim != 2:
        raise ValueError(f"mask must be [H, W], got shape {array.shape}.")
    if not array.any():
        raise ValueError(f"mask of shape {array.shape} is empty: there is no object to prompt.")
    return array


def bounding_window(mask: np.ndarray, margin: int = 0) -> tuple[slice, slice]:
    """Return the smallest window that holds a mask, enlarged by ``margin`` pixels and clipped to the image.

    Args:
        mask: boolean ``[H, W]``, not empty.
        margin: pixels added on every side.

    Example:
        >>> mask = np.zeros((8, 8), dtype=bool)
        >>> mask[3:5, 6] = True
        >>> bounding_window(mask, margin=2)
        (slice(1, 7, None), slice(4, 8, None))
    """
    spans = []
    for axis, size in enumerate(mask.shape):
        occupied = np.flatnonzero(mask.any(axis=1 - axis))
        spans.append(slice(max(0, int(occupied[0]) - margin), min(size, int(occupied[-1]) + 1 + margin)))
    return spans[0], spans[1]


def largest_component(mask: np.ndarray) -> np.ndarray:
    """Return the largest part of a mask, of equally large ones the first in row-major order.

    Parts are connected over corners, too: 8-connected in a plane, 26-connected in a volume.

    Args:
        mask: boolean ``[H, W]`` or ``[X, Y, Z]``, not empty.

    Example:
        >>> largest_component(np.array([[1, 0, 1], [1, 0, 0]], dtype=bool)).astype(int).tolist()
        [[1, 0, 0], [1, 0, 0]]
    """
    parts, count = ndimage.label(mask, structure=np.ones((3,) * mask.ndim))
    return mask if count == 1 else parts == np.bincount(parts.ravel())[1:].argmax() + 1


def centroid(mask: np.ndarray) -> tuple[float, float]:
    """Return the mean (row, column) of the pixels of a mask.

    Args:
        mask: boolean ``[H, W]``, not empty.

    Example:
        >>> centroid(np.array([[1, 0, 0], [0, 0, 1]], dtype=bool))
        (0.5, 1.0)
    """
    area = np.count_nonzero(mask)
    row, col = (mask.sum(axis=1 - axis) @ np.arange(size) / area for axis, size in enumerate(mask.shape))
    return float(row), float(col)


def depth(mask: np.ndarray) -> np.ndarray:
    """Return how far every pixel of a mask is from the nearest pixel outside, in pixels; beyond the image is outside.

    Args:
        mask: boolean ``[H, W]`` or ``[X, Y, Z]``.

    Example:
        >>> depth(np.ones((3, 3), dtype=bool)).tolist()
        [[1.0, 1.0, 1.0], [1.0, 2.0, 1.0], [1.0, 1.0, 1.0]]
    """
    return ndimage.distance_transform_edt(np.pad(mask, 1))[(slice(1, -1),) * mask.ndim]


def nearest_pixel(click: tuple[float, float], shape: tuple[int, ...]) -> tuple[int, int]:
    """Return the row and column of the pixel of an image nearest to a place, which may lie beyond its border.

    Args:
        click: x, y in pixels.
        shape: H, W.

    Example:
        >>> nearest_pixel((2.6, -3.0), (5, 9))
        (0, 3)
    """
    x, y = click
    height, width = shape
    return int(np.clip(np.rint(y), 0, height - 1)), int(np.clip(np.rint(x), 0, width - 1))


def interior(mask: np.ndarray) -> np.ndarray:
    """Return the pixels of a mask whose 8 neighbours all are in it, which are those with a depth of at least 2.

    Args:
        mask: boolean ``[H, W]``.

    Example:
        >>> interior(np.ones((3, 4), dtype=bool)).astype(int).tolist()
        [[0, 0, 0, 0], [0, 1, 1, 0], [0, 0, 0, 0]]
    """
    padded = np.pad(mask, 1)
    vertical = padded[:-2] & padded[1:-1] & padded[2:]
    return vertical[:, :-2] & vertical[:, 1:-1] & vertical[:, 2:]


def dilate(mask: np.ndarray, radius: float) -> np.ndarray:
    """Return the pixels whose centre is at most ``radius`` pixels from a pixel of the mask: dilation by a disc.

    Args:
        mask: boolean ``[H, W]``, not empty.
        radius: radius of the disc in pixels.

    Example:
        >>> dilate(np.array([[0, 0, 0, 1]], dtype=bool), 2.0).astype(int).tolist()
        [[0, 1, 1, 1]]
    """
    height, width = mask.shape
    edges = np.diff(mask.view(np.int8), axis=1, prepend=np.int8(0), append=np.int8(0))
    rows, starts = np.divmod(np.flatnonzero(edges == 1), width + 1)
    stops = np.flatnonzero(edges == -1) % (width + 1)
    offsets = np.arange(-int(radius), int(radius) + 1)
    if rows.size * offsets.size > mask.size:
        return ndimage.distance_transform_edt(~mask) <= radius
    # A run of pixels in one row dilates to one span in each row of the disc. Marking where spans begin and end and then
    # adding up is several times faster than a distance transform, as long as the runs are few.
    spread = np.floor(np.sqrt(radius**2 - offsets**2)).astype(np.int64)
    lines = rows[:, None] + offsets
    inside = (lines >= 0) & (lines < height)
    begins = (lines * (width + 1) + np.maximum(starts[:, None] - spread, 0))[inside]
    ends = (lines * (width + 1) + np.minimum(stops[:, None] + spread, width))[inside]
    marks = np.bincount(begins, minlength=height * (width + 1)) - np.bincount(ends, minlength=height * (width + 1))
    return np.cumsum(marks).reshape(height, width + 1)[:, :width] > 0


def size_scale(shape: tuple[int, ...]) -> float:
    """Return the factor from pixels of a 1024-pixel image to pixels of an image ``[H, W]``: its longer side over 1024.

    Example:
        >>> size_scale((256, 512))
        0.5
    """
    return max(shape) / REFERENCE_SIZE
