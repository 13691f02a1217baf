# Copyright (c) monai_synthfm contributors
# Licensed under the Apache License, Version 2.0 (http://www.apache.org/licenses/LICENSE-2.0).
# SPDX-License-Identifier: Apache-2.0
"""Depths on the grid against distances to a ball, and shares of voxels against fine sampling."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from monai_synthfm.synthesis.solid_grid import SolidGrid, SolidPartParams, part_coverage
from monai_synthfm.synthesis.solids import BlobParams
from monai_synthfm.synthesis.volume_structures import WarpParams

STILL = WarpParams(0.0, (8.0, 8.0, 8.0), 0)
CENTRE = (0.45, 0.6, 0.5)
REACH = 3.0


def ball(radius: float, **fields: object) -> SolidPartParams:
    blob = BlobParams(CENTRE, (radius,) * 3, (0.0, 0.0, 0.0), 2.0, 2.0, 0.0, 0.0)
    return replace(SolidPartParams((blob,), 0, radius, None, 0.0, (0.0, 0), 1, 1), **fields)  # type: ignore[arg-type]


def distances(size: tuple[int, int, int], z: np.ndarray) -> np.ndarray:
    """Pixels from the middles of pixels, at heights z, to the centre of the ball."""
    side = min(size[:2])
    x, y = ((np.arange(n) + 0.5) / side for n in size[:2])
    grid = np.stack(np.meshgrid(x, y, z, indexing="ij"), axis=-1)
    return side * np.linalg.norm(grid - CENTRE, axis=-1)


@pytest.mark.parametrize(("size", "atol"), [((56, 48, 10), 1e-3), ((160, 140, 6), 0.15)])
def test_depths_are_distances_to_the_surface_on_the_faces_of_slices(size: tuple[int, int, int], atol: float) -> None:
    radius, step, side = 0.25, 1.0 / size[2], min(size[:2])
    found = SolidGrid(size, step, STILL, None).depths(ball(radius, wall=0.05), None, REACH)
    assert found is not None
    box, outer, inner = found
    expected = radius * side - distances(size, step * np.arange(size[2] + 1))
    faces = slice(box[2].start, box[2].stop + 1)
    here = expected[box[0], box[1], faces]
    assert outer.shape == here.shape
    near = np.abs(here) < REACH
    np.testing.assert_allclose(outer.numpy()[near], here[near], atol=atol)
    assert (outer.numpy()[here < -REACH] < 0).all()
    assert inner is not None
    torch.testing.assert_close(inner, outer - 0.05 * side, atol=1e-3, rtol=0)
    inside = np.zeros_like(expected, dtype=bool)
    inside[box[0], box[1], faces] = True
    assert inside[expected > 0].all()


def test_thin_parts_have_depths_on_the_middles_of_slices_too() -> None:
    size, step = (64, 64, 6), 1.0 / 6
    grid, thin = SolidGrid(size, step, STILL, None), ball(0.1)
    assert grid.is_thin(thin)
    assert not grid.is_thin(ball(0.2))
    found = grid.depths(thin, None, REACH)
    assert found is not None
    box, outer, inner = found
    assert inner is None
    z = step * np.arange(2 * box[2].start, 2 * box[2].stop + 1) / 2
    expected = 0.1 * 64 - distances(size, z)[box[0], box[1]]
    near = np.abs(expected) < REACH
    np.testing.assert_allclose(outer.numpy()[near], expected[near], atol=1e-3)


def test_a_part_stays_in_the_box_of_its_parent_and_is_none_outside_the_volume() -> None:
    grid = SolidGrid((64, 64, 8), 0.125, STILL, None)
    around = (slice(20, 30), slice(0, 64), slice(3, 4))
    found = grid.depths(ball(0.3), around, REACH)
    assert found is not None
    assert found[0][0] == around[0]
    assert found[0][2] == around[2]
    assert grid.depths(ball(0.1), (slice(60, 64), slice(0, 64), slice(0, 8)), REACH) is None


@pytest.mark.parametrize("halves", [1, 2])
def test_shares_are_those_of_fine_sampling_between_the_faces(halves: int) -> None:
    slices = 7
    # so steep that the width of the edge within a slice does not count
    depths = 1e4 * np.random.RandomState(halves).randn(5, 4, halves * slices + 1)
    found = part_coverage(torch.from_numpy(depths).float(), torch.zeros(slices))
    fine = (np.arange(slices * 2000) + 0.5) / 2000
    places = np.arange(halves * slices + 1) / halves
    expected = [
        [(np.interp(fine, places, column) > 0).reshape(slices, 2000).mean(axis=1) for column in row] for row in depths
    ]
    np.testing.assert_allclose(found.numpy(), expected, atol=2e-3)
