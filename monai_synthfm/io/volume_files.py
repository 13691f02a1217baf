# Copyright (c) monai_synthfm contributors
# Licensed under the Apache License, Version 2.0 (http://www.apache.org/licenses/LICENSE-2.0).
# SPDX-License-Identifier: Apache-2.0
"""Volumes in, whatever they are stored as, and what has their geometry out."""

from __future__ import annotations

import logging
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import torch
from monai.data import MetaTensor
from nibabel.orientations import apply_orientation, inv_ornt_aff, io_orientation
from pydicom.dataset import Dataset

from monai_synthfm.io.canonical_volumes import read_itk_array, read_nifti_array, whole_labels
from monai_synthfm.io.dicom.headers import is_dicom, read_header
from monai_synthfm.io.dicom.series import choose_series
from monai_synthfm.io.dicom.volume import read_dicom
from monai_synthfm.io.endings import check_image, file_format
from monai_synthfm.io.faults import FaultError
from monai_synthfm.io.itk_files import itk_header
from monai_synthfm.io.nifti import check_voxels, complete_affine, is_nifti, load_volume, nifti_stem
from monai_synthfm.io.pictures import grey_picture, read_itk_picture, read_png
from monai_synthfm.prompts.coordinates import LPS_TO_RAS, apply_affine, box_corners

__all__ = ["check_space", "geometry_of", "load_image", "load_mask", "source_name"]

logger = logging.getLogger(__name__)

_TOLERANCE = 0.1  # voxels


def load_image(path: str | Path, series: str | int | None = None) -> MetaTensor:
    """
    Read an image as it is stored: a NIfTI, MetaImage or NRRD volume, a DICOM series or file, or a picture.

    DICOM slices are put in order by their positions, see :func:`~monai_synthfm.io.dicom.volume.read_dicom`;
    intensities are rescaled by each slice's slope and intercept. Sequences of ultrasound and of X-rays have their
    frames as third axis. A picture (PNG and the like, radiographs, ultrasound) is a volume of one slice.

    Args:
        path: a file, or the folder of a DICOM series.
        series: number (0020,0011) or SeriesInstanceUID of the series that is meant in a folder with several.

    Returns:
        float32 [1, X, Y, Z], see :func:`~monai_synthfm.io.nifti.load_volume`. The axes of DICOM and of pictures are
        columns, rows and slices. ``meta`` also holds ``has_position``, False when the file does not say where in a
        patient it lies, ``has_spacing``, False when mm are not known (a pixel then counts as 1), and ``modality``, that
        of a DICOM header, or "".

    Raises:
        FileNotFoundError: when there is no such file or folder.
        ValueError: when it holds no usable volume, or not just one.
    """
    path = Path(path)
    if path.is_dir():
        check_image(path)
        return _dicom_image(path, choose_series(path, series).headers)
    if series is not None:
        raise ValueError(f"series {series} is to be chosen in a folder of DICOM files, but image {path} is none.")
    kind = check_image(path)
    if kind == "dicom":
        return _dicom_image(path, [read_header(path)])
    if kind == "nifti":
        return load_volume(path)
    voxels, affine, meta = _stored(path, kind, palette=True)
    return _image(path, voxels.astype(np.float32), affine, **meta)


