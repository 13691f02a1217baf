# Copyright (c) monai_synthfm contributors
# Licensed under the Apache License, Version 2.0 (http://www.apache.org/licenses/LICENSE-2.0).
# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from collections.abc import Mapping

import nibabel as nib
import numpy as np
import pytest
import torch
from monai.data import MetaTensor

from monai_synthfm.pictures.overlay import OverlayPanel, draw_overlay
from monai_synthfm.pictures.volume_panels import volume_panels
from monai_synthfm.prompts import Prompts
from monai_synthfm.prompts.slice_prompts import SlicePrompts, prompts_by_slice

AFFINE = np.diag([1.0, 2.0, 5.0, 1.0])  # stored R A S
SHAPE = (12, 10, 8)
OBJECT = np.s_[2:5, 6:9, 1:4]
CLICK = torch.tensor([[[3.0, 7.0, 2.0]]])  # in the file


def panels(shape: tuple[int, ...] = SHAPE, labelled: bool = True, **meta: object) -> list[OverlayPanel]:
    grey = np.linspace(0, 1, int(np.prod(shape)), dtype=np.float32).reshape(shape)
    labels = np.zeros(shape, np.uint8)
    if labelled:
        labels[OBJECT] = 2
        labels[0, 0, 0] = 1
    affine = torch.from_numpy(AFFINE)
    image = MetaTensor(torch.from_numpy(grey)[None], affine=affine, meta=meta)
    return volume_panels(image, labels, clicked(shape), axis=2)


def clicked(shape: tuple[int, ...]) -> Mapping[int, SlicePrompts]:
    click = CLICK.clone()
    click[..., 2] = min(float(click[0, 0, 2]), shape[2] - 1)
    return prompts_by_slice(Prompts(click, torch.tensor([[1]])), axis=2)


def test_three_planes_cut_the_largest_object_in_its_middle() -> None:
    axial, coronal, sagittal, prompted = panels()
    assert [one.title for one in (axial, coronal, sagittal)] == ["axial, k = 2", "coronal, j = 7", "sagittal, i = 3"]
    assert [one.edges for one in (axial, coronal, sagittal)] == ["RLAP", "RLSI", "APSI"]
    assert [one.aspect for one in (axial, coronal, sagittal)] == [2.0, 5.0, 2.5]
    for one in (axial, coronal, sagittal):
        assert np.count_nonzero(one.labels == 2) == 9
        assert one.prompts.objects == []
    # the patient's right is on the left: the file's first axis runs to the right of the patient
    expected = np.zeros(SHAPE[:2])
    expected[OBJECT[:2]] = 2
    np.testing.assert_array_equal(axial.labels, expected[::-1, ::-1].T)
    assert prompted.title == "axial, k = 2"
    assert prompted.prompts.objects == [0]
    x, y, _ = CLICK[0, 0].tolist()
    assert prompted.prompts.prompts.points.tolist() == [[[SHAPE[0] - 1 - x, SHAPE[1] - 1 - y]]]


def test_an_image_of_unknown_place_has_neither_sides_nor_planes() -> None:
    found = panels(has_position=False)
    assert [one.title for one in found] == ["k = 2", "j = 7", "i = 3", "k = 2"]
    assert {one.edges for one in found} == {""}


def test_an_empty_segmentation_is_shown_through_the_middle_of_the_volume() -> None:
    assert [one.title for one in panels(labelled=False)][:3] == ["axial, k = 3", "coronal, j = 4", "sagittal, i = 5"]


def test_a_single_slice_has_no_other_planes() -> None:
    (only,) = panels((12, 10, 1), labelled=False)
    assert only.title == "axial, k = 0"


def test_objects_are_outlined_on_slices_where_they_are_not_prompted() -> None:
    axial, *_ = panels()
    (ax,) = draw_overlay([axial]).axes
    (outline,) = ax.collections
    vertices = outline.get_paths()[0].vertices
    x, y = SHAPE[0] - 1 - np.array([4, 2]), SHAPE[1] - 1 - np.array([8, 6])
    np.testing.assert_allclose([*vertices.min(0), *vertices.max(0)], [x[0] - 0.5, y[0] - 0.5, x[1] + 0.5, y[1] + 0.5])


def test_a_mask_that_was_given_is_dotted() -> None:
    mask = torch.zeros(1, 10, 12, dtype=torch.bool)
    mask[0, 2:4, 3:6] = True
    given = SlicePrompts([0], Prompts(torch.zeros(1, 1, 2), torch.full((1, 1), -1)), mask)
    panel = OverlayPanel(np.zeros((10, 12)), np.zeros((10, 12), int), given, "title", "RLAP")
    (ax,) = draw_overlay([panel]).axes
    dotted = [one for one in ax.collections if one.get_paths() and one.get_linestyle()[0][1] is not None]
    assert len(dotted) == 1


@pytest.mark.parametrize("number", [0, 1, 24, 47])
def test_planes_do_not_depend_on_how_the_volume_is_stored(number: int) -> None:
    from tests.bundles.stored_volumes import ORIENTATIONS

    ornt = ORIENTATIONS[number]
    labels = np.zeros(SHAPE, np.uint8)
    labels[OBJECT] = 1
    stored, affine = nib.apply_orientation(labels, ornt).copy(), AFFINE @ nib.orientations.inv_ornt_aff(ornt, SHAPE)
    image = MetaTensor(torch.from_numpy(stored)[None].float(), affine=torch.from_numpy(affine))
    found = volume_panels(image, stored, {}, axis=2)
    reference = panels()[:3]
    for one, other in zip(found, reference, strict=True):
        np.testing.assert_array_equal(one.labels > 0, other.labels == 2)
        assert (one.edges, one.aspect) == (other.edges, pytest.approx(other.aspect))
