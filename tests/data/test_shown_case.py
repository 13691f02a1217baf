# Copyright (c) monai_synthfm contributors
# Licensed under the Apache License, Version 2.0 (http://www.apache.org/licenses/LICENSE-2.0).
# SPDX-License-Identifier: Apache-2.0
"""What evaluations of slices and of volumes share: how a case is turned, and what is an object in it."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from monai.data import MetaTensor

from monai_synthfm.data.case_preprocessing import MedSAMPreprocessing
from monai_synthfm.data.datasets.case import LoadedCase
from monai_synthfm.data.shown_case import OBJECTS, ShownCase, objects_of
from monai_synthfm.io.faults import FaultError


def shown(image: torch.Tensor, spacing: list[float] | None, plane: str = "axial") -> ShownCase:
    names = {"dataset": "d", "case_id": "c", "patient_id": "p", "modality": "us", "split": "test"}
    tensor = MetaTensor(image, affine=torch.eye(4), meta={"filename_or_obj": "a.nii"})
    case = LoadedCase(**names, image=tensor, label=tensor, present={}, spacing=spacing, structures={"a": 1})
    return ShownCase(case, MedSAMPreprocessing(), plane)


def test_a_picture_is_a_volume_of_one_slice() -> None:
    picture = torch.rand(1, 5, 7) * 200
    alone, first = shown(picture, [0.2, 0.3]), shown(picture[..., None], [0.2, 0.3])
    assert (alone.is_picture, first.is_picture) == (True, False)
    assert (alone.axis, alone.spacing) == (first.axis, first.spacing) == (2, (0.3, 0.2))
    np.testing.assert_array_equal(alone.image([0]), first.image([0]))
    assert alone.image([0]).shape == (1, 7, 5, 1)


def test_frames_that_are_not_needed_are_not_looked_at() -> None:
    frames = torch.rand(1, 5, 7, 3) * 200
    frames[..., 1] = 9.0  # shows nothing
    image = shown(frames, None).image([0, 2])
    assert [bool(image[..., k].any()) for k in range(3)] == [True, False, True]
    with pytest.raises(FaultError, match=r"unusable_image: a\.nii: image is constant"):
        shown(frames, None).image([0, 1])


@pytest.mark.parametrize(("plane", "axis"), [("sagittal", 0), ("coronal", 1), ("axial", 2)])
def test_slices_of_volumes_are_flipped_and_stay_in_their_order(plane: str, axis: int) -> None:
    values = np.arange(24).reshape(2, 3, 4)
    turned = shown(torch.rand(1, 2, 3, 4), [1.0, 2.0, 3.0], plane).turned(values)
    for index in range(values.shape[axis]):
        expected = np.take(values, index, axis)[::-1, ::-1]
        np.testing.assert_array_equal(np.take(turned, index, axis), expected)


@pytest.mark.parametrize("objects", OBJECTS)
def test_an_empty_mask_has_no_objects(objects: str) -> None:
    assert list(objects_of(np.zeros((3, 3), bool), None, objects)) == []
