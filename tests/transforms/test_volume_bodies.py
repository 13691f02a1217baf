# Copyright (c) monai_synthfm contributors
# Licensed under the Apache License, Version 2.0 (http://www.apache.org/licenses/LICENSE-2.0).
# SPDX-License-Identifier: Apache-2.0
"""Random bodies: no targets, one inside the other, with bones or without."""

from __future__ import annotations

import numpy as np
import pytest

from monai_synthfm.synthesis.solids import TreeParams, solid_bounds
from monai_synthfm.transforms.volume_bodies import Frame, draw_body
from monai_synthfm.transforms.volume_parts import PartList
from monai_synthfm.transforms.volume_presets import VOLUME_PRESETS
from tests.transforms.test_volume_anatomy import drawn


def test_bodies_are_no_targets_and_hold_bones_and_organs() -> None:
    with_body = 0
    for params in drawn(20, bones_prob=1.0):
        body = params.parts[0]
        if body.label == 0 and body.wall > 0.0:
            with_body += 1
            assert all(part.parent > 0 for part in params.parts[1:])
            assert any(isinstance(solid, TreeParams) for part in params.parts for solid in part.solids)
    assert with_body >= 10


EXTENT = np.array([1.25, 1.0])


def bodies(bones_prob: float) -> list[tuple[PartList, Frame]]:
    found = []
    for seed in range(40):
        parts = PartList(np.random.RandomState(seed), VOLUME_PRESETS["ct"], 0.8)
        found.append((parts, draw_body(parts, EXTENT, bones_prob)))
    return found


def test_the_cavity_lies_in_the_body_and_both_belong_to_nobody() -> None:
    for parts, frame in bodies(bones_prob=0.0):
        body, cavity = parts.parts  # without bones these are all
        assert (body.parent, cavity.parent, frame.part) == (0, 1, 2)
        assert body.label == body.wall_label == cavity.label == cavity.wall_label == parts.labels == 0
        assert body.wall > 0.0
        low, high = (solid_bounds(cavity.solids[0])[end, :2] for end in (0, 1))
        outer = solid_bounds(body.solids[0])
        assert (outer[0, :2] < low).all()
        assert (high < outer[1, :2]).all()
        assert (frame.half < 0.5 * EXTENT).all()
        np.testing.assert_allclose(frame.center, EXTENT / 2, atol=0.1)


def test_bones_are_targets_in_the_body_unless_there_is_a_skull() -> None:
    skulls = with_bones = 0
    for parts, _ in bodies(bones_prob=1.0):
        bones = [part for part in parts.parts[2:] if part.label]
        skull = parts.parts[1].wall > 0.0
        skulls += skull
        with_bones += bool(bones)
        assert bool(bones) is not skull
        assert all(part.parent == 1 for part in parts.parts[2:])
        assert sorted(part.label for part in bones) == list(range(1, parts.labels + 1))
        assert len(parts.parts) == len(parts.tissues)
    assert skulls > 2
    assert with_bones > 20


@pytest.mark.parametrize("bones_prob", [0.0, 1.0])
def test_a_body_is_seen_in_the_volume(bones_prob: float) -> None:
    for parts, _ in bodies(bones_prob):
        low, high = solid_bounds(parts.parts[0].solids[0])[:, 2]
        assert low < parts.depth
        assert high > 0.0
