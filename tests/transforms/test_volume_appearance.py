# Copyright (c) monai_synthfm contributors
# Licensed under the Apache License, Version 2.0 (http://www.apache.org/licenses/LICENSE-2.0).
# SPDX-License-Identifier: Apache-2.0
"""Random appearance: values, textures and scanners come from the preset's ranges."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from monai_synthfm.synthesis.volume_appearance import VolumeAppearanceParams
from monai_synthfm.synthesis.volume_structures import VolumeStructureParams
from monai_synthfm.transforms import RandVolumeStructure
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
