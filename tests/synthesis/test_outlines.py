# Copyright (c) monai_synthfm contributors
# Licensed under the Apache License, Version 2.0 (http://www.apache.org/licenses/LICENSE-2.0).
# SPDX-License-Identifier: Apache-2.0
"""Outlines against plane geometry."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from hypothesis import example, given
from hypothesis import strategies as st

from monai_synthfm.synthesis.outlines import OutlineParams, trace_outline

DISC = OutlineParams((0.5, 0.4), 0.2, 1.0, 2.0, (), 0.0, 0.0, False)


def polygon_area(points: np.ndarray) -> float:
    x, y = points.T
    return 0.5 * abs(float(np.sum(x * np.roll(y, -1) - y * np.roll(x, -1))))


@given(
    elongation=st.floats(1.0, 8.0),
    exponent=st.floats(1.5, 6.0),
    wave=st.floats(0.0, 0.3),
    angle=st.floats(0.0, 3.0),
    mirrored=st.booleans(),
)
def test_an_outline_encloses_the_area_of_its_disc(elongation, exponent, wave, angle, mirrored):
    params = OutlineParams((0.3, 0.6), 0.15, elongation, exponent, ((wave, 0.3), (wave / 2, 1.0)), 0.0, angle, mirrored)
    assert np.isclose(polygon_area(trace_outline(params)), np.pi * 0.15**2, rtol=1e-6)


def test_bending_keeps_the_area():
    straight = replace(DISC, elongation=6.0)
    bent = replace(straight, bend=2.0)
    assert np.isclose(polygon_area(trace_outline(bent, 4096)), polygon_area(trace_outline(straight, 4096)), rtol=1e-3)


def test_the_long_axis_turns_by_the_bend():
    points = trace_outline(replace(DISC, elongation=16.0, bend=1.5), 4096)
    t = np.arange(4096) * 2 * np.pi / 4096
    # near both ends the outline's two sides lie on either side of the axis: the axis is their mean
    upper, lower = points[:2049], points[:2047:-1]
    axis = (upper[1:2048] + lower[:2047]) / 2
    start, stop = (np.diff(axis[k : k + 2], axis=0)[0] for k in (200, 1845))
    turned = np.arccos(start @ stop / np.linalg.norm(start) / np.linalg.norm(stop))
    half = np.cos(t[200])
    assert np.isclose(turned, 1.5 * half, atol=0.05)


def test_an_ellipse_has_its_ratio_of_axes():
    points = trace_outline(replace(DISC, elongation=4.0), 4096) - DISC.center
    assert np.allclose(np.abs(points).max(axis=0), [0.4, 0.1], atol=1e-4)


def test_a_large_exponent_gives_a_square():
    points = trace_outline(replace(DISC, exponent=60.0), 4096) - DISC.center
    side = np.sqrt(np.pi) * 0.2
    assert np.allclose(np.abs(points).max(axis=1), side / 2, rtol=0.02)


def test_a_mirrored_outline_has_left_and_right_exchanged():
    lobed = replace(DISC, harmonics=((0.2, 0.5), (0.1, 1.0)), angle=0.4)
    points, mirrored = trace_outline(lobed), trace_outline(replace(lobed, mirrored=True))
    assert np.allclose(mirrored[:, 0] - 0.5, 0.5 - points[:, 0])
    assert np.allclose(mirrored[:, 1], points[:, 1])


@example(5e-324, 1.0)
@given(st.floats(-6.0, 6.0), st.floats(1.0, 3.0))
def test_even_an_extreme_bend_gives_finite_points(bend, elongation):
    assert np.isfinite(trace_outline(replace(DISC, bend=bend, elongation=elongation))).all()
