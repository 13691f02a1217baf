# Copyright (c) monai_synthfm contributors
# Licensed under the Apache License, Version 2.0 (http://www.apache.org/licenses/LICENSE-2.0).
# SPDX-License-Identifier: Apache-2.0
"""Tight and jittered boxes."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torchvision.ops import masks_to_boxes

from monai_synthfm.prompts import BoxSimulator, tight_box

from .shapes import disc, masks


@settings(max_examples=100)
@given(mask=masks())
def test_tight_box_equals_that_of_torchvision(mask: np.ndarray) -> None:
    np.testing.assert_array_equal(tight_box(mask), masks_to_boxes(torch.from_numpy(mask)[None])[0])


@settings(max_examples=300)
@given(mask=masks(), fraction=st.floats(0, 0.49), max_pixels=st.floats(0, 2000), seed=st.integers(0, 2**32 - 1))
def test_a_jittered_box_is_ordered_in_the_image_near_the_tight_one_and_holds_a_part_of_the_object(
    mask: np.ndarray, fraction: float, max_pixels: float, seed: int
) -> None:
    tight = tight_box(mask).astype(np.float64)
    x0, y0, x1, y1 = box = BoxSimulator(fraction, max_pixels)(mask, np.random.default_rng(seed))
    assert box.dtype == np.float32
    height, width = mask.shape
    assert 0 <= x0 <= x1 <= width - 1
    assert 0 <= y0 <= y1 <= height - 1
    rows, cols = np.nonzero(mask)
    assert ((x0 <= cols) & (cols <= x1) & (y0 <= rows) & (rows <= y1)).any()
    sides = np.tile(tight[2:] - tight[:2] + 1, 2)
    limit = np.minimum(fraction * sides, max_pixels * max(mask.shape) / 1024)
    assert (abs(box - tight) <= limit + 1e-4).all()


def test_jitter_is_uniform_up_to_a_tenth_of_the_side() -> None:
    mask = np.zeros((1024, 1024), dtype=bool)
    mask[300:400, 500:650] = True
    rng = np.random.RandomState(0)
    moves = np.stack([BoxSimulator()(mask, rng) for _ in range(400)]) - tight_box(mask)
    reach = np.array([15.0, 10.0, 15.0, 10.0])
    np.testing.assert_allclose(abs(moves).max(axis=0), reach, rtol=0.05)
    np.testing.assert_allclose(moves.mean(axis=0), 0, atol=0.1 * reach.max())
    np.testing.assert_allclose(moves.std(axis=0), reach / np.sqrt(3), rtol=0.15)


def test_the_box_of_a_single_pixel_can_grow_by_a_fraction_of_that_pixel() -> None:
    rng = np.random.default_rng(0)
    boxes = np.stack([BoxSimulator(fraction=0.4)(disc((1024, 1024), 9, 7, 0), rng) for _ in range(200)])
    assert abs(boxes - [7, 9, 7, 9]).max() == pytest.approx(0.4, rel=0.1)


@pytest.mark.parametrize("size", [512, 1024])
def test_jitter_is_limited_to_twenty_pixels_at_1024(size: int) -> None:
    mask = disc((size, size), size / 2, size / 2, size / 3)
    rng = np.random.default_rng(0)
    moves = np.stack([BoxSimulator()(mask, rng) for _ in range(200)]) - tight_box(mask)
    assert abs(moves).max() == pytest.approx(20 * size / 1024, rel=0.05)


def test_a_box_that_would_lose_a_thin_frame_falls_back_to_the_tight_one() -> None:
    frame = np.ones((101, 101), dtype=bool)
    frame[1:-1, 1:-1] = False

    class Shrinking(np.random.RandomState):
        def uniform(self, *args: object, **kwargs: object) -> np.ndarray:  # type: ignore[override]
            return np.array([1.0, 1.0, -1.0, -1.0])

    np.testing.assert_array_equal(BoxSimulator(0.1, 1000)(frame, Shrinking()), tight_box(frame))


def test_equal_seeds_give_equal_boxes() -> None:
    mask = disc((64, 64), 30, 20, 9)
    first, again = (BoxSimulator()(mask, np.random.RandomState(5)) for _ in range(2))
    np.testing.assert_array_equal(first, again)


@pytest.mark.parametrize("arguments", [{"fraction": 0.5}, {"fraction": -0.1}, {"max_pixels": -1.0}])
def test_arguments_out_of_range_are_named(arguments: dict[str, float]) -> None:
    with pytest.raises(ValueError, match=next(iter(arguments))):
        BoxSimulator(**arguments)


def test_an_empty_mask_has_no_box() -> None:
    with pytest.raises(ValueError, match="is empty"):
        tight_box(np.zeros((3, 3)))
    with pytest.raises(ValueError, match="is empty"):
        BoxSimulator()(np.zeros((3, 3)), np.random.default_rng(0))
