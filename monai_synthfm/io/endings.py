# Copyright (c) monai_synthfm contributors
# Licensed under the Apache License, Version 2.0 (http://www.apache.org/licenses/LICENSE-2.0).
# SPDX-License-Identifier: Apache-2.0
"""What the ending of a name says of a file. Nothing here reads arrays, so that a command line can ask at once."""

from __future__ import annotations

from pathlib import Path

from monai_synthfm.io.dicom.headers import ENDINGS as DICOM
from monai_synthfm.io.dicom.headers import is_dicom
from monai_synthfm.io.faults import FaultError

__all__ = ["DICOM", "FORMATS", "ITK", "NIFTI", "PILLOW", "check_image", "file_format", "is_nifti"]

NIFTI = (".nii.gz", ".nii.bz2", ".nii.zst", ".nii")
"""Endings of the names of NIfTI files, in small letters; capitals are the same."""
ITK = (".mha", ".mhd", ".nrrd", ".nhdr")
"""Endings of the names of MetaImage and NRRD files."""
PILLOW = (".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff")
FORMATS = (*NIFTI, *ITK, *PILLOW, *DICOM)


def is_nifti(path: str | Path) -> bool:
    """
    Return whether a file is NIfTI by the ending of its name.

    Example:
        >>> is_nifti("CT.NII.GZ"), is_nifti("ct.nii.bz2"), is_nifti("ct.gz")
        (True, True, False)
    """
    return Path(path).name.lower().endswith(NIFTI)


def file_format(path: str | Path) -> str:
    """
    Return ``nifti``, ``itk`` (MetaImage, NRRD), ``pillow`` (PNG and the like) or ``dicom`` (a file or a folder).

    Raises:
        FaultError: when the ending of the name is another.

    Example:
        >>> file_format("ct.nii.gz"), file_format("ct.nrrd"), file_format("slice.PNG"), file_format("IM1.dcm")
        ('nifti', 'itk', 'pillow', 'dicom')
    """
    name = Path(path).name.lower()
    if is_nifti(path):
        return "nifti"
    if name.endswith(ITK):
        return "itk"
    if name.endswith(PILLOW):
        return "pillow"
    if Path(path).is_dir() or name.endswith(DICOM):
        return "dicom"
    raise FaultError("unknown_format", path, f"expected a name ending in one of {FORMATS}, or a folder of DICOM slices")


def check_image(path: str | Path) -> str:
    """
    Check that there may be an image, as far as its name, its size and the first bytes tell.

    Args:
        path: a file, or the folder of a DICOM series.

    Returns:
        Its format, see :func:`file_format`; ``dicom`` also for a DICOM file without the ending.

    Raises:
        FileNotFoundError: when there is neither a file nor a folder.
        ValueError: when it is empty, or of no format that is read.

    Example:
        >>> check_image("nothing.nii.gz")
        Traceback (most recent call last):
        ...
        FileNotFoundError: image nothing.nii.gz: no such file.
    """
    path = Path(path)
    if path.is_dir():
        if not any(path.iterdir()):
            raise ValueError(f"image {path}: expected the files of a DICOM series in this folder, found nothing.")
        return "dicom"
    if not path.is_file():
        raise FileNotFoundError(f"image {path}: no such file.")
    if not path.stat().st_size:
        raise ValueError(f"image {path}: the file is empty.")
    try:
        return file_format(path)
    except FaultError:
        if is_dicom(path):
            return "dicom"
        known = ", ".join(FORMATS)
        raise ValueError(f"image {path}: expected DICOM, or a name that ends in one of {known}.") from None
