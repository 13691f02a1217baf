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


@pytest.mark.parametrize(
    ("drawn", "expected"),
    [
        (
            Ellipse(40.3, 51.7, 31.2, 17.9, 0.4),
            (40.295190161574304, 51.726116805155236, 30.67912282765875, 17.485520018267525, 0.39531517473442657),
        ),
        (
            Ellipse(20, 70, 45.5, 12.25, 2.7),
            (20.10139935396157, 69.9579574606979, 44.722034596986994, 11.853136176359579, 2.700105452725549),
        ),
        (Ellipse(50, 50, 20, 20, 0), (50.0, 50.0, 19.537509711175733, 19.53750971117573, 0.0)),
        (
            Ellipse(90, 88, 40, 25, 1.1),  # runs off the image
            (88.78884364100823, 86.46207513639928, 37.63586267614618, 24.045677707374416, 1.1271114556758448),
        ),
    ],
)
def test_outlines_have_the_ellipses_of_an_implementation_of_our_own(
    drawn: Ellipse, expected: tuple[float, ...]
) -> None:
    found = fit_ellipse(outline_points(drawn.mask((100, 100))))
    assert (found.x, found.y, found.a, found.b, found.angle) == pytest.approx(expected, abs=1e-6)


def test_axes_on_a_diagonal_are_not_taken_for_one_another() -> None:
    # pixels that are their own mirror images, for which scikit-image 0.26 gives the angle of the smaller axis
    half = [(-7, 4), (-7, 5), (-6, 1), (-5, 7), (-4, 7), (-1, 6)]
    found = fit_ellipse(np.array(half + [(-x, -y) for x, y in half]))
    assert (found.a, found.b, found.angle) == pytest.approx((8.997089894849791, 4.232789986544359, 0.75 * np.pi))


def test_a_circle_has_some_angle() -> None:
    octagon = np.array([(2, 0), (0, 2), (1, 1), (1, -1)])
    found = fit_ellipse(np.concatenate([octagon, -octagon]))
    assert (found.a, found.b) == pytest.approx((np.sqrt(3), np.sqrt(3)), rel=0.1)
    assert found.a == pytest.approx(found.b)
    assert np.isfinite(found.angle)


@given(st.lists(st.tuples(st.integers(0, 4), st.integers(0, 4)), min_size=5, max_size=12))
@settings(max_examples=300)
def test_any_points_have_a_finite_ellipse_or_are_refused(points: list[tuple[int, int]]) -> None:
    refused = ""
    try:
        found = fit_ellipse(np.array(points))
    except ValueError as error:
        refused = str(error)
    assert "ellipse" in refused or (
        np.isfinite((found.x, found.y, found.angle)).all() and np.inf > found.a >= found.b > 0
    )
