# Copyright (c) monai_synthfm contributors
# Licensed under the Apache License, Version 2.0 (http://www.apache.org/licenses/LICENSE-2.0).
# SPDX-License-Identifier: Apache-2.0
"""
Readers of volumes: NIfTI, MetaImage, NRRD and stacks of DICOM slices, all in one orientation.

Volumes come as [1, X, Y, Z] with axes to the patient's right, anterior and superior (RAS+, the closest one to the stored
order: axes are swapped and flipped, nothing is resampled) and an affine from voxels to RAS+ mm.
"""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from pathlib import Path

import nibabel as nib
import numpy as np
import SimpleITK as sitk
import torch
from monai.data import MetaTensor
from nibabel.filebasedimages import ImageFileError
from nibabel.orientations import apply_orientation, inv_ornt_aff, io_orientation
from nibabel.spatialimages import HeaderDataError

from monai_synthfm.data.datasets.faults import FaultError
from monai_synthfm.data.nifti import load_volume

__all__ = [
    "NIFTI",
    "canonical_volume",
    "dicom_number",
    "dicom_spacing",
    "integer_volume",
    "nifti_spacing",
    "read_dicom_stack",
    "read_itk_volume",
    "read_nifti",
    "read_nifti_array",
    "read_nifti_labels",
]

NIFTI = (".nii.gz", ".nii")
_ERRORS = (ImageFileError, HeaderDataError, OSError, EOFError, ValueError, zlib.error)
_LPS_TO_RAS = np.diag([-1.0, -1.0, 1.0, 1.0])


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


def integer_volume(voxels: np.ndarray, file: str | Path) -> np.ndarray:
    """Return labels as int16; they may be stored as floating point numbers, but must be whole."""
    rounded = np.rint(voxels)
    if not np.isfinite(voxels).all() or np.abs(rounded - voxels).max(initial=0) > 1e-3:
        raise FaultError("unexpected_label", file, "label values are not whole numbers")
    if rounded.size and (rounded.min() < 0 or rounded.max() > 32767):
        raise FaultError("unexpected_label", file, f"label values lie in {rounded.min():g}..{rounded.max():g}")
    return rounded.astype(np.int16)


def read_nifti(path: str | Path) -> MetaTensor:
    """Read an image volume in its own intensities: float32 [1, X, Y, Z]."""
    try:
        stored = load_volume(path)
    except FileNotFoundError as error:
        raise FaultError("missing_image", path, "no such file") from error
    except ValueError as error:
        raise FaultError("unreadable", path, str(error)) from error
    return canonical_volume(stored[0].numpy(), stored.affine.numpy(), path)


def read_nifti_array(path: str | Path) -> tuple[np.ndarray, np.ndarray]:
    """Read the array of a NIfTI file as stored, and its affine [4, 4]."""
    if not Path(path).is_file():
        raise FaultError("missing_file", path, "no such file")
    try:
        image = nib.load(path)
        voxels = np.asanyarray(image.dataobj)
    except _ERRORS as error:
        raise FaultError("unreadable", path, f"not a whole NIfTI file ({error})") from error
    return voxels, image.affine


def read_nifti_labels(path: str | Path) -> MetaTensor:
    """Read a label volume: int16 [1, X, Y, Z]."""
    voxels, affine = read_nifti_array(path)
    if voxels.ndim > 3 and voxels.size == np.prod(voxels.shape[:3]):
        voxels = voxels.reshape(voxels.shape[:3])
    if voxels.ndim != 3:
        raise FaultError("shape_mismatch", path, f"expected 3 dimensions, found shape {voxels.shape}")
    return canonical_volume(integer_volume(voxels, path), affine, path)


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
            return [round(float(size), 6) for size in image.header.get_zooms()]
        order = np.argsort(io_orientation(image.affine)[:, 0])
    except (*_ERRORS, np.linalg.LinAlgError) as error:
        raise FaultError("unreadable", path, f"not a readable NIfTI header ({error})") from error
    return [round(float(size), 6) for size in np.linalg.norm(image.affine[:3, :3], axis=0)[order]]


def read_itk_volume(path: str | Path, labels: bool = False) -> MetaTensor:
    """
    Read a volume of a format that ITK knows (MHA, MHD, NRRD), or a folder with one DICOM series.

    Args:
        path: file or folder.
        labels: read whole numbers as int16 instead of intensities as float32.

    Raises:
        FaultError: when it cannot be read, is not 3D, or the folder holds no or several series.
    """
    path = Path(path)
    reader: sitk.ImageReaderBase
    try:
        if path.is_dir():
            reader = sitk.ImageSeriesReader()
            reader.SetFileNames(_only_series(path))
        else:
            reader = sitk.ImageFileReader()
            reader.SetFileName(str(path))
        image = reader.Execute()
    except RuntimeError as error:
        raise FaultError("unreadable", path, f"ITK cannot read it ({_last_line(error)})") from error
    voxels = sitk.GetArrayFromImage(image)
    if image.GetDimension() != 3 or voxels.ndim != 3:
        raise FaultError("shape_mismatch", path, f"expected a scalar volume, found an array of shape {voxels.shape}")
    affine = np.eye(4)
    affine[:3, :3] = np.reshape(image.GetDirection(), (3, 3)) * image.GetSpacing()
    affine[:3, 3] = image.GetOrigin()
    voxels = voxels.transpose(2, 1, 0)
    voxels = integer_volume(voxels, path) if labels else voxels.astype(np.float32)
    return canonical_volume(voxels, _LPS_TO_RAS @ affine, path)


