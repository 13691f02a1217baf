# Copyright (c) monai_synthfm contributors
# Licensed under the Apache License, Version 2.0 (http://www.apache.org/licenses/LICENSE-2.0).
# SPDX-License-Identifier: Apache-2.0
"""Volumes in, whatever they are stored as, and what has their geometry out: NIfTI files and DICOM series."""

from __future__ import annotations

import os
from pathlib import Path

import nibabel as nib
import numpy as np
import torch
from monai.data import MetaTensor

from monai_synthfm.data.datasets.dicom import read_dicom_stack, series_files
from monai_synthfm.data.datasets.volumes import read_nifti_array, whole_labels
from monai_synthfm.data.nifti import check_voxels, is_nifti, load_volume, nifti_stem

__all__ = ["geometry_of", "load_image", "load_mask", "source_name"]


def load_image(path: str | Path) -> MetaTensor:
    """
    Read a NIfTI file, or the one DICOM series in a folder, as it is stored.

    DICOM slices are put in order by their positions; intensities are rescaled by each file's slope and intercept.

    Args:
        path: a ``.nii`` or ``.nii.gz`` file, or a folder.

    Returns:
        float32 [1, X, Y, Z], see :func:`~monai_synthfm.data.nifti.load_volume`. The axes of a DICOM series are columns,
        rows and slices.

    Raises:
        FileNotFoundError: when there is no such file or folder.
        ValueError: when it holds no usable volume.
    """
    path = Path(path)
    if not path.is_dir():
        return load_volume(path)
    voxels, ras, _ = read_dicom_stack(series_files(path))
    check_voxels(path, voxels)
    affine = torch.from_numpy(ras)
    meta = {"filename_or_obj": str(path), "original_affine": affine.clone()}
    return MetaTensor(torch.from_numpy(voxels)[None], affine=affine, meta=meta)


def load_mask(path: str | Path, image: MetaTensor) -> np.ndarray:
    """
    Read a map of object numbers that lies on the voxels of an image.

    Args:
        path: a ``.nii`` or ``.nii.gz`` file.
        image: [1, X, Y, Z] as stored.

    Returns:
        int16 [X, Y, Z]: 0 nothing, n object n.

    Raises:
        FileNotFoundError: when there is no such file.
        ValueError: when it lies on other voxels, or holds other numbers.
    """
    if not Path(path).is_file():
        raise FileNotFoundError(f"mask {path}: no such file.")
    voxels, affine = read_nifti_array(path)
    shape = tuple(image.shape[1:])
    if voxels.size != np.prod(shape) or voxels.shape[:2] != shape[:2]:
        raise ValueError(f"mask {path}: expected the shape {shape} of the image, found {voxels.shape}.")
    # a plane of 2D files may lack the direction of the third axis
    columns = [a for a in range(4) if a == 3 or shape[a] > 1]
    if not np.allclose(affine[:, columns], np.asarray(image.affine)[:, columns], atol=1e-3):
        raise ValueError(f"mask {path}: its affine differs from the image's.")
    return whole_labels(voxels.reshape(shape, order="F"), path)


def geometry_of(image: MetaTensor) -> nib.Nifti1Image:
    """
    Return a NIfTI image that lies in space like the file of a volume: that file itself, if it is NIfTI.

    Args:
        image: [1, X, Y, Z] as stored, from a NIfTI file, a DICOM series or no file at all.
    """
    source = str(image.meta.get("filename_or_obj", ""))
    if is_nifti(source) and Path(source).is_file():
        return nib.load(source)
    blank = np.broadcast_to(np.uint8(0), tuple(image.shape[1:]))
    made = nib.Nifti1Image(blank, np.asarray(image.meta.get("original_affine", image.affine), dtype=np.float64))
    made.header.set_xyzt_units("mm")
    for set_form in (made.set_qform, made.set_sform):
        set_form(made.affine, code=1)
    return made


def source_name(path: str | Path) -> str:
    """
    Return what files made from an image are called after: its name as it was given.

    What a symbolic link of that name points to may have a checksum for its name, or be shared by equal images.

    Example:
        >>> source_name("scans/ct.nii.gz"), source_name("scans/series7/")
        ('ct', 'series7')
    """
    return nifti_stem(os.path.abspath(path))
