# Copyright (c) monai_synthfm contributors
# Licensed under the Apache License, Version 2.0 (http://www.apache.org/licenses/LICENSE-2.0).
# SPDX-License-Identifier: Apache-2.0
"""Which slices of a case are evaluated, what lies on them, and how they are turned."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from monai.data import MetaTensor

from monai_synthfm.data.case_preprocessing import MedSAMPreprocessing
from monai_synthfm.data.case_slices import CutIntoSlices
from monai_synthfm.data.datasets.case import LoadedCase
from monai_synthfm.io.faults import FaultError

KEEP_ALL = MedSAMPreprocessing(min_voxels=0, min_pixels=0)


def volume(shape: tuple[int, int, int] = (12, 10, 6), spacing: tuple[float, ...] = (1.0, 2.0, 3.0)) -> LoadedCase:
    affine = np.diag([*spacing, 1.0])
    image = MetaTensor(torch.rand(1, *shape) + 1, affine=affine)
    label = MetaTensor(torch.zeros(1, *shape, dtype=torch.int16), affine=affine)
    return sample(image, label, list(spacing))


def sample(image: torch.Tensor, label: torch.Tensor, spacing: list[float] | None = None) -> LoadedCase:
    case = {"dataset": "d", "case_id": "c", "patient_id": "p", "modality": "mr", "split": "test"}
    tensors = {"image": MetaTensor(image), "label": MetaTensor(label), "present": {}}
    return LoadedCase(**case, **tensors, spacing=spacing, structures={"a": 1, "b": 2})


def test_axial_slices_show_anterior_on_top_and_the_right_side_on_the_left() -> None:
    loaded = volume()
    loaded["label"][0, 10, 8, 4] = 1  # far right, anterior, superior
    (item,) = CutIntoSlices(KEEP_ALL)(loaded).slices
    assert item.index == 4
    assert item.image.shape == (1, 10, 12)
    assert np.argwhere(item.targets[0].mask).tolist() == [[1, 1]]
    assert item.spacing == (2.0, 1.0)


@pytest.mark.parametrize(
    ("plane", "index", "place", "spacing"),
    [("coronal", 8, [1, 1], (3.0, 1.0)), ("sagittal", 10, [1, 1], (3.0, 2.0)), ("auto", 4, [1, 1], (2.0, 1.0))],
)
def test_other_planes(plane: str, index: int, place: list[int], spacing: tuple[float, float]) -> None:
    loaded = volume()
    loaded["label"][0, 10, 8, 4] = 1
    (item,) = CutIntoSlices(KEEP_ALL, plane=plane)(loaded).slices
    assert item.index == index
    assert np.argwhere(item.targets[0].mask).tolist() == [place]
    assert item.spacing == spacing


def test_largest_takes_one_slice_for_each_structure_and_all_takes_every_one() -> None:
    loaded = volume()
    loaded["label"][0, 2:4, 2:4, 1] = 1
    loaded["label"][0, 2:6, 2:6, 2] = 1
    loaded["label"][0, 2:6, 2:6, 3] = 1
    loaded["label"][0, 8, 8, 1] = 2

    def found(slices: str) -> list[tuple[int, list[str]]]:
        sliced = CutIntoSlices(KEEP_ALL, slices=slices)(loaded)
        return [(item.index, [t.structure for t in item.targets]) for item in sliced.slices]

    assert found("largest") == [(1, ["b"]), (2, ["a"])]
    assert found("all") == [(1, ["a", "b"]), (2, ["a"]), (3, ["a"])]


def test_frames_of_a_sequence_are_pictures_that_are_not_turned() -> None:
    image = torch.rand(1, 7, 9, 3) * 200 + 1
    label = torch.zeros(1, 7, 9, 3, dtype=torch.int16)
    label[0, 1, 2, 2] = 1
    loaded = sample(MetaTensor(image), MetaTensor(label), [0.3, 0.2])
    (item,) = CutIntoSlices()(loaded).slices
    assert item.index == 2
    assert np.argwhere(item.targets[0].mask).tolist() == [[1, 2]]
    assert item.spacing == (0.3, 0.2)
    assert np.array_equal(item.image, MedSAMPreprocessing()(image[..., 2], "us", 2).numpy())


def pictured() -> LoadedCase:
    label = torch.zeros(1, 20, 30, dtype=torch.int16)
    label[0, 2:6, 2:6] = 1
    label[0, 10:12, 10:12] = 1
    return sample(torch.rand(1, 20, 30) * 200 + 1, label)


@pytest.mark.parametrize(
    ("objects", "areas"),
    [("labelled", {0: 20}), ("all", {0: 20}), ("largest_component", {0: 16}), ("each", {1: 16, 2: 4})],
)
def test_what_a_target_is(objects: str, areas: dict[int, int]) -> None:
    (item,) = CutIntoSlices(objects=objects)(pictured()).slices
    assert item.index == -1
    assert item.spacing is None
    assert {t.instance: int(t.mask.sum()) for t in item.targets} == areas


@pytest.mark.parametrize(("objects", "areas"), [("labelled", {4: 16, 9: 4}), ("each", {4: 16, 9: 4}), ("all", {0: 20})])
def test_labelled_objects_are_targets_of_their_own(objects: str, areas: dict[int, int]) -> None:
    loaded = pictured()
    loaded = replace(loaded, instances=torch.zeros_like(loaded["label"]))
    loaded["instances"][0, 2:6, 2:6], loaded["instances"][0, 10:12, 10:12] = 4, 9
    (item,) = CutIntoSlices(objects=objects)(loaded).slices
    assert {t.instance: int(t.mask.sum()) for t in item.targets} == areas


def test_small_objects_of_pictures_stay() -> None:
    assert CutIntoSlices()(pictured()).slices


def test_what_is_left_out_is_reported() -> None:
    loaded = volume((30, 30, 6))
    loaded["label"][0, 0:20, 0:20, 0:5] = 1
    loaded["label"][0, 25, 25, 0] = 1
    sliced = CutIntoSlices()(loaded)
    records = {record["structure"]: record for record in sliced.skipped}
    assert (records["a"]["code"], records["a"]["components"], records["a"]["voxels"]) == ("small_objects", 1, 1)
    assert records["b"]["code"] == "absent"
    loaded["label"][0, 25, 25, 1] = 2
    assert {r["structure"]: r["code"] for r in CutIntoSlices()(loaded).skipped}["b"] == "too_small"


def test_an_image_that_shows_nothing_is_a_fault_of_its_file() -> None:
    blank = MetaTensor(torch.ones(1, 20, 30), meta={"filename_or_obj": "blank.png"})
    loaded = replace(pictured(), image=blank)
    with pytest.raises(FaultError, match=r"unusable_image: blank\.png: image is constant"):
        CutIntoSlices()(loaded)


def test_a_volume_that_is_one_voxel_wide_across_the_plane_is_a_fault_of_its_file() -> None:
    image = MetaTensor(torch.rand(1, 20, 1, 20), affine=torch.eye(4), meta={"filename_or_obj": "coronal.nii.gz"})
    with pytest.raises(FaultError, match=r"unusable_image: coronal\.nii\.gz: plane axial"):
        CutIntoSlices(plane="axial")(sample(image, torch.ones(1, 20, 1, 20, dtype=torch.int16), [1.0, 1.0, 1.0]))


def test_structures_that_overlap_in_channels_are_both_found() -> None:
    loaded = pictured()
    second = torch.zeros_like(loaded["label"])
    second[0, 3:5, 3:5] = 2
    loaded = replace(loaded, label=torch.cat([loaded["label"], second]))
    (item,) = CutIntoSlices()(loaded).slices
    assert {t.structure: int(t.mask.sum()) for t in item.targets} == {"a": 20, "b": 4}


@pytest.mark.parametrize("wrong", [{"slices": "some"}, {"objects": "none"}])
def test_wrong_arguments_are_named(wrong: dict) -> None:
    with pytest.raises(ValueError, match=next(iter(wrong))):
        CutIntoSlices(**wrong)
