# Copyright (c) monai_synthfm contributors
# Licensed under the Apache License, Version 2.0 (http://www.apache.org/licenses/LICENSE-2.0).
# SPDX-License-Identifier: Apache-2.0
"""The inference bundle answers wrong input with one message and leaves no file."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest
from monai.bundle import ConfigWorkflow

from tests.bundles.stored_volumes import CLICK, ORIENTATIONS, STRAIGHT, root_of, store


def nan_filled(array: np.ndarray) -> np.ndarray:
    return np.full(array.shape, np.nan, np.float32)


WRONG = {
    "4d": (lambda a: np.stack([a, a], -1), CLICK, "expected 2 or 3 dimensions, found shape (24, 22, 9, 2)."),
    "empty": (lambda a: a[:0], CLICK, "no voxels, its shape is (0, 22, 9)."),
    "nan": (nan_filled, CLICK, "4752 of 4752 voxels are NaN or infinite."),
    "no prompt": (None, {}, "nothing is prompted: give points with point_labels, boxes, or a mask."),
    "outside": (
        None,
        {"points": [[[9, 22, 4]]], "point_labels": [[1]]},
        "click 1 of object 1 lies outside the volume of 24 x 22 x 9 voxels: voxel [9.0, 22.0, 4.0].",
    ),
    "objects": (
        None,
        {**CLICK, "boxes": [[], [0, 0, 0, 1, 1, 1]]},
        "all prompts must speak of the same objects, got {'points': 1, 'point_labels': 1, 'boxes': 2}.",
    ),
    "label": (
        None,
        {**CLICK, "point_labels": [[3]]},
        "point_labels of object 1 must be 1 (positive) or 0 (negative), got [3].",
    ),
    "only negative": (
        None,
        {**CLICK, "point_labels": [[0]]},
        "object 1 has only negative clicks, which do not say where it is: add a positive click, a box or a mask.",
    ),
    "space": (None, {**CLICK, "space": "mm"}, "space must be one of voxel, world, lps, got 'mm'."),
    "axis": (None, {**CLICK, "axis": "k"}, "axis must be one of auto, axial, coronal, sagittal, 0, 1, 2, got 'k'."),
    "range": (
        None,
        {**CLICK, "slice_range": [5, 7]},
        "prompts lie on slices [4] of axis 2, out of slice_range 5 to 7.",
    ),
    "backward range": (
        None,
        {**CLICK, "slice_range": [5, 3]},
        "slice_range must be [first, last] within slices 0 to 8, got [5, 3].",
    ),
    "range in words": (
        None,
        {**CLICK, "slice_range": "3,5"},
        "slice_range must be [first, last] within slices 0 to 8, got '3,5'.",
    ),
    "modality": (
        lambda a: -a,
        {**CLICK, "modality": "mr"},
        "image has no voxel above 0 (maximum -100), so its percentiles are unknown; "
        "give the modality 'ct' if these are Hounsfield units.",
    ),
}


@pytest.mark.parametrize("name", WRONG)
def test_wrong_input_gives_one_message_and_no_file(
    segment: Callable[..., ConfigWorkflow], tmp_path: Path, voxels: np.ndarray, name: str
) -> None:
    change, prompts, message = WRONG[name]
    path = tmp_path / "in.nii.gz"
    nib.save(nib.Nifti1Image(voxels if change is None else change(voxels), STRAIGHT), path)
    with pytest.raises(RuntimeError) as caught:
        segment(path, **prompts)
    error = root_of(caught.value)
    assert isinstance(error, ValueError)
    assert str(error).removeprefix(f"image {path}: ") == message
    assert [found.name for found in tmp_path.iterdir()] == ["in.nii.gz"]


def test_no_image_and_no_file_are_told_apart(segment: Callable[..., ConfigWorkflow], tmp_path: Path) -> None:
    for image, message in (("", "image: no file was given"), (str(tmp_path / "no.nii"), "no such file")):
        with pytest.raises(RuntimeError) as caught:
            segment(image, **CLICK)
        assert message in str(root_of(caught.value))
    assert not list(tmp_path.iterdir())


def test_a_failing_writer_leaves_no_file(
    segment: Callable[..., ConfigWorkflow], tmp_path: Path, voxels: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*arguments: Any, **keywords: Any) -> None:
        raise OSError("no space left on device")

    monkeypatch.setattr("matplotlib.figure.Figure.savefig", full)
    store(tmp_path / "in.nii.gz", voxels, STRAIGHT, ORIENTATIONS[0])
    with pytest.raises(RuntimeError) as caught:
        segment(tmp_path / "in.nii.gz", **CLICK)
    assert "no space left" in str(root_of(caught.value))
    assert [found.name for found in tmp_path.iterdir()] == ["in.nii.gz"]


def test_a_prediction_that_was_turned_is_never_written(
    segment: Callable[..., ConfigWorkflow], tmp_path: Path, voxels: np.ndarray
) -> None:
    store(tmp_path / "in.nii.gz", voxels, STRAIGHT, ORIENTATIONS[0])
    turn = {"_target_": "Orientationd", "keys": "pred", "axcodes": "LPI", "labels": None}
    with pytest.raises(RuntimeError) as caught:
        segment(tmp_path / "in.nii.gz", **CLICK, **{"evaluator::postprocessing": turn})
    assert "pred is not in the orientation of" in str(root_of(caught.value))
    assert not (tmp_path / "out").exists()


def test_relative_image_names_start_at_dataset_dir(
    segment: Callable[..., ConfigWorkflow], tmp_path: Path, voxels: np.ndarray
) -> None:
    store(tmp_path / "in.nii.gz", voxels, STRAIGHT, ORIENTATIONS[0])
    segment("in.nii.gz", dataset_dir=str(tmp_path), **CLICK)
    assert (tmp_path / "out" / "in_segmentation.nii.gz").is_file()
