# Copyright (c) monai_synthfm contributors
# Licensed under the Apache License, Version 2.0 (http://www.apache.org/licenses/LICENSE-2.0).
# SPDX-License-Identifier: Apache-2.0
"""Scores of masks against MONAI's metrics, brute force over all pixels, and hand-made cases."""

from __future__ import annotations

import math
import warnings

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from monai.metrics import DiceMetric, HausdorffDistanceMetric, SurfaceDiceMetric
from scipy.spatial.distance import cdist

from monai_synthfm.evaluation.metrics import score_mask

_SIZES = st.tuples(st.integers(1, 12), st.integers(1, 12)) | st.tuples(*[st.integers(1, 6)] * 3)
_PAIRS = _SIZES.flatmap(lambda size: st.tuples(arrays(bool, size), arrays(bool, size)))
_STEPS = st.sampled_from([0.3, 0.5, 0.78, 1.0, 1.5, 3.0])


def border(mask: np.ndarray) -> np.ndarray:
    """Coordinates of pixels with a neighbour (4 in the plane, 6 in space) outside the mask, found pixel by pixel."""
    steps = [sign * step for step in np.eye(mask.ndim, dtype=int) for sign in (-1, 1)]

    def inside(place: np.ndarray) -> bool:
        return bool((place >= 0).all() and (place < mask.shape).all() and mask[tuple(place)])

    return np.array([place for place in np.argwhere(mask) if not all(inside(place + step) for step in steps)])


def disc(size: tuple[int, int], centre: tuple[float, float], radius: float) -> np.ndarray:
    y, x = np.mgrid[: size[0], : size[1]]
    return np.hypot(y - centre[0], x - centre[1]) <= radius


@given(_PAIRS, st.tuples(_STEPS, _STEPS, _STEPS), st.sampled_from([0.0, 1.0, 2.0]))
@settings(max_examples=150)
def test_scores_are_those_of_brute_force(
    pair: tuple[np.ndarray, np.ndarray], steps: tuple[float, ...], tolerance: float
) -> None:
    pred, true = pair
    spacing = steps[: pred.ndim]
    scores = score_mask(pred, true, spacing, tolerance)
    both, total = int(np.sum(pred * true)), int(np.sum(pred) + np.sum(true))
    assert scores.dsc == (2 * both / total if total else 1.0)
    assert (scores.area_pred, scores.area_target, scores.intersection) == (pred.sum(), true.sum(), both)
    assert scores.empty_pred == (not pred.any())
    if pred.any() and true.any():
        distances = cdist(border(pred) * spacing, border(true) * spacing)
        there, back = distances.min(axis=1), distances.min(axis=0)
        close = (there <= tolerance + 1e-6).sum() + (back <= tolerance + 1e-6).sum()
        assert scores.nsd == pytest.approx(close / (len(there) + len(back)))
        assert scores.hd95 == pytest.approx(max(np.percentile(there, 95), np.percentile(back, 95)), abs=1e-5)


@pytest.mark.parametrize("spacing", [(1.0, 1.0), (0.7, 1.3)])
def test_scores_are_those_of_monai_where_no_mask_is_empty(spacing: tuple[float, float]) -> None:
    true = disc((70, 90), (30, 50), 18)
    pred = disc((70, 90), (33, 44), 21) & ~disc((70, 90), (40, 40), 6)
    pred[:4, 80:] = True
    tensors = [torch.from_numpy(mask)[None, None].float() for mask in (pred, true)]
    scores = score_mask(pred, true, spacing)
    assert scores.dsc == pytest.approx(DiceMetric(reduction="none")(*tensors).item())
    surface = SurfaceDiceMetric([2.0], include_background=True, reduction="none")(*tensors, spacing=spacing)
    assert scores.nsd == pytest.approx(surface.item())
    hausdorff = HausdorffDistanceMetric(include_background=True, percentile=95, reduction="none")
    assert scores.hd95 == pytest.approx(hausdorff(*tensors, spacing=spacing).item(), rel=1e-5)


def test_dice_of_empty_masks_is_monai_dice_that_does_not_ignore_empty() -> None:
    empty, some = np.zeros((6, 6), bool), disc((6, 6), (3, 3), 2)
    for pred, true in ((empty, empty), (some, empty), (empty, some)):
        tensors = [torch.from_numpy(mask)[None, None].float() for mask in (pred, true)]
        expected = DiceMetric(reduction="none", ignore_empty=False)(*tensors).item()
        assert score_mask(pred, true).dsc == expected


