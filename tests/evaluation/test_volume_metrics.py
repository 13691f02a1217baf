# Copyright (c) monai_synthfm contributors
# Licensed under the Apache License, Version 2.0 (http://www.apache.org/licenses/LICENSE-2.0).
# SPDX-License-Identifier: Apache-2.0
"""Scores of masks of volumes against hand-made cases and direct counts."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from monai_synthfm.evaluation.metrics import score_mask
from monai_synthfm.evaluation.volume_metrics import score_volume


def rod(size: tuple[int, int, int] = (8, 8, 10), slices: range = range(3, 7)) -> np.ndarray:
    mask = np.zeros(size, bool)
    mask[2:6, 2:6, slices.start : slices.stop] = True
    return mask


def dice(pred: np.ndarray, true: np.ndarray) -> float:
    total = pred.sum() + true.sum()
    return 2 * (pred & true).sum() / total if total else 1.0


def test_a_perfect_answer() -> None:
    scores = score_volume(rod(), rod(), prompted=4, spacing=(1.0, 1.0, 2.0))
    full = (scores.dsc, scores.nsd, scores.dsc_slices, scores.dsc_prompted, scores.dsc_unprompted, scores.dsc_farthest)
    assert full == (1.0,) * 6
    assert (scores.hd95, scores.over_propagation) == (0.0, 0.0)


def test_going_on_after_the_end_is_over_propagation_and_nothing_else() -> None:
    scores = score_volume(rod(slices=range(1, 9)), rod(), prompted=4)
    # four slices too many, of four
    assert scores.over_propagation == 1.0
    assert scores.dsc == pytest.approx(2 * 4 / (8 + 4))
    assert (scores.dsc_slices, scores.dsc_prompted, scores.dsc_farthest) == (1.0, 1.0, 1.0)
    assert scores.dsc_unprompted == pytest.approx(2 * 3 / (7 + 3))


def test_too_much_on_slices_of_the_target_is_not_over_propagation() -> None:
    wide = rod()
    wide[:, :, 3:7] = True
    scores = score_volume(wide, rod(), prompted=4)
    assert scores.over_propagation == 0.0
    assert scores.dsc_slices == pytest.approx(scores.dsc) == pytest.approx(2 * 16 / (64 + 16))


def test_slices_without_the_target_between_slices_with_it_are_not_beyond_it() -> None:
    gap = rod()
    gap[..., 4] = False
    scores = score_volume(rod(), gap, prompted=3)
    assert scores.over_propagation == 0.0
    assert scores.dsc < 1.0
    assert scores.dsc_slices == 1.0


def test_staying_on_the_prompted_slice_shows_without_it() -> None:
    scores = score_volume(rod(slices=range(3, 4)), rod(), prompted=3)
    assert scores.dsc == pytest.approx(2 * 1 / (1 + 4))
    assert (scores.dsc_prompted, scores.dsc_unprompted, scores.dsc_farthest) == (1.0, 0.0, 0.0)
    assert scores.dsc_slices == pytest.approx(1 / 4)


def test_an_empty_answer_scores_zero_and_the_diagonal_of_the_volume() -> None:
    scores = score_volume(np.zeros_like(rod()), rod(), prompted=4, spacing=(1.0, 2.0, 3.0))
    parts = (scores.dsc, scores.nsd, scores.dsc_slices, scores.dsc_prompted, scores.dsc_unprompted, scores.dsc_farthest)
    assert parts == (0.0,) * 6
    assert scores.empty_pred
    assert scores.over_propagation == 0.0
    assert scores.hd95 == pytest.approx(math.hypot(7, 14, 27))


def test_nothing_left_without_the_prompted_slice_is_a_full_score() -> None:
    one = rod(slices=range(4, 5))
    assert score_volume(one, one, prompted=4).dsc_unprompted == 1.0
    assert score_volume(rod(), one, prompted=4).dsc_unprompted == 0.0


def test_of_two_farthest_slices_the_lower_counts() -> None:
    answer = rod(slices=range(3, 8))
    answer[..., 3] = False
    assert score_volume(answer, rod(slices=range(3, 8)), prompted=5).dsc_farthest == 0.0


def test_spacing_along_each_axis_counts() -> None:
    for axis in range(3):
        spacing = [1.0, 1.0, 1.0]
        spacing[axis] = 5.0
        shifted = np.roll(rod(slices=range(3, 7)), 1, axis=axis)
        scores = score_volume(shifted, rod(), prompted=4, spacing=spacing)
        assert scores.hd95 == 5.0
        assert scores.nsd < 0.9 < score_volume(shifted, rod(), prompted=4, spacing=(1.0, 1.0, 1.0)).nsd


def test_frames_have_no_distance_from_each_other() -> None:
    answer = rod(slices=range(3, 8))
    scores = score_volume(answer, rod(), prompted=3, spacing=(0.5, 0.5), is_sequence=True)
    # four frames are right, one is a miss by a frame of 8 x 8 pixels
    assert scores.nsd == pytest.approx(4 / 5)
    assert scores.hd95 == pytest.approx(math.hypot(3.5, 3.5) / 5)
    assert scores.dsc == pytest.approx(dice(answer, rod()))


def test_an_empty_answer_to_a_sequence_scores_zero() -> None:
    scores = score_volume(np.zeros_like(rod()), rod(), prompted=3, spacing=(0.5, 0.5), is_sequence=True)
    assert (scores.dsc, scores.nsd, scores.area_pred, scores.empty_pred) == (0.0, 0.0, 0, True)
    assert scores.area_target == rod().sum()


def test_without_spacing_nsd_is_not_known() -> None:
    for is_sequence in (False, True):
        scores = score_volume(rod(), rod(), prompted=4, is_sequence=is_sequence)
        assert math.isnan(scores.nsd)
        assert not scores.spacing_known


_SIZE = st.tuples(st.integers(1, 5), st.integers(1, 5), st.integers(1, 5))
_PAIRS = _SIZE.flatmap(lambda size: st.tuples(arrays(bool, size), arrays(bool, size).filter(np.any)))


@given(_PAIRS, st.integers(0, 2), st.data())
@settings(max_examples=80)
def test_scores_are_direct_counts(pair: tuple[np.ndarray, np.ndarray], axis: int, data: st.DataObject) -> None:
    pred, true = pair
    shown = [k for k in range(true.shape[axis]) if np.take(true, k, axis).any()]
    prompted = data.draw(st.sampled_from(shown))
    scores = score_volume(pred, true, prompted, axis, spacing=(1.0, 2.0, 3.0))
    flat = score_mask(pred, true, (1.0, 2.0, 3.0))
    assert (scores.dsc, scores.nsd, scores.hd95) == (flat.dsc, flat.nsd, flat.hd95)
    by_slice = [dice(np.take(pred, k, axis), np.take(true, k, axis)) for k in range(true.shape[axis])]
    assert scores.dsc_slices == pytest.approx(np.mean([by_slice[k] for k in shown]))
    assert scores.dsc_prompted == pytest.approx(by_slice[prompted])
    kept = [k for k in range(true.shape[axis]) if k != prompted]
    assert scores.dsc_unprompted == pytest.approx(dice(np.take(pred, kept, axis), np.take(true, kept, axis)))
    beyond = [k for k in kept if k < shown[0] or k > shown[-1]]
    assert scores.over_propagation == pytest.approx(np.take(pred, beyond, axis).sum() / true.sum())


def test_an_empty_target_is_refused() -> None:
    with pytest.raises(ValueError, match="target is empty"):
        score_volume(rod(), np.zeros_like(rod()), prompted=0)
