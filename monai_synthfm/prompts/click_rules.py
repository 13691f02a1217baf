# Copyright (c) monai_synthfm contributors
# Licensed under the Apache License, Version 2.0 (http://www.apache.org/licenses/LICENSE-2.0).
# SPDX-License-Identifier: Apache-2.0
"""Where the clicks of the paper's rule go: the central pixel, the inside, the ring around it, and pixels far apart."""

from __future__ import annotations

from typing import Literal

import numpy as np

from monai_synthfm.prompts.masks import Rng, bounding_window, centroid, depth, dilate, interior

__all__ = [
    "Snap",
    "central_pixel",
    "farthest_pixels",
    "jittered_pixels",
    "negative_region",
    "positive_pixels",
]

Snap = Literal["edt", "nearest"]


def central_pixel(mask: np.ndarray, snap: Snap = "edt") -> tuple[int, int]:
    """Return the pixel (row, column) of a mask that stands for its centre.

    It is the pixel at the centroid if the mask contains it. Otherwise (C-shapes, rings) it is, for ``snap="edt"``, the
    deepest pixel of the mask, of equally deep ones the one nearest to the centroid; for ``snap="nearest"``, the pixel
    nearest to the centroid. Ties go to the smaller row, then column. "Near the centroid" is all the paper says; the
    rest is our choice.

    Args:
        mask: boolean ``[H, W]``, not empty.
        snap: ``"edt"`` or ``"nearest"``.

    Example:
        >>> ring = np.ones((7, 12), dtype=bool)
        >>> ring[1:6, 2:8] = False
        >>> central_pixel(ring, "edt"), central_pixel(ring, "nearest")
        ((3, 9), (3, 8))
    """
    row, col = centroid(mask)
    # floor(x + 0.5) rather than round(): halves go the same way at every pixel
    nearest = int(np.floor(row + 0.5)), int(np.floor(col + 0.5))
    if mask[nearest]:
        return nearest
    candidates = mask
    if snap == "edt":
        window = bounding_window(mask)
        depths = depth(mask[window])
        candidates = np.zeros_like(mask)
        candidates[window] = depths == depths.max()
    rows, cols = np.nonzero(candidates)
    best = int(((rows - row) ** 2 + (cols - col) ** 2).argmin())
    return int(rows[best]), int(cols[best])


def positive_pixels(mask: np.ndarray, count: int, rng: Rng, snap: Snap = "edt") -> np.ndarray:
    """Return ``count`` different pixels of a mask: the central one, then uniform draws from its inside.

    The inside is every pixel at least 2 pixels from the nearest pixel outside the mask; once these are used up, the
    rest of the mask. The 2 pixels are not given in the paper; our choice.

    Args:
        mask: boolean ``[H, W]``, not empty.
        count: number of pixels wanted, at least 1; fewer are returned when the mask has fewer.
        rng: source of the draws.
        snap: see :func:`central_pixel`.

    Returns:
        ``[count, 2]`` int64 as (row, column).

    Example:
        >>> positive_pixels(np.ones((1, 2), dtype=bool), 3, np.random.default_rng(0)).tolist()
        [[0, 1], [0, 0]]
    """
    first = central_pixel(mask, snap)
    if count == 1:
        return np.array([first], dtype=np.int64)
    free = mask.copy()
    free[first] = False
    inside = interior(mask)
    picked = _draw(np.flatnonzero(free & inside), count - 1, rng)
    if picked.size < count - 1:
        picked = np.append(picked, _draw(np.flatnonzero(free & ~inside), count - 1 - picked.size, rng))
    return np.concatenate([[first], np.stack(np.unravel_index(picked, mask.shape), axis=1)]).astype(np.int64)


def negative_region(target: np.ndarray, component: np.ndarray, count: int, r_in: float, r_out: float) -> np.ndarray:
    """Return where negative clicks may lie: the ring around a component, clear of the whole target.

    The ring is every pixel at most ``r_out`` from the component and more than ``r_in`` from the target. When it has
    fewer than ``count`` pixels (a target that fills the image), it is the whole background instead.

    Args:
        target: boolean ``[H, W]``, not empty.
        component: the part of the target that is clicked on, boolean ``[H, W]``, not empty.
        count: number of negative clicks wanted.
        r_in: inner distance in pixels.
        r_out: outer distance in pixels.

    Returns:
        boolean ``[H, W]``.

    Example:
        >>> line = np.array([[1, 0, 0, 0, 0, 0]], dtype=bool)
        >>> negative_region(line, line, 1, r_in=1, r_out=3).astype(int).tolist()
        [[0, 0, 1, 1, 0, 0]]
    """
    ring = dilate(component, r_out) & ~dilate(target, r_in)
    return ring if np.count_nonzero(ring) >= count else ~target


def farthest_pixels(region: np.ndarray, start: tuple[float, float], count: int) -> np.ndarray:
    """Return the pixel of a region farthest from ``start``, then pixels each farthest from all those before it.

    This is farthest-point sampling. Ties go to the smaller row, then column, so that the result is the same on every
    platform.

    Args:
        region: boolean ``[H, W]``.
        start: (row, column) that only the first pixel keeps away from.
        count: number of pixels wanted; fewer are returned when the region has fewer.

    Returns:
        ``[count, 2]`` int64 as (row, column).

    Example:
        >>> farthest_pixels(np.ones((1, 5), dtype=bool), (0.0, 1.0), 3).tolist()
        [[0, 4], [0, 0], [0, 2]]
    """
    rows, cols = np.divmod(np.flatnonzero(region), region.shape[1])
    chosen: list[int] = []
    gap = (rows - start[0]) ** 2 + (cols - start[1]) ** 2
    for turn in range(min(count, rows.size)):
        chosen.append(int(gap.argmax()))
        to_last = (rows - rows[chosen[-1]]) ** 2 + (cols - cols[chosen[-1]]) ** 2
        gap = np.minimum(gap, to_last) if turn else to_last
    return np.stack([rows[chosen], cols[chosen]], axis=1).astype(np.int64)


def jittered_pixels(pixels: np.ndarray, allowed: np.ndarray, radius: float, rng: Rng) -> np.ndarray:
    """Move every pixel to a uniformly drawn one among the allowed pixels within ``radius`` of it.

    Args:
        pixels: ``[K, 2]`` as (row, column), all of them allowed.
        allowed: boolean ``[H, W]``.
        radius: largest move in pixels.
        rng: source of one draw per pixel.

    Returns:
        ``[K, 2]`` int64 as (row, column).

    Example:
        >>> allowed = np.array([[1, 0, 1, 0, 1]], dtype=bool)
        >>> jittered_pixels(np.array([[0, 0]]), allowed, 1.5, np.random.default_rng(0)).tolist()
        [[0, 0]]
    """
    reach = int(radius)
    moved = []
    for row, col in pixels.tolist():
        top, left = max(0, row - reach), max(0, col - reach)
        rows, cols = np.nonzero(allowed[top : row + reach + 1, left : col + reach + 1])
        near = np.flatnonzero((rows + top - row) ** 2 + (cols + left - col) ** 2 <= radius**2)
        pick = _draw(near, 1, rng)[0]
        moved.append((rows[pick] + top, cols[pick] + left))
    return np.array(moved, dtype=np.int64).reshape(-1, 2)


def _draw(pool: np.ndarray, count: int, rng: Rng) -> np.ndarray:
    # not rng.choice, which permutes the whole pool for a draw without replacement
    count = min(count, pool.size)
    for position in range(count):
        other = position + int(rng.random() * (pool.size - position))
        pool[[position, other]] = pool[[other, position]]
    return pool[:count]
