# Copyright (c) monai_synthfm contributors
# Licensed under the Apache License, Version 2.0 (http://www.apache.org/licenses/LICENSE-2.0).
# SPDX-License-Identifier: Apache-2.0
"""
Scores of one predicted mask of a volume, and what propagation from the prompted slice did well and badly.

The paper's scores of volumes are not known. 3D DSC over the whole volume counts what leaks beyond the object; the
others show why it is low, after the three failures that arXiv 2511.21926 (the same first author) measures: too much on
the prompted slice, going on after the object has ended, and losing what began well. Their definitions are our choice.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace

import numpy as np

from monai_synthfm.evaluation.metrics import MaskScores, score_mask

__all__ = ["VolumeScores", "score_volume", "slice_areas"]

_AREAS = ("area_target", "area_pred", "intersection")


@dataclass(frozen=True)
class VolumeScores(MaskScores):
    """
    Scores of one mask of a volume; the names are columns of the table of rows.

    T is the target, P the prediction, a slice of T one that shows it; areas are numbers of voxels.

    Args:
        dsc_slices: mean over the slices of T of their DSC.
        dsc_prompted: DSC of the prompted slice.
        dsc_unprompted: 3D DSC without the prompted slice; 1 when nothing is left of T and P.
        dsc_farthest: DSC of the slice of T farthest from the prompted one (of two, the lower). In a half cycle that is
            prompted at end diastole, the first frame, it is end systole, the last.
        over_propagation: voxels of P on slices before the first or after the last slice of T, over those of T; 0 or
            more.
    """

    dsc_slices: float
    dsc_prompted: float
    dsc_unprompted: float
    dsc_farthest: float
    over_propagation: float


def score_volume(
    prediction: np.ndarray,
    target: np.ndarray,
    prompted: int,
    axis: int = 2,
    spacing: Sequence[float] | None = None,
    is_sequence: bool = False,
) -> VolumeScores:
    """
    Score a predicted mask of a volume.

    DSC, NSD and HD95 are those of :func:`~monai_synthfm.evaluation.metrics.score_mask` in 3D. Frames of a sequence have
    no distance from each other: there NSD and HD95 are means over the frames that show the target or the prediction.

    Args:
        prediction: booleans [X, Y, Z].
        target: booleans [X, Y, Z], not empty.
        prompted: the slice that was prompted.
        axis: across which the volume was cut; the last one in a sequence.
        spacing: mm along the three axes, or along the first two of a sequence; None where it is not known.
        is_sequence: whether slices are frames.

    Raises:
        ValueError: when the target is empty, or as for ``score_mask``.

    Example:
        >>> target = np.zeros((6, 6, 5), bool)
        >>> target[1:5, 1:5, 1:3] = True
        >>> leaking = target.copy()
        >>> leaking[1:5, 1:5, 3] = True
        >>> scores = score_volume(leaking, target, prompted=1)
        >>> scores.dsc, scores.dsc_slices, scores.over_propagation
        (0.8, 1.0, 0.5)
    """
    if not target.any():
        raise ValueError("target is empty: there is nothing to find in this volume.")
    whole = _score_frames(prediction, target, spacing) if is_sequence else score_mask(prediction, target, spacing)
    in_target, in_prediction, in_both = slice_areas(prediction, target, axis)
    dice = np.ones(len(in_target))
    total = in_target + in_prediction
    np.divide(2 * in_both, total, out=dice, where=total > 0)
    shown = np.flatnonzero(in_target)
    rest = int(total.sum() - total[prompted])
    beyond = in_prediction[: shown[0]].sum() + in_prediction[shown[-1] + 1 :].sum()
    return VolumeScores(
        **asdict(whole),
        dsc_slices=float(dice[shown].mean()),
        dsc_prompted=float(dice[prompted]),
        dsc_unprompted=2 * int(in_both.sum() - in_both[prompted]) / rest if rest else 1.0,
        dsc_farthest=float(dice[shown[np.abs(shown - prompted).argmax()]]),
        over_propagation=int(beyond) / whole.area_target,
    )


def slice_areas(prediction: np.ndarray, target: np.ndarray, axis: int = 2) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """
    Count the voxels of the target, of the prediction and of both on each slice.

    Args:
        prediction: booleans [X, Y, Z].
        target: booleans [X, Y, Z].
        axis: across which the volume was cut.
    """
    others = tuple(a for a in range(3) if a != axis)
    in_target, in_prediction, in_both = (
        np.count_nonzero(mask, axis=others) for mask in (target, prediction, target & prediction)
    )
    return in_target, in_prediction, in_both


def _score_frames(prediction: np.ndarray, target: np.ndarray, spacing: Sequence[float] | None) -> MaskScores:
    frames = [
        score_mask(prediction[..., k], target[..., k], spacing)
        for k in np.flatnonzero((prediction | target).any(axis=(0, 1)))
    ]
    sums = {name: sum(getattr(frame, name) for frame in frames) for name in _AREAS}
    return replace(
        frames[0],
        **sums,
        dsc=2 * sums["intersection"] / (sums["area_target"] + sums["area_pred"]),
        nsd=float(np.mean([frame.nsd for frame in frames])),
        hd95=float(np.mean([frame.hd95 for frame in frames])),
        empty_pred=not sums["area_pred"],
    )
