# Copyright (c) monai_synthfm contributors
# Licensed under the Apache License, Version 2.0 (http://www.apache.org/licenses/LICENSE-2.0).
# SPDX-License-Identifier: Apache-2.0
"""
Readers of volumes, all in one orientation: NIfTI, MetaImage and NRRD.

Volumes come as [1, X, Y, Z] with axes that run as closely as possible to the patient's right, anterior and superior
(RAS+: axes are swapped and flipped, nothing is resampled) and an affine from voxels to RAS+ mm.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

import nibabel as nib
import numpy as np
import SimpleITK
import torch
from monai.data import MetaTensor
from nibabel.orientations import apply_orientation, inv_ornt_aff, io_orientation

from monai_synthfm.io.faults import FaultError, unreadable
from monai_synthfm.io.itk_files import itk_header, itk_image
from monai_synthfm.io.nifti import READ_ERRORS, affine_in_mm, load_volume, mm_per_unit
from monai_synthfm.prompts.coordinates import LPS_TO_RAS

__all__ = [
    "canonical_volume",
    "itk_spacing",
    "last_line",
    "nifti_spacing",
    "read_itk_array",
    "read_itk_volume",
    "read_nifti",
    "read_nifti_array",
    "read_nifti_labels",
    "spacing_in_ras",
    "whole_labels",
]

_ITK_OBJECT = re.compile(r"^ITK ERROR: \w+\(0x[0-9a-f]+\): ")


def canonical_volume(voxels: np.ndarray, affine: np.ndarray, file: str | Path) -> MetaTensor:
    """
    Put an array [X, Y, Z] into the orientation closest to RAS+.

    Args:
        voxels: the array.
        affine: from its voxels to RAS+ mm [4, 4].
        file: where it comes from, kept in ``meta["filename_or_obj"]``.

    Example:
        >>> volume = canonical_volume(np.arange(3.0).reshape(3, 1, 1), np.diag([-2.0, 1, 1, 1]), "ct.nii")
        >>> volume.flatten().tolist(), volume.affine[0].tolist()
        ([2.0, 1.0, 0.0], [2.0, 0.0, 0.0, -4.0])
    """
    orientation = io_orientation(affine)
    turned = np.ascontiguousarray(apply_orientation(voxels, orientation))
    moved = torch.from_numpy(affine @ inv_ornt_aff(orientation, voxels.shape))
    return MetaTensor(torch.from_numpy(turned)[None], affine=moved, meta={"filename_or_obj": str(file)})


def whole_labels(voxels: np.ndarray, file: str | Path) -> np.ndarray:
    """Return labels as int16; they may be stored as floating point numbers, but must be whole."""
    rounded = np.rint(voxels)
    if not np.isfinite(voxels).all() or np.abs(rounded - voxels).max(initial=0) > 1e-3:
        odd = np.unique(voxels[~np.isclose(voxels, rounded, rtol=0, atol=1e-3) | ~np.isfinite(voxels)])[:5].tolist()
        raise FaultError("unexpected_label", file, f"label values are not whole numbers, such as {odd}")
    if rounded.size and (rounded.min() < 0 or rounded.max() > 32767):
        raise FaultError(
            "unexpected_label", file, f"label values lie in {rounded.min():g}..{rounded.max():g}, expected 0..32767"
        )
    return rounded.astype(np.int16)


def read_nifti(path: str | Path) -> MetaTensor:
    """Read an image volume in its own intensities: float32 [1, X, Y, Z]."""
    try:
        stored = load_volume(path)
    except FileNotFoundError as error:
        raise FaultError("missing_image", path, "no such file") from error
    except ValueError as error:
        raise FaultError("unreadable", path, str(error).removeprefix(f"image {path}: ").rstrip(".")) from error
    return canonical_volume(stored[0].numpy(), stored.affine.numpy(), path)


def read_nifti_array(path: str | Path, unit: float = 1.0) -> tuple[np.ndarray, np.ndarray]:
    """
    Read the array of a NIfTI file as stored, and its affine [4, 4] to mm.

    Args:
        path: the file.
        unit: mm that its numbers mean when it does not say its unit.
    """
    try:
        image = nib.load(path)
        voxels = np.asanyarray(image.dataobj)
    except READ_ERRORS as error:
        raise unreadable(path, "not a whole NIfTI file", error) from error
    if voxels.dtype.fields is not None:
        raise FaultError("unreadable", path, f"expected one number for each voxel, found {voxels.dtype.names}")
    return voxels, affine_in_mm(image, unit)


def read_nifti_labels(path: str | Path) -> MetaTensor:
    """Read a label volume: int16 [1, X, Y, Z]."""
    voxels, affine = read_nifti_array(path)
    if voxels.ndim > 3 and voxels.size == np.prod(voxels.shape[:3]):
        voxels = voxels.reshape(voxels.shape[:3])
    if voxels.ndim != 3:
        raise FaultError("shape_mismatch", path, f"expected 3 dimensions, found shape {voxels.shape}")
    return canonical_volume(whole_labels(voxels, path), affine, path)


def nifti_spacing(path: str | Path, as_stored: bool = False) -> list[float]:
    """
    Read the spacing of a NIfTI file from its header alone.

    Args:
        path: the file.
        as_stored: take the header's numbers for all axes in their order, for images that do not lie in a body.

    Returns:
        mm along the axes of the volume in RAS+ order.
    """
    try:
        image = nib.load(path)
        if as_stored:
            return [round(float(size) * mm_per_unit(image), 6) for size in image.header.get_zooms()]
        affine = affine_in_mm(image)
        order = np.argsort(io_orientation(affine)[:, 0])
    except (*READ_ERRORS, np.linalg.LinAlgError) as error:
        raise unreadable(path, "not a readable NIfTI header", error) from error
    return [round(float(size), 6) for size in np.linalg.norm(affine[:3, :3], axis=0)[order]]


def read_itk_volume(path: str | Path, labels: bool = False) -> MetaTensor:
    """
    Read a volume of a format that ITK knows (MHA, MHD, NRRD).

    Args:
        path: the file.
        labels: read whole numbers as int16 instead of intensities as float32.

    Raises:
        FaultError: when it cannot be read, or is no scalar volume.
    """
    voxels, affine = read_itk_array(path)
    voxels = whole_labels(voxels, path) if labels else voxels.astype(np.float32)
    return canonical_volume(voxels, affine, path)


def read_itk_array(path: str | Path) -> tuple[np.ndarray, np.ndarray]:
    """Read the array [X, Y, Z] of a file that ITK knows as stored, and its affine [4, 4] to RAS+ mm."""
    image = itk_image(path)
    voxels = SimpleITK.GetArrayFromImage(image)
    if image.GetDimension() != 3 or voxels.ndim != 3:
        raise FaultError("shape_mismatch", path, f"expected a scalar volume, found an array of shape {voxels.shape}")
    affine = np.eye(4)
    affine[:3, :3] = np.reshape(image.GetDirection(), (3, 3)) * image.GetSpacing()
    affine[:3, 3] = image.GetOrigin()
    return voxels.transpose(2, 1, 0), LPS_TO_RAS @ affine


def itk_spacing(path: str | Path) -> list[float]:
    """Read the spacing in mm along the axes of the volume in RAS+ order, from the header alone."""
    reader = itk_header(path)
    if reader.GetDimension() != 3:
        raise FaultError("shape_mismatch", path, f"expected a volume, found an image of size {reader.GetSize()}")
    return spacing_in_ras(reader.GetSpacing(), reader.GetDirection())


def spacing_in_ras(spacing: Sequence[float], direction: Sequence[float]) -> list[float]:
    """
    Put the spacing of three axes into the order of RAS+.

    Args:
        spacing: mm.
        direction: 3 x 3 matrix, row after row, whose columns point along the axes.

    Example:
        >>> spacing_in_ras((1, 2, 3), (0, 0, 1, 1, 0, 0, 0, 1, 0))
        [3.0, 1.0, 2.0]
    """
    affine = np.eye(4)
    affine[:3, :3] = np.reshape(direction, (3, 3))
    order = np.argsort(io_orientation(affine)[:, 0])
    return [round(float(size), 6) for size in np.asarray(spacing)[order]]


def last_line(error: Exception) -> str:
    """
    Return the reason that an error of ITK states last, without the address of the object that raised it.

    Example:
        >>> last_line(RuntimeError("in file a.cxx:\\nITK ERROR: GDCMImageIO(0x55e10f): Cannot read requested file"))
        'Cannot read requested file'
    """
    return _ITK_OBJECT.sub("", str(error).strip().splitlines()[-1].strip())
