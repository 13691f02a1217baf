# Copyright (c) monai_synthfm contributors
# Licensed under the Apache License, Version 2.0 (http://www.apache.org/licenses/LICENSE-2.0).
# SPDX-License-Identifier: Apache-2.0
"""Drawn shapes honour their ranges; sizes, phantoms and overlaps are what the arguments say."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from scipy import ndimage

from monai_synthfm.synthesis.bezier import BezierShapesParams, closed_bezier
from monai_synthfm.transforms import RandBezierShapes


def draw(seeds: int = 30, size: tuple[int, int] = (64, 64), **arguments: Any) -> list[BezierShapesParams]:
    generator = RandBezierShapes(size, **arguments).set_random_state(seed=0)
    drawn = []
    for _ in range(seeds):
        generator.randomize()
        drawn.append(generator.params)
    return drawn


def radius(outline: Any, size: tuple[int, int]) -> float:
    """Of a disc of the same area, as a fraction of the shorter side."""
    x, y = (closed_bezier(np.array(outline), 400) * size[::-1]).T
    area = 0.5 * abs(np.sum(x[:-1] * y[1:] - x[1:] * y[:-1]))
    return float(np.sqrt(area / np.pi)) / min(size)


def test_numbers_of_shapes_and_points_cover_their_ranges() -> None:
    drawn = draw(200, num_shapes=(2, 5), num_points=(4, 7))
    assert {len(params.outlines) for params in drawn} == {2, 3, 4, 5}
    assert {len(outline) for params in drawn for outline in params.outlines} == {4, 5, 6, 7}


@pytest.mark.parametrize("size", [(64, 64), (64, 128), (96, 48)])
def test_radii_honour_their_range_on_any_canvas(size: tuple[int, int]) -> None:
    radii = [radius(o, size) for params in draw(40, size, radius=(0.05, 0.2)) for o in params.outlines]
    assert 0.0499 < min(radii) < 0.06
    assert 0.17 < max(radii) < 0.201


def test_elongation_stretches_without_changing_the_area() -> None:
    arguments = {"num_points": (12, 12), "irregularity": (0.0, 0.0), "radius": (0.1, 0.1), "num_shapes": (1, 1)}
    ratios = []
    for params in draw(20, elongation=(3.0, 3.0), **arguments):
        assert radius(params.outlines[0], (64, 64)) == pytest.approx(0.1, rel=0.01)
        spread = np.linalg.eigvalsh(np.cov(closed_bezier(np.array(params.outlines[0]), 400).T))
        ratios.append(np.sqrt(spread[1] / spread[0]))
    assert np.median(ratios) == pytest.approx(3.0, rel=0.2)


def test_larger_shapes_are_drawn_first() -> None:
    for params in draw(10):
        radii = [radius(outline, (64, 64)) for outline in params.outlines]
        assert radii == sorted(radii, reverse=True)


@pytest.mark.parametrize(("overlap", "least", "most"), [(0.0, 0.0, 0.05), (2.0, 0.12, 1.0)])
def test_shapes_touch_as_rarely_as_the_overlap_allows(overlap: float, least: float, most: float) -> None:
    generator = RandBezierShapes(
        (200, 200), num_shapes=(6, 6), radius=(0.08, 0.08), elongation=(1.0, 1.0), irregularity=(0.0, 0.0),
        phantom_prob=0.0, overlap=(overlap, overlap),
    ).set_random_state(seed=0)  # fmt: skip
    touching = []
    for _ in range(60):
        labels = generator().as_tensor()[0].numpy()
        pieces = ndimage.label(labels > 0, np.ones((3, 3)))[0]
        pairs = np.unique(np.stack([pieces[labels > 0], labels[labels > 0]]), axis=1)
        touching.append(1.0 - len(np.unique(pairs[0])) / 6)
    assert least <= np.mean(touching) <= most


@pytest.mark.parametrize(("probability", "share"), [(0.0, 0.0), (0.5, 0.5), (1.0, 1.0)])
def test_phantoms_are_as_frequent_as_asked_and_inside_the_canvas(probability: float, share: float) -> None:
    drawn = draw(200, phantom_prob=probability, phantom_radius=(0.2, 0.4))
    phantoms = [params.phantom for params in drawn if params.phantom is not None]
    assert len(phantoms) / len(drawn) == pytest.approx(share, abs=0.1)
    for phantom in phantoms:
        for center, extent in zip(phantom.center, phantom.radii, strict=True):
            assert 0.2 <= extent <= 0.4
            assert extent - 1e-9 <= center <= 1.0 - extent + 1e-9


@pytest.mark.parametrize("probability", [0.0, 0.3, 1.0])
def test_shapes_lie_behind_as_often_as_asked(probability: float) -> None:
    behind = [hidden for params in draw(100, behind_prob=probability) for hidden in params.behind]
    assert np.mean(behind) == pytest.approx(probability, abs=0.06)


def test_another_size_can_be_drawn_for() -> None:
    generator = RandBezierShapes((64, 64)).set_random_state(seed=0)
    generator.randomize((20, 40))
    assert generator.replay(generator.params).shape == (1, 20, 40)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"spatial_size": (8, 8, 8)}, r"spatial_size must be \(height, width\)"),
        ({"num_shapes": (0, 2)}, "num_shapes must be"),
        ({"num_points": (2, 5)}, "num_points must be"),
        ({"radius": (0.3, 0.1)}, "radius must be"),
        ({"elongation": (0.5, 1.0)}, "elongation must be"),
        ({"irregularity": (0.0, 2.0)}, "irregularity must be"),
        ({"phantom_prob": 2.0}, "phantom_prob must be"),
        ({"behind_prob": -1.0}, "behind_prob must be"),
        ({"overlap": (-1.0, 0.0)}, "overlap must be"),
        ({"phantom_radius": 0.3}, "phantom_radius must be"),
    ],
)
def test_wrong_arguments_are_named(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        RandBezierShapes(**{"spatial_size": (32, 32), **arguments})


def test_a_probability_of_a_phantom_can_be_given_for_one_draw() -> None:
    shapes = RandBezierShapes((32, 32), phantom_prob=0.0).set_random_state(seed=0)
    for given, expected in ((1.0, True), (None, False), (0.0, False)):
        shapes.randomize(phantom_prob=given)
        assert (shapes.params.phantom is not None) == expected
    with pytest.raises(ValueError, match="phantom_prob must be a probability"):
        shapes.randomize(phantom_prob=2.0)
