# Copyright (c) monai_synthfm contributors
# Licensed under the Apache License, Version 2.0 (http://www.apache.org/licenses/LICENSE-2.0).
# SPDX-License-Identifier: Apache-2.0
"""Strokes over a slice as clicks."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

__all__ = ["clicks_of_stroke"]


def clicks_of_stroke(stroke: Sequence[Sequence[float]] | np.ndarray, distance: float, most: int = 16) -> np.ndarray:
    """
    Turn a stroke into a chain of clicks at equal distances along it, as micro-sam does with scribbles.

    Args:
        stroke: its corners [P, D] in the order in which it was drawn, P at least 1.
        distance: between two clicks, in the unit of the corners; larger where there would be more than ``most``.
        most: how many clicks there are at most, at least 2.

    Returns:
        clicks [K, D]: the first and the last corner, and what lies between.

    Example:
        >>> clicks_of_stroke([[0, 0], [4, 0], [4, 4]], distance=2.0).tolist()
        [[0.0, 0.0], [2.0, 0.0], [4.0, 0.0], [4.0, 2.0], [4.0, 4.0]]
    """
    corners = np.asarray(stroke, dtype=np.float64)
    along = np.concatenate([[0.0], np.linalg.norm(np.diff(corners, axis=0), axis=1).cumsum()])
    if along[-1] == 0:
        return corners[:1]
    count = int(np.clip(round(along[-1] / distance) + 1, 2, most))
    places = np.linspace(0.0, along[-1], count)
    return np.stack([np.interp(places, along, values) for values in corners.T], axis=1)
