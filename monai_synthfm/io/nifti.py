# Copyright (c) monai_synthfm contributors
# Licensed under the Apache License, Version 2.0 (http://www.apache.org/licenses/LICENSE-2.0).
# SPDX-License-Identifier: Apache-2.0
"""NIfTI volumes in, label maps out: one careful reader, and a writer's half that keeps the input's header."""

from __future__ import annotations

import zlib
from pathlib import Path

import nibabel as nib
import numpy as np
import torch
from monai.data import MetaTensor
from nibabel.filebasedimages import ImageFileError
from nibabel.spatialimages import HeaderDataError
from nibabel.tripwire import TripWireError  # of a package that an ending such as .zst needs
from scipy.special import expit

from monai_synthfm.io.endings import NIFTI, is_nifti

__all__ = [
    "NIFTI",
    "affine_in_mm",
    "check_voxels",
    "complete_affine",
    "is_nifti",
    "label_image",
    "load_volume",
    "mm_per_unit",
    "nifti_stem",
    "probability_image",
]

_MILLIMETRES = 2
_MM_PER_UNIT = {1: 1000.0, _MILLIMETRES: 1.0, 3: 0.001}  # by NIFTI_UNITS_METER, _MM and _MICRON
_SPATIAL_UNITS = 7  # bits of xyzt_units
READ_ERRORS = (ImageFileError, HeaderDataError, OSError, EOFError, ValueError, TripWireError, zlib.error)


def nifti_stem(path: str | Path) -> str:
    """
    Return the name of a file without the ending of a NIfTI file, if it has one.

    Example:
        >>> nifti_stem("scans/CT.v2.NII.GZ"), nifti_stem("scans/series7")
        ('CT.v2', 'series7')
    """
    name = Path(path).name
    return name[: -len(next((ending for ending in NIFTI if name.lower().endswith(ending)), "")) or None]


