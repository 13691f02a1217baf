# Copyright (c) monai_synthfm contributors
# Licensed under the Apache License, Version 2.0 (http://www.apache.org/licenses/LICENSE-2.0).
# SPDX-License-Identifier: Apache-2.0
"""Volumes of DICOM files, put together by where their slices lie and not by what they are called."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from pydicom.dataset import Dataset
from pydicom.tag import Tag

from monai_synthfm.io.canonical_volumes import spacing_in_ras
from monai_synthfm.io.dicom.frames import frames_of
from monai_synthfm.io.dicom.geometry import Stack, stack_frames
from monai_synthfm.io.dicom.headers import modality_of, read_header
from monai_synthfm.io.dicom.pixels import read_frames
from monai_synthfm.io.dicom.series import choose_series

__all__ = ["DicomVolume", "dicom_number", "dicom_spacing", "read_dicom", "read_dicom_stack", "series_files"]


@dataclass(frozen=True)
class DicomVolume:
    """
    A volume of DICOM slices, or frames.

    Args:
        voxels: float32 [X, Y, Z].
        stack: where it lies, and which slice or frame each z is.
        modality: of its header, such as ``CT``, or "" when that does not say what the values are.
    """

    voxels: np.ndarray
    stack: Stack
    modality: str


def read_dicom(headers: Sequence[Dataset]) -> DicomVolume:
    """
    Read the slices or frames of files as one volume.

    Stored values are turned into intensities by each slice's rescale slope and intercept. The step between slices comes
    from the positions; SliceThickness, which may differ from it, is only used for a single slice. Slices may be files
    of their own, or frames of enhanced files.

    Args:
        headers: of the files, in any order, see :func:`~monai_synthfm.io.dicom.headers.read_header`.

    Raises:
        FaultError: when a file cannot be read, or what they show is not one regular volume, see
            :func:`~monai_synthfm.io.dicom.geometry.stack_frames`.
    """
    frames = [frame for header in headers for frame in frames_of(header)]
    stack = stack_frames(frames)
    return DicomVolume(read_frames([frames[index] for index in stack.order]), stack, modality_of(headers[0]))


def read_dicom_stack(files: Sequence[str | Path]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """
    Read single DICOM slices, see :func:`read_dicom`.

    Args:
        files: the slices in any order.

    Returns:
        - float32 [X, Y, Z];
        - affine from voxels to RAS+ mm [4, 4];
        - index into ``files`` for each z, to bring along what is paired with the files by name.
    """
    volume = read_dicom([read_header(path) for path in files])
    return volume.voxels, volume.stack.affine, volume.stack.order


def dicom_spacing(files: Sequence[str | Path]) -> list[float]:
    """
    Read the spacing in mm along the axes of the volume in RAS+ order, from the headers alone.

    Between slices it is the distance of their planes: in a volume of a tilted gantry less than that of their corners.

    Args:
        files: the slices in any order.
    """
    affine = stack_frames([frame for path in files for frame in frames_of(read_header(path))]).affine
    spacing = np.linalg.norm(affine[:3, :3], axis=0)
    spacing[2] = abs(np.linalg.det(affine[:3, :3])) / (spacing[0] * spacing[1])
    return spacing_in_ras(spacing.tolist(), affine[:3, :3].ravel().tolist())


def series_files(folder: str | Path, series: str | int | None = None) -> tuple[str, ...]:
    """
    List the files of a DICOM series in a folder, see :func:`choose_series`.

    Raises:
        FaultError: when there is none, or it is not clear which.
    """
    return tuple(str(header.filename) for header in choose_series(folder, series).headers)


def dicom_number(path: str | Path, tag: str) -> float | None:
    """Read one number of a DICOM header by its tag, such as ``0018|0081``; None when it is not there."""
    key = Tag(*(int(part, 16) for part in tag.split("|")))
    header = read_header(path, [key])
    return float(header[key].value) if key in header and header[key].value is not None else None
