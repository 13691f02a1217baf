# Copyright (c) monai_synthfm contributors
# Licensed under the Apache License, Version 2.0 (http://www.apache.org/licenses/LICENSE-2.0).
# SPDX-License-Identifier: Apache-2.0
"""How far grey levels may shift, against distances that are counted pixel by pixel."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from monai_synthfm.inferers.propagation.grey_levels import GreyRange, allowed_shift, mean_grey

SIDE = 14


@given(st.sets(st.tuples(st.integers(0, SIDE - 1), st.integers(0, SIDE - 1)), min_size=1), st.integers(0, 99))
def test_the_shift_is_a_share_of_the_contrast_to_what_lies_around(pixels: set, seed: int) -> None:
    picture = torch.rand(3, SIDE, SIDE, generator=torch.Generator().manual_seed(seed))
    inside = torch.zeros(SIDE, SIDE, dtype=torch.bool)
    for pixel in pixels:
        inside[pixel] = True
    reach = max(2.0, 0.4 * np.sqrt(len(pixels) / np.pi))
    grey = picture.double().mean(dim=0).numpy()
    around = [
        grey[row, column]
        for row in range(SIDE)
        for column in range(SIDE)
        if 1 < min(np.hypot(row - r, column - c) for r, c in pixels) <= 1 + reach
    ]
    within = np.mean([grey[pixel] for pixel in pixels])
    contrast = abs(within - np.mean(around)) if around else 0.0
    assert mean_grey(picture, inside) == pytest.approx(within, abs=1e-5)
    assert allowed_shift(picture, inside) == pytest.approx(min(max(0.6 * contrast, 0.08), 0.2), abs=1e-5)


@pytest.mark.parametrize(("contrast", "expected"), [(0.0, 0.08), (0.1, 0.08), (0.25, 0.15), (-0.25, 0.15), (0.7, 0.2)])
def test_the_shift_has_a_lowest_and_a_highest_value(contrast: float, expected: float) -> None:
    picture = torch.full((1, 20, 20), 0.3)
    picture[:, 5:12, 6:15] = 0.3 + contrast
    inside = torch.zeros(20, 20, dtype=torch.bool)
    inside[5:12, 6:15] = True
    assert allowed_shift(picture, inside) == pytest.approx(expected)


def test_an_object_that_fills_the_slice_has_the_lowest() -> None:
    assert allowed_shift(torch.rand(1, 5, 5), torch.ones(5, 5, dtype=torch.bool)) == 0.08


@pytest.mark.parametrize(("shift", "expected"), [(None, [True, True, False, False]), (0.25, [True, True, True, False])])
def test_an_object_may_have_grey_levels_within_the_shift_on_either_side(
    shift: float | None, expected: list[bool]
) -> None:
    inside = torch.zeros(SIDE, SIDE, dtype=torch.bool)
    inside[4:9, 4:9] = True
    picture = 0.5 * inside.float()[None]
    greys = GreyRange.of(picture, inside, shift)
    assert greys.shift == (pytest.approx(0.2) if shift is None else shift)
    for sign in (-1.0, 1.0):
        levels = [0.5 + sign * step for step in (0.0, 0.19, 0.22, 0.3)]
        assert [greys.holds(torch.full((1, SIDE, SIDE), level), inside) for level in levels] == expected
