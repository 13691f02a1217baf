# Copyright (c) monai_synthfm contributors
# Licensed under the Apache License, Version 2.0 (http://www.apache.org/licenses/LICENSE-2.0).
# SPDX-License-Identifier: Apache-2.0
"""MetaImage and NRRD files, whatever the case of their endings."""

from __future__ import annotations

from pathlib import Path

import SimpleITK

from monai_synthfm.io.endings import ITK
from monai_synthfm.io.faults import unreadable

__all__ = ["ITK", "itk_header", "itk_image"]

_READERS = dict(zip(ITK, ("MetaImageIO", "MetaImageIO", "NrrdImageIO", "NrrdImageIO"), strict=True))


def itk_image(path: str | Path) -> SimpleITK.Image:
    """
    Read a file with its voxels.

    Raises:
        FaultError: when the file is missing, empty, of another format or cut short.
    """
    try:
        return _reader(path).Execute()
    except RuntimeError as error:
        raise unreadable(path, "ITK cannot read it: cut short, or without its data file", error) from error


def itk_header(path: str | Path) -> SimpleITK.ImageFileReader:
    """
    Read the header alone: size, spacing and direction.

    Raises:
        FaultError: when the file is missing, empty or of another format.
    """
    reader = _reader(path)
    try:
        reader.ReadImageInformation()
    except RuntimeError as error:
        raise unreadable(path, "ITK cannot read its header", error) from error
    return reader


def _reader(path: str | Path) -> SimpleITK.ImageFileReader:
    reader = SimpleITK.ImageFileReader()
    # ITK knows MetaImage by small letters alone
    reader.SetImageIO(_READERS.get(Path(path).suffix.lower(), ""))
    reader.SetFileName(str(path))
    return reader
