# Copyright (c) monai_synthfm contributors
# Licensed under the Apache License, Version 2.0 (http://www.apache.org/licenses/LICENSE-2.0).
# SPDX-License-Identifier: Apache-2.0
"""Tests of fitting ellipses to outlines."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import special

from monai_synthfm.data.datasets.ellipses import Ellipse, fit_ellipse, outline_points

ELLIPSES = st.builds(
    Ellipse,
    st.floats(-50, 900),
    st.floats(-50, 900),
    st.floats(40, 300),
    st.floats(15, 39),
    st.floats(0.01, 3.13),
)


def points_of(ellipse: Ellipse, start: float = 0.0, stop: float = 2 * np.pi) -> np.ndarray:
    turn = np.linspace(start, stop, 200)
    along, across = ellipse.a * np.cos(turn), ellipse.b * np.sin(turn)
    cos, sin = np.cos(ellipse.angle), np.sin(ellipse.angle)
    return np.stack([ellipse.x + along * cos - across * sin, ellipse.y + along * sin + across * cos], axis=1)


@given(ELLIPSES)
@settings(max_examples=60)
def test_exact_points_give_the_ellipse_back_even_half_of_them(ellipse: Ellipse) -> None:
    for stop in (2 * np.pi, np.pi):
        found = fit_ellipse(points_of(ellipse, 0.3, 0.3 + stop))
        np.testing.assert_allclose(
            [found.x, found.y, found.a, found.b], [ellipse.x, ellipse.y, ellipse.a, ellipse.b], rtol=1e-4, atol=1e-3
        )
        assert abs(np.sin(found.angle - ellipse.angle)) < 1e-3


@given(ELLIPSES)
@settings(max_examples=30)
def test_circumference_agrees_with_the_elliptic_integral(ellipse: Ellipse) -> None:
    exact = 4 * ellipse.a * special.ellipe(1 - (ellipse.b / ellipse.a) ** 2)
    assert ellipse.circumference() == pytest.approx(exact, rel=4e-3)


@given(st.floats(30, 70), st.floats(30, 70), st.floats(20, 60), st.floats(8, 19), st.floats(0, 3))
@settings(max_examples=40)
def test_fitting_a_filled_mask_gives_nearly_the_same_mask(x: float, y: float, a: float, b: float, angle: float) -> None:
    mask = Ellipse(x, y, a, b, angle).mask((100, 100))
    again = fit_ellipse(outline_points(mask)).mask((100, 100), margin=0.5)
    assert 2 * (mask & again).sum() / (mask.sum() + again.sum()) > 0.96


@pytest.mark.parametrize("points", [np.zeros((0, 2)), np.ones((4, 2)), np.stack([np.arange(9)] * 2, axis=1)])
def test_points_without_an_ellipse_are_refused(points: np.ndarray) -> None:
    with pytest.raises(ValueError, match="ellipse"):
        fit_ellipse(points)
