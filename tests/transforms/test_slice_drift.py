# Copyright (c) monai_synthfm contributors
# Licensed under the Apache License, Version 2.0 (http://www.apache.org/licenses/LICENSE-2.0).
# SPDX-License-Identifier: Apache-2.0
"""Slices that drift and bend."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from monai_synthfm.transforms.slice_drift import RandSliceDrift


def drawn(seed: int, depth: int = 16, kept: int = 8, **options: Any) -> torch.Tensor:
    moved = RandSliceDrift(prob=1.0, **options).set_random_state(seed=seed)(depth, kept)
    assert moved is not None
    return moved


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 1000), st.integers(1, 20), st.data())
def test_the_kept_slice_stays_and_no_other_goes_farther_than_half_the_window(
    seed: int, depth: int, data: st.DataObject
) -> None:
    kept = data.draw(st.integers(0, depth - 1))
    moved = drawn(seed, depth, kept)
    assert moved.shape == (depth, 2, 4, 4)
    assert not moved[kept].any()
    assert moved.abs().max() <= 0.35 + 0.15


def test_without_bends_all_of_a_slice_moves_alike() -> None:
    moved = drawn(0, bend=0.0)
    assert moved.abs().max() > 0
    torch.testing.assert_close(moved, moved[:, :, :1, :1].expand_as(moved))


def test_slices_move_by_small_steps_on_average() -> None:
    steps = torch.stack([drawn(seed, bend=0.0)[:, :, 0, 0].diff(dim=0) for seed in range(300)])
    # the mean of u^4 is 1/5, so that the steps of both ways have a spread of 0.07 / sqrt(5), less what tanh takes
    assert 0.6 * 0.07 / 5**0.5 < steps.std() < 0.07 / 5**0.5


def test_nothing_moves_with_the_probability_that_is_left() -> None:
    drift = RandSliceDrift(prob=0.25).set_random_state(seed=0)
    assert sum(drift(4, 0) is None for _ in range(400)) == pytest.approx(300, abs=40)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"prob": 1.5}, "prob must lie in 0..1"),
        ({"bend": -0.1}, "drift and bend must be at least 0, got 0.07 and -0.1"),
    ],
)
def test_arguments_out_of_their_range_are_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        RandSliceDrift(**options)
