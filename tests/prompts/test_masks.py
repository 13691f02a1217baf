# Copyright (c) monai_synthfm contributors
# Licensed under the Apache License, Version 2.0 (http://www.apache.org/licenses/LICENSE-2.0).
# SPDX-License-Identifier: Apache-2.0
"""Geometry of masks against brute force."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage

from monai_synthfm.prompts import masks as regions

from .shapes import disc, distance_to, masks


@settings(max_examples=150)
@given(mask=masks(), radius=st.one_of(st.integers(1, 40), st.floats(1, 40).filter(lambda r: r**2 % 1 > 1e-6)))
def test_dilate_keeps_exactly_the_pixels_within_the_radius(mask: np.ndarray, radius: float) -> None:
    np.testing.assert_array_equal(regions.dilate(mask, radius), distance_to(mask) <= radius)


@pytest.mark.parametrize("share", [0.001, 0.5])
def test_dilate_of_a_large_mask_is_the_same_for_few_and_for_many_runs(share: float) -> None:
    mask = np.random.default_rng(0).random((300, 200)) < share
    mask[10:100, 20:90] = True
    np.testing.assert_array_equal(regions.dilate(mask, 7), ndimage.distance_transform_edt(~mask) <= 7)


@settings(max_examples=60)
@given(mask=masks())
def test_depth_is_the_distance_to_the_outside_which_begins_beyond_the_border(mask: np.ndarray) -> None:
    expected = distance_to(~np.pad(mask, 1))[1:-1, 1:-1]
    np.testing.assert_allclose(regions.depth(mask), expected)
    np.testing.assert_array_equal(regions.interior(mask), expected >= 2)


@settings(max_examples=60)
@given(mask=masks())
def test_largest_component_is_connected_and_no_other_part_is_larger(mask: np.ndarray) -> None:
    largest = regions.largest_component(mask)
    assert ndimage.label(largest, np.ones((3, 3)))[1] == 1
    assert not (largest & ~mask).any()
    parts, count = ndimage.label(mask, np.ones((3, 3)))
    sizes = [int((parts == part).sum()) for part in range(1, count + 1)]
    assert largest.sum() == max(sizes)
    first = parts.ravel()[np.flatnonzero(np.isin(parts, 1 + np.flatnonzero(np.array(sizes) == max(sizes))))[0]]
    np.testing.assert_array_equal(largest, parts == first)


def test_diagonal_neighbours_are_one_component() -> None:
    np.testing.assert_array_equal(regions.largest_component(np.eye(4, dtype=bool)), np.eye(4, dtype=bool))


@settings(max_examples=60)
@given(mask=masks(), margin=st.integers(0, 5))
def test_bounding_window_holds_the_mask_and_margins_stop_at_the_image(mask: np.ndarray, margin: int) -> None:
    indices = np.argwhere(mask)
    low = np.maximum(indices.min(axis=0) - margin, 0)
    high = np.minimum(indices.max(axis=0) + margin + 1, mask.shape)
    window = regions.bounding_window(mask, margin)
    assert [(s.start, s.stop) for s in window] == list(zip(low, high, strict=True))


@settings(max_examples=60)
@given(mask=masks())
def test_centroid_is_the_mean_pixel(mask: np.ndarray) -> None:
    np.testing.assert_allclose(regions.centroid(mask), np.argwhere(mask).mean(axis=0))


@pytest.mark.parametrize("values", [np.array([[0.0, 0.5]]), np.array([[0, 7]], dtype=np.uint8), [[False, True]]])
def test_as_object_takes_every_nonzero_value_as_inside(values: object) -> None:
    np.testing.assert_array_equal(regions.as_object(values), [[False, True]])


@pytest.mark.parametrize(
    ("mask", "message"),
    [
        (np.zeros((3, 4)), r"mask of shape \(3, 4\) is empty"),
        (np.zeros((0, 4)), r"mask of shape \(0, 4\) is empty"),
        (np.ones((1, 3, 4)), r"must be \[H, W\], got shape \(1, 3, 4\)"),
    ],
)
def test_as_object_says_what_is_wrong_with_a_mask(mask: np.ndarray, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        regions.as_object(mask)


def test_size_scale_follows_the_longer_side() -> None:
    assert regions.size_scale(disc((512, 2048), 0, 0, 1).shape) == 2.0
