# Copyright (c) monai_synthfm contributors
# Licensed under the Apache License, Version 2.0 (http://www.apache.org/licenses/LICENSE-2.0).
# SPDX-License-Identifier: Apache-2.0
"""
Scores of one predicted mask of a slice or a volume, and what is said of empty masks.

Dice, surface Dice and Hausdorff distance are those of MONAI (``ignore_empty=False``, pixel edges, Euclidean distance).
MONAI gives NaN or infinity where a mask is empty, and its aggregation then drops the case: a miss would raise the mean.
Here every pair has a score:

============ ================ === === ==============
target       prediction       DSC NSD HD95
============ ================ === === ==============
empty        empty            1   1   0
empty        something        0   0   image diagonal
something    empty            0   0   image diagonal
============ ================ === === ==============
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from monai.metrics.utils import get_mask_edges, get_surface_distance
from scipy import ndimage

__all__ = ["NSD_TOLERANCE_MM", "MaskScores", "score_mask"]

NSD_TOLERANCE_MM = 2.0
"""Distance up to which borders count as the same, as in the CVPR 2024 and 2025 challenges; the paper has no NSD."""

_HD_QUANTILE = 0.95


@dataclass(frozen=True)
class MaskScores:
    """
    Scores of one mask; the names are columns of the table of rows.

    Args:
        dsc: Dice coefficient, 0 to 1.
        nsd: normalised surface Dice, 0 to 1; NaN where the spacing is not known.
        hd95: the larger of the two directed 95th percentiles of surface distances, mm, or pixels where the spacing is
            not known.
        area_target: pixels (voxels) of the target.
        area_pred: pixels of the prediction.
        intersection: pixels of both.
        spacing_known: whether ``hd95`` is in mm and ``nsd`` a number.
        empty_pred: whether the prediction is empty.
    """

    dsc: float
    nsd: float
    hd95: float
    area_target: int
    area_pred: int
    intersection: int
    spacing_known: bool
    empty_pred: bool


def score_mask(
    prediction: np.ndarray | torch.Tensor,
    target: np.ndarray | torch.Tensor,
    spacing: Sequence[float] | None = None,
    tolerance: float = NSD_TOLERANCE_MM,
) -> MaskScores:
    """
    Score a predicted mask P against a target T.

    ``DSC = 2 |P n T| / (|P| + |T|)``. With the borders B (pixels of a mask with a neighbour outside it, one of 4 on a
    slice and of 6 in a volume; what lies beyond the image is outside) and the distances d between pixel centres,
    ``NSD = (#{p in B_P: d(p, B_T) <= tolerance} + #{t in B_T: d(t, B_P) <= tolerance}) / (|B_P| + |B_T|)`` and
    ``HD95 = max(q95 d(B_P, B_T), q95 d(B_T, B_P))``.
    Borders and distances are looked for in the bounding box of both masks only.

    Args:
        prediction: mask [H, W] or [X, Y, Z], booleans or numbers of which those above 0 are inside.
        target: mask of the same shape, likewise.
        spacing: mm along each axis of the masks, so between rows first for a slice; None where it is not known.
        tolerance: of the NSD, mm.

    Returns:
        The scores; empty masks as in the table above, where the diagonal joins the centres of opposite corner pixels.

    Raises:
        ValueError: when the masks are not two planes or two volumes of one size, spacing is not positive, or tolerance
            is negative.

    Example:
        >>> target = np.zeros((8, 8), bool)
        >>> target[2:6, 2:6] = True
        >>> scores = score_mask(np.roll(target, 1, axis=0), target, spacing=(1.0, 1.0))
        >>> scores.dsc, scores.nsd, scores.hd95
        (0.75, 1.0, 1.0)
    """
    pred, true = _as_mask(prediction, "prediction"), _as_mask(target, "target")
    if pred.shape != true.shape:
        raise ValueError(f"prediction and target must be of one size, got {pred.shape} and {true.shape}.")
    if spacing is not None and (len(spacing) != pred.ndim or not all(math.isfinite(s) and s > 0 for s in spacing)):
        number = "two" if pred.ndim == 2 else "three"
        raise ValueError(f"spacing must be {number} positive numbers (mm) or None, got {spacing!r}.")
    if not tolerance >= 0:
        raise ValueError(f"tolerance must not be negative, got {tolerance!r}.")
    steps = [1.0] * pred.ndim if spacing is None else [float(step) for step in spacing]
    areas = {
        "area_target": int(true.sum()),
        "area_pred": int(pred.sum()),
        "intersection": int((pred & true).sum()),
    }
    total = areas["area_target"] + areas["area_pred"]
    dsc = 2 * areas["intersection"] / total if total else 1.0
    if areas["area_target"] and areas["area_pred"]:
        nsd, hd95 = _border_scores(pred, true, steps, tolerance)
    elif total:
        nsd, hd95 = 0.0, math.hypot(*((size - 1) * step for size, step in zip(true.shape, steps, strict=True)))
    else:
        nsd, hd95 = 1.0, 0.0
    return MaskScores(
        dsc=dsc,
        nsd=math.nan if spacing is None else nsd,
        hd95=hd95,
        **areas,
        spacing_known=spacing is not None,
        empty_pred=not areas["area_pred"],
    )


def _as_mask(values: np.ndarray | torch.Tensor, name: str) -> np.ndarray:
    array = values.detach().cpu().numpy() if isinstance(values, torch.Tensor) else np.asarray(values)
    if array.ndim not in (2, 3) or not array.size:
        raise ValueError(f"{name} must be a mask [H, W] or [X, Y, Z], got shape {array.shape}.")
    return array if array.dtype == bool else array > 0


def _border_scores(pred: np.ndarray, true: np.ndarray, steps: Sequence[float], tolerance: float) -> tuple[float, float]:
    """Return NSD and HD95 of two masks of which none is empty."""
    either = pred | true
    (box,) = ndimage.find_objects(either.astype(np.uint8))
    # A frame of zeros makes pixels on the edge of the image border pixels, as MONAI's own cropping does.
    edges = get_mask_edges(np.pad(pred[box], 1), np.pad(true[box], 1), crop=False)
    there = np.asarray(get_surface_distance(edges[0], edges[1], spacing=steps), dtype=float)
    back = np.asarray(get_surface_distance(edges[1], edges[0], spacing=steps), dtype=float)
    close = np.count_nonzero(there <= tolerance) + np.count_nonzero(back <= tolerance)
    nsd = int(close) / (there.size + back.size)
    return nsd, max(float(np.quantile(distances, _HD_QUANTILE)) for distances in (there, back))
