# Copyright (c) monai_synthfm contributors
# Licensed under the Apache License, Version 2.0 (http://www.apache.org/licenses/LICENSE-2.0).
# SPDX-License-Identifier: Apache-2.0
"""Whole volumes and sequences made ready for evaluation."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from monai.data import MetaTensor

from monai_synthfm.data.case_preprocessing import MedSAMPreprocessing
from monai_synthfm.data.case_slices import CutIntoSlices
from monai_synthfm.data.case_volumes import CutIntoVolume
from monai_synthfm.data.datasets.case import LoadedCase
from monai_synthfm.io.faults import FaultError

KEEP_ALL = MedSAMPreprocessing(min_voxels=0, min_pixels=0)


def loaded(label: np.ndarray, spacing: list[float] | None, **more: Any) -> LoadedCase:
    affine = np.diag([*(spacing if spacing and len(spacing) == 3 else (1.0, 1.0, 1.0)), 1.0])
    image = torch.from_numpy(np.random.default_rng(0).uniform(1, 9, label.shape).astype(np.float32))[None]
    tensors = [MetaTensor(t, affine=affine, meta={"filename_or_obj": "a.nii"}) for t in (image, label_tensor(label))]
    case = {"dataset": "d", "case_id": "c", "patient_id": "p", "modality": "mr", "split": "test"}
    structures = {"a": 1, "b": 2}
    given = {"image": tensors[0], "label": tensors[1], "present": {}, "spacing": spacing, "structures": structures}
    return LoadedCase(**case, **given, **more)


def label_tensor(label: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(label.astype(np.int16))[None]


@given(plane=st.sampled_from(["axial", "coronal", "sagittal"]), seed=st.integers(0, 100))
@settings(max_examples=20)
def test_a_network_is_shown_the_slices_that_the_evaluation_of_slices_shows(plane: str, seed: int) -> None:
    label = np.random.default_rng(seed).integers(0, 3, (7, 6, 5))
    sample = loaded(label, [1.0, 2.0, 3.0])
    volume = CutIntoVolume(KEEP_ALL, plane=plane)(sample)
    for item in CutIntoSlices(KEEP_ALL, plane=plane)(sample).slices:
        assert np.array_equal(np.take(volume.image, item.index, axis=volume.axis + 1).swapaxes(-1, -2), item.image)
        for target in item.targets:
            (whole,) = [t for t in volume.targets if t.structure == target.structure]
            assert np.array_equal(np.take(whole.mask(volume.size), item.index, axis=volume.axis).T, target.mask)
            assert whole.areas(volume.axis)[item.index] == target.mask.sum()
    assert volume.spacing == (1.0, 2.0, 3.0)


def test_frames_of_a_sequence_become_slices_with_the_width_first() -> None:
    label = np.zeros((8, 6, 4))
    label[1:5, 2:4, 1:] = 1
    sample = loaded(label, [0.5, 0.25])
    volume = CutIntoVolume()(sample)
    assert (volume.is_sequence, volume.axis, volume.size, volume.spacing) == (True, 2, (6, 8, 4), (0.25, 0.5))
    slices = {item.index: item for item in CutIntoSlices()(sample).slices}
    assert volume.targets[0].areas(2) == {k: item.targets[0].mask.sum() for k, item in slices.items()}
    for index, item in slices.items():
        assert np.array_equal(volume.image[..., index].swapaxes(-1, -2), item.image)


def test_a_picture_is_skipped() -> None:
    volume = CutIntoVolume()(loaded(np.ones((8, 6)), [1.0, 1.0]))
    assert volume.targets == []
    assert [record["code"] for record in volume.skipped] == ["no_volume"]


def test_small_and_absent_structures_are_reported_and_not_asked_for() -> None:
    label = np.zeros((12, 12, 6))
    label[:2, :2, 0] = 1
    volume = CutIntoVolume()(loaded(label, [1.0, 1.0, 1.0]))
    assert volume.targets == []
    assert [record["code"] for record in volume.skipped] == ["too_small", "absent"]
    assert volume.skipped[0]["message"] == "too small (min_voxels 1000: largest component has 4)"


@pytest.mark.parametrize(
    ("objects", "sizes"),
    [("labelled", [12]), ("all", [12]), ("largest_component", [8]), ("each", [4, 8])],
)
def test_components_are_those_of_the_volume(objects: str, sizes: list[int]) -> None:
    label = np.zeros((9, 9, 5))
    label[0, 0, :4] = 1  # one object on four slices
    label[5:7, 5:7, 2] = label[6:8, 6:8, 3] = 1  # touches itself diagonally
    volume = CutIntoVolume(KEEP_ALL, objects=objects)(loaded(label, [1.0, 1.0, 1.0]))
    assert sorted(int(target.crop.sum()) for target in volume.targets) == sizes
    assert len({target.instance for target in volume.targets}) == len(sizes)


def test_labelled_objects_are_targets_of_their_own() -> None:
    label = np.zeros((6, 6, 4))
    label[1:3] = 1
    numbers = np.where(np.arange(4) < 2, 1, 7) * label
    volume = CutIntoVolume(KEEP_ALL)(loaded(label, [1.0, 1.0, 1.0], instances=label_tensor(numbers)))
    assert [(t.instance, t.areas(2)) for t in volume.targets] == [(1, {0: 12, 1: 12}), (7, {2: 12, 3: 12})]


def test_an_image_that_shows_nothing_is_a_fault() -> None:
    sample = loaded(np.ones((6, 6, 4)), [1.0, 1.0, 1.0])
    with pytest.raises(FaultError, match="unusable_image"):
        CutIntoVolume(KEEP_ALL)(replace(sample, image=sample["image"] * 0))


def test_a_volume_that_is_one_voxel_wide_across_the_plane_is_a_fault() -> None:
    with pytest.raises(FaultError, match=r"unusable_image: .*plane axial"):
        CutIntoVolume(KEEP_ALL, plane="axial")(loaded(np.ones((6, 1, 6)), [1.0, 1.0, 1.0]))


def test_unknown_objects_are_refused() -> None:
    with pytest.raises(ValueError, match="objects must be one of"):
        CutIntoVolume(objects="some")
