# Copyright (c) monai_synthfm contributors
# Licensed under the Apache License, Version 2.0 (http://www.apache.org/licenses/LICENSE-2.0).
# SPDX-License-Identifier: Apache-2.0
"""What a header alone says: whether a file is DICOM, and what its values are."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from pydicom.data import get_testdata_file
from pydicom.uid import MRImageStorage, SecondaryCaptureImageStorage

from monai_synthfm.io.dicom.headers import is_dicom, modality_of, read_header
from monai_synthfm.io.faults import FaultError
from tests.data.datasets.dicom_files import plain, save

VOXELS = np.random.default_rng(0).integers(0, 4000, (6, 5, 1))


def test_the_modality_is_that_of_the_values(tmp_path: Path) -> None:
    for kind, given, expected in (
        (MRImageStorage, "MR", "MR"),
        (MRImageStorage, "OT", ""),
        (SecondaryCaptureImageStorage, "CT", ""),
    ):
        path = save(plain(VOXELS[..., 0], kind, given), tmp_path / "a.dcm")
        assert modality_of(read_header(path)) == expected


def test_a_file_is_dicom_by_what_is_in_it(tmp_path: Path) -> None:
    path = save(plain(VOXELS[..., 0]), tmp_path / "IM1")
    assert is_dicom(path)
    whole = path.read_bytes()
    path.write_bytes(whole[whole.index(b"\x08\x00\x16\x00UI") :])  # as files of before 1993 begin
    assert is_dicom(path)
    assert read_header(path).Rows == 5
    path.write_bytes(bytes(10**7))  # which would take seconds to go through as elements
    assert not is_dicom(path)
    path.write_text("hello " * 100)
    assert not is_dicom(path)


@pytest.mark.parametrize("name", ["README.txt", "zipMR.gz"])
def test_files_of_other_formats_are_not_dicom(name: str) -> None:
    assert not is_dicom(get_testdata_file(name))
    with pytest.raises(FaultError, match=r"unreadable: .*not a whole DICOM file"):
        read_header(get_testdata_file(name))


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(FaultError, match=r"unreadable: .*no\.dcm: no such file"):
        read_header(tmp_path / "no.dcm")
