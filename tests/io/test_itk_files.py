# Copyright (c) monai_synthfm contributors
# Licensed under the Apache License, Version 2.0 (http://www.apache.org/licenses/LICENSE-2.0).
# SPDX-License-Identifier: Apache-2.0
"""MetaImage and NRRD files with endings in any case, and what is said of broken ones."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import SimpleITK

from monai_synthfm.io.faults import FaultError
from monai_synthfm.io.itk_files import ITK, itk_header, itk_image

VOXELS = np.arange(60, dtype=np.int16).reshape(3, 4, 5)


@pytest.mark.parametrize("ending", ITK)
def test_endings_in_capitals_are_read(tmp_path: Path, ending: str) -> None:
    path = tmp_path / f"a{ending}"
    SimpleITK.WriteImage(SimpleITK.GetImageFromArray(VOXELS), str(path))
    path = path.rename(tmp_path / f"a{ending.upper()}")
    np.testing.assert_array_equal(SimpleITK.GetArrayFromImage(itk_image(path)), VOXELS)
    assert itk_header(path).GetSize() == (5, 4, 3)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", r"unreadable: .*a\.mha: an empty file \(0 bytes\)$"),
        (b"no header", r"unreadable: .*a\.mha: ITK cannot read it: cut short, or without its data file \(.*\)$"),
        (None, r"missing_file: .*a\.mha: no such file$"),
    ],
)
def test_broken_files_are_told_in_one_sentence(tmp_path: Path, content: bytes | None, message: str) -> None:
    if content is not None:
        (tmp_path / "a.mha").write_bytes(content)
    with pytest.raises(FaultError, match=message) as caught:
        itk_image(tmp_path / "a.mha")
    assert str(caught.value).count("a.mha") <= 2
    assert not any(word in str(caught.value) for word in ("\n", "(0x", "Reason"))


def test_a_file_cut_short_and_one_without_its_voxels_are_not_called_missing(tmp_path: Path) -> None:
    for ending in (".mha", ".mhd"):
        SimpleITK.WriteImage(SimpleITK.GetImageFromArray(VOXELS), str(tmp_path / f"a{ending}"))
    whole = (tmp_path / "a.mha").read_bytes()
    (tmp_path / "a.mha").write_bytes(whole[:-20])
    (tmp_path / "a.raw").unlink()
    for ending in (".mha", ".mhd"):
        with pytest.raises(FaultError, match="cut short, or without its data file") as caught:
            itk_image(tmp_path / f"a{ending}")
        assert "No such file" not in str(caught.value)
