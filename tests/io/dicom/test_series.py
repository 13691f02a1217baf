# Copyright (c) monai_synthfm contributors
# Licensed under the Apache License, Version 2.0 (http://www.apache.org/licenses/LICENSE-2.0).
# SPDX-License-Identifier: Apache-2.0
"""The series in a folder: which there are, which one is meant, and whether a slice is missing."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pydicom
import pytest
from pydicom.data import get_testdata_file
from pydicom.uid import RTDoseStorage, SegmentationStorage, VLWholeSlideMicroscopyImageStorage

from monai_synthfm.io.dicom.series import choose_series, list_series
from monai_synthfm.io.dicom.volume import read_dicom_stack, series_files
from monai_synthfm.io.faults import FaultError
from tests.data.datasets.dicom_files import change, plain, save, write_series

VOXELS = np.random.default_rng(0).integers(0, 4000, (6, 5, 4))
STEP = np.diag([-0.8, -0.8, 3.0, 1.0])


def test_files_of_other_kinds_beside_a_series_are_left_out(tmp_path: Path) -> None:
    files = write_series(tmp_path, VOXELS, STEP)
    for name in ("rtdose_1frame.dcm", "liver_1frame.dcm", "rtplan.dcm", "test-SR.dcm"):
        shutil.copy(get_testdata_file(name), tmp_path / name)
    shutil.copy(get_testdata_file("DICOMDIR"), tmp_path / "DICOMDIR")
    slide = plain(np.ones((8, 9, 10)), VLWholeSlideMicroscopyImageStorage, "SM", SeriesInstanceUID="1.2.9")
    save(slide, tmp_path / "slide.dcm")
    (tmp_path / "README").write_text("Slices of a phantom.")
    (tmp_path / "labels.csv").write_text("")
    (tmp_path / "within").mkdir()
    assert sorted(series_files(tmp_path)) == sorted(map(str, files))


@pytest.mark.parametrize("z", [0, 1, 3])
@pytest.mark.parametrize("name", ["slice{}.dcm", "slice{}.IMA", "slice{}", "MR.1.2.840.7.{}"])
@pytest.mark.parametrize("share", [0.0, 0.05, 0.2, 0.3, 0.5, 0.7, 0.9, 0.98, 1.0])
def test_a_slice_that_is_cut_short_is_never_left_out(tmp_path: Path, z: int, name: str, share: float) -> None:
    files = write_series(tmp_path, VOXELS, STEP, name.format)
    whole = files[z].read_bytes()
    files[z].write_bytes(whole[: min(int(len(whole) * share), len(whole) - 1)])
    with pytest.raises(FaultError, match="unreadable") as caught:
        read_dicom_stack(series_files(tmp_path))
    assert caught.value.file == str(files[z])


def test_a_file_of_zeros_among_slices_is_not_left_out(tmp_path: Path) -> None:
    files = write_series(tmp_path, VOXELS, STEP, lambda k: f"IM{k}")
    files[3].write_bytes(bytes(files[3].stat().st_size))
    with pytest.raises(FaultError, match=r"unreadable: .*IM3: "):
        series_files(tmp_path)


def two(folder: Path) -> None:
    write_series(folder, VOXELS, STEP, lambda z: f"a{z}", SeriesNumber=3, SeriesDescription="T1 axial", Modality="MR")
    other = {"SeriesNumber": 11, "SeriesDescription": "scout", "SeriesInstanceUID": "1.2.4"}
    write_series(folder, VOXELS[:, :, :1], STEP, lambda z: f"b{z}", **other)


def test_several_series_are_listed_and_chosen_by_number_or_uid(tmp_path: Path) -> None:
    two(tmp_path)
    assert [str(item) for item in list_series(tmp_path)] == [
        "series 3 'T1 axial' (MR, 4 slices of 6 x 5)",
        "series 11 'scout' (CT, 1 slice of 6 x 5)",
    ]
    with pytest.raises(FaultError, match=r"found 2: series 3 'T1 axial' .*; series 11 'scout' .*option series"):
        choose_series(tmp_path)
    for given in (3, "3", "1.2.3"):
        assert len(choose_series(tmp_path, given).headers) == 4
    for given in (11, " 11 ", "1.2.4"):
        assert len(choose_series(tmp_path, given).headers) == 1
    with pytest.raises(FaultError, match="no series 4, there are: series 3 'T1 axial'"):
        choose_series(tmp_path, 4)


def test_series_of_one_number_are_told_by_their_uids(tmp_path: Path) -> None:
    two(tmp_path)
    change(tmp_path / "b0", SeriesNumber=3)
    with pytest.raises(FaultError, match=r"2 series are number 3: .* = 1\.2\.3; .* = 1\.2\.4"):
        choose_series(tmp_path, 3)
    assert len(choose_series(tmp_path, "1.2.4").headers) == 1


def test_a_series_without_a_number_is_named_by_its_uid(tmp_path: Path) -> None:
    two(tmp_path)
    change(tmp_path / "b0", SeriesNumber=None)
    with pytest.raises(FaultError, match=r"series 1\.2\.4 'scout'"):
        choose_series(tmp_path)


def test_a_folder_without_series_says_what_it_has(tmp_path: Path) -> None:
    with pytest.raises(FaultError, match=r"expected one DICOM series in the folder, found 0$"):
        choose_series(tmp_path)
    (tmp_path / "ct.nii.gz").write_bytes(b"\x1f\x8b")
    with pytest.raises(FaultError, match=r"found 0, only other files such as ct\.nii\.gz"):
        choose_series(tmp_path)
    write_series(tmp_path / "study" / "ct", VOXELS, STEP)
    write_series(tmp_path / "scout", VOXELS, STEP)
    with pytest.raises(FaultError, match="found 0, but there are some in folders within: scout, study/ct; give one"):
        choose_series(tmp_path)
    for kind, name in ((RTDoseStorage, "dose"), (SegmentationStorage, "seg")):
        save(plain(np.ones((2, 5, 6)), kind), tmp_path / f"{name}.dcm")
    with pytest.raises(FaultError, match=r"found 0, only a dose distribution, a segmentation$"):
        choose_series(tmp_path)


def test_real_files_of_one_study_are_told_apart() -> None:
    root = Path(get_testdata_file("DICOMDIR")).parent
    with pytest.raises(FaultError, match="folders within: CT2N, CT5N"):
        choose_series(root / "98892001")
    files = series_files(root / "98892001" / "CT5N")
    voxels, affine, order = read_dicom_stack(files)
    assert voxels.shape == (16, 16, 5)
    first = pydicom.dcmread(files[order[0]])
    np.testing.assert_allclose(affine[:3, 3], np.array(first.ImagePositionPatient, float) * [-1, -1, 1])
