# Copyright (c) monai_synthfm contributors
# Licensed under the Apache License, Version 2.0 (http://www.apache.org/licenses/LICENSE-2.0).
# SPDX-License-Identifier: Apache-2.0
"""Painted anatomies: volumes of balls, parts that stay in their parents, walls, patches, thin vessels and motion."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

from monai_synthfm.synthesis.label_maps import LabelMapParams
from monai_synthfm.synthesis.solid_grid import MotionParams, MottleParams, SolidPartParams
from monai_synthfm.synthesis.solids import BlobParams, TreeParams
from monai_synthfm.synthesis.volume_anatomy import (
    VolumeAnatomyParams,
    VolumeTissueParams,
    anatomy_owners,
    paint_anatomy,
)
from monai_synthfm.synthesis.volume_structures import BlurParams, ClusterParams, WarpParams

STILL, SHARP = WarpParams(0.0, (8.0, 8.0, 8.0), 0), BlurParams(0.0, 0.0, 0.0)


def ball(radius: float, x: float = 0.5, y: float = 0.5, z: float = 0.5) -> BlobParams:
    return BlobParams((x, y, z), (radius, radius, radius), (0.0, 0.0, 0.0), 2.0, 2.0, 0.0, 0.0)


def part(*solids: BlobParams | TreeParams | MottleParams, radius: float = 0.1, **fields: Any) -> SolidPartParams:
    plain = SolidPartParams(solids, 0, radius, None, 0.0, (0.0, 0), 1, 1)
    return replace(plain, **fields)


def anatomy(*parts: SolidPartParams, size: tuple[int, int, int] = (64, 64, 64), **fields: Any) -> VolumeAnatomyParams:
    return replace(VolumeAnatomyParams(size, 1.0 / size[2], parts, None, STILL, SHARP, None), **fields)


def paint(params: VolumeAnatomyParams, *values: float) -> tuple[torch.Tensor, torch.Tensor]:
    return paint_anatomy(params, values)


@pytest.mark.parametrize("size", [(64, 64, 64), (256, 256, 12), (160, 128, 40)])
def test_a_ball_has_its_volume_at_every_resolution(size: tuple[int, int, int]) -> None:
    side = min(size[:2])
    image, regions = paint(anatomy(part(ball(0.3), radius=0.3), size=size), 0.0, 1.0, 0.0)
    volume = 4.0 / 3.0 * np.pi * 0.3**3 * side**2 * size[2]
    assert float(image.double().sum()) == pytest.approx(volume, rel=0.03)
    assert int((regions == 1).sum()) == pytest.approx(volume, rel=0.05)


def test_a_part_does_not_leave_its_parent_and_covers_earlier_parts() -> None:
    parent, child = part(ball(0.2), radius=0.2), part(ball(0.2, x=0.7), radius=0.2, parent=1, label=2, wall_label=2)
    image, regions = paint(anatomy(parent, child), 0.0, 1.0, 0.5, 0.0, 0.0)
    alone, _ = paint(anatomy(parent), 0.0, 1.0, 0.0)
    assert (alone[regions == 2] > 0.5).all()
    assert torch.equal(image > 0.0, alone > 0.0)
    free, _ = paint(anatomy(replace(child, parent=0)), 0.0, 1.0, 0.0)
    assert (free[regions == 2] > 0.5).all()
    assert (regions[(free == 1.0) & (alone > 0.5)] == 2).all()


def test_a_wall_lies_inside_the_surface_and_gaps_take_some_of_it() -> None:
    hollow = part(ball(0.3), radius=0.3, wall=0.08)
    _, regions = paint(anatomy(hollow), 0.0, 1.0, 0.5)
    _, solid = paint(anatomy(part(ball(0.3), radius=0.3)), 0.0, 1.0, 0.0)
    assert torch.equal(regions > 0, solid > 0)
    core = float((regions == 1).sum()) / float((solid > 0).sum())
    assert core == pytest.approx((0.22 / 0.3) ** 3, rel=0.06)
    _, gappy = paint(anatomy(replace(hollow, gaps=(0.5, 3))), 0.0, 1.0, 0.5)
    assert 0.2 < float((gappy == 2).sum()) / float((regions == 2).sum()) < 0.9


def test_patches_fill_about_their_share_of_the_parent_and_belong_to_it() -> None:
    organ = part(ball(0.45), radius=0.45)
    patches = part(MottleParams(0.05, 0.0, 5), radius=0.05, parent=1)
    params = anatomy(organ, patches)
    _, regions = paint(params, 0.0, 1.0, 0.5, 0.0, 0.0)
    share = float((regions == 2).sum()) / float((regions > 0).sum())
    assert 0.35 < share < 0.65  # half of a normal distribution lies above 0
    assert anatomy_owners(params) == (0, 1, 1, 1, 1)


def test_a_vessel_that_runs_within_a_thick_slice_does_not_vanish() -> None:
    tube = TreeParams(((0.2, 0.5, 0.5625, 0.03), (0.8, 0.5, 0.5625, 0.03)), ((0, 1),))
    image, _ = paint(anatomy(part(tube, radius=0.03), size=(128, 128, 8)), 0.0, 1.0, 0.0)
    assert image[64, 64, 4] > 0.2
    assert image[..., :4].max() == image[..., 5:].max() == 0.0


def test_bumps_change_a_surface_without_moving_it() -> None:
    smooth = part(ball(0.3), radius=0.3)
    bumpy = replace(smooth, waves=(0.04, 0.1, 7))
    first, second = (paint(anatomy(one), 0.0, 1.0, 0.0)[1] > 0 for one in (smooth, bumpy))
    assert 0.02 < float((first ^ second).sum()) / float(first.sum()) < 0.5
    assert float(second.sum()) == pytest.approx(float(first.sum()), rel=0.25)


def test_a_warp_moves_all_parts_alike() -> None:
    outer, inner = part(ball(0.3), radius=0.3), part(ball(0.15), radius=0.15, label=2, wall_label=2)
    params = anatomy(outer, inner, warp=WarpParams(3.0, (12.0, 12.0, 12.0), 4))
    _, regions = paint(params, 0.0, 1.0, 0.5, 0.0, 0.0)
    assert not torch.equal(regions, paint(replace(params, warp=STILL), 0.0, 1.0, 0.5, 0.0, 0.0)[1])
    hull = torch.nn.functional.max_pool3d((regions == 2).float()[None], 5, 1, 2)[0] > 0
    assert (regions[hull] > 0).all()  # the inner ball still lies well inside the outer one


def test_tissue_fills_its_part_below_later_parts() -> None:
    cells = ClusterParams(LabelMapParams((48, 48, 24), 3, (0.3,), (0.3,), 0.0, 24, 1), (0, 0, 0), 1)
    body, organ = part(ball(0.4), radius=0.4, label=0, wall_label=0), part(ball(0.1), label=7, wall_label=7, parent=1)
    params = anatomy(body, organ, size=(48, 48, 24), tissue=VolumeTissueParams(1, cells))
    owners = anatomy_owners(params)
    assert owners == (0, 0, 7, 0, 7, 8, 9, 10)
    _, regions = paint(params, *np.linspace(0.0, 1.0, 8).tolist())
    _, plain = paint(replace(params, tissue=None), 0.0, 0.5, 1.0, 0.0, 0.0)
    assert torch.equal(regions == 2, plain == 2)
    assert torch.equal(regions >= 5, plain == 1)


def test_walls_move_with_the_beat_and_stand_still_without() -> None:
    motion = MotionParams(center=(0.5, 0.5), spread=0.4, strength=0.25, period=8.0, phase=0.0, sway=0.0)
    chamber = part(ball(0.25, z=0.0), radius=0.25)
    image, _ = paint(anatomy(chamber, size=(64, 64, 16), motion=motion), 0.0, 1.0, 0.0)
    areas = image.sum(dim=(0, 1))
    assert float(areas.max()) > 1.3 * float(areas.min())
    assert torch.allclose(areas[:8], areas[8:], rtol=0.02)  # two beats
    still, _ = paint(anatomy(chamber, size=(64, 64, 16), motion=replace(motion, strength=0.0)), 0.0, 1.0, 0.0)
    assert torch.equal(still, still[..., :1].expand_as(still))


def test_a_part_outside_the_volume_changes_nothing() -> None:
    away = part(ball(0.1, z=3.0)), part(ball(0.05, z=3.0), radius=0.05, parent=1)
    image, regions = paint(anatomy(*away), 0.25, 1.0, 1.0, 1.0, 1.0)
    assert (image == 0.25).all()
    assert not regions.any()


def test_every_region_needs_a_value() -> None:
    with pytest.raises(ValueError, match="one intensity for each of the 3 regions, got 2"):
        paint(anatomy(part(ball(0.1))), 0.0, 1.0)
