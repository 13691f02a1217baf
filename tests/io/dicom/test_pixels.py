# Copyright (c) monai_synthfm contributors
# Licensed under the Apache License, Version 2.0 (http://www.apache.org/licenses/LICENSE-2.0).
# SPDX-License-Identifier: Apache-2.0
"""Pixels come as they were stored, whatever their compression and byte order."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pydicom
import pytest
from pydicom.data import get_testdata_file
from pydicom.uid import UltrasoundImageStorage

from monai_synthfm.io.dicom.headers import read_header
from monai_synthfm.io.dicom.volume import read_dicom
from tests.data.datasets.dicom_files import TO_LPS, place, plain, save

VOXELS = np.random.default_rng(0).integers(0, 4000, (6, 5, 7))


def test_each_slice_has_a_slope_of_its_own(tmp_path: Path) -> None:
    files = [
        save(
            plain(VOXELS[..., z], **{**place(np.eye(4), z), "RescaleSlope": z + 1, "RescaleIntercept": -z}),
            tmp_path / f"{z}.dcm",
        )
        for z in range(7)
    ]
    found = read_dicom([read_header(path) for path in files])
    np.testing.assert_allclose(found.voxels, VOXELS * np.arange(1, 8) - np.arange(7))


def test_grey_stored_as_colours_is_grey(tmp_path: Path) -> None:
    values = np.repeat(VOXELS[..., 0].T.astype(np.uint8)[..., None], 3, axis=-1)
    item = plain(VOXELS[..., 0], UltrasoundImageStorage, "US", SamplesPerPixel=3, PhotometricInterpretation="RGB")
    item.PlanarConfiguration, item.BitsAllocated, item.BitsStored, item.HighBit = 0, 8, 8, 7
    item.PixelData = values.tobytes()
    found = read_dicom([read_header(save(item, tmp_path / "a.dcm"))])
    np.testing.assert_array_equal(found.voxels[..., 0], values[..., 0].T)


@pytest.mark.parametrize("name", ["MR_small_RLE.dcm", "MR_small_bigendian.dcm", "MR_small_jp2klossless.dcm"])
def test_real_files_agree_with_what_pydicom_reads(name: str) -> None:
    found = read_dicom([read_header(get_testdata_file(name))])
    item = pydicom.dcmread(get_testdata_file("MR_small.dcm"))
    np.testing.assert_array_equal(found.voxels[..., 0], item.pixel_array.T)
    np.testing.assert_allclose(found.stack.affine[:3, 3], TO_LPS @ np.array(item.ImagePositionPatient, float))
