# Copyright (c) monai_synthfm contributors
# Licensed under the Apache License, Version 2.0 (http://www.apache.org/licenses/LICENSE-2.0).
# SPDX-License-Identifier: Apache-2.0
"""Evolution over slices against the recursion itself: dilations and erosions one after the other, finely sampled."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from scipy import ndimage
from skimage.draw import polygon2mask

from monai_synthfm.synthesis.bezier import closed_bezier
from monai_synthfm.synthesis.evolution import EvolutionParams, distance_fields, evolution_maps, growth_offsets

KIDNEY = ((-0.5, -0.2), (0.1, -0.6), (0.6, -0.2), (0.1, 0.1), (0.6, 0.3), (0.1, 0.6), (-0.5, 0.3))
SMALL = tuple((0.5 * x, 0.5 * y) for x, y in KIDNEY)
CENTER = ((0.5, 0.5), (0.5, 0.5))


def organ(**changes: Any) -> EvolutionParams:
    plain = EvolutionParams(KIDNEY, CENTER, 0.0, 2.0, 10.0, 18.0, 0.008, 0.012, 1.0, (), 1.0, 0, False)
    return replace(plain, **changes)


def distances(params: EvolutionParams, size: tuple[int, int, int], warp: torch.Tensor | None = None) -> torch.Tensor:
    """Distances on all faces of the volume, far outside where the organ is not."""
    width, height, depth = size
    warp = torch.zeros(2, width, height, depth + 1) if warp is None else warp
    result = torch.full((width, height, depth + 1), -100.0)
    for field in distance_fields(params, size, warp, float(warp.abs().amax()), reach=2.0):
        x, y, z = field.box
        result[x, y, z.start : z.stop + 1] = field.distances
    return result


def naive_recursion(params: EvolutionParams, side: int, depth: int, fine: int = 8) -> np.ndarray:
    """Masks on the faces between slices: a finely drawn outline, dilated and eroded by small discs face after face."""
    size = side * fine
    outline = (closed_bezier(np.array(params.outline)) + 0.5) * size - 0.5
    mask = polygon2mask((size, size), outline)
    growth = params.growth * (params.turn - params.birth) * size
    mask = ndimage.distance_transform_edt(mask) > growth  # the mask at birth
    masks = np.zeros((size, size, depth + 1), dtype=bool)
    face = params.birth
    for index in range(depth + 1):
        target = max(index - 0.5, params.birth)
        if index - 0.5 >= params.birth - 0.5:
            grown = max(0.0, min(target, params.turn) - face) * params.growth * size
            if grown > 0:
                mask = ndimage.distance_transform_edt(~mask) <= grown
            lost = max(0.0, target - max(face, params.turn)) * params.shrinkage * size
            if lost > 0:
                mask = ndimage.distance_transform_edt(mask) > lost
            face = target
            masks[:, :, index] = mask
    return masks


def test_growth_and_erosion_are_those_of_the_recursion() -> None:
    side, depth = 64, 24
    params = organ()
    found = distances(params, (side, side, depth)) > 0
    fine = naive_recursion(params, side, depth)
    expected = ndimage.zoom(fine.astype(float), (1 / 8, 1 / 8, 1), order=1, grid_mode=True, mode="nearest") > 0.5
    assert found.any()
    for face in range(int(params.birth), depth + 1):
        here, there = found[:, :, face].numpy(), expected[:, :, face]
        if there.sum() > 30:
            assert 2 * (here & there).sum() / (here.sum() + there.sum()) > 0.94
        else:
            assert here.sum() < 60


def test_rates_below_a_pixel_a_slice_still_grow_the_mask() -> None:
    field = distances(organ(birth=0.0, turn=40.0, growth=0.002), (48, 48, 40))
    radii = ((field[:, :, 2:38] + 0.5).clamp(0, 1).sum(dim=(0, 1)) / np.pi).sqrt()
    steps = radii.diff()
    assert steps.min() > 0.0
    assert steps.mean().item() == pytest.approx(0.002 * 48, rel=0.35)


def test_nothing_is_there_before_birth_and_growth_turns_into_erosion() -> None:
    areas = (distances(organ(), (64, 64, 40)) > 0).sum(dim=(0, 1))
    assert areas[:2].max() == 0
    assert areas[2] > 0
    assert areas[2:11].diff().min() >= 0
    assert areas[12:].diff().max() <= 0
    assert areas[10:12].max() == areas.max()
    assert areas[-1] == 0


def test_an_organ_born_before_the_volume_is_there_from_the_first_slice() -> None:
    assert (distances(organ(birth=-3.0), (64, 64, 8))[:, :, 0] > 0).any()


@pytest.mark.parametrize("roundness", [1.0, 2.0, 3.5])
def test_offsets_start_at_zero_and_reach_the_whole_growth_and_shrinkage(roundness: float) -> None:
    params = organ(roundness=roundness)
    offsets = growth_offsets(params, 0.1, np.array([2.0, 10.0 - 1e-9, 10.0, 18.0]))
    np.testing.assert_allclose(offsets, [0.0, 0.1, 0.0, 8 * 0.012], atol=1e-7)
    assert (np.diff(growth_offsets(params, 0.1, np.linspace(2.0, 9.99, 50))) > 0).all()


def test_rounder_growth_ends_slower() -> None:
    last = [np.diff(growth_offsets(organ(roundness=p), 0.1, np.array([9.0, 9.99])))[0] for p in (1.0, 2.0, 4.0)]
    assert last[0] > last[1] > last[2]


def test_maps_are_distances_to_the_outline() -> None:
    _, at_turn, half, _ = evolution_maps(organ(growth=0.0), 60.0)
    count = len(at_turn)
    pixel = 2 * half / count
    curve = closed_bezier(np.array(KIDNEY), samples=2000) * 60.0
    axis = (np.arange(count) + 0.5) * pixel - half
    y, x = np.meshgrid(axis, axis, indexing="ij")
    nearest = np.hypot(x[..., None] - curve[:, 0], y[..., None] - curve[:, 1]).min(axis=-1)
    inside = polygon2mask((count, count), (curve[:, ::-1] + half) / pixel - 0.5)
    difference = at_turn - np.where(inside, nearest, -nearest)
    assert np.abs(difference).max() < 1.2 * pixel
    assert np.abs(difference).mean() < 0.3 * pixel


def test_growth_leaves_a_seed_to_grow_from() -> None:
    at_birth, _, _, growth = evolution_maps(organ(growth=10.0), 64.0)
    assert (at_birth > 0).any()
    assert growth < 10.0 * 8 * 64


def test_the_centre_follows_its_path() -> None:
    path = ((0.4, 0.5), (0.6, 0.55))
    mask = distances(organ(path=path, birth=-50.0, turn=100.0, growth=0.0, outline=SMALL), (64, 64, 16)) > 0
    still = distances(organ(birth=-50.0, turn=100.0, growth=0.0, outline=SMALL), (64, 64, 16)) > 0
    offset = np.array(ndimage.center_of_mass(still[:, :, 0].numpy())) - 31.5
    for face in (0, 8, 16):
        expected = np.array(path[0]) + (np.array(path[1]) - path[0]) * face / 16
        found = ndimage.center_of_mass(mask[:, :, face].numpy())
        np.testing.assert_allclose(found, expected * 64 - 0.5 + offset, atol=0.4)


def test_twist_turns_the_organ() -> None:
    still = organ(birth=-50.0, turn=100.0, growth=0.0)
    turned = distances(replace(still, twist=np.pi / 2), (64, 64, 16)) > 0
    plain = distances(still, (64, 64, 16)) > 0
    assert torch.equal(turned[:, :, 0], plain[:, :, 0])
    expected = torch.rot90(plain[:, :, 16], 1, (0, 1))
    overlaps = [(turned[:, :, 16] & candidate).sum() / expected.sum() for candidate in (expected, expected.flip(0, 1))]
    assert max(overlaps) > 0.95
    assert (turned[:, :, 16] & plain[:, :, 16]).sum() / expected.sum() < 0.9


def test_the_warp_moves_a_pliant_organ_and_not_a_rigid_one() -> None:
    warp = torch.zeros(2, 64, 64, 17)
    warp[0] = 5.0
    still = distances(organ(), (64, 64, 16)) > 0
    moved = distances(organ(), (64, 64, 16), warp) > 0
    assert torch.equal(moved[:-5], still[5:])
    assert torch.equal(distances(organ(pliancy=0.0), (64, 64, 16), warp) > 0, still)


def test_an_organ_outside_the_volume_gives_no_field() -> None:
    warp = torch.zeros(2, 32, 32, 9)
    for params in (organ(birth=9.0, turn=12.0), organ(path=((3.0, 3.0), (3.0, 3.0)))):
        assert list(distance_fields(params, (32, 32, 8), warp, 0.0, 1.0)) == []
