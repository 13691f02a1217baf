# Copyright (c) monai_synthfm contributors
# Licensed under the Apache License, Version 2.0 (http://www.apache.org/licenses/LICENSE-2.0).
# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from monai.data import DataLoader

from monai_synthfm.data.prompted_volumes import PromptedVolumeDataset
from monai_synthfm.data.slice_prompts import slice_index

PROMPTS = {"points": [[[3, 4, 2]]], "point_labels": [[1]]}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    array = np.random.default_rng(0).integers(0, 9, (5, 6, 7)).astype(np.int16)
    nib.save(nib.Nifti1Image(array, np.diag([-5.0, 1.0, 1.0, 1.0])), tmp_path / "a.nii.gz")
    return tmp_path


def test_item_holds_the_stored_volume_its_prompts_and_the_slicing_axis(folder: Path) -> None:
    item = PromptedVolumeDataset([{"image": "a.nii.gz", **PROMPTS}], root=folder)[0]
    np.testing.assert_array_equal(item["image"][0], nib.load(folder / "a.nii.gz").get_fdata())
    assert item["points"].tolist() == [[[3, 4, 2]]]
    assert item["point_labels"].tolist() == [[1]]
    assert item["boxes"].isnan().all()
    assert item["axis"] == 0  # 5 mm apart from right to left


def test_space_and_axis_belong_to_the_case(folder: Path) -> None:
    cases = [{"image": "a.nii.gz", **PROMPTS, "points": [[[-15, 4, 2]]], "space": "world", "axis": "coronal"}]
    item = PromptedVolumeDataset(cases, root=folder)[0]
    assert item["points"].tolist() == [[[3, 4, 2]]]
    assert item["axis"] == 1


def test_items_collate_after_the_transform(folder: Path) -> None:
    dataset = PromptedVolumeDataset([{"image": "a.nii.gz", **PROMPTS}], lambda item: {**item, "seen": True}, folder)
    batch = next(iter(DataLoader(dataset, batch_size=1)))
    assert batch["image"].shape == (1, 1, 5, 6, 7)
    assert batch["points"].shape == (1, 1, 1, 3)
    assert batch["axis"].tolist() == [0]
    assert batch["seen"].tolist() == [True]


def test_negative_clicks_alone_are_reported_with_the_slice_of_the_file(folder: Path) -> None:
    dataset = PromptedVolumeDataset([{"image": "a.nii.gz", **PROMPTS, "point_labels": [[0]]}], root=folder)
    with pytest.raises(ValueError, match="object 1 has only negative clicks on slice 3 of axis 0"):
        dataset[0]


@pytest.mark.parametrize("step", [1.0, -1.0])
def test_a_click_half_way_between_slices_is_checked_and_used_on_the_lower_one(tmp_path: Path, step: float) -> None:
    array = np.random.default_rng(0).integers(0, 9, (5, 6, 10)).astype(np.int16)
    nib.save(nib.Nifti1Image(array, np.diag([1.0, 1.0, step, 1.0])), tmp_path / "a.nii.gz")
    case = {"image": "a.nii.gz", "points": [[[3, 4, 2.5]]], "point_labels": [[1]], "axis": 2, "slice_range": [0, 2]}
    item = PromptedVolumeDataset([case], root=tmp_path)[0]
    click = item["points"][0, 0, 2].item()
    used = slice_index(9 - click) if item["reverse"] else slice_index(click)
    first, last = item["slice_range"].tolist()
    assert first <= used <= last
    assert used == (7 if item["reverse"] else 2)
    with pytest.raises(ValueError, match=r"prompts lie on slices \[2\] of axis 2, out of slice_range 3 to 4"):
        PromptedVolumeDataset([{**case, "slice_range": [3, 4]}], root=tmp_path)[0]


def test_a_case_without_image_is_refused(folder: Path) -> None:
    with pytest.raises(ValueError, match="image: no file was given"):
        PromptedVolumeDataset([{"image": None, **PROMPTS}], root=folder)[0]
