# Copyright (c) monai_synthfm contributors
# Licensed under the Apache License, Version 2.0 (http://www.apache.org/licenses/LICENSE-2.0).
# SPDX-License-Identifier: Apache-2.0
"""The click rule of the paper: positives from the centroid outwards, negatives far apart in a ring around the target."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from scipy import ndimage

from monai_synthfm.prompts.regions import Rng, as_object, bounding_window, depth, dilate, largest_component, size_scale

__all__ = [
    "PAPER_CLICK_PAIRS",
    "ClickSimulator",
    "central_pixel",
    "clicks_fit",
    "farthest_pixels",
    "negative_region",
    "positive_pixels",
]

PAPER_CLICK_PAIRS: tuple[tuple[int, int], ...] = ((1, 0), (1, 2), (3, 0), (3, 2))
"""The four (positive, negative) click counts of the evaluation, in the order of the tables' columns.

The paper says that there are four pairs and not which ones. The order (p, 0), (p, n), (P, 0), (P, n) follows from its tables, (1, 2) is a pair
the same group used before (arXiv 2408.04212); P = 3 is our choice.
"""

Snap = Literal["edt", "nearest"]


@dataclass(frozen=True)
class ClickSimulator:
    r"""Simulate the clicks of a user who knows the target, by the paper's rule.

    The first positive click is the pixel at the centroid of the target (see :func:`central_pixel` for targets that do not contain their
    centroid), further ones are uniform inside (:func:`positive_pixels`). Negative clicks lie in the ring

    .. math:: \{x : d(x, component) \le R\} \setminus \{x : d(x, target) \le r_{in}\}, \quad
              R = \max(r_{out} \cdot \max(H, W) / 1024,\ f \sqrt{area},\ r_{in} + 1),

    the first farthest from the centroid, each later one farthest from the negatives before it (:func:`farthest_pixels`). Every click is a
    pixel that was checked to be inside the target (positive) or outside all of its parts (negative).

    The paper (section on evaluation) gives the rule in words. The radii, what happens with targets that do not contain their centroid, and
    the component rule are not given in the paper; our choice.

    Args:
        num_positive: number of positive clicks, at least 1. A component of fewer pixels gets as many clicks as it has pixels.
        num_negative: number of negative clicks. An image with fewer background pixels gets as many clicks as there are.
        snap: rule for targets that do not contain their centroid, ``"edt"`` or ``"nearest"``.
        r_in: margin in pixels around the target in which no negative click falls, at least 1.
        r_out: reach of the ring in pixels of an image whose longer side is 1024; scaled to the size of the image.
        r_out_fraction: reach of the ring as a fraction of the square root of the clicked component's area.
        largest_component: click on the largest 8-connected part of the target only, since a click means one structure.
        jitter: radius in pixels within which every click is moved at random among the pixels where it may lie; clicks may then coincide.
        pad_to: length of the result, filled with points (0, 0) of label -1; None for no padding.

    Raises:
        ValueError: when a number is out of its range, or ``pad_to`` is less than the number of clicks.

    Example:
        >>> mask = np.zeros((64, 64), dtype=bool)
        >>> mask[10:31, 20:41] = True
        >>> points, labels = ClickSimulator(num_positive=1, num_negative=1, pad_to=3)(mask, np.random.default_rng(0))
        >>> points[0].tolist(), labels.tolist()
        ([30.0, 20.0], [1, 0, -1])
    """

    num_positive: int = 1
    num_negative: int = 0
    snap: Snap = "edt"
    r_in: float = 1.0
    r_out: float = 10.0
    r_out_fraction: float = 0.1
    largest_component: bool = True
    jitter: float = 0.0
    pad_to: int | None = None

    def __post_init__(self) -> None:
        if self.num_positive < 1 or self.num_negative < 0:
            raise ValueError(
                "num_positive must be at least 1 and num_negative at least 0, "
                f"got {self.num_positive} and {self.num_negative}."
            )
        if self.snap not in ("edt", "nearest"):
            raise ValueError(f"snap must be 'edt' or 'nearest', got {self.snap!r}.")
        if self.r_in < 1:
            raise ValueError(f"r_in must be at least 1 pixel, got {self.r_in}.")
        for name in ("r_out", "r_out_fraction", "jitter"):
            if getattr(self, name) < 0:
                raise ValueError(f"{name} must not be negative, got {getattr(self, name)}.")
        if self.pad_to is not None and self.pad_to < self.num_positive + self.num_negative:
            raise ValueError(
                f"pad_to must be at least num_positive + num_negative = {self.num_positive + self.num_negative}, "
                f"got {self.pad_to}."
            )

    def __call__(self, mask: Any, rng: Rng) -> tuple[np.ndarray, np.ndarray]:
        """Click on the object in ``mask``.

        Args:
            mask: ``[H, W]``, nonzero inside the target.
            rng: source of all random draws.

        Returns:
            points ``[K, 2]`` float32 pixel coordinates, x first, and labels ``[K]`` int64 (1, 0, or -1 for padding), positives first.

        Raises:
            ValueError: when the mask is empty or not two-dimensional.
        """
        whole = as_object(mask)
        scale = size_scale(whole.shape)
        window = bounding_window(whole, margin=int(np.ceil(self._reach(whole, scale) + self.r_in)))
        target = whole[window]
        component = largest_component(target) if self.largest_component else target

        positives = positive_pixels(component, self.num_positive, rng, self.snap)
        if self.jitter:
            positives = _jitter(positives, component, self.jitter, rng)
        negatives = np.zeros((0, 2), dtype=np.int64)
        if self.num_negative:
            region = negative_region(target, component, self.num_negative, self.r_in, self._reach(component, scale))
            negatives = farthest_pixels(region, centroid(component), self.num_negative)
            if self.jitter:
                negatives = _jitter(negatives, region, self.jitter, rng)

        count = len(positives) + len(negatives)
        points = np.zeros((self.pad_to or count, 2), dtype=np.float32)
        labels = np.full(len(points), -1, dtype=np.int64)
        points[:count] = np.concatenate([positives, negatives])[:, ::-1] + (window[1].start, window[0].start)
        labels[: len(positives)] = 1
        labels[len(positives) : count] = 0
        if not clicks_fit(whole, points, labels).all():
            raise RuntimeError(f"a simulated click is misplaced: points {points.tolist()}, labels {labels.tolist()}.")
        return points, labels

    def _reach(self, component: np.ndarray, scale: float) -> float:
        return max(self.r_out * scale, self.r_out_fraction * np.count_nonzero(component) ** 0.5, self.r_in + 1.0)


def clicks_fit(mask: Any, points: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Tell for every click whether its nearest pixel is where its label says: inside the mask if positive, in the image but outside the mask if negative.

    Worth asking again after clicks or masks were resized. Padding always fits.

    Args:
        mask: ``[H, W]``, nonzero inside the target.
        points: ``[K, 2]`` pixel coordinates, x first.
        labels: ``[K]``, 1 positive, 0 negative, -1 padding.

    Returns:
        boolean ``[K]``.

    Example:
        >>> clicks_fit(np.eye(2), np.array([[0.4, 0.0], [0.6, 0.0], [5.0, 5.0]]), np.array([1, 1, 0])).tolist()
        [True, False, False]
    """
    array = np.asarray(mask) != 0
    pixels = np.floor(np.asarray(points, dtype=np.float64)[:, ::-1] + 0.5).astype(np.int64)
    inside_image = ((pixels >= 0) & (pixels < array.shape)).all(axis=1)
    rows, cols = np.where(inside_image[:, None], pixels, 0).T
    return (labels == -1) | (inside_image & (array[rows, cols] == (labels == 1)))


