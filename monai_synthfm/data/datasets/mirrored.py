# Copyright (c) monai_synthfm contributors
# Licensed under the Apache License, Version 2.0 (http://www.apache.org/licenses/LICENSE-2.0).
# SPDX-License-Identifier: Apache-2.0
"""Whether labels lie on what the image shows: their mirror images fit it worse."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np
from scipy import ndimage

from monai_synthfm.io.faults import Finding

__all__ = ["border_contrast", "mirrored_labels"]

_BAND = 2


def border_contrast(image: np.ndarray, label: np.ndarray) -> float:
    """
    Measure how well the borders of labels part what is inside from what is outside.

    It is the share of the variance of intensities in bands of 2 voxels on both sides of the borders that the side
    explains, over all labels: 0 where both sides look alike, 1 where each is of one value.

    Args:
        image: [X, Y, Z] or [H, W].
        label: label map of the same size.

    Example:
        >>> label = np.zeros((12, 12), int)
        >>> label[2:6, 3:9] = 1
        >>> border_contrast(10.0 * label, label), border_contrast(10.0 * label.T, label) < 0.2
        (1.0, True)
    """
    low, high = np.percentile(image, (0.5, 99.5))
    values = np.clip(image, low, high)
    explained = total = 0.0
    for value, window in enumerate(ndimage.find_objects(label), start=1):
        if window is None:
            continue
        around = tuple(slice(max(0, part.start - _BAND), part.stop + _BAND) for part in window)
        inside, seen = label[around] == value, values[around]
        inner = seen[inside & ~ndimage.binary_erosion(inside, iterations=_BAND)]
        outer = seen[ndimage.binary_dilation(inside, iterations=_BAND) & ~inside]
        both = np.concatenate([inner, outer])
        if inner.size and outer.size:
            total += both.size * float(both.var())
            explained += inner.size * outer.size / both.size * float(inner.mean() - outer.mean()) ** 2
    return explained / total if total else 0.0


def mirrored_labels(
    image: np.ndarray, label: np.ndarray, axes: Mapping[str, int], low: float = 0.0
) -> Iterator[Finding]:
    """
    Measure by how much the borders of labels fit the image better than those of the mirrored label map.

    The difference of both :func:`border_contrast` is above 0 for all organs with borders that can be seen, near 0 for
    symmetrical ones, and below 0 where it was the label map that was mirrored.

    Args:
        image: [X, Y, Z] or [H, W].
        label: label map of the same size.
        axes: axes to mirror, by words for it.
        low: smallest plausible difference.
    """
    there = border_contrast(image, label)
    for words, axis in axes.items():
        gain = there - border_contrast(image, np.flip(label, axis))
        yield Finding(f"contrast at the borders of labels minus that of labels mirrored {words}", gain, low)
