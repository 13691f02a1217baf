# Copyright (c) monai_synthfm contributors
# Licensed under the Apache License, Version 2.0 (http://www.apache.org/licenses/LICENSE-2.0).
# SPDX-License-Identifier: Apache-2.0
"""Single DICOM images that do not lie in a volume: radiographs, mammograms, ultrasound."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import SimpleITK

from monai_synthfm.io.faults import FaultError, unreadable
from monai_synthfm.io.folders import contents, entries

__all__ = ["dicom_picture_spacing", "read_dicom_picture"]

_SPACINGS = ("0028|0030", "0018|1164")
"""Pixel spacing in the patient, and at the detector, rows first."""


def read_dicom_picture(path: str | Path) -> np.ndarray:
    """
    Read one DICOM image as it is seen on a screen: MONOCHROME1 is inverted, YBR becomes RGB, rescaling is applied.

    Args:
        path: a file, or a folder that holds one alone.

    Returns:
        [H, W] or [H, W, 3].

    Raises:
        FaultError: when it cannot be read, or has several frames or files.
    """
    file = _file(path)
    reader = _reader(file)
    try:
        image = reader.Execute()
    except RuntimeError as error:
        raise unreadable(file, "not a whole DICOM image", error) from error
    values = SimpleITK.GetArrayFromImage(image)
    if image.GetDimension() == 3:
        if image.GetSize()[2] != 1:
            raise FaultError("shape_mismatch", file, f"expected a single image, found {image.GetSize()[2]} frames")
        values = values[0]
    return values


def dicom_picture_spacing(path: str | Path) -> list[float] | None:
    """Read mm between rows and between columns, in the patient or else at the detector; None where neither is told."""
    file = _file(path)
    reader = _reader(file)
    try:
        reader.ReadImageInformation()
    except RuntimeError as error:
        raise unreadable(file, "not a DICOM image", error) from error
    # ITK itself takes 1 mm where there is none, and does not look for the patient's where there is a detector
    told = next((reader.GetMetaData(tag) for tag in _SPACINGS if reader.HasMetaDataKey(tag)), None)
    return [float(size) for size in told.split("\\")] if told and told.strip() else None


def _file(path: str | Path) -> Path:
    if not Path(path).is_dir():
        return Path(path)
    files = [entry for entry in entries(path) if entry.is_file()]
    if len(files) != 1:
        message = f"expected one DICOM image in this folder, found {contents(path)}"
        raise FaultError("shape_mismatch", path, message)
    return files[0]


def _reader(file: Path) -> SimpleITK.ImageFileReader:
    reader = SimpleITK.ImageFileReader()
    reader.SetImageIO("GDCMImageIO")
    reader.SetFileName(str(file))
    return reader