def centroid(mask: np.ndarray) -> tuple[float, float]:
    """Return the mean (row, column) of the pixels of a mask that is not empty."""
    area = np.count_nonzero(mask)
    along_rows, along_cols = mask.sum(axis=1), mask.sum(axis=0)
    return (
        float(along_rows @ np.arange(mask.shape[0]) / area),
        float(along_cols @ np.arange(mask.shape[1]) / area),
    )


def central_pixel(mask: np.ndarray, snap: Snap = "edt") -> tuple[int, int]:
    """Return the pixel (row, column) of a mask that stands for its centre.

    It is the pixel at the centroid if the mask contains it. Otherwise (C-shapes, rings) it is, for ``snap="edt"``, the pixel deepest inside, of
    equally deep ones the one nearest to the centroid; for ``snap="nearest"``, the pixel nearest to the centroid. Ties go to the smaller row,
    then column. "Near the centroid" is all the paper says; the rest is our choice.

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
    if snap == "edt":
        window = bounding_window(mask)
        depths = depth(mask[window])
        candidates = np.zeros_like(mask)
        candidates[window] = depths == depths.max()
    else:
        candidates = mask
    rows, cols = np.nonzero(candidates)
    best = int(((rows - row) ** 2 + (cols - col) ** 2).argmin())
    return int(rows[best]), int(cols[best])


def positive_pixels(mask: np.ndarray, count: int, rng: Rng, snap: Snap = "edt") -> np.ndarray:
    """Return ``count`` different pixels of a mask: the central one, then uniform draws from the inside.

    The inside is every pixel at least 2 pixels from the nearest pixel outside the mask; once there are no more of these, any pixel of the mask.
    The 2 pixels are not given in the paper; our choice.

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
    # no pixel outside the mask is nearer than 2 exactly if the 8 neighbours all are in it
    deep = ndimage.binary_erosion(mask, structure=np.ones((3, 3))) & free
    picked = _draw(np.flatnonzero(deep), count - 1, rng)
    if len(picked) < count - 1:
        picked = np.concatenate([picked, _draw(np.flatnonzero(free & ~deep), count - 1 - len(picked), rng)])
    return np.concatenate([[first], np.stack(np.unravel_index(picked, mask.shape), axis=1)]).astype(np.int64)


