# Copyright (c) monai_synthfm contributors
# Licensed under the Apache License, Version 2.0 (http://www.apache.org/licenses/LICENSE-2.0).
# SPDX-License-Identifier: Apache-2.0
"""Painting: numbers and intensities of regions, order, floors, walls, clusters and the mean over sub-slices."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch

from monai_synthfm.synthesis.boundaries import erode_labels
from monai_synthfm.synthesis.evolution import EvolutionParams
from monai_synthfm.synthesis.label_maps import LabelMapParams, synthmorph_labels
from monai_synthfm.synthesis.volume_structures import (
    BlurParams,
    ClusterParams,
    VolumeStructureParams,
    WarpParams,
    paint_structure,
    region_layout,
)

SIZE = (32, 40, 6)
BLOCK = ((-0.4, -0.4), (0.4, -0.4), (0.4, 0.4), (-0.4, 0.4))


def block(x: float = 0.5, size: float = 1.0, **changes: Any) -> EvolutionParams:
    outline = tuple((size * u, size * v) for u, v in BLOCK)
    plain = EvolutionParams(outline, ((x, 0.5), (x, 0.5)), 0.0, -9.0, 20.0, 40.0, 0.0, 0.01, 1.0, (), 1.0, 0, False)
    return replace(plain, **changes)


def structure(*organs: EvolutionParams, **changes: Any) -> VolumeStructureParams:
    warp, blur = WarpParams(0.0, (4.0, 4.0, 4.0), 0), BlurParams(0.0, 0.0, 0.0)
    return replace(VolumeStructureParams(SIZE, None, None, organs, warp, blur), **changes)


def clusters(iterations: tuple[int, ...] = (1,) * 5, subslices: int = 1) -> ClusterParams:
    size = (SIZE[0], SIZE[1], SIZE[2] * subslices)
    return ClusterParams(LabelMapParams(size, 5, (0.25,), (0.25,), 0.05, 16, seed=2), iterations, subslices)


def test_later_organs_cover_earlier_ones_unless_they_lie_behind() -> None:
    for behind in (False, True):
        image, regions = paint_structure(structure(block(0.45), block(0.55, behind=behind)), (0.1, 0.5, 0.9))
        middle = (16, 20, 3)
        assert regions[middle] == (1 if behind else 2)
        assert image[middle].item() == pytest.approx(0.5 if behind else 0.9)
        assert set(regions.unique().tolist()) == {0, 1, 2}


def test_far_inside_and_outside_regions_have_exactly_their_intensity() -> None:
    image, regions = paint_structure(structure(block()), (0.25, 0.75))
    assert image[0, 0, 0] == 0.25
    assert image[16, 20, 3] == 0.75
    assert ((image > 0.5) == (regions == 1)).all()  # whoever fills most of a voxel owns it


def test_walls_are_layers_of_their_thickness() -> None:
    _, regions = paint_structure(structure(block(walls=(0.1,))), (0.0, 1.0, 0.5))
    _, plain = paint_structure(structure(block()), (0.0, 1.0))
    assert torch.equal(regions > 0, plain > 0)
    row = regions[:, 20, 3]
    first = int((row > 0).nonzero()[0])
    assert row[first : first + 7].tolist() == [1, 1, 1, 2, 2, 2, 2]  # a tenth of 32 pixels


def test_organs_stay_above_their_floor() -> None:
    body = block(size=0.8, walls=(0.05,))
    _, regions = paint_structure(structure(block(0.7, floor=2), body=body), (0.0, 0.2, 0.4, 0.9))
    _, alone = paint_structure(structure(body=body), (0.0, 0.2, 0.4))
    assert (alone[regions == 3] == 2).all()
    assert (regions == 3).any()


def test_clusters_fill_the_cavity_and_nothing_else() -> None:
    body = block(walls=(0.05,))
    params = structure(body=body, clusters=clusters((0,) * 5))
    _, alone = paint_structure(structure(body=body), (0.0,) * 3)
    _, regions = paint_structure(params, (0.0,) * 9)
    labels = synthmorph_labels(params.clusters.label_map)  # type: ignore[union-attr]
    assert torch.equal(regions >= 3, alone == 2)
    assert torch.equal(regions[alone == 2].long(), labels[alone == 2] + 4)


def test_a_slice_of_clusters_is_the_mean_of_its_subslices() -> None:
    filling = clusters((1, 0, 1, 0, 1), subslices=3)
    values = (0.0, 0.1, 0.3, 0.4, 0.6, 0.8, 1.0)  # ground, gap, clusters
    image, regions = paint_structure(structure(clusters=filling), values)
    labels = synthmorph_labels(filling.label_map)
    fine = torch.where(erode_labels(labels, filling.iterations), labels + 2, 1)
    expected = torch.tensor(values)[fine].view(*SIZE, 3).mean(dim=-1)
    torch.testing.assert_close(image, expected)
    assert torch.equal(regions.long(), fine.view(*SIZE, 3)[..., 1])


def test_layout_numbers_instances_over_clusters_and_organs() -> None:
    params = structure(block(walls=(0.1,)), block(), body=block(walls=(0.05, 0.05)), clusters=clusters())
    assert region_layout(params) == (3, (0, 0, 0, 0, 0, 1, 2, 3, 4, 5, 6, 6, 7))


def test_blur_grows_away_from_the_slice_of_focus() -> None:
    image, _ = paint_structure(structure(block(), blur=BlurParams(0.2, 0.4, 0.0)), (0.0, 1.0))
    soft = ((image > 0.02) & (image < 0.98)).sum(dim=(0, 1))
    assert (soft.diff() > 0).all()


def test_the_warp_changes_outlines_from_slice_to_slice() -> None:
    warped = structure(block(), warp=WarpParams(2.0, (6.0, 6.0, 2.0), 1))
    _, regions = paint_structure(warped, (0.0, 1.0))
    _, plain = paint_structure(structure(block()), (0.0, 1.0))
    shares = [(regions[..., z] == plain[..., z]).float().mean().item() for z in range(SIZE[2])]
    assert 0.8 < min(shares) < max(shares) < 1.0
    assert not torch.equal(regions[..., 0], regions[..., -1])


def test_every_region_needs_a_value() -> None:
    with pytest.raises(ValueError, match="one intensity for each of the 2 regions, got 3"):
        paint_structure(structure(block()), (0.0, 1.0, 2.0))
