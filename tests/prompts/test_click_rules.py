# Copyright (c) monai_synthfm contributors
# Licensed under the Apache License, Version 2.0 (http://www.apache.org/licenses/LICENSE-2.0).
# SPDX-License-Identifier: Apache-2.0
"""The steps of the click rule, one by one."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.distance import cdist

from monai_synthfm.prompts import click_rules as pixels
from monai_synthfm.prompts import masks as regions

from .shapes import disc, distance_to, masks


@settings(max_examples=150)
@given(mask=masks(), snap=st.sampled_from(["edt", "nearest"]))
def test_central_pixel_is_the_centroid_or_the_best_pixel_of_the_mask(mask: np.ndarray, snap: pixels.Snap) -> None:
    inside = np.argwhere(mask)
    mean = inside.mean(axis=0)
    chosen = np.array(pixels.central_pixel(mask, snap))
    assert mask[tuple(chosen)]
    if mask[tuple(np.floor(mean + 0.5).astype(int))]:
        assert (abs(chosen - mean) <= 0.5).all()
        return
    distance = np.linalg.norm(inside - mean, axis=1)
    if snap == "edt":
        depths = distance_to(~np.pad(mask, 1))[1:-1, 1:-1][mask]
        distance = np.where(np.isclose(depths, depths.max()), distance, np.inf)
    assert np.linalg.norm(chosen - mean) == pytest.approx(distance.min())


def test_a_c_shape_is_clicked_in_the_middle_of_its_stroke_by_edt_and_on_its_edge_by_nearest() -> None:
    c_shape = disc((64, 64), 32, 32, 24) & ~disc((64, 64), 32, 40, 20)
    depths = regions.depth(c_shape)
    assert depths[pixels.central_pixel(c_shape, "edt")] == depths.max() > 4
    assert depths[pixels.central_pixel(c_shape, "nearest")] == 1


def test_ties_of_a_ring_go_to_the_smaller_row_then_column() -> None:
    ring = np.ones((5, 5), dtype=bool)
    ring[1:4, 1:4] = False
    assert pixels.central_pixel(ring, "nearest") == (0, 2)
    assert pixels.central_pixel(ring, "edt") == (0, 2)


@settings(max_examples=150)
@given(mask=masks(), count=st.integers(1, 6), seed=st.integers(0, 2**32 - 1))
def test_positive_pixels_are_different_and_use_up_the_interior_first(mask: np.ndarray, count: int, seed: int) -> None:
    chosen = pixels.positive_pixels(mask, count, np.random.default_rng(seed))
    assert len(np.unique(chosen, axis=0)) == len(chosen) == min(count, mask.sum())
    assert mask[tuple(chosen.T)].all()
    assert tuple(chosen[0]) == pixels.central_pixel(mask)
    deep = distance_to(~np.pad(mask, 1))[1:-1, 1:-1] >= 2
    deep[tuple(chosen[0])] = False
    assert deep[tuple(chosen[1:].T)].sum() == min(len(chosen) - 1, deep.sum())


def test_further_positive_pixels_are_uniform_over_the_interior() -> None:
    mask = np.pad(np.ones((5, 6), dtype=bool), 2)
    rng = np.random.default_rng(0)
    counts = np.zeros(mask.shape)
    rounds = 4000
    for _ in range(rounds):
        for pixel in pixels.positive_pixels(mask, 3, rng)[1:]:
            counts[tuple(pixel)] += 1
    interior = np.zeros_like(mask)
    interior[3:6, 3:7] = True
    interior[pixels.central_pixel(mask)] = False
    expected = 2 * rounds / interior.sum()
    assert counts[~interior].sum() == 0
    assert (abs(counts[interior] - expected) < 5 * expected**0.5).all()


@settings(max_examples=150)
@given(mask=masks(), count=st.integers(1, 4), r_in=st.floats(1, 3), width=st.floats(1, 12))
def test_negative_region_is_the_ring_or_else_all_background(
    mask: np.ndarray, count: int, r_in: float, width: float
) -> None:
    component = regions.largest_component(mask)
    region = pixels.negative_region(mask, component, count, r_in, r_in + width)
    ring = (distance_to(component) <= r_in + width) & (distance_to(mask) > r_in)
    np.testing.assert_array_equal(region, ring if ring.sum() >= count else ~mask)


@settings(max_examples=100)
@given(region=masks(largest_side=20), count=st.integers(1, 5), start=st.tuples(st.floats(0, 20), st.floats(0, 20)))
def test_farthest_pixels_each_have_the_largest_possible_gap(
    region: np.ndarray, count: int, start: tuple[float, float]
) -> None:
    candidates = np.argwhere(region)
    chosen = pixels.farthest_pixels(region, start, count)
    assert len(chosen) == min(count, len(candidates))
    before = np.array([start])
    for index, pixel in enumerate(chosen):
        gaps = cdist(candidates, before).min(axis=1)
        assert cdist([pixel], before).min() == pytest.approx(gaps.max())
        before = chosen[: index + 1]


def test_farthest_pixels_break_ties_by_row_then_column() -> None:
    assert pixels.farthest_pixels(np.ones((3, 3), dtype=bool), (1.0, 1.0), 4).tolist() == [
        [0, 0],
        [2, 2],
        [0, 2],
        [2, 0],
    ]


@settings(max_examples=100)
@given(allowed=masks(), radius=st.floats(0, 6), seed=st.integers(0, 2**32 - 1), data=st.data())
def test_jittered_pixels_stay_allowed_and_within_the_radius(
    allowed: np.ndarray, radius: float, seed: int, data: st.DataObject
) -> None:
    places = np.argwhere(allowed)
    chosen = places[data.draw(st.lists(st.integers(0, len(places) - 1), max_size=4))].reshape(-1, 2)
    moved = pixels.jittered_pixels(chosen, allowed, radius, np.random.RandomState(seed))
    assert moved.shape == chosen.shape
    assert allowed[tuple(moved.T)].all()
    assert (np.linalg.norm(moved - chosen, axis=1) <= radius).all()


def test_jitter_reaches_every_pixel_of_its_disc() -> None:
    rng = np.random.default_rng(1)
    start = np.array([[4, 4]])
    reached = {tuple(pixels.jittered_pixels(start, np.ones((9, 9), dtype=bool), 2, rng)[0]) for _ in range(300)}
    assert reached == {tuple(pixel) for pixel in np.argwhere(disc((9, 9), 4, 4, 2))}
