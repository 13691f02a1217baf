# Copyright (c) monai_synthfm contributors
# Licensed under the Apache License, Version 2.0 (http://www.apache.org/licenses/LICENSE-2.0).
# SPDX-License-Identifier: Apache-2.0
"""Solids: depths against distances computed point by point, and boxes that hold them."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from monai_synthfm.synthesis.solids import BlobParams, TreeParams, depth_of, join_depths, solid_bounds

angles = st.floats(-3.0, 3.0)
blobs = st.builds(
    BlobParams,
    center=st.tuples(*[st.floats(0.3, 0.7)] * 3),
    axes=st.tuples(*[st.floats(0.05, 0.3)] * 3),
    angles=st.tuples(angles, angles, angles),
    exponent=st.floats(1.5, 5.0),
    cap=st.floats(1.4, 6.0),
    bend=st.floats(-1.5, 1.5),
    taper=st.floats(-0.7, 0.7),
)


def grid(count: int, low: float = -0.5, high: float = 1.5) -> torch.Tensor:
    line = torch.linspace(low, high, count)
    return torch.stack(torch.meshgrid(line, line, line, indexing="ij"))


@given(blobs)
@settings(max_examples=25)
def test_no_point_of_a_blob_lies_outside_its_box(blob: BlobParams) -> None:
    points = grid(25)
    inside = points[:, depth_of(blob, points, 1.0) > 0.0].numpy()
    low, high = solid_bounds(blob)
    assert (inside >= low[:, None] - 1e-6).all()
    assert (inside <= high[:, None] + 1e-6).all()


@pytest.mark.parametrize(("exponent", "cap"), [(1.6, 2.0), (2.0, 5.0), (4.0, 1.5)])
def test_the_box_of_a_straight_blob_is_tight(exponent: float, cap: float) -> None:
    blob = BlobParams((0.5, 0.5, 0.5), (0.2, 0.3, 0.4), (0.4, -0.7, 0.3), exponent, cap, 0.0, 0.0)
    points = grid(121, 0.0, 1.0)
    inside = points[:, depth_of(blob, points, 1.0) > 0.0].numpy()
    np.testing.assert_allclose(inside.min(axis=1), solid_bounds(blob)[0], atol=0.02)
    np.testing.assert_allclose(inside.max(axis=1), solid_bounds(blob)[1], atol=0.02)


def test_the_depth_in_a_ball_is_the_distance_to_its_surface() -> None:
    blob = BlobParams((0.5, 0.4, 0.6), (0.3, 0.3, 0.3), (0.3, 0.2, 0.1), 2.0, 2.0, 0.0, 0.0)
    points = grid(20)
    distance = np.linalg.norm(points.numpy() - np.array(blob.center)[:, None, None, None], axis=0)
    # rho is distance / radius, and the slope of rho is 1 / radius
    np.testing.assert_allclose(depth_of(blob, points, 1.0), 0.3 - distance, atol=1e-3)


def test_an_ellipsoid_has_the_volume_of_an_ellipsoid_whatever_it_is_turned_to() -> None:
    axes = (0.2, 0.3, 0.4)
    for turn in ((0.0, 0.0, 0.0), (0.7, -0.5, 1.1)):
        blob = BlobParams((0.5, 0.5, 0.5), axes, turn, 2.0, 2.0, 0.0, 0.0)
        share = (depth_of(blob, grid(64, 0.0, 1.0), 1.0) > 0.0).float().mean()
        assert float(share) * (64 / 63) ** 3 == pytest.approx(4 / 3 * np.pi * np.prod(axes), rel=0.03)


def test_a_bend_moves_both_ends_to_one_side_and_a_taper_narrows_one() -> None:
    straight = BlobParams((0.0, 0.0, 0.0), (0.2, 0.2, 1.0), (0.0, 0.0, 0.0), 2.0, 6.0, 0.0, 0.0)
    bent = BlobParams(straight.center, straight.axes, straight.angles, 2.0, 6.0, 1.0, 0.0)
    tapered = BlobParams(straight.center, straight.axes, straight.angles, 2.0, 6.0, 0.0, 0.5)
    line = torch.linspace(-0.6, 0.6, 241)

    def inside(blob: BlobParams, z: float) -> torch.Tensor:
        points = torch.stack([line, torch.zeros_like(line), torch.full_like(line, z)])
        return line[depth_of(blob, points, 1.0) > 0.0]

    assert inside(bent, 0.0).mean().abs() < 0.01
    assert inside(bent, 0.7).mean() == pytest.approx(0.2 * 0.7**2, abs=0.01)
    assert inside(bent, -0.7).mean() == pytest.approx(0.2 * 0.7**2, abs=0.01)
    assert len(inside(tapered, 0.6)) / len(inside(tapered, -0.6)) == pytest.approx(1.3 / 0.7, rel=0.1)


def test_a_tree_is_the_deepest_of_its_tubes_near_its_surface() -> None:
    random = np.random.RandomState(0)
    nodes = np.column_stack([random.uniform(0.2, 0.8, size=(5, 3)), random.uniform(0.02, 0.08, size=5)])
    links = ((0, 1), (1, 2), (1, 3), (3, 4))
    points = grid(24, 0.0, 1.0)
    flat = points.reshape(3, -1).T.numpy()
    expected = np.full(len(flat), -np.inf)
    for a, b in links:
        line = nodes[b, :3] - nodes[a, :3]
        along = np.clip((flat - nodes[a, :3]) @ line / (line @ line), 0.0, 1.0)
        radius = nodes[a, 3] + along * (nodes[b, 3] - nodes[a, 3])
        expected = np.maximum(expected, radius - np.linalg.norm(flat - nodes[a, :3] - along[:, None] * line, axis=1))
    tree = TreeParams(tuple(tuple(float(v) for v in node) for node in nodes), links)  # type: ignore[misc]
    found = depth_of(tree, points, 0.1).flatten().numpy()
    near = expected > -0.1
    np.testing.assert_allclose(found[near], expected[near], atol=1e-5)
    assert (found[~near] < -0.09).all()


def test_joined_solids_hold_both_and_are_rounded_where_they_meet() -> None:
    first, second = torch.linspace(-1.0, 1.0, 50)[:, None], torch.linspace(-1.0, 1.0, 50)[None]
    first, second = first.expand(50, 50), second.expand(50, 50)
    joined, largest = join_depths([first, second], 0.2), torch.maximum(first, second)
    assert (joined >= largest - 1e-6).all()
    apart = (first - second).abs() >= 0.2
    assert torch.allclose(joined[apart], largest[apart])
    assert (joined[~apart] > largest[~apart]).all()
