# Copyright (c) monai_synthfm contributors
# Licensed under the Apache License, Version 2.0 (http://www.apache.org/licenses/LICENSE-2.0).
# SPDX-License-Identifier: Apache-2.0
"""The list of parts: numbers, walls and owners, and where parts are put along the slices."""

from __future__ import annotations

import numpy as np
import pytest

from monai_synthfm.synthesis.solids import TreeParams, solid_bounds
from monai_synthfm.transforms.volume_parts import PartList
from monai_synthfm.transforms.volume_presets import VOLUME_PRESETS

TUBE = TreeParams(((0.5, 0.5, 0.2, 0.05), (0.5, 0.5, 0.5, 0.05)), ((0, 1),))
"""From z = 0.15 to 0.55."""


def part_list(seed: int = 0, depth: float = 1.0) -> PartList:
    return PartList(np.random.RandomState(seed), VOLUME_PRESETS["ct"], depth)


def ends(parts: PartList, end_prob: float) -> tuple[float, float]:
    (moved,) = parts.place((TUBE,), end_prob)
    low, high = solid_bounds(moved)[:, 2]
    assert high - low == pytest.approx(0.4)
    return float(low), float(high)


def test_parts_and_instances_are_numbered_from_one_and_keep_their_tissue() -> None:
    parts = part_list()
    tissue = parts.preset.tissues[0]
    assert parts.add((TUBE,), 0, 0.05, None) == 1
    assert parts.add((TUBE,), 1, 0.05, tissue, parts.new(), like=1) == 2
    assert parts.new() == 2
    first, second = parts.parts
    assert (first.label, first.wall_label, first.wall, first.gaps) == (0, 0, 0.0, (0.0, 0))
    assert (second.parent, second.label, second.wall_label, second.like) == (1, 1, 1, 1)
    assert parts.tissues == [None, tissue]


def test_walls_have_gaps_now_and_then_where_they_are_the_parts_own() -> None:
    parts = part_list()
    for _ in range(200):
        parts.add((TUBE,), 0, 0.05, None, label=1, wall=(0.01, 0.02))
        parts.add((TUBE,), 0, 0.05, None, label=1, wall=(0.01, 0.02), wall_label=7)
        parts.add((TUBE,), 0, 0.05, None, label=0, wall=(0.01, 0.02))
    own, of_others, nobodys = (parts.parts[start::3] for start in range(3))
    assert all(0.01 <= part.wall <= 0.02 for part in parts.parts)
    assert 0.2 < np.mean([part.gaps[0] > 0.0 for part in own]) < 0.4
    assert all(part.gaps[0] == 0.0 for part in (*of_others, *nobodys))
    assert {part.wall_label for part in of_others} == {7}


def test_an_end_lies_inside_the_volume_when_it_should() -> None:
    for seed in range(50):
        low, high = ends(part_list(seed), end_prob=1.0)
        assert 0.05 - 1e-6 <= low <= 0.9 + 1e-6 or 0.1 - 1e-6 <= high <= 0.95 + 1e-6


@pytest.mark.parametrize("depth", [0.0, 0.3, 1.0])
def test_a_part_is_always_seen_and_not_always_in_one_place(depth: float) -> None:
    places = [ends(part_list(seed, depth), end_prob=0.0) for seed in range(50)]
    assert all(low < depth + 1e-6 and high > -1e-6 for low, high in places)
    assert np.std([low for low, _ in places]) > 0.05


def test_bumps_are_left_out_when_they_are_too_small_to_see() -> None:
    parts = part_list()
    assert parts.draw_waves(0.2, 0.009) is None
    size, scale, seed = parts.draw_waves(0.2, 0.1)
    assert size == pytest.approx(0.02)
    assert 0.35 * 0.2 <= scale <= 0.9 * 0.2
    assert seed != parts.draw_waves(0.2, 0.1)[2]
