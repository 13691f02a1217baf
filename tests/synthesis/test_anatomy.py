# Copyright (c) monai_synthfm contributors
# Licensed under the Apache License, Version 2.0 (http://www.apache.org/licenses/LICENSE-2.0).
# SPDX-License-Identifier: Apache-2.0
"""Drawn anatomies against scikit-image's polygons and scipy's distances."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from scipy import ndimage
from skimage.draw import polygon2mask

from monai_synthfm.synthesis.anatomy import AnatomyParams, MixtureParams, PartParams, TissueParams, draw_anatomy
from monai_synthfm.synthesis.label_maps import LabelMapParams, synthmorph_labels
from monai_synthfm.synthesis.outlines import OutlineParams, trace_outline

SIZE = (96, 128)
OVAL = OutlineParams((0.6, 0.5), 0.3, 1.5, 2.0, (), 0.0, 0.3, False)
PLAIN = PartParams(OVAL, parent=0, wall=0.0, gaps=(), label=1, wall_label=1)


def draw(*parts):
    regions, labels = draw_anatomy(AnatomyParams(SIZE, parts))
    return regions.numpy(), labels.numpy()


def test_a_part_fills_its_outline():
    regions, _ = draw(PLAIN)
    points = trace_outline(OVAL) * 96 - 0.5
    expected = polygon2mask(SIZE, points[:, ::-1])
    assert np.count_nonzero((regions == 1) != expected) < 0.02 * expected.sum() + np.count_nonzero(
        expected ^ ndimage.binary_erosion(expected)
    )


def test_a_part_does_not_leave_its_parent():
    disc = replace(OVAL, center=(0.9, 0.5), elongation=1.0)
    regions, labels = draw(PLAIN, replace(PLAIN, outline=disc, parent=1, label=2))
    alone, _ = draw(PLAIN)
    assert (regions == 2).any()
    assert not ((regions == 2) & (alone == 0)).any()
    assert np.array_equal(labels == labels[regions == 2].min(), regions == 2)


def test_later_parts_lie_over_earlier_ones():
    other = replace(PLAIN, outline=replace(OVAL, center=(0.8, 0.5)), label=2)
    alone, _ = draw(other)
    regions, _ = draw(PLAIN, other)
    assert np.array_equal(regions == 2, alone == 1)


def test_a_wall_is_the_rim_of_its_thickness():
    regions, labels = draw(replace(PLAIN, wall=0.06, wall_label=2))
    inside = regions > 0
    depth = ndimage.distance_transform_edt(inside)
    assert depth[regions == 2].max() <= 0.06 * 96 + 2.0
    assert depth[regions == 1].min() >= 0.06 * 96 - 2.0
    assert labels.max() == 2
    assert np.array_equal(labels == labels[regions == 2].min(), regions == 2)


def test_gaps_interrupt_the_wall():
    whole, _ = draw(replace(PLAIN, wall=0.05))
    half, _ = draw(replace(PLAIN, wall=0.05, gaps=((0.0, 0.5),)))
    share = np.count_nonzero(half == 2) / np.count_nonzero(whole == 2)
    assert 0.4 < share < 0.6
    assert np.array_equal(half > 0, whole > 0)


def test_labels_join_parts():
    child = replace(PLAIN, outline=replace(OVAL, radius=0.1), parent=1, label=1)
    regions, labels = draw(PLAIN, child)
    assert set(np.unique(regions)) == {0, 1, 2}
    assert np.array_equal(labels, (regions > 0).astype(int))


def test_a_label_cut_in_two_by_a_part_over_it_is_two_instances():
    bar = replace(OVAL, radius=0.2, elongation=12.0, angle=np.pi / 2, exponent=6.0)
    disc = replace(OVAL, elongation=1.0, radius=0.2, angle=0.0)
    regions, instances = draw(replace(PLAIN, outline=disc), replace(PLAIN, outline=bar, label=0))
    _, count = ndimage.label(regions == 1)
    assert count == 2
    assert instances.max() == 2


CELLS = LabelMapParams(SIZE, 5, (0.2, 0.4), (0.25,), 0.02, 64, seed=4)


def test_tissue_fills_what_organs_leave_of_its_part():
    organ = replace(PLAIN, outline=replace(OVAL, radius=0.12), parent=1, label=2)
    body = replace(PLAIN, label=0)
    bare, _ = draw(body, organ)
    regions, _ = draw_anatomy(AnatomyParams(SIZE, (body, organ), TissueParams(1, CELLS, None)))
    cells = synthmorph_labels(CELLS).numpy()
    assert np.array_equal(regions.numpy(), np.where(bare == 1, 2 * 2 + 1 + cells, bare))


def test_each_cell_of_tissue_is_an_instance_of_one_label():
    _, labels = draw_anatomy(AnatomyParams(SIZE, (PLAIN,), TissueParams(0, CELLS, None)))
    cells = np.where(draw(PLAIN)[0] == 0, 1 + synthmorph_labels(CELLS).numpy(), 0)
    pieces = sum(ndimage.label(cells == value, np.ones((3, 3)))[1] for value in range(1, 6))
    assert int(labels.max()) == pieces + 1


def test_tissue_with_a_label_is_part_of_that_instance():
    _, labels = draw_anatomy(AnatomyParams(SIZE, (PLAIN,), TissueParams(1, CELLS, 1)))
    assert np.array_equal(labels.numpy(), draw(PLAIN)[1])


def test_a_joint_label_is_one_instance_whatever_lies_between_its_pieces():
    left, right = (replace(PLAIN, outline=replace(OVAL, center=(x, 0.5), radius=0.15)) for x in (0.3, 1.0))
    other = replace(PLAIN, outline=replace(OVAL, center=(0.65, 0.5), radius=0.1), label=2)
    parts = (left, right, other)
    _, apart = draw(*parts)
    together = draw_anatomy(AnatomyParams(SIZE, parts, joint=(1,)))[1].numpy()
    assert len(np.unique(apart)) == 4
    assert len(np.unique(together)) == 3
    pieces, count = ndimage.label(together == together[48, 28])
    assert count == 2
    assert np.array_equal(pieces > 0, (apart == apart[48, 28]) | (apart == apart[48, 96]))


def test_sub_classes_lie_in_their_part_alone_and_belong_to_it():
    lesion = replace(PLAIN, outline=replace(OVAL, radius=0.1), parent=1)
    other = replace(PLAIN, outline=replace(OVAL, center=(1.1, 0.8), radius=0.15), label=2)
    parts = (PLAIN, lesion, other)
    bare, instances = draw(*parts)
    mixtures = (MixtureParams(1, CELLS), MixtureParams(3, replace(CELLS, num_labels=3, seed=4)))
    regions, labels = draw_anatomy(AnatomyParams(SIZE, parts, mixtures=mixtures))
    first, second = (synthmorph_labels(mixture.label_map).numpy() for mixture in mixtures)
    numbers = 2 * 3 + 1  # ground, parts and walls
    expected = np.where((bare == 1) & (first > 0), numbers + first - 1, bare)
    expected = np.where((bare == 3) & (second > 0), numbers + CELLS.num_labels - 1 + second - 1, expected)
    assert np.array_equal(regions.numpy(), expected)
    assert np.array_equal(labels.numpy(), instances)
    assert len(np.unique(expected)) > len(np.unique(bare)) + 3
