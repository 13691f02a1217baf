# Copyright (c) monai_synthfm contributors
# Licensed under the Apache License, Version 2.0 (http://www.apache.org/licenses/LICENSE-2.0).
# SPDX-License-Identifier: Apache-2.0
"""Reading one image or one label map of any common format, by the ending of its name."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from monai.data import MetaTensor

from monai_synthfm.io.canonical_volumes import (
    canonical_volume,
    itk_spacing,
    nifti_spacing,
    read_itk_volume,
    read_nifti,
    read_nifti_array,
    read_nifti_labels,
    whole_labels,
)
from monai_synthfm.io.dicom.pictures import dicom_picture_spacing, read_dicom_picture
from monai_synthfm.io.dicom.volume import dicom_spacing, read_dicom_stack, series_files
from monai_synthfm.io.endings import FORMATS, file_format
from monai_synthfm.io.faults import FaultError
from monai_synthfm.io.pictures import grey_picture, picture_tensor, read_itk_picture, read_png

__all__ = [
    "FORMATS",
    "file_format",
    "picture_spacing",
    "read_labels_like",
    "read_picture",
    "read_volume",
    "volume_spacing",
]


def read_volume(path: str | Path) -> MetaTensor:
    """Read an image volume: float32 [1, X, Y, Z] in RAS+."""
    kind = file_format(path)
    if kind == "dicom":
        voxels, affine, _ = read_dicom_stack(_slices(path))
        return canonical_volume(voxels, affine, path)
    _no_picture(kind, path)
    return read_nifti(path) if kind == "nifti" else read_itk_volume(path)


def volume_spacing(path: str | Path) -> list[float]:
    """Read the spacing of a volume in mm along its axes in RAS+ order, from headers alone."""
    kind = file_format(path)
    if kind == "dicom":
        return dicom_spacing(_slices(path))
    _no_picture(kind, path)
    return nifti_spacing(path) if kind == "nifti" else itk_spacing(path)


def picture_spacing(path: str | Path) -> list[float] | None:
    """Read the spacing in mm of rows and columns from the header of a 2D image; None where the format has none."""
    kind = file_format(path)
    if kind == "pillow":
        return None
    if kind == "dicom":
        return dicom_picture_spacing(path)
    return nifti_spacing(path, as_stored=True)[1::-1] if kind == "nifti" else read_itk_picture(path)[1]


def read_picture(path: str | Path) -> MetaTensor:
    """Read a 2D image: float32 [1, H, W], or [3, H, W] when it has colours; three identical channels become one."""
    values = _picture(path, palette=True)
    if values.ndim == 3 and (values == values[..., :1]).all():
        values = values[..., 0]
    return picture_tensor(values.astype(np.float32), path)


def read_labels_like(image: MetaTensor, path: str | Path) -> MetaTensor:
    """Read the label map of an image, int16, as a volume or a picture as the image is."""
    if image.ndim == 4:
        kind = file_format(path)
        if kind == "dicom":
            voxels, affine, _ = read_dicom_stack(_slices(path))
            return canonical_volume(whole_labels(voxels, path), affine, path)
        _no_picture(kind, path)
        return read_nifti_labels(path) if kind == "nifti" else read_itk_volume(path, labels=True)
    return picture_tensor(whole_labels(grey_picture(_picture(path), path), path), path)


def _picture(path: str | Path, palette: bool = False) -> np.ndarray:
    kind = file_format(path)
    if kind == "pillow":
        return read_png(path, palette)
    if kind == "itk":
        return read_itk_picture(path)[0]
    if kind == "dicom":
        return read_dicom_picture(path)
    voxels = read_nifti_array(path)[0]
    if voxels.ndim < 2 or voxels.size != voxels.shape[0] * voxels.shape[1]:
        raise FaultError("shape_mismatch", path, f"expected a 2D image, found an array of shape {voxels.shape}")
    return voxels.reshape(voxels.shape[:2]).T


def _slices(path: str | Path) -> Sequence[str | Path]:
    return series_files(path) if Path(path).is_dir() else [path]


def _no_picture(kind: str, path: str | Path) -> None:
    if kind == "pillow":
        raise FaultError("shape_mismatch", path, "expected a volume, found a picture")
