# Copyright (c) monai_synthfm contributors
# Licensed under the Apache License, Version 2.0 (http://www.apache.org/licenses/LICENSE-2.0).
# SPDX-License-Identifier: Apache-2.0
"""Single DICOM images: radiographs with inverted grey, colours, frames, and spacing that is told or not."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

pydicom = pytest.importorskip("pydicom", reason="pydicom writes the DICOM files")
from pydicom.dataset import FileDataset, FileMetaDataset  # noqa: E402
from pydicom.pixels import convert_color_space  # noqa: E402
from pydicom.uid import (  # noqa: E402
    ComputedRadiographyImageStorage,
    ExplicitVRLittleEndian,
    UltrasoundImageStorage,
)

from monai_synthfm.io.dicom.pictures import dicom_picture_spacing, read_dicom_picture  # noqa: E402
from monai_synthfm.io.faults import FaultError  # noqa: E402

GREY = np.random.default_rng(0).integers(0, 4000, (7, 11)).astype(np.uint16)
COLOUR = np.random.default_rng(1).integers(40, 200, (7, 11, 3)).astype(np.uint8)


def write_image(path: Path, values: np.ndarray, photometric: str = "MONOCHROME2", frames: int = 0, **tags: Any) -> Path:
    """Write [H, W], [H, W, 3] or frames [N, H, W] as one DICOM file without a place in the body."""
    kind = ComputedRadiographyImageStorage if photometric.startswith("MONO") else UltrasoundImageStorage
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID, meta.TransferSyntaxUID = kind, ExplicitVRLittleEndian
    meta.MediaStorageSOPInstanceUID = pydicom.uid.generate_uid(entropy_srcs=[str(path)])
    item = FileDataset(str(path), {}, file_meta=meta, preamble=b"\0" * 128)
    item.SOPClassUID, item.SOPInstanceUID = kind, meta.MediaStorageSOPInstanceUID
    item.SeriesInstanceUID, item.Modality = pydicom.uid.generate_uid(entropy_srcs=["series", str(path)]), "CR"
    item.Rows, item.Columns = values.shape[1:3] if frames else values.shape[:2]
    item.SamplesPerPixel, item.PhotometricInterpretation = (3 if values.shape[-1] == 3 else 1), photometric
    if item.SamplesPerPixel == 3:
        item.PlanarConfiguration = 0
    if frames:
        item.NumberOfFrames = frames
    item.BitsAllocated = item.BitsStored = 8 * values.dtype.itemsize
    item.HighBit, item.PixelRepresentation = item.BitsStored - 1, 0
    for tag, value in tags.items():
        setattr(item, tag, value)
    item.PixelData = values.tobytes()
    item.save_as(path, enforce_file_format=True)
    return path


def test_grey_is_as_stored_and_inverted_grey_as_it_is_seen(tmp_path: Path) -> None:
    np.testing.assert_array_equal(read_dicom_picture(write_image(tmp_path / "a.dcm", GREY)), GREY)
    seen = read_dicom_picture(write_image(tmp_path / "b.dcm", GREY, "MONOCHROME1")).astype(int)
    np.testing.assert_array_equal(seen - seen.min(), GREY.max() - GREY.astype(int))


def test_colours_are_red_green_and_blue(tmp_path: Path) -> None:
    np.testing.assert_array_equal(read_dicom_picture(write_image(tmp_path / "a.dcm", COLOUR, "RGB")), COLOUR)
    found = read_dicom_picture(write_image(tmp_path / "b.dcm", COLOUR, "YBR_FULL"))
    np.testing.assert_allclose(found.astype(int), convert_color_space(COLOUR, "YBR_FULL", "RGB").astype(int), atol=1)


@pytest.mark.parametrize(
    ("tags", "expected"),
    [
        ({}, None),
        ({"PixelSpacing": [0.2, 0.3]}, [0.2, 0.3]),
        ({"ImagerPixelSpacing": [0.4, 0.5]}, [0.4, 0.5]),
        ({"PixelSpacing": [0.2, 0.3], "ImagerPixelSpacing": [0.4, 0.5]}, [0.2, 0.3]),
    ],
)
def test_spacing_is_rows_first_and_none_where_it_is_not_told(tmp_path: Path, tags: dict, expected: object) -> None:
    assert dicom_picture_spacing(write_image(tmp_path / "a.dcm", GREY, **tags)) == expected


def test_a_folder_is_the_one_image_in_it(tmp_path: Path) -> None:
    write_image(tmp_path / "IM1", GREY, PixelSpacing=[0.2, 0.3])
    (tmp_path / ".DS_Store").touch()
    np.testing.assert_array_equal(read_dicom_picture(tmp_path), GREY)
    assert dicom_picture_spacing(tmp_path) == [0.2, 0.3]
    (tmp_path / "IM2").touch()
    with pytest.raises(FaultError, match="expected one DICOM image in this folder, found IM1, IM2"):
        read_dicom_picture(tmp_path)


def test_frames_and_broken_files_are_refused_by_name(tmp_path: Path) -> None:
    write_image(tmp_path / "a.dcm", np.stack([GREY] * 4), frames=4)
    with pytest.raises(FaultError, match=r"shape_mismatch: .*a\.dcm: expected a single image, found 4 frames"):
        read_dicom_picture(tmp_path / "a.dcm")
    (tmp_path / "b.dcm").write_bytes(b"no DICOM")
    for read in (read_dicom_picture, dicom_picture_spacing):
        with pytest.raises(FaultError, match=r"unreadable: .*b\.dcm: not a (whole )?DICOM image \("):
            read(tmp_path / "b.dcm")
