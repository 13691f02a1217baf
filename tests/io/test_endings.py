# Copyright (c) monai_synthfm contributors
# Licensed under the Apache License, Version 2.0 (http://www.apache.org/licenses/LICENSE-2.0).
# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from pathlib import Path

import pytest

from monai_synthfm.io.endings import check_image, file_format, is_nifti
from monai_synthfm.io.volume_files import load_image


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("no.nii.gz", None, "no such file."),
        ("zero.nii.gz", b"", "the file is empty."),
        ("report.pdf", b"%PDF-1.7", "expected DICOM, or a name that ends in one of .nii.gz, "),
        ("ct", b"\0" * 200, "expected DICOM, or a name that ends in one of .nii.gz, "),
        ("folder/", None, "expected the files of a DICOM series in this folder, found nothing."),
    ],
)
def test_what_cannot_be_an_image_is_refused_by_its_name_and_size(
    tmp_path: Path, name: str, content: bytes | None, message: str
) -> None:
    path = tmp_path / name
    if name.endswith("/"):
        path.mkdir()
    elif content is not None:
        path.write_bytes(content)
    for check in (check_image, load_image):
        with pytest.raises((FileNotFoundError, ValueError)) as caught:
            check(path)
        assert str(caught.value).startswith(f"image {path}: {message}")


def test_a_dicom_file_needs_no_ending(tmp_path: Path) -> None:
    (tmp_path / "IM0001").write_bytes(b"\0" * 128 + b"DICM")
    assert check_image(tmp_path / "IM0001") == "dicom"
    assert check_image(tmp_path) == "dicom"


@pytest.mark.parametrize(
    ("name", "kind"), [("a.NII", "nifti"), ("a.mhd", "itk"), ("a.JPEG", "pillow"), ("a.ima", "dicom")]
)
def test_endings_tell_the_format(name: str, kind: str) -> None:
    assert file_format(name) == kind
    assert is_nifti(name) == (kind == "nifti")