def negative_region(
    target: np.ndarray, component: np.ndarray, count: int, r_in: float = 1.0, r_out: float = 10.0
) -> np.ndarray:
    """Return where negative clicks may lie: the ring around a component, clear of the whole target.

    The ring is every pixel at most ``r_out`` from the component and more than ``r_in`` from the target. When it has fewer than ``count``
    pixels (a target that fills the image), it is all of the background instead.

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
    region = dilate(component, r_out) & ~dilate(target, r_in)
    return region if np.count_nonzero(region) >= count else ~target


def farthest_pixels(region: np.ndarray, start: tuple[float, float], count: int) -> np.ndarray:
    """Return the pixel of a region farthest from ``start``, then pixels each farthest from all those before (farthest-point sampling).

    Ties go to the smaller row, then column, so that the result is the same on every platform.

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
    rows, cols = np.nonzero(region)
    chosen: list[int] = []
    gap = (rows - start[0]) ** 2 + (cols - start[1]) ** 2
    for turn in range(min(count, rows.size)):
        chosen.append(int(gap.argmax()))
        to_last = (rows - rows[chosen[-1]]) ** 2 + (cols - cols[chosen[-1]]) ** 2
        gap = np.minimum(gap, to_last) if turn else to_last
    return np.stack([rows[chosen], cols[chosen]], axis=1).astype(np.int64)


def _draw(pool: np.ndarray, count: int, rng: Rng) -> np.ndarray:
    """Draw without replacement; ``rng.choice`` of a RandomState would permute the whole pool for every click."""
    pool = pool.copy()
    count = min(count, pool.size)
    for position in range(count):
        other = position + int(rng.random() * (pool.size - position))
        pool[[position, other]] = pool[[other, position]]
    return pool[:count]


def _jitter(pixels: np.ndarray, allowed: np.ndarray, radius: float, rng: Rng) -> np.ndarray:
    moved = pixels.copy()
    for index, (row, col) in enumerate(pixels):
        top, left = max(0, row - int(radius)), max(0, col - int(radius))
        nearby = allowed[top : row + int(radius) + 1, left : col + int(radius) + 1]
        rows, cols = np.nonzero(nearby)
        within = np.flatnonzero((rows + top - row) ** 2 + (cols + left - col) ** 2 <= radius**2)
        pick = _draw(within, 1, rng)[0]
        moved[index] = rows[pick] + top, cols[pick] + left
    return moved
