# Copyright (c) monai_synthfm contributors
# Licensed under the Apache License, Version 2.0 (http://www.apache.org/licenses/LICENSE-2.0).
# SPDX-License-Identifier: Apache-2.0
"""Random appearance: values, textures and scanners come from the preset's ranges."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from monai_synthfm.synthesis.volume_anatomy import anatomy_owners
from monai_synthfm.synthesis.volume_appearance import VolumeAppearanceParams
from monai_synthfm.synthesis.volume_structures import VolumeStructureParams
from monai_synthfm.transforms import RandVolumeAnatomy, RandVolumeStructure
from monai_synthfm.transforms.volume_appearance import RandVolumeAppearance
from monai_synthfm.transforms.volume_presets import VOLUME_PRESETS

SPACING = (1.0, 1.0, 4.0)


def drawn(
    preset: str, number: int = 20, clusters: bool = False, **arguments: Any
) -> list[tuple[VolumeStructureParams, VolumeAppearanceParams]]:
    structure = RandVolumeStructure((32, 32, 12)).set_random_state(seed=1)
    appearance = RandVolumeAppearance(**arguments).set_random_state(seed=2)
    result = []
    for _ in range(number):
        structure.randomize(VOLUME_PRESETS[preset], SPACING, clusters=clusters)
        appearance.randomize(VOLUME_PRESETS[preset], structure.params, structure.tissues, SPACING)
        result.append((structure.params, appearance.params))
    return result


@pytest.mark.parametrize("preset", sorted(VOLUME_PRESETS))
def test_scanners_stay_in_the_ranges_of_their_preset(preset: str) -> None:
    ranges = VOLUME_PRESETS[preset]
    for _, params in drawn(preset):
        [noise] = params.noises
        assert noise.kind in ranges.noises
        assert ranges.noise[0] <= noise.strength <= ranges.noise[1]
        assert params.windowed == ranges.windowed
        assert (params.bias is not None) == (ranges.bias[1] > 0)
        assert params.field is None or ranges.fan_prob > 0
        for layer in params.textures:
            assert len(layer.weights) == len(params.values)
            assert max(map(abs, layer.weights)) <= ranges.texture[1]


def drawn_anatomies(
    preset: str, number: int = 20, **arguments: Any
) -> list[tuple[RandVolumeAnatomy, RandVolumeAppearance]]:
    result = []
    for seed in range(number):
        anatomy = RandVolumeAnatomy((32, 32, 12)).set_random_state(seed=seed)
        appearance = RandVolumeAppearance(**arguments).set_random_state(seed=seed)
        anatomy.randomize(VOLUME_PRESETS[preset], SPACING)
        appearance.randomize_anatomy(VOLUME_PRESETS[preset], anatomy.params, anatomy.tissues, SPACING)
        result.append((anatomy, appearance))
    return result


@pytest.mark.parametrize("preset", sorted(VOLUME_PRESETS))
def test_parts_of_anatomies_have_the_intensities_of_their_kinds(preset: str) -> None:
    common = VOLUME_PRESETS[preset].tissues[0]
    for anatomy, appearance in drawn_anatomies(preset, palette_prob=1.0, wide_prob=0.0):
        values = appearance.params.values
        assert len(values) == len(anatomy_owners(anatomy.params))
        for number, (part, kind) in enumerate(zip(anatomy.params.parts, anatomy.tissues, strict=True), start=1):
            if part.like:
                assert values[number] == values[part.like]
            elif kind is not None:
                assert kind.core[0] <= values[number] <= kind.core[1]
            else:
                assert values[number] >= 0.0
                assert values[number] != values[part.parent]
    alike = drawn_anatomies(preset, palette_prob=1.0, wide_prob=0.0, spread=(0.01, 0.01))
    for anatomy, appearance in alike:
        soft = [
            value
            for value, kind, part in zip(
                appearance.params.values[1:], anatomy.tissues, anatomy.params.parts, strict=False
            )
            if kind is common and not part.like
        ]
        assert not soft or max(soft) - min(soft) <= 0.011 * (common.core[1] - common.core[0])


@pytest.mark.parametrize("preset", ["ct", "mr"])
def test_only_bodies_lie_in_air(preset: str) -> None:
    ranges, grounds = VOLUME_PRESETS[preset], set()
    for anatomy, appearance in drawn_anatomies(preset, 30, palette_prob=1.0, wide_prob=0.0):
        body = anatomy.params.parts[0].wall > 0.0 and anatomy.params.parts[0].label == 0
        low, high = ranges.outside if body else ranges.cavity
        assert low <= appearance.params.values[0] <= high
        grounds.add(body)
    assert grounds == {True, False}


def test_scanners_of_anatomies_follow_the_modality() -> None:
    scanners = {preset: [two.scanner for _, two in drawn_anatomies(preset)] for preset in VOLUME_PRESETS}
    assert all(scanner.ultrasound is not None for scanner in scanners["us"])
    assert all(scanner.ultrasound is None for scanner in scanners["ct"] + scanners["mr"])
    assert all(scanner.shading is None for scanner in scanners["ct"])
    assert any(scanner.shading is not None for scanner in scanners["mr"])
    fixed = [scanner.levels is not None for scanner in scanners["ct"]]
    assert any(fixed)
    assert not all(fixed)  # random contrasts are shown between quantiles
    assert all(scanner.levels is None for scanner in scanners["us"] + scanners["mr"])


def test_a_wide_window_brings_soft_tissues_nearer_to_each_other_but_not_to_air() -> None:
    narrow, wide = (drawn_anatomies("ct", palette_prob=1.0, wide_prob=share) for share in (0.0, 1.0))
    for (_, first), (_, second) in zip(narrow, wide, strict=True):
        before, after = np.array(first.params.values), np.array(second.params.values)
        air = before <= 0.02
        assert (after[air] == 0.0).all()
        np.testing.assert_allclose(after[~air], (before[~air] * 400.0 - 160.0 + 1000.0) / 2000.0)


def test_body_layers_take_the_intensities_of_the_preset() -> None:
    ranges = VOLUME_PRESETS["ct"]
    for structure, params in drawn("ct"):
        if structure.body is not None:
            expected = [ranges.outside, *(layer.intensity for layer in ranges.layers), ranges.cavity]
            for value, (low, high) in zip(params.values, expected, strict=False):
                assert low <= value <= high


def test_textures_have_their_scale_in_millimetres() -> None:
    for _, params in drawn("mr", texture_scales=((6.0, 6.0),), texture_prob=1.0):
        assert params.textures[0].sigma == pytest.approx((6.0, 6.0, 1.5))


def test_clusters_are_alike_only_where_gaps_part_them() -> None:
    for structure, params in drawn("mr", clusters=True, alike_prob=1.0):
        assert structure.clusters is not None
        count = structure.clusters.label_map.num_labels
        first = (0 if structure.body is None else len(structure.body.walls) + 1) + 2
        alike = len(set(params.values[first : first + count])) == 1
        assert alike == any(structure.clusters.iterations)


def test_kinds_of_organs_must_fit_the_structure() -> None:
    structure = RandVolumeStructure((32, 32, 12)).set_random_state(seed=1)
    structure.randomize(VOLUME_PRESETS["ct"], SPACING)
    fewer = replace(structure.params, organs=structure.params.organs[1:])
    with pytest.raises(ValueError, match="zip"):
        RandVolumeAppearance().randomize(VOLUME_PRESETS["ct"], fewer, structure.tissues, SPACING)
