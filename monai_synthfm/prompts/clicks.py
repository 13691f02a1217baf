# Copyright (c) monai_synthfm contributors
# Licensed under the Apache License, Version 2.0 (http://www.apache.org/licenses/LICENSE-2.0).
# SPDX-License-Identifier: Apache-2.0
"""Clicks by the rule of the paper: positives from the centroid on, negatives far apart in a ring around the target."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from monai_synthfm.prompts.click_rules import Snap, farthest_pixels, jittered_pixels, negative_region, positive_pixels
from monai_synthfm.prompts.masks import Rng, as_object, bounding_window, centroid, largest_component, size_scale

__all__ = ["PAPER_CLICK_PAIRS", "ClickSimulator", "clicks_fit"]

PAPER_CLICK_PAIRS: tuple[tuple[int, int], ...] = ((1, 0), (1, 2), (3, 0), (3, 2))
"""The four (positive, negative) click counts of the paper's evaluation, in the order of the columns of its tables.

The paper says that there are four pairs, not which. Their order (p, 0), (p, n), (P, 0), (P, n) follows from the tables;
(1, 2) is a pair that the same group used before (arXiv 2408.04212); P = 3 is not given in the paper; our choice.
"""


@dataclass(frozen=True)
class ClickSimulator:
    r"""Simulate the clicks of a user who knows the target, by the rule of the paper.

    The first positive click is the pixel at the centroid of the target, or near it for targets that do not contain
    their centroid; further ones are uniform inside. Negative clicks lie in the ring

    .. math:: \{x : d(x, component) \le R,\ d(x, target) > r_{in}\}, \quad
              R = \max(r_{out} \max(H, W) / 1024,\ f \sqrt{area(component)},\ r_{in} + 1),

    the first farthest from the centroid, each later one farthest from the negatives before it; see
    :mod:`monai_synthfm.prompts.click_rules` for each step and its fallback. Every click is checked to lie inside the
    target (positive) or outside all of its parts (negative).

    The paper gives this rule in words. The radii, targets that do not contain their centroid, and the choice of a
    component are not given in the paper; our choice.

    Args:
        num_positive: number of positive clicks, at least 1; a target of fewer pixels gets as many as it has pixels.
        num_negative: number of negative clicks; a target that leaves fewer pixels of background gets as many as these.
        snap: rule for targets that do not contain their centroid: ``"edt"`` (deepest pixel) or ``"nearest"``.
        r_in: margin in pixels around the target in which no negative click falls, at least 1.
        r_out: reach of the ring in pixels of an image whose longer side is 1024; scaled to the size of the image.
        r_out_fraction: reach f of the ring as a fraction of the square root of the area clicked on.
        largest_component: click on the largest 8-connected part of the target only, since a click means one structure.
        jitter: radius in pixels within which every click is moved at random among the pixels where it may lie, as users
            do not hit the ideal pixel; moved clicks may coincide.
        pad_to: length of the result, filled with points (0, 0) of label -1; None for no padding.

    Raises:
        ValueError: when an argument is out of its range, or ``pad_to`` is less than the number of clicks.

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
        lowest = {"num_positive": 1, "num_negative": 0, "r_in": 1, "r_out": 0, "r_out_fraction": 0, "jitter": 0}
        for name, bound in lowest.items():
            if not getattr(self, name) >= bound:
                raise ValueError(f"{name} must be at least {bound}, got {getattr(self, name)}.")
        if self.snap not in ("edt", "nearest"):
            raise ValueError(f"snap must be 'edt' or 'nearest', got {self.snap!r}.")
        total = self.num_positive + self.num_negative
        if self.pad_to is not None and self.pad_to < total:
            raise ValueError(f"pad_to must be at least num_positive + num_negative = {total}, got {self.pad_to}.")

    def __call__(self, mask: Any, rng: Rng) -> tuple[np.ndarray, np.ndarray]:
        """Click on the object in ``mask``.

        Args:
            mask: ``[H, W]``, nonzero inside the target.
            rng: source of all random draws.

        Returns:
            points ``[K, 2]`` float32 pixel coordinates, x first, and labels ``[K]`` int64: 1 for the positives, which
            come first, 0 for the negatives, -1 for padding.

        Raises:
            ValueError: when the mask is empty or not two-dimensional.
        """
        image = as_object(mask)
        scale = size_scale(image.shape)
        window = bounding_window(image, margin=int(np.ceil(self.r_in + self._reach(image, scale))))
        target = image[window]
        component = largest_component(target) if self.largest_component else target

        positives = positive_pixels(component, self.num_positive, rng, self.snap)
        if self.jitter:
            positives = jittered_pixels(positives, component, self.jitter, rng)
        negatives = np.zeros((0, 2), dtype=np.int64)
        if self.num_negative:
            region = negative_region(target, component, self.num_negative, self.r_in, self._reach(component, scale))
            negatives = farthest_pixels(region, centroid(component), self.num_negative)
            if self.jitter:
                negatives = jittered_pixels(negatives, region, self.jitter, rng)

        count = len(positives) + len(negatives)
        points = np.zeros((self.pad_to or count, 2), dtype=np.float32)
        points[:count] = np.concatenate([positives, negatives])[:, ::-1] + (window[1].start, window[0].start)
        labels = np.full(len(points), -1, dtype=np.int64)
        labels[:count] = 0
        labels[: len(positives)] = 1
        if not clicks_fit(image, points, labels).all():
            raise RuntimeError(f"a simulated click is misplaced: points {points.tolist()}, labels {labels.tolist()}.")
        return points, labels

    def _reach(self, clicked: np.ndarray, scale: float) -> float:
        return max(self.r_out * scale, self.r_out_fraction * np.count_nonzero(clicked) ** 0.5, self.r_in + 1)


def clicks_fit(mask: Any, points: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Return for every click whether the pixel it falls in is where its label says.

    A positive click fits inside the mask, a negative one in the image but outside the mask, and padding everywhere.
    Worth asking again after masks or clicks were resized.

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
    target = np.asarray(mask) != 0
    pixels = np.floor(np.asarray(points, dtype=np.float64)[:, ::-1] + 0.5).astype(np.int64)
    in_image = ((pixels >= 0) & (pixels < target.shape)).all(axis=1)
    rows, cols = np.where(in_image[:, None], pixels, 0).T
    return (labels == -1) | (in_image & (target[rows, cols] == (labels == 1)))
