# Copyright (c) monai_synthfm contributors
# Licensed under the Apache License, Version 2.0 (http://www.apache.org/licenses/LICENSE-2.0).
# SPDX-License-Identifier: Apache-2.0
"""The correcting click against a brute-force search over all pixels."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from monai_synthfm.prompts import next_click

from .shapes import disc, distance_to, masks


def depths(region: np.ndarray) -> np.ndarray:
    return distance_to(~np.pad(region, 1))[1:-1, 1:-1]


@settings(max_examples=150)
@given(target=masks(), seed=st.integers(0, 2**32 - 1), share=st.floats(0, 1), keep=st.booleans())
def test_the_click_is_the_first_deepest_pixel_of_the_deeper_error(
    target: np.ndarray, seed: int, share: float, keep: bool
) -> None:
    flips = np.random.default_rng(seed).random(target.shape) < share
    prediction = target ^ flips if keep else flips
    missed, excess = depths(target & ~prediction), depths(prediction & ~target)
    click = next_click(prediction, target)
    if (prediction == target).all():
        assert click is None
        return
    assert click is not None
    (x, y), label = click
    positive = missed.max() > excess.max() + 1e-9
    assert label == int(positive)
    error = missed if positive else excess
    assert (int(y), int(x)) == tuple(np.argwhere(np.isclose(error, error.max()))[0])


def test_an_empty_prediction_is_clicked_in_the_middle_of_the_target() -> None:
    point, label = next_click(np.zeros((50, 60)), disc((50, 60), 20, 31, 9)) or pytest.fail("no click")
    assert (point.tolist(), label) == ([31, 20], 1)


def test_a_prediction_without_any_target_gets_a_negative_click() -> None:
    point, label = next_click(disc((50, 60), 20, 31, 9), np.zeros((50, 60))) or pytest.fail("no click")
    assert (point.tolist(), label) == ([31, 20], 0)


def test_the_image_border_counts_as_the_edge_of_an_error() -> None:
    point, _ = next_click(np.zeros((11, 21)), np.ones((11, 21))) or pytest.fail("no click")
    assert point[1] == 5
    assert 5 <= point[0] <= 15


def test_following_the_clicks_ends_with_no_error() -> None:
    target = disc((24, 24), 12, 12, 6)
    prediction = disc((24, 24), 9, 14, 5)
    for _ in range(target.size):
        click = next_click(prediction, target)
        if click is None:
            break
        (x, y), label = click
        prediction[int(y), int(x)] = bool(label)
    np.testing.assert_array_equal(prediction, target)


@pytest.mark.parametrize("shapes", [((3, 4), (4, 3)), ((1, 3, 4), (1, 3, 4))])
def test_shapes_that_do_not_fit_are_an_error(shapes: tuple[tuple[int, ...], tuple[int, ...]]) -> None:
    with pytest.raises(ValueError, match=r"must be \[H, W\] of one shape"):
        next_click(np.zeros(shapes[0]), np.zeros(shapes[1]))