def read_dicom_stack(files: Sequence[str | Path]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """
    Read single DICOM slices, put in order by their positions, whatever their names and instance numbers say.

    Stored values are turned into intensities by each file's rescale slope and intercept. The step between slices comes from
    the positions; SliceThickness, which may differ from it, is not used.

    Args:
        files: the slices in any order.

    Returns:
        - float32 [X, Y, Z];
        - affine from voxels to RAS+ mm [4, 4];
        - index into ``files`` for each z, to bring along what is paired with the files by name.

    Raises:
        FaultError: when a file cannot be read, slices differ in size or orientation, or are not evenly spaced.
    """
    slices = [_read_dicom(path) for path in files]
    first = slices[0]
    for path, item in zip(files, slices, strict=True):
        if item.GetSize() != first.GetSize():
            raise FaultError("shape_mismatch", path, f"slice of {item.GetSize()} pixels, others {first.GetSize()}")
        if not np.allclose(item.GetDirection(), first.GetDirection(), atol=1e-3):
            raise FaultError("slice_geometry", path, "its orientation differs from that of other slices")
    direction = np.reshape(first.GetDirection(), (3, 3))
    heights = np.array([np.dot(item.GetOrigin(), direction[:, 2]) for item in slices])
    order = np.argsort(heights, kind="stable")
    steps = np.diff(heights[order])
    step = float(np.median(steps)) if len(steps) else float(first.GetSpacing()[2])
    if len(steps) and (step <= 0 or np.abs(steps - step).max() > 0.1 * step):
        worst = int(np.abs(steps - step).argmax())
        raise FaultError(
            "slice_gap",
            files[int(order[worst + 1])],
            f"{steps[worst]:.4g} mm after its neighbour, others {step:.4g} mm: a slice is missing or there twice",
        )
    origin = np.array(slices[int(order[0])].GetOrigin())
    last = np.array(slices[int(order[-1])].GetOrigin())
    affine = np.eye(4)
    affine[:3, 0] = direction[:, 0] * first.GetSpacing()[0]
    affine[:3, 1] = direction[:, 1] * first.GetSpacing()[1]
    affine[:3, 2] = (last - origin) / (len(slices) - 1) if len(slices) > 1 else direction[:, 2] * step
    affine[:3, 3] = origin
    voxels = np.stack([sitk.GetArrayViewFromImage(slices[index])[0].T for index in order], axis=-1)
    return voxels.astype(np.float32), _LPS_TO_RAS @ affine, order


def dicom_spacing(files: Sequence[str | Path]) -> list[float]:
    """
    Read the spacing in mm of neighbouring slices along the axes of the volume in RAS+ order, from the headers alone.

    Args:
        files: the slices in an order in which the first two are neighbours.
    """
    first, second = (_dicom_header(path) for path in (files[0], files[min(1, len(files) - 1)]))
    step = np.linalg.norm(np.subtract(second.GetOrigin(), first.GetOrigin())) or first.GetSpacing()[2]
    affine = np.eye(4)
    affine[:3, :3] = np.reshape(first.GetDirection(), (3, 3))
    order = np.argsort(io_orientation(affine)[:, 0])
    return [round(float(size), 6) for size in np.array([*first.GetSpacing()[:2], step])[order]]


def _dicom_header(path: str | Path) -> sitk.ImageFileReader:
    reader = sitk.ImageFileReader()
    reader.SetImageIO("GDCMImageIO")
    reader.SetFileName(str(path))
    try:
        reader.ReadImageInformation()
    except RuntimeError as error:
        raise FaultError("unreadable", path, f"not a DICOM file ({_last_line(error)})") from error
    if reader.GetDimension() != 3:
        raise FaultError("shape_mismatch", path, f"expected one slice with a position, found size {reader.GetSize()}")
    return reader


def dicom_number(path: str | Path, tag: str) -> float | None:
    """Read one number of a DICOM header by its tag, such as ``0018|0081``; None when it is not there."""
    header = _dicom_header(path)
    return float(header.GetMetaData(tag)) if header.HasMetaDataKey(tag) else None


def _read_dicom(path: str | Path) -> sitk.Image:
    reader = sitk.ImageFileReader()
    reader.SetImageIO("GDCMImageIO")
    reader.SetFileName(str(path))
    try:
        image = reader.Execute()
    except RuntimeError as error:
        raise FaultError("unreadable", path, f"not a whole DICOM file ({_last_line(error)})") from error
    if image.GetDimension() != 3 or image.GetSize()[2] != 1 or image.GetNumberOfComponentsPerPixel() != 1:
        raise FaultError("shape_mismatch", path, f"expected one grey slice, found size {image.GetSize()}")
    return image


def _only_series(folder: Path) -> tuple[str, ...]:
    series = sitk.ImageSeriesReader.GetGDCMSeriesIDs(str(folder))
    if len(series) != 1:
        raise FaultError("series", folder, f"expected one DICOM series in the folder, found {len(series)}")
    return sitk.ImageSeriesReader.GetGDCMSeriesFileNames(str(folder), series[0])


def _last_line(error: Exception) -> str:
    return str(error).strip().splitlines()[-1].strip()
