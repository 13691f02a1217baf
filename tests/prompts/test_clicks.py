# Copyright (c) monai_synthfm contributors
# Licensed under the Apache License, Version 2.0 (http://www.apache.org/licenses/LICENSE-2.0).
# SPDX-License-Identifier: Apache-2.0
"""Whole clicks: where they land, padding, determinism and errors."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from monai_synthfm.prompts import PAPER_CLICK_PAIRS, ClickSimulator, clicks_fit
from monai_synthfm.prompts import masks as regions

from .shapes import disc, distance_to, masks


def reach_of(simulator: ClickSimulator, mask: np.ndarray) -> float:
    component = regions.largest_component(mask) if simulator.largest_component else mask
    wide = max(simulator.r_out * max(mask.shape) / 1024, simulator.r_out_fraction * np.sqrt(component.sum()))
    return max(wide, simulator.r_in + 1)


@settings(max_examples=300)
@given(
    mask=masks(),
    pair=st.sampled_from(PAPER_CLICK_PAIRS),
    largest_component=st.booleans(),
    jitter=st.sampled_from([0.0, 1.0, 2.5]),
    r_in=st.floats(1, 2),
    seed=st.integers(0, 2**32 - 1),
)
def test_positives_are_inside_and_negatives_in_the_ring_or_else_on_background(
    mask: np.ndarray, pair: tuple[int, int], largest_component: bool, jitter: float, r_in: float, seed: int
) -> None:
    simulator = ClickSimulator(*pair, largest_component=largest_component, jitter=jitter, r_in=r_in)
    points, labels = simulator(mask, np.random.default_rng(seed))
    assert points.dtype == np.float32
    assert labels.dtype == np.int64
    component = regions.largest_component(mask) if largest_component else mask
    cols, rows = points.astype(int).T
    assert (points == np.stack([cols, rows], axis=1)).all()
    assert component[rows[labels == 1], cols[labels == 1]].all()
    assert (labels == 1).sum() == min(pair[0], component.sum())
    assert not mask[rows[labels == 0], cols[labels == 0]].any()
    ring = (distance_to(component) <= reach_of(simulator, mask)) & (distance_to(mask) > r_in)
    if ring.sum() >= pair[1]:
        assert ring[rows[labels == 0], cols[labels == 0]].all()
        assert (labels == 0).sum() == pair[1]
    else:
        assert (labels == 0).sum() == min(pair[1], (~mask).sum())


@settings(max_examples=50)
@given(
    mask=masks(), seed=st.integers(0, 2**32 - 1), make=st.sampled_from([np.random.default_rng, np.random.RandomState])
)
def test_equal_seeds_give_equal_clicks(mask: np.ndarray, seed: int, make: type) -> None:
    simulator = ClickSimulator(3, 2, jitter=2)
    first, again = simulator(mask, make(seed)), simulator(mask.copy(), make(seed))
    np.testing.assert_array_equal(first[0], again[0])
    np.testing.assert_array_equal(first[1], again[1])


@settings(max_examples=50)
@given(mask=masks(), extra=st.integers(0, 3))
def test_padding_adds_rows_of_label_minus_one_and_changes_nothing_else(mask: np.ndarray, extra: int) -> None:
    plain = ClickSimulator(3, 2)(mask, np.random.default_rng(0))
    points, labels = ClickSimulator(3, 2, pad_to=5 + extra)(mask, np.random.default_rng(0))
    count = len(plain[1])
    assert points.shape == (5 + extra, 2)
    np.testing.assert_array_equal(points[:count], plain[0])
    np.testing.assert_array_equal(labels[:count], plain[1])
    assert (labels[count:] == -1).all()
    assert (points[count:] == 0).all()


@settings(max_examples=50)
@given(mask=masks(largest_side=16), offset=st.tuples(st.integers(0, 30), st.integers(0, 30)))
def test_clicks_move_with_the_object(mask: np.ndarray, offset: tuple[int, int]) -> None:
    def place(row: int, col: int) -> np.ndarray:
        image = np.zeros((100, 100), dtype=bool)
        image[row : row + mask.shape[0], col : col + mask.shape[1]] = mask
        return image

    simulator = ClickSimulator(3, 2)
    here, _ = simulator(place(20, 20), np.random.default_rng(3))
    there, _ = simulator(place(20 + offset[0], 20 + offset[1]), np.random.default_rng(3))
    np.testing.assert_array_equal(there - here, np.broadcast_to(offset[::-1], here.shape))


def test_a_disc_gets_its_centre_and_two_opposite_negatives_at_the_outer_edge_of_the_ring() -> None:
    mask = disc((1024, 1024), 500, 400, 200)
    points, labels = ClickSimulator(1, 2)(mask, np.random.default_rng(0))
    assert points[0].tolist() == [400, 500]
    assert labels.tolist() == [1, 0, 0]
    reach = 200 + 0.1 * np.sqrt(np.pi) * 200
    np.testing.assert_allclose(np.linalg.norm(points[1:] - [400, 500], axis=1), reach, atol=1.5)
    assert np.linalg.norm(points[1] - points[2]) == pytest.approx(2 * reach, abs=3)


def test_small_objects_get_the_ring_of_ten_pixels_at_1024_scaled_to_the_image() -> None:
    for size in (256, 1024, 2048):
        mask = np.zeros((size, size // 2), dtype=bool)
        mask[100, 100] = True
        points, _ = ClickSimulator(1, 1)(mask, np.random.default_rng(0))
        farthest = np.linalg.norm(points[1] - points[0])
        limit = 10 * size / 1024
        assert limit - 1 < farthest <= limit


def test_negatives_avoid_all_parts_while_positives_stay_in_the_largest() -> None:
    mask = disc((128, 128), 64, 40, 20) | disc((128, 128), 64, 70, 7) | disc((128, 128), 40, 40, 2)
    points, labels = ClickSimulator(5, 30, jitter=3)(mask, np.random.default_rng(0))
    cols, rows = points.astype(int).T
    assert (cols[labels == 1] <= 60).all()
    assert (distance_to(mask)[rows[labels == 0], cols[labels == 0]] > 1).all()


def test_without_the_component_option_positives_reach_every_part() -> None:
    mask = disc((64, 64), 16, 16, 8) | disc((64, 64), 48, 48, 6)
    points, _ = ClickSimulator(20, 0, largest_component=False)(mask, np.random.default_rng(0))
    assert (points[:, 0] > 32).any()
    assert (points[:, 0] < 32).any()


def test_a_mask_that_fills_the_image_gets_no_negative() -> None:
    points, labels = ClickSimulator(1, 2, pad_to=3)(np.ones((8, 8)), np.random.default_rng(0))
    assert labels.tolist() == [1, -1, -1]
    assert points[0].tolist() == [4, 4]


def test_a_cpu_tensor_is_a_mask_too() -> None:
    mask = disc((32, 32), 16, 16, 6)
    expected = ClickSimulator(3, 2)(mask, np.random.default_rng(0))[0]
    np.testing.assert_array_equal(ClickSimulator(3, 2)(torch.from_numpy(mask), np.random.default_rng(0))[0], expected)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"num_positive": 0}, "num_positive must be at least 1, got 0"),
        ({"num_negative": -1}, "num_negative must be at least 0, got -1"),
        ({"r_in": 0.5}, "r_in must be at least 1"),
        ({"r_out": -1}, "r_out must be"),
        ({"r_out_fraction": float("nan")}, "r_out_fraction must be"),
        ({"jitter": -1}, "jitter must be"),
        ({"snap": "middle"}, "snap must be 'edt' or 'nearest', got 'middle'"),
        ({"num_positive": 3, "num_negative": 2, "pad_to": 4}, "= 5, got 4"),
    ],
)
def test_arguments_out_of_range_are_named(arguments: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        ClickSimulator(**arguments)


def test_an_empty_mask_is_an_error() -> None:
    with pytest.raises(ValueError, match="is empty"):
        ClickSimulator()(np.zeros((5, 5)), np.random.default_rng(0))


def test_clicks_fit_judges_the_pixel_that_a_click_rounds_to() -> None:
    mask = np.zeros((4, 4), dtype=bool)
    mask[1, 2] = True
    points = np.array([[2, 1], [1.5, 0.5], [2.5, 1], [2.5, 1], [2, 1], [-0.6, 0], [3.4, 3.4], [9, 9]])
    labels = np.array([1, 1, 1, 0, 0, 0, 0, -1])
    assert clicks_fit(mask, points, labels).tolist() == [True, True, False, True, False, False, True, True]
