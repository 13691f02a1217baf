# Copyright (c) monai_synthfm contributors
# Licensed under the Apache License, Version 2.0 (http://www.apache.org/licenses/LICENSE-2.0).
# SPDX-License-Identifier: Apache-2.0
"""Stacks of single DICOM slices, put in order by where they lie and not by what they are called."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import SimpleITK

from monai_synthfm.data.datasets.faults import FaultError
from monai_synthfm.data.datasets.volumes import LPS_TO_RAS, last_line, spacing_in_ras

__all__ = ["dicom_number", "dicom_spacing", "read_dicom_stack", "series_files"]


def read_dicom_stack(files: Sequence[str | Path]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """
    Read single DICOM slices, put in order by their positions, whatever their names and instance numbers say.

    Stored values are turned into intensities by each file's rescale slope and intercept. The step between slices comes
    from the positions; SliceThickness, which may differ from it, is not used.

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
    voxels = np.stack([SimpleITK.GetArrayViewFromImage(slices[index])[0].T for index in order], axis=-1)
    return voxels.astype(np.float32), LPS_TO_RAS @ affine, order


def dicom_spacing(files: Sequence[str | Path]) -> list[float]:
    """
    Read the spacing in mm of neighbouring slices along the axes of the volume in RAS+ order, from the headers alone.

    Args:
        files: the slices in an order in which the first two are neighbours.
    """
    first, second = (_dicom_header(path) for path in (files[0], files[min(1, len(files) - 1)]))
    step = float(np.linalg.norm(np.subtract(second.GetOrigin(), first.GetOrigin()))) or first.GetSpacing()[2]
    return spacing_in_ras((*first.GetSpacing()[:2], step), first.GetDirection())


def series_files(folder: str | Path) -> tuple[str, ...]:
    """
    List the files of the one DICOM series in a folder, neighbours beside each other.

    Raises:
        FaultError: when there is no series, or several.
    """
    series = SimpleITK.ImageSeriesReader.GetGDCMSeriesIDs(str(folder))
    if len(series) != 1:
        raise FaultError("series", folder, f"expected one DICOM series in the folder, found {len(series)}")
    return SimpleITK.ImageSeriesReader.GetGDCMSeriesFileNames(str(folder), series[0])


def _dicom_header(path: str | Path) -> SimpleITK.ImageFileReader:
    reader = SimpleITK.ImageFileReader()
    reader.SetImageIO("GDCMImageIO")
    reader.SetFileName(str(path))
    try:
        reader.ReadImageInformation()
    except RuntimeError as error:
        raise FaultError("unreadable", path, f"not a DICOM file ({last_line(error)})") from error
    if reader.GetDimension() != 3:
        raise FaultError("shape_mismatch", path, f"expected one slice with a position, found size {reader.GetSize()}")
    return reader


def dicom_number(path: str | Path, tag: str) -> float | None:
    """Read one number of a DICOM header by its tag, such as ``0018|0081``; None when it is not there."""
    header = _dicom_header(path)
    return float(header.GetMetaData(tag)) if header.HasMetaDataKey(tag) else None


def _read_dicom(path: str | Path) -> SimpleITK.Image:
    reader = SimpleITK.ImageFileReader()
    reader.SetImageIO("GDCMImageIO")
    reader.SetFileName(str(path))
    try:
        image = reader.Execute()
    except RuntimeError as error:
        raise FaultError("unreadable", path, f"not a whole DICOM file ({last_line(error)})") from error
    if image.GetDimension() != 3 or image.GetSize()[2] != 1 or image.GetNumberOfComponentsPerPixel() != 1:
        raise FaultError("shape_mismatch", path, f"expected one grey slice, found size {image.GetSize()}")
    return image