def load_mask(path: str | Path, image: MetaTensor) -> np.ndarray:
    """
    Read a map of object numbers that lies on the voxels of an image, whatever the order in which it stores them.

    Axes that are swapped or run the other way than the image's are brought in its order; nothing is resampled.

    Args:
        path: a NIfTI, MetaImage or NRRD file, or a picture for an image that is one.
        image: [1, X, Y, Z] as stored.

    Returns:
        int16 [X, Y, Z]: 0 nothing, n object n.

    Raises:
        FileNotFoundError: when there is no such file.
        ValueError: when it lies on other voxels (a corner is a tenth of a voxel off), or holds other numbers.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"mask {path}: no such file.")
    kind = _kind(path)
    if kind == "dicom":
        raise ValueError(f"mask {path}: expected a NIfTI, MetaImage or NRRD file, found DICOM; convert it.")
    voxels, affine, meta = _stored(path, kind, unit=float(image.meta.get("mm_per_unit", 1.0)))
    shape, target = tuple(image.shape[1:]), np.asarray(image.affine, dtype=np.float64)
    if not (meta.get("has_spacing", True) or image.meta.get("has_position", True)):
        affine = target  # a picture of a picture has nothing but its pixels
    if len(voxels.shape) < 2 or any(size > 1 for size in voxels.shape[3:]):
        raise ValueError(f"mask {path}: expected the shape {shape} of the image, found {voxels.shape}.")
    voxels = voxels.reshape((*voxels.shape, 1)[:3], order="F")
    affine = complete_affine(affine, voxels.shape)
    to_image = np.linalg.inv(target) @ affine
    turn = io_orientation(to_image)
    if np.isnan(turn).any():
        raise ValueError(f"mask {path}: its affine cannot be inverted: {affine.tolist()}.")
    turned = apply_orientation(voxels, turn)
    if turned.shape != shape and voxels.shape == shape:
        raise ValueError(f"mask {path}: its affine differs from the image's: its axes have other directions.")
    if turned.shape != shape:
        raise ValueError(f"mask {path}: expected the shape {shape} of the image, found {voxels.shape}.")
    ends = _ends(shape)
    off = np.linalg.norm(apply_affine(to_image @ inv_ornt_aff(turn, voxels.shape), ends) - ends, axis=1).max()
    if not off <= _TOLERANCE:
        raise ValueError(f"mask {path}: its affine differs from the image's, by {off:.3g} voxels at a corner.")
    return whole_labels(turned, path)


def geometry_of(image: MetaTensor) -> nib.Nifti1Image:
    """
    Return a NIfTI image that lies in space like the file of a volume: that file itself, if it is NIfTI.

    What another format says goes into qform and sform. Where the axes are sheared, as those of a tilted gantry are, a
    qform cannot say it: then the sform alone is valid (code 1) and the qform is not (code 0).

    Args:
        image: [1, X, Y, Z] from a file or from no file at all, as stored or reoriented since;
            ``meta["original_affine"]`` and ``meta["spatial_shape"]`` are of what was stored.
    """
    source = str(image.meta.get("filename_or_obj", ""))
    if is_nifti(source) and Path(source).is_file():
        return nib.load(source)
    stored = "original_affine" in image.meta and "spatial_shape" in image.meta
    shape = image.meta["spatial_shape"] if stored else image.shape[1:]
    affine = np.asarray(image.meta["original_affine"] if stored else image.affine, dtype=np.float64)
    blank = np.broadcast_to(np.uint8(0), tuple(int(size) for size in shape))
    made = nib.Nifti1Image(blank, affine)
    made.header.set_xyzt_units("mm" if image.meta.get("has_spacing", True) else "unknown")
    made.set_sform(affine, code=1)
    made.set_qform(affine, code=1)
    ends = _ends(blank.shape)
    off = np.linalg.norm(apply_affine(made.get_qform(), ends) - apply_affine(affine, ends), axis=1).max()
    if off > _TOLERANCE * np.linalg.norm(affine[:3, :3], axis=0).min():
        made.set_qform(None, code=0)
        made.set_sform(affine, code=1)
        logger.warning(
            "%s: its axes are not perpendicular, which a qform cannot say (it would be %.3g mm off): the sform of what "
            "is written is valid, the qform is not (code 0).",
            source or "image",
            off,
        )
    return made


def check_space(image: MetaTensor, space: str) -> None:
    """
    Check that prompts can be given in a space.

    Raises:
        ValueError: when they are in mm and it is not known where the image lies.
    """
    if space != "voxel" and not image.meta.get("has_position", True):
        source = image.meta.get("filename_or_obj", "given")
        raise ValueError(f"space {space}: image {source} does not say where it lies; give prompts in space voxel.")


def _ends(shape: Sequence[int]) -> np.ndarray:
    """Return the voxels at the corners of a volume [8, 3]."""
    return box_corners(np.array([0, 0, 0, *(size - 1 for size in shape)], dtype=np.float64))


def _kind(path: Path) -> str:
    try:
        return file_format(path)
    except FaultError:
        return "dicom" if is_dicom(path) else "nifti"  # whose reader says what it found


def _stored(
    path: Path, kind: str, palette: bool = False, unit: float = 1.0
) -> tuple[np.ndarray, np.ndarray, dict[str, Any]]:
    """Read the array of a file that is not DICOM as stored, its affine, and what is known of its place."""
    if kind == "nifti":
        return *read_nifti_array(path, unit), {}
    if kind == "itk" and itk_header(path).GetDimension() == 3:
        return *read_itk_array(path), {}
    rows, columns = 1.0, 1.0
    if kind == "itk":
        values, (rows, columns) = read_itk_picture(path)
    else:
        values = read_png(path, palette)
    # as ITK has pictures: columns to the left, rows to the back
    affine = LPS_TO_RAS @ np.diag([columns, rows, 1.0, 1.0])
    return grey_picture(values, path).T[..., None], affine, {"has_position": False, "has_spacing": kind == "itk"}


def _dicom_image(path: Path, headers: Sequence[Dataset]) -> MetaTensor:
    volume = read_dicom(headers)
    known = {"has_position": volume.stack.has_position, "has_spacing": volume.stack.has_spacing}
    return _image(path, volume.voxels, volume.stack.affine, **known, modality=volume.modality)


def _image(
    path: Path,
    voxels: np.ndarray,
    affine: np.ndarray,
    has_position: bool = True,
    has_spacing: bool = True,
    modality: str = "",
) -> MetaTensor:
    check_voxels(path, voxels)
    if not has_position:
        logger.warning(
            "%s does not say where in the patient it lies%s: there are no coordinates in mm, sides or volumes for it.",
            path,
            "" if has_spacing else " or how large a pixel is",
        )
    ras = torch.from_numpy(np.array(affine, dtype=np.float64))
    meta = {
        "filename_or_obj": str(path),
        "original_affine": ras.clone(),
        "spatial_shape": np.array(voxels.shape),
        "has_position": has_position,
        "has_spacing": has_spacing,
        "modality": modality,
    }
    return MetaTensor(torch.from_numpy(np.ascontiguousarray(voxels))[None], affine=ras, meta=meta)


def source_name(path: str | Path) -> str:
    """
    Return what files made from an image are called after: its name as it was given.

    What a symbolic link of that name points to may have a checksum for its name, or be shared by equal images.

    Example:
        >>> source_name("scans/ct.nii.gz"), source_name("scans/series7/")
        ('ct', 'series7')
    """
    return nifti_stem(os.path.abspath(path))
