# Copyright (c) monai_synthfm contributors
# Licensed under the Apache License, Version 2.0 (http://www.apache.org/licenses/LICENSE-2.0).
# SPDX-License-Identifier: Apache-2.0
"""Presets of volumes: sane ranges, and what their numbers mean for the organs that are drawn from them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import FrozenInstanceError, fields, is_dataclass, replace
from typing import Any

import numpy as np
import pytest
from scipy import stats

from monai_synthfm.synthesis.evolution import EvolutionParams
from monai_synthfm.transforms import RandVolumeStructure
from monai_synthfm.transforms.volume_presets import VOLUME_PRESETS, TissueRange, VolumePreset

SIZE = (40, 32, 16)
PRESETS = pytest.mark.parametrize("preset", VOLUME_PRESETS.values(), ids=list(VOLUME_PRESETS))


def numbers(part: Any, name: str) -> Iterator[tuple[str, Any]]:
    """Name and value of every field that is not itself made of such, the parts of a preset among them."""
    for field in fields(part):
        value = getattr(part, field.name)
        if isinstance(value, tuple) and value and is_dataclass(value[0]):
            for index, inner in enumerate(value):
                yield from numbers(inner, f"{name}.{field.name}[{index}]")
        else:
            yield f"{name}.{field.name}", value


def drawn(preset: VolumePreset, number: int, **arguments: Any) -> list[tuple[TissueRange, EvolutionParams]]:
    """Organs of many structures with their kinds."""
    generator = RandVolumeStructure(SIZE, **arguments).set_random_state(seed=0)
    result = []
    for _ in range(number):
        generator.randomize(preset)
        result += zip(generator.tissues, generator.params.organs, strict=True)
    return result


def of_tissues(*tissues: TissueRange) -> VolumePreset:
    return replace(VOLUME_PRESETS["us"], tissues=tissues, column_prob=0.0)


@PRESETS
def test_every_range_is_ordered_and_every_probability_one(preset: VolumePreset) -> None:
    ranges, probabilities = 0, 0
    for name, value in numbers(preset, "preset"):
        if name.endswith("_prob"):
            probabilities += 1
            assert 0.0 <= value <= 1.0, name
        elif isinstance(value, tuple) and value and isinstance(value[0], float):
            ranges += 1
            low, high = value
            assert 0.0 <= low <= high < np.inf, name
    assert ranges >= 11 + 3 * len(preset.tissues)
    assert probabilities >= 3 + 2 * len(preset.tissues)


def test_intensities_of_ct_are_those_of_tissue_in_the_soft_tissue_window() -> None:
    def window(low: float, high: float) -> list[float]:
        return [(value + 160.0) / 400.0 for value in (low, high)]

    preset = VOLUME_PRESETS["ct"]
    skin, fat, muscle = (layer.intensity for layer in preset.layers)
    organ, vessel, gas, bone = preset.tissues
    # Hounsfield units of textbooks; air is black and compact bone above the window
    for found, (low, high) in (
        (fat, window(-120, -80)),
        (muscle, window(40, 60)),
        (organ.core, window(40, 100)),
        (vessel.core, window(40, 200)),
        (bone.core, window(100, 150)),
    ):
        assert found[0] <= low < high <= found[1]
    assert fat[1] < skin[0]
    assert preset.outside == (0.0, 0.0)
    assert gas.core[1] < window(-150, -150)[0]
    assert bone.wall[1] > 1.0


@PRESETS
def test_layers_leave_most_of_a_body_to_its_organs(preset: VolumePreset) -> None:
    smallest = RandVolumeStructure(SIZE).shapes.phantom_radius[0]
    assert sum(layer.thickness[1] for layer in preset.layers) < 0.5 * smallest


def test_presets_cannot_be_changed_for_everybody() -> None:
    preset = VOLUME_PRESETS["mr"]
    for part, name in ((preset, "body_prob"), (preset.layers[0], "thickness"), (preset.tissues[0], "share")):
        with pytest.raises(FrozenInstanceError, match=name):
            setattr(part, name, 0.0)


def test_kinds_of_organs_are_as_frequent_as_their_shares() -> None:
    tissues = [TissueRange(share, (0.0, share)) for share in (6.0, 3.0, 1.0)]
    counts = Counter(tissue.share for tissue, _ in drawn(of_tissues(*tissues), 60))
    total = sum(counts.values())
    assert total > 500
    expected = [0.6 * total, 0.3 * total, 0.1 * total]
    assert stats.chisquare([counts[tissue.share] for tissue in tissues], expected).pvalue > 0.01


def test_walls_are_as_frequent_and_as_thick_as_told() -> None:
    tissue = TissueRange(1.0, (0.2, 0.4), wall_prob=0.3, wall_thickness=(0.1, 0.2))
    organs = [organ for _, organ in drawn(of_tissues(tissue), 40, growth=(1.0, 1.0))]
    # an organ that grows by its whole radius until its largest slice tells what the radius is
    shares = [organ.walls[0] / (organ.growth * (organ.turn - organ.birth)) for organ in organs if organ.walls]
    assert stats.binomtest(len(shares), len(organs), 0.3).pvalue > 0.01
    assert stats.kstest(shares, stats.uniform(0.1, 0.1).cdf).pvalue > 0.01


def test_tubes_run_through_the_volume_and_are_thin() -> None:
    tubes, lumps = (
        [organ for _, organ in drawn(of_tissues(TissueRange(1.0, (0.2, 0.4), tube_prob=prob)), 20, growth=(1.0, 1.0))]
        for prob in (1.0, 0.0)
    )
    assert all(organ.end - organ.birth >= SIZE[2] for organ in tubes)
    assert all(organ.growth * (organ.turn - organ.birth) <= 0.06 + 1e-9 for organ in tubes)
    assert np.mean([organ.end - organ.birth >= SIZE[2] for organ in lumps]) < 0.9


@pytest.mark.parametrize(("body", "expected"), [(1.0, 1.0), (0.0, 0.0)])
def test_the_column_is_of_the_last_kind_and_belongs_to_a_body(body: float, expected: float) -> None:
    # a last kind of vanishing share can only be the column's
    column = replace(VOLUME_PRESETS["ct"].tissues[-1], share=1e-9)
    tissues = (*VOLUME_PRESETS["ct"].tissues[:-1], column)
    preset = replace(VOLUME_PRESETS["ct"], body_prob=body, column_prob=1.0, tissues=tissues)
    generator = RandVolumeStructure(SIZE).set_random_state(seed=0)
    for _ in range(10):
        generator.randomize(preset)
        assert generator.tissues.count(column) == expected
        if expected:
            assert generator.tissues[-1] == column
