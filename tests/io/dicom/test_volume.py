# Copyright (c) monai_synthfm contributors
# Licensed under the Apache License, Version 2.0 (http://www.apache.org/licenses/LICENSE-2.0).
# SPDX-License-Identifier: Apache-2.0
"""Tests of stacking DICOM slices in any plane and any order of names."""

from __future__ import annotations

import random
from pathlib import Path

import nibabel as nib
import numpy as np
import pydicom
import pytest

from monai_synthfm.io.dicom.volume import dicom_number, dicom_spacing, read_dicom_stack, series_files
from monai_synthfm.io.faults import FaultError
from tests.replicas.chaos import PIXEL, write_slice

SHAPE = (9, 7, 5)
VOXELS = np.random.default_rng(0).integers(0, 4000, SHAPE)
PLANES = {"axial": [1, 0, 0, 0, 1, 0], "sagittal": [0, 1, 0, 0, 0, -1], "coronal": [1, 0, 0, 0, 0, -1]}


def write_stack(folder: Path, plane: str = "axial", step: float = 3.0) -> tuple[list[Path], np.ndarray]:
    """Write slices across a plane; return the files in order of position and the affine to RAS+ mm."""
    row, column = np.array(PLANES[plane][:3]), np.array(PLANES[plane][3:])
    normal = np.cross(row, column)
    files = []
    for z in range(SHAPE[2]):
        path = folder / f"{'dbeac'[z]}.dcm"
        write_slice(
            path, VOXELS[:, :, z], np.eye(4), z, "1.2.3", z, SliceThickness=7.0, RescaleIntercept=-1000, EchoTime=4.6
        )
        item = pydicom.dcmread(path)
        item.ImageOrientationPatient = PLANES[plane]
        item.ImagePositionPatient = (np.array([5.0, 6.0, 7.0]) + normal * step * z).tolist()
        item.save_as(path)
        files.append(path)
    affine = np.eye(4)
    affine[:3, :3] = np.stack([row * PIXEL, column * PIXEL, normal * step], axis=1)
    affine[:3, 3] = [5, 6, 7]
    return files, np.diag([-1, -1, 1, 1]) @ affine


@pytest.mark.parametrize("plane", PLANES)
def test_slices_in_any_order_become_the_volume_they_were_cut_from(tmp_path: Path, plane: str) -> None:
    files, affine = write_stack(tmp_path, plane)
    random.Random(3).shuffle(files)
    voxels, found, order = read_dicom_stack(files)
    np.testing.assert_array_equal(voxels, VOXELS - 1000)
    np.testing.assert_allclose(found, affine, atol=1e-6)
    assert ["dbeac".index(files[index].stem) for index in order] == [0, 1, 2, 3, 4]
    canonical = nib.as_closest_canonical(nib.Nifti1Image(voxels, affine))
    in_order = series_files(tmp_path)
    np.testing.assert_allclose(dicom_spacing(in_order), canonical.header.get_zooms(), rtol=1e-6)
    assert dicom_number(files[0], "0018|0081") == 4.6
    assert dicom_number(files[0], "0018|0080") is None


def change(path: Path, **tags: object) -> None:
    item = pydicom.dcmread(path)
    for tag, value in tags.items():
        setattr(item, tag, value)
    item.save_as(path)


@pytest.mark.parametrize(
    ("plant", "code"),
    [
        (lambda files: change(files[2], ImagePositionPatient=[5, 6, 7]), "slice_gap"),
        (lambda files: change(files[2], ImageOrientationPatient=[0, 1, 0, 0, 0, -1]), "slice_geometry"),
        (lambda files: change(files[2], Rows=3, PixelData=b"\0" * 54), "shape_mismatch"),
        (lambda files: files[2].unlink(), "unreadable"),
    ],
)
def test_slices_that_make_no_volume_are_refused(tmp_path: Path, plant, code: str) -> None:
    files, _ = write_stack(tmp_path)
    plant(files)
    with pytest.raises(FaultError, match=f"^{code}"):
        read_dicom_stack(files)