def test_both_empty_is_a_full_score() -> None:
    empty = np.zeros((5, 7), bool)
    scores = score_mask(empty, empty, spacing=(1.0, 1.0))
    assert (scores.dsc, scores.nsd, scores.hd95) == (1.0, 1.0, 0.0)


@pytest.mark.parametrize("empty", ["prediction", "target"])
def test_one_empty_mask_scores_zero_and_the_diagonal_without_warnings(empty: str) -> None:
    masks = {"prediction": np.ones((31, 41), bool), "target": np.ones((31, 41), bool)}
    masks[empty][:] = False
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        scores = score_mask(**masks, spacing=(0.5, 2.0))
    assert (scores.dsc, scores.nsd, scores.hd95) == (0.0, 0.0, math.hypot(30 * 0.5, 40 * 2.0))
    assert scores.empty_pred == (empty == "prediction")


def test_no_mask_is_further_off_than_an_empty_one() -> None:
    pred, true = np.zeros((9, 13), bool), np.zeros((9, 13), bool)
    pred[0, 0] = true[-1, -1] = True
    assert score_mask(pred, true).hd95 == pytest.approx(score_mask(np.zeros_like(pred), true).hd95)


def test_without_spacing_hd95_is_in_pixels_and_nsd_is_not_known() -> None:
    true = disc((40, 40), (20, 20), 8)
    scores = score_mask(np.roll(true, 5, axis=1), true)
    assert math.isnan(scores.nsd)
    assert not scores.spacing_known
    assert scores.hd95 == pytest.approx(score_mask(np.roll(true, 5, axis=1), true, spacing=(1.0, 1.0)).hd95)


def test_spacing_is_given_rows_first() -> None:
    true = disc((60, 60), (30, 30), 8)
    down, right = np.roll(true, 6, axis=0), np.roll(true, 6, axis=1)
    assert score_mask(down, true, spacing=(3.0, 0.1)).hd95 > 10 * score_mask(right, true, spacing=(3.0, 0.1)).hd95


@pytest.mark.parametrize(("tolerance", "nsd"), [(2.9, 0.0), (3.0, 1.0)])
def test_borders_as_far_apart_as_the_tolerance_count_as_the_same(tolerance: float, nsd: float) -> None:
    pred, true = np.zeros((10, 10), bool), np.zeros((10, 10), bool)
    pred[2], true[5] = True, True
    assert score_mask(pred, true, (1.0, 1.0), tolerance).nsd == nsd


def test_a_mask_on_the_edge_of_the_image_has_its_border_there() -> None:
    full = np.ones((8, 8), bool)
    inner = np.zeros((8, 8), bool)
    inner[3:5, 3:5] = True
    assert score_mask(inner, full, spacing=(1.0, 1.0)).hd95 > 3


def test_tensors_and_numbers_are_taken_like_boolean_arrays() -> None:
    true = disc((20, 20), (9, 9), 5)
    pred = disc((20, 20), (11, 9), 5)
    logits = torch.from_numpy(np.where(pred, 2.5, -1.0))
    assert score_mask(logits, torch.from_numpy(true), (1.0, 1.0)) == score_mask(pred, true, (1.0, 1.0))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"prediction": np.zeros((4, 5), bool)}, "of one size"),
        ({"target": np.zeros((1, 4, 4), bool)}, "of one size"),
        ({"target": np.zeros((1, 1, 4, 4), bool)}, r"target must be a mask \[H, W\] or \[X, Y, Z\]"),
        (
            dict.fromkeys(("prediction", "target"), np.zeros((4, 4, 4), bool)) | {"spacing": (1.0, 1.0)},
            "three positive",
        ),
        ({"prediction": np.zeros((0, 4), bool)}, r"prediction must be a mask \[H, W\]"),
        ({"spacing": (1.0, 1.0, 1.0)}, "spacing must be two positive numbers"),
        ({"spacing": (0.0, 1.0)}, "spacing must be two positive numbers"),
        ({"spacing": (math.nan, 1.0)}, "spacing must be two positive numbers"),
        ({"tolerance": -1.0}, "tolerance must not be negative"),
    ],
)
def test_wrong_arguments_are_named(change: dict[str, object], message: str) -> None:
    arguments = {"prediction": np.zeros((4, 4), bool), "target": np.zeros((4, 4), bool), **change}
    with pytest.raises(ValueError, match=message):
        score_mask(**arguments)  # type: ignore[arg-type]
