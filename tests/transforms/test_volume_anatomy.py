# Copyright (c) monai_synthfm contributors
# Licensed under the Apache License, Version 2.0 (http://www.apache.org/licenses/LICENSE-2.0).
# SPDX-License-Identifier: Apache-2.0
"""Random anatomies of volumes: what is drawn, from labels and parameters."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from scipy import ndimage

from monai_synthfm.synthesis.solid_grid import MottleParams
from monai_synthfm.synthesis.volume_anatomy import VolumeAnatomyParams
from monai_synthfm.transforms import RandSynthFM3D, RandVolumeAnatomy
from monai_synthfm.transforms.volume_presets import VOLUME_PRESETS

SIZE = (64, 64, 10)
SPACING = (5.0, 5.0, 4.0)


def drawn(number: int, preset: str = "ct", **arguments: Any) -> list[VolumeAnatomyParams]:
    generator = RandVolumeAnatomy(SIZE, **arguments).set_random_state(seed=0)
    result = []
    for _ in range(number):
        generator.randomize(VOLUME_PRESETS[preset], SPACING)
        assert len(generator.tissues) == len(generator.params.parts)
        result.append(generator.params)
    return result


def test_replay_gives_every_bit_again() -> None:
    for seed in range(4):
        labels = RandVolumeAnatomy(SIZE).set_random_state(seed=seed)()
        again = RandVolumeAnatomy((8, 8, 8)).replay(labels.meta["synthfm"])
        assert torch.equal(labels.as_tensor(), again.as_tensor())


def test_parts_come_after_their_parents_and_what_they_are_like() -> None:
    for params in drawn(30):
        for number, part in enumerate(params.parts, start=1):
            assert 0 <= part.parent < number
            assert 0 <= part.like < number


def test_many_targets_end_inside_the_clip_and_many_are_several_pieces_in_a_slice() -> None:
    ends, split = [], []
    for seed in range(30):
        _, labels = RandSynthFM3D((64, 64, 12), "anatomy").set_random_state(seed=seed)()
        volume = labels[0].numpy()
        for number, box in enumerate(ndimage.find_objects(volume), start=1):
            mask = volume[box] == number
            ends.append(box[2].start > 0 or box[2].stop < volume.shape[2])
            pieces = [ndimage.label(mask[..., z], np.ones((3, 3)))[1] for z in range(mask.shape[2])]
            split.append(max(pieces) > 1)
    assert len(ends) > 150
    assert np.mean(ends) > 0.35
    assert np.mean(split) > 0.1


@pytest.mark.parametrize(("merged", "own"), [(1.0, False), (0.0, True)])
def test_merged_parts_belong_to_their_organ(merged: float, own: bool) -> None:
    others = patches = 0
    for params in drawn(15, parts_prob=1.0, merged_prob=merged):
        for part in params.parts:
            owner = params.parts[part.parent - 1].label if part.parent else 0
            if owner > 0:
                others += part.label != owner
                if isinstance(part.solids[0], MottleParams):
                    patches += 1
                    assert part.label == owner
    assert (others > 0) is own
    assert patches > 10


def test_only_ultrasound_moves() -> None:
    assert all(params.motion is None for preset in ("ct", "mr") for params in drawn(10, preset, motion_prob=1.0))
    moving = drawn(10, "us", motion_prob=1.0)
    assert all(params.motion is not None for params in moving)
    assert all(params.motion is None for params in drawn(10, "us", motion_prob=0.0))


def test_thick_slices_change_more_than_thin_ones() -> None:
    changes = []
    for spacing in ((5.0, 5.0, 1.0), (5.0, 5.0, 8.0)):
        generator = RandVolumeAnatomy(SIZE).set_random_state(seed=1)
        shares = []
        for _ in range(6):
            generator.randomize(VOLUME_PRESETS["mr"], spacing)
            labels = generator.replay(generator.params)[0]
            shares.append(float((labels[..., 1:] != labels[..., :-1]).float().mean()))
        changes.append(np.mean(shares))
    assert changes[1] > 2.0 * changes[0]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"spatial_size": (8, 8)}, r"spatial_size must be \(width, height, slices\)"),
        ({"num_organs": (0, 3)}, "num_organs must be"),
        ({"radius": (0.3, 0.1)}, "radius must be"),
        ({"end_prob": 1.5}, "end_prob must be a probability"),
        ({"warp": (0.0, 0.5)}, "warp must be"),
    ],
)
def test_wrong_arguments_are_named(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        RandVolumeAnatomy(**{"spatial_size": SIZE, **arguments})


def test_walls_of_a_volume_belong_to_organs_or_are_targets_or_nobodys() -> None:
    kinds = set()
    for params in drawn(40, "us", wall_prob=1.0, pair_prob=0.0, parts_prob=0.0):
        organs = [part for part in params.parts if part.label and part.wall and part.wall_label != part.label]
        labels = {part.label for part in params.parts}
        for part in organs:
            assert part.gaps[0] == 0.0
            assert part.wall_label not in labels - {0}
        kinds.add("organ" if not organs else "target" if organs[0].wall_label else "nobody")
        assert len({bool(part.wall_label) for part in organs}) <= 1
    assert kinds == {"organ", "target", "nobody"}
