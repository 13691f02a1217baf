# Copyright (c) monai_synthfm contributors
# Licensed under the Apache License, Version 2.0 (http://www.apache.org/licenses/LICENSE-2.0).
# SPDX-License-Identifier: Apache-2.0
"""Random anatomies: reproducible, within their ranges, and usable as targets."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from monai_synthfm.synthesis.anatomy import AnatomyParams
from monai_synthfm.transforms import RandAnatomy, RandSynthFM, RandSynthFMIntensity


@settings(max_examples=25)
@given(st.integers(0, 2**31 - 1))
def test_params_replay_bit_for_bit_from_their_text(seed):
    anatomy = RandAnatomy((48, 64)).set_random_state(seed=seed)
    labels = anatomy()
    text = anatomy.params.to_json()
    assert AnatomyParams.parse(text) == anatomy.params
    assert (RandAnatomy((8, 8)).replay(text) == labels).all()


@settings(max_examples=25)
@given(st.integers(0, 2**31 - 1))
def test_every_part_comes_after_its_parent(seed):
    anatomy = RandAnatomy((48, 64)).set_random_state(seed=seed)
    anatomy.randomize()
    parents = [part.parent for part in anatomy.params.parts]
    assert all(0 <= parent <= number for number, parent in enumerate(parents))


def test_organs_have_radii_within_the_range():
    lone = {"pair_prob": 0.0, "parts_prob": 0.0, "lobes_prob": 0.0}
    anatomy = RandAnatomy((64, 64), body_prob=0.0, radius=(0.1, 0.2), num_organs=(4, 4), **lone)
    anatomy.set_random_state(seed=0)
    for _ in range(10):
        anatomy.randomize()
        radii = [part.outline.radius for part in anatomy.params.parts if part.label]
        assert len(radii) == 4
        assert all(0.1 <= radius <= 0.2 for radius in radii)


def test_twins_mirror_each_other_in_the_frame():
    anatomy = RandAnatomy((64, 64), body_prob=0.0, pair_prob=1.0, parts_prob=0.0, lobes_prob=0.0, num_organs=(1, 1))
    anatomy.set_random_state(seed=3).randomize()
    one, twin = (part.outline for part in anatomy.params.parts if part.label)
    assert np.isclose(one.center[0] + twin.center[0], 1.0)
    assert one.center[1] == twin.center[1]
    assert twin.mirrored


def test_a_body_can_be_the_only_target():
    anatomy = RandAnatomy((64, 64), body_prob=1.0, whole_prob=1.0).set_random_state(seed=0)
    for _ in range(5):
        assert anatomy().unique().tolist() == [0, 1]


def test_a_body_that_is_a_target_lies_in_tissue_and_leaves_room_around_it():
    anatomy = RandAnatomy((64, 64), body_prob=1.0, whole_prob=1.0).set_random_state(seed=1)
    for _ in range(20):
        anatomy.randomize()
        ground, *rest = anatomy.params.parts
        assert ground.label == 0
        assert ground.outline.radius >= np.sqrt(0.5)
        assert max(part.outline.radius for part in rest if part.label and not part.parent > 1) <= 0.42


def test_no_body_in_air_is_a_target():
    anatomy = RandAnatomy((64, 64), body_prob=1.0, whole_prob=0.0, num_organs=(1, 1)).set_random_state(seed=1)
    for _ in range(20):
        anatomy.randomize()
        assert not any(part.label for part in anatomy.params.parts if part.parent == 0)


def test_lobes_make_one_target_with_their_organ():
    options = {"body_prob": 0.0, "pair_prob": 0.0, "parts_prob": 0.0, "wall_prob": 0.0, "clutter_prob": 0.0}
    anatomy = RandAnatomy((64, 64), lobes_prob=1.0, num_organs=(1, 1), tissue_prob=0.0, **options)
    anatomy.set_random_state(seed=4)
    for _ in range(10):
        anatomy.randomize()
        organ, *lobes = (part for part in anatomy.params.parts if part.label)
        assert 1 <= len(lobes) <= 4
        for lobe in lobes:
            distance = np.hypot(*np.subtract(lobe.outline.center, organ.outline.center))
            assert np.isclose(distance, organ.outline.radius)
            assert lobe.label == organ.label


def test_parts_that_are_like_others_have_their_intensity():
    anatomy = RandAnatomy((64, 64), num_organs=(6, 6), like_prob=1.0, lobes_prob=1.0)
    intensity = RandSynthFMIntensity().set_random_state(seed=0)
    anatomy.set_random_state(seed=0).randomize()
    intensity.randomize_anatomy((64, 64), anatomy.params)
    values = intensity.params.base
    alike = [(number, part.like) for number, part in enumerate(anatomy.params.parts, start=1) if part.like]
    assert len(alike) >= 5
    assert all(other < number and values[number] == values[other] for number, other in alike)


def test_clutter_is_small_and_no_target():
    anatomy = RandAnatomy((64, 64), body_prob=0.0, clutter_prob=1.0, tissue_prob=0.0, num_organs=(1, 1), pair_prob=0.0)
    anatomy.set_random_state(seed=2).randomize()
    clutter = [part for part in anatomy.params.parts if part.outline.radius <= 0.03]
    assert len(clutter) >= 2
    assert not any(part.label or part.wall for part in clutter if part.parent == 0 and not part.outline.harmonics)


def test_tissue_makes_targets_of_the_whole_image():
    plain = RandAnatomy((64, 64), body_prob=0.0, tissue_prob=0.0).set_random_state(seed=5)
    mosaic = RandAnatomy((64, 64), body_prob=0.0, tissue_prob=1.0).set_random_state(seed=5)
    assert any((plain() == 0).any() for _ in range(3))
    assert np.mean([float((mosaic() > 0).float().mean()) for _ in range(3)]) > 0.9


@pytest.mark.parametrize("module", ["anatomy", "all"])
def test_whole_samples_replay_and_have_targets(module):
    generator = RandSynthFM((96, 64), module=module, native_size=(48, 120)).set_random_state(seed=1)
    found = 0
    for _ in range(12):
        image, labels = generator()
        again, same = generator.replay(image.meta["synthfm"])
        assert (image == again).all()
        assert (labels == same).all()
        assert image.shape == labels.shape == (1, 96, 64)
        assert 0 <= float(image.min()) <= float(image.max()) <= 1
        found += int(labels.max() > 0)
    assert found >= 10


def test_organs_that_look_alike_can_be_one_target():
    none = dict.fromkeys(("body_prob", "tissue_prob", "parts_prob", "lobes_prob"), 0.0)
    options = {"num_organs": (4, 4), "radius": (0.05, 0.1), **none}
    apart, joint = (RandAnatomy((64, 64), like_prob=1.0, joint_prob=p, **options) for p in (0.0, 1.0))
    for anatomy in (apart, joint):
        anatomy.set_random_state(seed=2).randomize()
        organs = [part for part in anatomy.params.parts if part.label]
        alike = [(part, anatomy.params.parts[part.like - 1]) for part in organs if part.like]
        assert len(alike) >= 3
        assert all((part.label == other.label) == (anatomy is joint) for part, other in alike)
        assert anatomy.params.joint == ((organs[0].label,) if anatomy is joint else ())
        labels = anatomy.replay(anatomy.params.to_json())
        assert (len(labels.unique()) == 2) == (anatomy is joint)


LONE = {"body_prob": 0.0, "clutter_prob": 0.0, "tissue_prob": 0.0, "pair_prob": 0.0, "lobes_prob": 0.0}


@settings(max_examples=25)
@given(st.integers(0, 2**31 - 1))
def test_whatever_lies_in_an_organ_of_several_greys_belongs_to_it(seed):
    anatomy = RandAnatomy((64, 64), mixed_prob=1.0, radius=(0.1, 0.3), num_organs=(3, 3), **LONE)
    labels = anatomy.set_random_state(seed=seed)()
    parts, mixed = anatomy.params.parts, [mixture.part for mixture in anatomy.params.mixtures]
    organs = [number for number, part in enumerate(parts, start=1) if part.label and not part.parent]
    assert mixed == organs
    assert len(organs) == 3
    assert all(part.label == parts[part.parent - 1].label for part in parts if part.parent in mixed)
    assert all(1 <= mixture.label_map.num_labels <= 4 for mixture in anatomy.params.mixtures)
    assert (anatomy.replay(anatomy.params.to_json()) == labels).all()


def test_organs_without_room_inside_are_of_one_grey():
    anatomy = RandAnatomy((64, 64), mixed_prob=1.0, radius=(0.02, 0.049), **LONE).set_random_state(seed=0)
    for _ in range(5):
        anatomy.randomize()
        assert not anatomy.params.mixtures


def test_twins_are_of_as_many_greys():
    anatomy = RandAnatomy((64, 64), mixed_prob=1.0, radius=(0.1, 0.2), num_organs=(1, 1), **{**LONE, "pair_prob": 1.0})
    anatomy.set_random_state(seed=0)
    counts = set()
    for _ in range(8):
        anatomy.randomize()
        one, twin = (mixture.label_map for mixture in anatomy.params.mixtures)
        assert one.num_labels == twin.num_labels
        assert one.seed != twin.seed
        counts.add(one.num_labels)
    assert len(counts) > 1


def test_a_body_that_is_the_only_target_stays_one_with_organs_of_several_greys():
    anatomy = RandAnatomy((64, 64), body_prob=1.0, whole_prob=1.0, mixed_prob=1.0).set_random_state(seed=0)
    mixtures = 0
    for _ in range(5):
        assert anatomy().unique().tolist() == [0, 1]
        mixtures += len(anatomy.params.mixtures)
    assert mixtures