def load_volume(path: str | Path) -> MetaTensor:
    """
    Read one 2D or 3D NIfTI file as it is stored, without reordering or resampling.

    Args:
        path: a NIfTI file, see :data:`NIFTI`. A 2D image becomes a volume of one slice; trailing dimensions of size 1
            are dropped.

    Returns:
        float32 [1, X, Y, Z] in the file's own intensity units (``scl_slope`` applied), axes in the order of the file.
        ``meta`` holds ``affine`` and ``original_affine`` (voxel to RAS+ mm, 4 x 4, float64, also when the file is in
        metres or micrometres), ``spatial_shape`` [3], ``mm_per_unit`` of the file and ``filename_or_obj``.

    Raises:
        FileNotFoundError: when there is no such file.
        ValueError: when the file is not NIfTI, is truncated, has no voxels or not 2 or 3 dimensions, holds NaN,
            infinite or non-real values, is constant, or has an affine that cannot be inverted.

    Example:
        >>> import tempfile
        >>> image = nib.Nifti1Image(np.arange(24, dtype=np.int16).reshape(2, 3, 4), np.diag([1, 1, 5, 1]))
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     nib.save(image, f"{folder}/ct.nii.gz")
        ...     volume = load_volume(f"{folder}/ct.nii.gz")
        >>> tuple(volume.shape), volume.pixdim.tolist()
        ((1, 2, 3, 4), [1.0, 1.0, 5.0])
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"image {path}: no such file.")
    try:
        image = nib.load(path)
    except READ_ERRORS as error:
        raise ValueError(f"image {path}: not a readable NIfTI file ({error}).") from error
    if not isinstance(image, nib.Nifti1Image):
        raise ValueError(f"image {path}: expected a NIfTI file (.nii or .nii.gz), found {type(image).__name__}.")
    shape = _volume_shape(path, image.shape)
    if image.get_data_dtype().kind not in "iuf":
        raise ValueError(f"image {path}: expected real numbers, found voxels of type {image.get_data_dtype()}.")
    try:
        voxels = image.get_fdata(dtype=np.float32, caching="unchanged").reshape(shape, order="F")
    except READ_ERRORS as error:
        raise ValueError(f"image {path}: the voxels are truncated or damaged ({error}).") from error
    check_voxels(path, voxels)
    affine = torch.from_numpy(_invertible_affine(path, affine_in_mm(image), shape))
    meta = {
        "filename_or_obj": str(path),
        "original_affine": affine.clone(),
        "spatial_shape": np.array(shape),
        "mm_per_unit": mm_per_unit(image),
    }
    return MetaTensor(torch.from_numpy(voxels)[None], affine=affine, meta=meta)


def mm_per_unit(image: nib.spatialimages.SpatialImage, unknown: float = 1.0) -> float:
    """
    Return how many mm the unit of space of an image is, as its header says (``xyzt_units`` of NIfTI).

    Args:
        image: of any format.
        unknown: mm, when the header says nothing.

    Example:
        >>> image = nib.Nifti1Image(np.zeros((2, 2, 2), np.uint8), np.eye(4))
        >>> image.header.set_xyzt_units("micron")
        >>> mm_per_unit(image)
        0.001
    """
    units = int(image.header["xyzt_units"]) if isinstance(image, nib.Nifti1Image) else _MILLIMETRES
    return _MM_PER_UNIT.get(units & _SPATIAL_UNITS, unknown)


def affine_in_mm(image: nib.spatialimages.SpatialImage, unknown: float = 1.0) -> np.ndarray:
    """Return the affine [4, 4] of an image from voxels to RAS+ mm, whatever its unit, see :func:`mm_per_unit`."""
    return np.diag([mm_per_unit(image, unknown)] * 3 + [1.0]) @ image.affine


def complete_affine(affine: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """Return the affine [4, 4] of a volume, with a unit normal as third axis if a single slice leaves it undefined."""
    affine = np.array(affine, dtype=np.float64)
    if np.isfinite(affine).all() and shape[2] == 1 and not affine[:3, 2].any():
        normal = np.cross(affine[:3, 0], affine[:3, 1])
        affine[:3, 2] = normal / (np.linalg.norm(normal) or 1.0)
    return affine


def label_image(labels: np.ndarray, template: str | Path | nib.Nifti1Image) -> nib.Nifti1Image:
    """
    Put a label map into a NIfTI image that lies in space exactly like ``template``.

    The header is the template's own (shape, affine, qform and sform with their codes, units, description, extensions);
    only the data type, the intensity scaling and the display range are the label map's.

    Args:
        labels: unsigned integers in the shape of the template; axes of size 1 at the end may be there or not.
        template: the NIfTI image or file that was segmented.

    Raises:
        ValueError: when the label map has another shape.
    """
    source = _opened(template)
    if _without_ones(labels.shape) != _without_ones(source.shape):
        raise ValueError(f"labels: expected the shape {source.shape} of {_named(template)}, got {labels.shape}.")
    return _with_voxels(source, labels.reshape(source.shape, order="F"), 1.0)


def probability_image(logits: np.ndarray, template: str | Path | nib.Nifti1Image) -> nib.Nifti1Image:
    """
    Put the probabilities ``1 / (1 + exp(-logit_n))`` of N objects into a 4D NIfTI image in space like ``template``.

    They are stored as 0..255 with a scale of 1 / 255, which viewers undo: half-precision numbers are no NIfTI type, and
    float32 takes four times the space. A stored value is above 0.5 exactly where the probability is.

    Args:
        logits: [N, X, Y, Z] in the voxel order of the template; -infinity gives 0.
        template: the NIfTI image or file that was segmented.

    Raises:
        ValueError: when they have another shape than the template.
    """
    source = _opened(template)
    if _without_ones(logits.shape[1:]) != _without_ones(source.shape):
        raise ValueError(f"logits: expected the shape {source.shape}, got {logits.shape[1:]}.")
    # half-way values are rounded down, so that 0.5 stays on its side
    levels = np.empty((*logits.shape[1:], len(logits)), dtype=np.uint8, order="F")
    for n, value in enumerate(logits):
        levels[..., n] = np.ceil(expit(value.astype(np.float32)) * 255 - 0.5)
    return _with_voxels(source, levels, 1 / 255)


def check_voxels(path: str | Path, voxels: np.ndarray) -> None:
    """
    Check that a volume shows something.

    Raises:
        ValueError: when there are NaN or infinite voxels, or all are equal.
    """
    low, high = float(voxels.min()), float(voxels.max())
    if not np.isfinite([low, high]).all():
        count = int(np.count_nonzero(~np.isfinite(voxels)))
        raise ValueError(f"image {path}: {count} of {voxels.size} voxels are NaN or infinite.")
    if low == high:
        raise ValueError(f"image {path}: nothing to segment, every voxel is {low:g}.")


def _named(template: str | Path | nib.Nifti1Image) -> str:
    return "the image" if isinstance(template, nib.Nifti1Image) else str(template)


def _opened(template: str | Path | nib.Nifti1Image) -> nib.Nifti1Image:
    return template if isinstance(template, nib.Nifti1Image) else nib.load(template)


def _without_ones(shape: tuple[int, ...]) -> tuple[int, ...]:
    """Leave out axes of size 1 at the end, which files have or lack at will."""
    while len(shape) > 1 and shape[-1] == 1:
        shape = shape[:-1]
    return tuple(shape)


def _with_voxels(source: nib.Nifti1Image, voxels: np.ndarray, slope: float) -> nib.Nifti1Image:
    header = source.header.copy()
    header.set_data_dtype(voxels.dtype)
    header["cal_min"] = header["cal_max"] = 0
    image = type(source)(voxels, source.affine, header)
    image.header.set_slope_inter(slope, 0)
    return image


def _volume_shape(path: Path, shape: tuple[int, ...]) -> tuple[int, int, int]:
    if 0 in shape:
        raise ValueError(f"image {path}: no voxels, its shape is {shape}.")
    if len(shape) < 2 or any(size > 1 for size in shape[3:]):
        raise ValueError(f"image {path}: expected 2 or 3 dimensions, found shape {shape}.")
    x, y, z = (*shape, 1)[:3]
    return x, y, z


def _invertible_affine(path: Path, affine: np.ndarray, shape: tuple[int, int, int]) -> np.ndarray:
    affine = complete_affine(affine, shape)
    lengths = np.linalg.norm(affine[:3, :3], axis=0)
    if not np.isfinite(affine).all() or abs(np.linalg.det(affine[:3, :3])) <= 1e-6 * lengths.prod():
        raise ValueError(f"image {path}: its affine cannot be inverted: {affine.tolist()}.")
    return affine
