# Copyright (c) monai_synthfm contributors
# Licensed under the Apache License, Version 2.0 (http://www.apache.org/licenses/LICENSE-2.0).
# SPDX-License-Identifier: Apache-2.0
"""Objects whose clicks have probably missed them: what came out does not fit what was clicked."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from monai_synthfm.prompts.slice_prompts import SlicePrompts

__all__ = ["SMALLEST_PIXELS", "doubtful_slices"]

SMALLEST_PIXELS = 25
"""
Fewer pixels of an object on a slice where it was clicked are doubtful.

A quarter of the smallest object on a slice that the evaluation keeps (100 pixels, MedSAM's); our choice.
"""


def doubtful_slices(by_slice: Mapping[int, SlicePrompts], labels: np.ndarray, axis: int) -> dict[int, int]:
    """
    Find objects whose mask does not fit their clicks, and a slice of each where it does not.

    On a slice with positive clicks of an object, its mask is doubtful when none of them lies in it, or when it has
    fewer than :data:`SMALLEST_PIXELS`. The size of objects that have a box or a mask there as well is not judged, since
    these state it. Objects that came out empty are not looked at.

    Args:
        by_slice: prompts on slices, in pixels (x, y) along the two axes that are left, in their order.
        labels: label map [X, Y, Z], 0 background, n the n-th object.
        axis: across which it was cut.

    Returns:
        Index of the slice by index of the object, from 0.

    Example:
        >>> import torch
        >>> from monai_synthfm.prompts import Prompts
        >>> labels = np.zeros((20, 20, 3), int)
        >>> labels[2:5, 2:5, 1], labels[10:18, 10:18, 1] = 1, 2
        >>> clicks = torch.tensor([[[3.0, 3.0]], [[12.0, 15.0]]])
        >>> here = SlicePrompts([0, 1], Prompts(clicks, torch.ones(2, 1, dtype=torch.int64)))
        >>> doubtful_slices({1: here}, labels, axis=2)
        {0: 1}
    """
    found: dict[int, int] = {}
    there = set(np.unique(labels).tolist())
    for index, here in by_slice.items():
        on_slice = np.take(labels, index, axis=axis)
        for row, n in enumerate(here.objects):
            if n + 1 in there and n not in found and _is_doubtful(on_slice == n + 1, here, row):
                found[n] = index
    return found


def _is_doubtful(mask: np.ndarray, here: SlicePrompts, row: int) -> bool:
    """Judge the mask [W, H] of the object in ``row`` on its slice."""
    prompts = here.prompts
    if prompts.points is None or prompts.point_labels is None:
        return False
    clicks = np.asarray(prompts.points[row][prompts.point_labels[row] == 1].cpu(), dtype=np.float64)
    if not len(clicks):
        return False
    nearest = np.clip(np.rint(clicks).astype(int), 0, np.array(mask.shape) - 1)
    if not mask[tuple(nearest.T)].any():
        return True
    has_box = prompts.boxes is not None and bool(prompts.has_box[row])
    has_mask = here.masks is not None and bool(here.masks[row].any())
    return not has_box and not has_mask and int(mask.sum()) < SMALLEST_PIXELS
