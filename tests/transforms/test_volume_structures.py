# Copyright (c) monai_synthfm contributors
# Licensed under the Apache License, Version 2.0 (http://www.apache.org/licenses/LICENSE-2.0).
# SPDX-License-Identifier: Apache-2.0
"""Random structures: what is drawn stays in its ranges and follows preset, spacing and seed."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

from monai_synthfm.synthesis.volume_structures import VolumeStructureParams
from monai_synthfm.transforms import RandBezierShapes, RandVolumeStructure
from monai_synthfm.transforms.volume_presets import VOLUME_PRESETS

SIZE = (48, 40, 24)


def drawn(
    number: int = 25, preset: str = "ct", spacing: tuple[float, float, float] = (1.0, 1.0, 1.0), **arguments: Any
) -> list[VolumeStructureParams]:
    generator = RandVolumeStructure(SIZE, **arguments).set_random_state(seed=0)
    result = []
    for _ in range(number):
        generator.randomize(VOLUME_PRESETS[preset], spacing)
        assert len(generator.tissues) == len(generator.params.organs)
        result.append(generator.params)
    return result


def organs(structures: list[VolumeStructureParams]) -> list[Any]:
    return [organ for structure in structures for organ in structure.organs]


def test_replay_gives_the_same_labels_from_the_text() -> None:
    labels = RandVolumeStructure(SIZE).set_random_state(seed=3)()
    again = RandVolumeStructure((8, 8, 8)).replay(labels.meta["synthfm"])
    assert labels.shape == (1, *SIZE)
    assert labels.dtype == torch.int64
    assert torch.equal(again.as_tensor(), labels.as_tensor())


@pytest.mark.parametrize(("probability", "share"), [(0.0, 0.0), (1.0, 0.4)])
def test_the_birth_flag_decides_who_appears_within_the_volume(probability: float, share: float) -> None:
    births = np.array([organ.birth > 0 for organ in organs(drawn(birth_prob=probability))])
    assert births.mean() == 0.0 if share == 0.0 else births.mean() > share


def test_every_organ_grows_then_shrinks_and_touches_the_volume() -> None:
    for organ in organs(drawn(roundness=(1.5, 2.5))):
        assert organ.birth < organ.turn < organ.end
        assert organ.birth < SIZE[2]
        assert organ.end >= 0
        assert organ.growth >= 0
        assert organ.shrinkage > 0
        assert 1.5 <= organ.roundness <= 2.5


def test_organs_keep_their_shape_in_millimetres_when_slices_are_thick() -> None:
    def median_length(spacing: tuple[float, float, float]) -> float:
        return float(np.median([o.end - o.birth for o in organs(drawn(20, "us", spacing, birth_prob=1.0))]))

    assert median_length((1.0, 1.0, 4.0)) == pytest.approx(median_length((1.0, 1.0, 1.0)) / 4, rel=0.4)


def test_bodies_are_as_frequent_as_the_preset_says_and_hold_its_layers() -> None:
    bodies = [structure.body for structure in drawn(40, "ct")]
    present = [body for body in bodies if body is not None]
    assert len(present) / len(bodies) == pytest.approx(VOLUME_PRESETS["ct"].body_prob, abs=0.2)
    assert {len(body.walls) for body in present} == {len(VOLUME_PRESETS["ct"].layers)}
    assert all(structure.body is None for structure in drawn(20, "us"))


def test_clusters_average_subslices_only_where_slices_are_thick() -> None:
    generator = RandVolumeStructure(SIZE).set_random_state(seed=0)
    for thickness, subslices in ((1.0, 1), (5.0, 3)):
        generator.randomize(VOLUME_PRESETS["mr"], (1.0, 1.0, thickness), organs=False, clusters=True)
        clusters = generator.params.clusters
        assert clusters.subslices == subslices
        assert clusters.label_map.spatial_size == (SIZE[0], SIZE[1], SIZE[2] * subslices)
        assert generator.params.organs == ()


def test_given_outlines_are_used() -> None:
    shapes = RandBezierShapes((40, 48), num_shapes=(2, 2), num_points=(5, 5))
    found = organs(drawn(10, "us", shapes=shapes))
    assert 0 < len(found) <= 20
    assert {len(organ.outline) for organ in found} == {5}


def test_given_generators_stay_as_they_were_given() -> None:
    shapes = RandBezierShapes((40, 48), phantom_prob=0.25)
    structure = RandVolumeStructure(SIZE, shapes=shapes).set_random_state(seed=0)
    bodies = 0
    for _ in range(10):
        structure.randomize(replace(VOLUME_PRESETS["ct"], body_prob=1.0))
        bodies += structure.params.body is not None
    assert bodies == 10
    assert shapes.phantom_prob == 0.25


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"spatial_size": (8, 8)}, r"spatial_size must be \(width, height, slices\)"),
        ({"length": (2.0, 1.0)}, "length must be"),
        ({"birth_prob": 2.0}, "birth_prob must be a probability"),
        ({"growth": (0.0, 1.5)}, "growth must be"),
        ({"roundness": (0.5, 1.0)}, "roundness must be"),
        ({"warp": (-0.1, 0.1)}, "warp must be"),
    ],
)
def test_wrong_arguments_are_named(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        RandVolumeStructure(**{"spatial_size": SIZE, **arguments})
