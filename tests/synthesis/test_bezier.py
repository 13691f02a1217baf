# Copyright (c) monai_synthfm contributors
# Licensed under the Apache License, Version 2.0 (http://www.apache.org/licenses/LICENSE-2.0).
# SPDX-License-Identifier: Apache-2.0
"""Curves against scipy's Bernstein polynomials, fills against areas and another rasteriser."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage
from scipy.interpolate import BPoly
from scipy.spatial import cKDTree

from monai_synthfm.synthesis.bezier import (
    BezierShapesParams,
    EllipseParams,
    bernstein_matrix,
    closed_bezier,
    draw_shapes,
    ellipse_mask,
)

coordinates = st.tuples(st.floats(0.05, 0.95), st.floats(0.05, 0.95))
outlines = st.lists(coordinates, min_size=3, max_size=10)


def circle(center: tuple[float, float], radius: float, count: int = 12) -> tuple[tuple[float, float], ...]:
    """Control points whose curve is a circle, by least squares."""
    turn = np.linspace(0.0, 2.0 * np.pi, 200)
    target = np.asarray(center) + radius * np.stack([np.cos(turn), np.sin(turn)], axis=1)
    curves = np.stack([closed_bezier(np.eye(count)[:, [k, k]], 200)[:, 0] for k in range(count)], axis=1)
    return tuple((float(x), float(y)) for x, y in np.linalg.lstsq(curves, target, rcond=None)[0])


def inside_by_crossings(outline: np.ndarray, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """The even-odd rule: a ray to the right crosses the outline an odd number of times."""
    inside = np.zeros(x.shape, dtype=bool)
    for (x0, y0), (x1, y1) in pairwise(outline):
        if y0 != y1:
            inside ^= ((y0 > y) != (y1 > y)) & (x < x0 + (y - y0) * (x1 - x0) / (y1 - y0))
    return inside


def draw(*shapes: tuple[tuple[float, float], ...], size: tuple[int, int] = (64, 64), behind: tuple[bool, ...] = ()):
    behind = behind or (False,) * len(shapes)
    return draw_shapes(BezierShapesParams(size, shapes, behind, None))[0].numpy()


@pytest.mark.parametrize("degree", [1, 3, 7, 14])
def test_bernstein_matrix_agrees_with_scipy(degree: int) -> None:
    t = np.linspace(0.0, 1.0, 50)
    expected = BPoly(np.eye(degree + 1)[:, None, :], [0.0, 1.0])(t)
    np.testing.assert_allclose(bernstein_matrix(degree, 50), expected, atol=1e-12)


@given(outlines)
def test_curve_is_closed_without_a_corner(points: list[tuple[float, float]]) -> None:
    control = np.array(points)
    joint = (control[0] + control[-1]) / 2.0
    polygon = np.concatenate([[joint], control, [joint]])
    curve = BPoly(polygon[:, None], [0.0, 1.0])
    np.testing.assert_allclose(curve(0.0), curve(1.0), atol=1e-12)
    np.testing.assert_allclose(curve.derivative()(0.0), curve.derivative()(1.0), atol=1e-9)
    np.testing.assert_allclose(closed_bezier(control, 33), curve(np.linspace(0.0, 1.0, 33)), atol=1e-12)


@pytest.mark.parametrize("points", [np.zeros((2, 2)), np.zeros((4, 3)), np.zeros(6)])
def test_control_points_of_another_shape_are_refused(points: np.ndarray) -> None:
    with pytest.raises(ValueError, match="control_points must be"):
        closed_bezier(points)


@settings(max_examples=40)
@given(outlines, st.sampled_from([(64, 64), (48, 80), (100, 40)]))
def test_fill_agrees_with_the_even_odd_rule_up_to_the_pixels_on_the_outline(
    points: list[tuple[float, float]], size: tuple[int, int]
) -> None:
    filled = draw(tuple(points), size=size) > 0
    outline = closed_bezier(np.array(points)) * (size[1], size[0]) - 0.5
    y, x = np.mgrid[: size[0], : size[1]].astype(float)
    differs = filled != inside_by_crossings(outline, x, y)
    along = np.concatenate([outline[:-1] + f * np.diff(outline, axis=0) for f in np.linspace(0.0, 1.0, 8)])
    distance = cKDTree(along).query(np.stack([x[differs], y[differs]], axis=1))[0]
    assert np.all(distance <= 1.5)


@pytest.mark.parametrize("radius", [0.1, 0.25, 0.4])
def test_disc_has_its_area_and_centre(radius: float) -> None:
    disc = draw(circle((0.5, 0.5), radius), size=(512, 512)) > 0
    # the pixels on the outline belong to the object
    assert np.pi * (radius * 512) ** 2 < disc.sum() < np.pi * (radius * 512 + 0.7) ** 2
    np.testing.assert_allclose(ndimage.center_of_mass(disc), 255.5, atol=0.1)


def test_x_runs_along_the_width() -> None:
    labels = draw(circle((0.75, 0.25), 0.1), size=(40, 80))
    row, column = ndimage.center_of_mass(labels > 0)
    assert row == pytest.approx(0.25 * 40 - 0.5, abs=0.6)
    assert column == pytest.approx(0.75 * 80 - 0.5, abs=0.6)


def test_later_shapes_cover_earlier_ones_unless_they_lie_behind() -> None:
    left, right = circle((0.4, 0.5), 0.2), circle((0.6, 0.5), 0.2)
    assert draw(left, right)[32, 32] == 2
    assert draw(left, right, behind=(False, True))[32, 32] == 1
    # of two that lie behind, the later one lies deeper
    assert draw(left, right, behind=(True, True))[32, 32] == 1


@pytest.mark.parametrize("angle", [0.0, 0.4, -1.1])
def test_ellipse_has_its_area_and_axes(angle: float) -> None:
    mask = ellipse_mask(EllipseParams((0.5, 0.5), (0.4, 0.2), angle), (400, 400)).numpy()
    assert mask.sum() == pytest.approx(np.pi * 160 * 80, rel=0.005)
    y, x = np.nonzero(mask)
    values, vectors = np.linalg.eigh(np.cov(x, y))
    np.testing.assert_allclose(2.0 * np.sqrt(values), [80, 160], rtol=0.01)
    assert abs(vectors[:, 1] @ [np.cos(angle), np.sin(angle)]) == pytest.approx(1.0, abs=1e-3)


def test_phantom_is_returned_beside_the_labels() -> None:
    phantom = EllipseParams((0.5, 0.5), (0.3, 0.3), 0.0)
    labels, mask = draw_shapes(BezierShapesParams((32, 32), (circle((0.5, 0.5), 0.1),), (False,), phantom))
    assert torch.equal(mask, ellipse_mask(phantom, (32, 32)))
    assert labels.unique().tolist() == [0, 1]
