# Copyright (c) monai_synthfm contributors
# Licensed under the Apache License, Version 2.0 (http://www.apache.org/licenses/LICENSE-2.0).
# SPDX-License-Identifier: Apache-2.0
"""Random solids: what is moved or mirrored keeps its form, arches have two legs, trees branch."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy import ndimage

from monai_synthfm.synthesis.solids import BlobParams, TreeParams, depth_of
from monai_synthfm.transforms.solids import (
    draw_arch,
    draw_blob,
    draw_chain,
    draw_direction,
    draw_tree,
    mirror_solid,
    move_solid,
)


def grid(count: int = 24) -> torch.Tensor:
    line = torch.linspace(0.0, 1.0, count)
    return torch.stack(torch.meshgrid(line, line, line, indexing="ij"))


def solids(seed: int) -> list[BlobParams | TreeParams]:
    random = np.random.RandomState(seed)
    center, way = (0.4, 0.5, 0.6), draw_direction(random)
    return [
        draw_blob(random, center, 0.2),
        draw_chain(random, center, way, 0.5, 0.05, 0.3),
        draw_arch(random, center, 0.25),
        draw_tree(random, center, way, 0.2, 0.05),
    ]


@pytest.mark.parametrize("seed", range(3))
def test_a_mirror_image_has_the_depths_of_the_mirrored_points(seed: int) -> None:
    points = grid()
    for solid in solids(seed):
        mirrored = depth_of(mirror_solid(solid, 0.5), points, 2.0)
        assert torch.allclose(mirrored, depth_of(solid, points, 2.0).flip(0), atol=1e-4)


@pytest.mark.parametrize("seed", range(3))
def test_a_moved_solid_has_the_depths_of_the_points_before(seed: int) -> None:
    points, shift = grid(), (0.1, -0.2, 0.3)
    for solid in solids(seed):
        before = points - torch.tensor(shift)[:, None, None, None]
        moved = depth_of(move_solid(solid, shift), points, 2.0)
        assert torch.allclose(moved, depth_of(solid, before, 2.0), atol=1e-4)


def test_a_blob_has_about_the_volume_that_was_asked_for() -> None:
    random, points = np.random.RandomState(0), grid(40)
    shares = [float((depth_of(draw_blob(random, (0.5,) * 3, 0.2), points, 1.0) > 0).float().mean()) for _ in range(20)]
    assert np.mean(shares) == pytest.approx(4 / 3 * np.pi * 0.2**3, rel=0.25)


def test_arches_show_as_two_pieces_in_some_slices_and_one_in_others() -> None:
    random, points = np.random.RandomState(0), grid(48)
    both = 0
    for _ in range(10):
        inside = (depth_of(draw_arch(random, (0.5, 0.5, 0.5), 0.25), points, 1.0) > 0).numpy()
        pieces = {ndimage.label(inside[..., z])[1] for z in range(48)}
        both += {1, 2} <= pieces
        assert ndimage.label(inside)[1] == 1
    assert both >= 6


def test_trees_are_connected_and_thinner_after_every_branch() -> None:
    tree = draw_tree(np.random.RandomState(3), (0.5, 0.5, 0.5), np.array([0.0, 0.0, 1.0]), 0.2, 0.04)
    assert {b for _, b in tree.links} == set(range(1, len(tree.nodes)))  # each node is reached once
    assert len(tree.links) == len(tree.nodes) - 1
    assert all(tree.nodes[b][3] <= tree.nodes[a][3] for a, b in tree.links)
    children = np.bincount([a for a, _ in tree.links])
    assert (children == 2).sum() >= 1
