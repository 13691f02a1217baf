# Copyright (c) monai_synthfm contributors
# Licensed under the Apache License, Version 2.0 (http://www.apache.org/licenses/LICENSE-2.0).
# SPDX-License-Identifier: Apache-2.0
"""Masks of every awkward kind, and brute-force geometry to compare with."""

from __future__ import annotations

import numpy as np
from hypothesis import strategies as st
from scipy.spatial.distance import cdist


def distance_to(mask: np.ndarray) -> np.ndarray:
    """Distance of every pixel to the nearest pixel of the mask, by comparing with all of them."""
    pixels = np.argwhere(np.ones_like(mask))
    return cdist(pixels, np.argwhere(mask)).min(axis=1).reshape(mask.shape)


def disc(shape: tuple[int, int], row: float, col: float, radius: float) -> np.ndarray:
    rows, cols = np.mgrid[: shape[0], : shape[1]]
    return (rows - row) ** 2 + (cols - col) ** 2 <= radius**2


@st.composite
def masks(draw: st.DrawFn, largest_side: int = 32) -> np.ndarray:
    """Blobs of several parts, C-shapes, rings, noise, single pixels and full images, anywhere, also at the border."""
    shape = draw(st.tuples(st.integers(1, largest_side), st.integers(1, largest_side)))
    kind = draw(st.sampled_from(["blobs", "c", "ring", "noise", "pixel", "full", "frame"]))
    row, col = (draw(st.integers(0, size - 1)) for size in shape)
    radius = draw(st.floats(0.5, largest_side))
    mask = np.zeros(shape, dtype=bool)
    if kind == "blobs":
        for _ in range(draw(st.integers(1, 4))):
            centre = [draw(st.integers(0, size - 1)) for size in shape]
            mask |= disc(shape, *centre, draw(st.floats(0.5, largest_side / 4)))
    elif kind == "c":
        mask = disc(shape, row, col, radius) & ~disc(shape, row, col + radius / 3, radius * 0.75)
    elif kind == "ring":
        mask = disc(shape, row, col, radius) & ~disc(shape, row, col, radius * draw(st.floats(0.3, 0.9)))
    elif kind == "noise":
        mask = np.random.default_rng(draw(st.integers(0, 2**32 - 1))).random(shape) < draw(st.floats(0.02, 0.98))
    elif kind == "full":
        mask[:] = True
    elif kind == "frame":
        mask[[0, -1], :] = mask[:, [0, -1]] = True
    if not mask.any():
        mask[row, col] = True
    return mask
