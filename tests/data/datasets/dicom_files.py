# Copyright (c) monai_synthfm contributors
# Licensed under the Apache License, Version 2.0 (http://www.apache.org/licenses/LICENSE-2.0).
# SPDX-License-Identifier: Apache-2.0
"""DICOM files of every kind, written by pydicom, and their places by hand."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
from pydicom.dataset import Dataset, FileDataset, FileMetaDataset
from pydicom.uid import CTImageStorage, EnhancedMRImageStorage, ExplicitVRLittleEndian, generate_uid

TO_LPS = np.diag([-1.0, -1.0, 1.0])


def plain(values: np.ndarray, kind: str = CTImageStorage, modality: str = "CT", **tags: Any) -> FileDataset:
    """An image [X, Y] or [frames, rows, columns] without a place."""
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID = kind, generate_uid()
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    item = FileDataset("", {}, file_meta=meta, preamble=b"\0" * 128)
    item.SOPClassUID, item.SOPInstanceUID = kind, meta.MediaStorageSOPInstanceUID
    item.SeriesInstanceUID, item.SeriesNumber, item.Modality = "1.2.3", 1, modality
    pixels = values[None].transpose(0, 2, 1) if values.ndim == 2 else values
    if values.ndim > 2:
        item.NumberOfFrames = len(pixels)
    item.Rows, item.Columns = pixels.shape[1:3]
    item.SamplesPerPixel, item.PhotometricInterpretation = 1, "MONOCHROME2"
    item.BitsAllocated, item.BitsStored, item.HighBit, item.PixelRepresentation = 16, 16, 15, 0
    item.PixelData = np.ascontiguousarray(pixels.astype(np.uint16)).tobytes()
    for tag, value in tags.items():
        setattr(item, tag, value)
    return item


def axes(affine: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the spacing and the LPS directions [3, 3] of the columns of a RAS+ affine, and its LPS matrix."""
    lps = TO_LPS @ affine[:3]
    spacing = np.linalg.norm(lps[:, :3], axis=0)
    return spacing, lps[:, :3] / spacing, lps


def place(affine: np.ndarray, z: int) -> dict[str, Any]:
    """The attributes that say where slice z of a volume lies whose voxels go to RAS+ mm by an affine."""
    spacing, directions, lps = axes(affine)
    return {
        "ImagePositionPatient": (lps @ [0, 0, z, 1]).round(9).tolist(),
        "ImageOrientationPatient": [*directions[:, 0].round(9), *directions[:, 1].round(9)],
        "PixelSpacing": [spacing[1].round(9), spacing[0].round(9)],
    }


def write_series(
    folder: Path,
    voxels: np.ndarray,
    affine: np.ndarray,
    name: Callable[[int], str] = lambda z: f"{z * 7 % 10}{z:02d}.dcm",
    **tags: Any,
) -> list[Path]:
    """Write a volume [X, Y, Z] of whole numbers, a file for each slice, and return the files by z."""
    folder.mkdir(parents=True, exist_ok=True)
    files = []
    for z in range(voxels.shape[2]):
        with pydicom.config.disable_value_validation():
            item = plain(voxels[:, :, z], InstanceNumber=z, **{**place(affine, z), **tags})
            item.save_as(folder / name(z), enforce_file_format=True)
        files.append(folder / name(z))
    return files


def group(name: str, **tags: Any) -> Dataset:
    """A functional group with one macro."""
    inner, outer = Dataset(), Dataset()
    for tag, value in tags.items():
        setattr(inner, tag, value)
    setattr(outer, name, [inner])
    return outer


def merged(*parts: Dataset) -> Dataset:
    whole = Dataset()
    for part in parts:
        whole.update(part)
    return whole


def enhanced(
    voxels: np.ndarray,
    affine: np.ndarray,
    order: Sequence[int] | None = None,
    slopes: Sequence[float] | None = None,
    kind: str = EnhancedMRImageStorage,
    modality: str = "MR",
    **tags: Any,
) -> FileDataset:
    """One file of the slices of a volume [X, Y, Z] of stored values, in an order of its own, each with a slope."""
    order = range(voxels.shape[2]) if order is None else order
    item = plain(np.stack([voxels[:, :, z].T for z in order]), kind, modality, **tags)
    where = place(affine, 0)
    measures = {"PixelSpacing": where["PixelSpacing"], "SliceThickness": 9.0}
    item.SharedFunctionalGroupsSequence = [
        merged(
            group("PixelMeasuresSequence", **measures),
            group("PlaneOrientationSequence", ImageOrientationPatient=where["ImageOrientationPatient"]),
        )
    ]
    item.PerFrameFunctionalGroupsSequence = [
        merged(
            group("PlanePositionSequence", ImagePositionPatient=place(affine, z)["ImagePositionPatient"]),
            group(
                "PixelValueTransformationSequence",
                RescaleSlope=1 if slopes is None else slopes[z],
                RescaleIntercept=0 if slopes is None else -z,
            ),
        )
        for z in order
    ]
    return item


def save(item: FileDataset, path: Path) -> Path:
    with pydicom.config.disable_value_validation():
        item.save_as(path, enforce_file_format=True)
    return path


def change(path: Path, **tags: Any) -> None:
    """Set attributes of a file, or take away those that become None."""
    item = pydicom.dcmread(path)
    with pydicom.config.disable_value_validation():
        for tag, value in tags.items():
            if value is None:
                delattr(item, tag)
            else:
                setattr(item, tag, value)
        item.save_as(path)
