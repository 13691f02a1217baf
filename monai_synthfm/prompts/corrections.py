# Copyright (c) monai_synthfm contributors
# Licensed under the Apache License, Version 2.0 (http://www.apache.org/licenses/LICENSE-2.0).
# SPDX-License-Identifier: Apache-2.0
"""The next click of a user who corrects a segmentation: the middle of the larger error."""

from __future__ import annotations

from typing import Any

import numpy as np

from monai_synthfm.prompts.masks import bounding_window, depth

__all__ = ["next_click"]


def next_click(prediction: Any, target: Any) -> tuple[np.ndarray, int] | None:
    r"""Return the click that corrects the deepest error of a prediction, or None if there is no error.

    With the Euclidean distance to the outside of a region :math:`D`, zero beyond the image border,

    .. math:: x^* = \arg\max_x \max(D_{FN}(x), D_{FP}(x)),

    positive when the false negatives are strictly deeper than the false positives, else negative. Ties within a region
    go to the smaller row, then column. This is the deterministic rule of RITM (arXiv 2102.06583) and of the interactive
    evaluation of SAM and SAM 2.

    Args:
        prediction: ``[H, W]``, nonzero where the object was found.
        target: ``[H, W]``, nonzero where the object is; may be empty.

    Returns:
        point ``[2]`` float32 as (x, y) in pixels, and the label 1 or 0.

    Raises:
        ValueError: when the two do not have the same two-dimensional shape.

    Example:
        >>> target = np.zeros((9, 9), dtype=bool)
        >>> target[2:7, 2:7] = True
        >>> point, label = next_click(np.zeros_like(target), target)
        >>> point.tolist(), label
        ([4.0, 4.0], 1)
        >>> next_click(target, target) is None
        True
    """
    found, wanted = np.asarray(prediction) != 0, np.asarray(target) != 0
    if found.shape != wanted.shape or found.ndim != 2:
        raise ValueError(f"prediction and target must be [H, W] of one shape, got {found.shape} and {wanted.shape}.")
    missed, missed_depth = _deepest(wanted & ~found)
    excess, excess_depth = _deepest(found & ~wanted)
    if missed_depth == excess_depth == 0:
        return None
    return (missed, 1) if missed_depth > excess_depth else (excess, 0)


def _deepest(region: np.ndarray) -> tuple[np.ndarray, float]:
    """The point (x, y) of a region farthest from its outside, and its distance; distance 0 for an empty region."""
    if not region.any():
        return np.zeros(2, dtype=np.float32), 0.0
    window = bounding_window(region)
    depths = depth(region[window])
    row, col = np.unravel_index(int(depths.argmax()), depths.shape)
    point = np.array([col + window[1].start, row + window[0].start], dtype=np.float32)
    return point, float(depths[row, col])
