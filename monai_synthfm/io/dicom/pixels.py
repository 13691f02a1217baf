# Copyright (c) monai_synthfm contributors
# Licensed under the Apache License, Version 2.0 (http://www.apache.org/licenses/LICENSE-2.0).
# SPDX-License-Identifier: Apache-2.0
"""Pixels of DICOM files, decoded by GDCM through ITK, and a reason where that fails."""

from __future__ import annotations

import os
import tempfile
import warnings
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pydicom
import SimpleITK
from pydicom import uid
from pydicom.config import disable_value_validation
from pydicom.dataset import Dataset, FileMetaDataset

from monai_synthfm.io.canonical_volumes import last_line
from monai_synthfm.io.dicom.frames import Frame
from monai_synthfm.io.faults import FaultError

__all__ = ["read_frames"]

_DECODED = {
    uid.JPEGBaseline8Bit,
    uid.JPEGExtended12Bit,
    uid.JPEGLossless,
    uid.JPEGLosslessSV1,
    uid.JPEGLSLossless,
    uid.JPEGLSNearLossless,
    uid.JPEG2000Lossless,
    uid.JPEG2000,
    uid.RLELossless,
}
"""Compressions that GDCM knows."""
_PIXEL_TAGS = (
    *("SamplesPerPixel", "PhotometricInterpretation", "PlanarConfiguration", "NumberOfFrames", "Rows", "Columns"),
    *("BitsAllocated", "BitsStored", "HighBit", "PixelRepresentation", "PixelData"),
    *(f"{colour}PaletteColorLookupTableDescriptor" for colour in ("Red", "Green", "Blue")),
    *(f"{colour}PaletteColorLookupTableData" for colour in ("Red", "Green", "Blue")),
)


def read_frames(frames: Sequence[Frame]) -> np.ndarray:
    """
    Read the intensities of pictures of one size.

    Args:
        frames: which, in the order of the result.

    Returns:
        float32 [X, Y, Z]: columns, rows and pictures. Colours of which all three are the same count as grey.

    Raises:
        FaultError: when a file is cut short, cannot be decoded or has colours; the message says what is missing.
    """
    decoded: dict[Path, np.ndarray] = {}
    voxels = np.empty((*frames[0].size, len(frames)), np.float32)
    for z, frame in enumerate(frames):
        if not frame.multiple:
            voxels[..., z] = _picture(frame.file)[0].T
            continue
        if frame.file not in decoded:
            decoded[frame.file] = _stored_frames(frame.file)
        stored = decoded[frame.file]
        if frame.index >= len(stored):
            message = f"{len(stored)} frames are in it, its header speaks of frame {frame.index + 1}"
            raise FaultError("shape_mismatch", frame.file, message)
        voxels[..., z] = stored[frame.index].T * frame.slope + frame.intercept
    return voxels


def _picture(path: Path, original: Path | None = None) -> np.ndarray:
    """Decode a file to [frames, rows, columns]; ITK rescales it by the slope and intercept of its header."""
    reader = SimpleITK.ImageFileReader()
    reader.SetImageIO("GDCMImageIO")
    reader.SetFileName(str(path))
    try:
        image = reader.Execute()
    except RuntimeError as error:
        raise FaultError("unreadable", original or path, _reason(original or path, last_line(error))) from error
    values = SimpleITK.GetArrayFromImage(image)
    if image.GetDimension() == 2:
        values = values[None]
    if values.ndim == 4:
        if (values != values[..., :1]).any():
            message = "it has colours, and grey values are expected; convert it to grey, for example with Pillow"
            raise FaultError("colour", original or path, message)
        values = values[..., 0]
    return values


def _stored_frames(path: Path) -> np.ndarray:
    """
    Decode the stored values of a file with several frames.

    ITK rescales all frames by the numbers of the first and looks for places where the header has none, so it is given
    the pixels alone.
    """
    with warnings.catch_warnings(), disable_value_validation():
        warnings.simplefilter("ignore")
        whole = pydicom.dcmread(path, force=True)
        if "PixelData" not in whole:
            raise FaultError("unreadable", path, "it has no pixels")
        if reason := _shortage(path):
            raise FaultError("unreadable", path, reason)
        plain = Dataset()
        for name in _PIXEL_TAGS:
            if name in whole:
                plain[name] = whole[name]
        plain.SOPClassUID = uid.MultiFrameGrayscaleWordSecondaryCaptureImageStorage
        if int(plain.get("SamplesPerPixel", 1)) > 1:
            plain.SOPClassUID = uid.MultiFrameTrueColorSecondaryCaptureImageStorage
        plain.SOPInstanceUID = uid.generate_uid()
        plain.file_meta = FileMetaDataset()
        plain.file_meta.MediaStorageSOPClassUID = plain.SOPClassUID
        plain.file_meta.MediaStorageSOPInstanceUID = plain.SOPInstanceUID
        plain.file_meta.TransferSyntaxUID = whole.file_meta.get("TransferSyntaxUID", uid.ImplicitVRLittleEndian)
        with tempfile.TemporaryDirectory() as folder:
            copy = Path(folder) / "pixels.dcm"
            plain.save_as(copy, enforce_file_format=True)
            return _picture(copy, path)


def _shortage(path: Path) -> str | None:
    """Say how many bytes a file lacks that is not compressed, if it does."""
    with warnings.catch_warnings(), disable_value_validation(), open(path, "rb") as file:
        warnings.simplefilter("ignore")
        header = pydicom.dcmread(file, stop_before_pixels=True, force=True)
        there = os.path.getsize(path) - file.tell()
    syntax = header.file_meta.get("TransferSyntaxUID", uid.ImplicitVRLittleEndian)
    there -= 8 if syntax.is_implicit_VR else 12  # tag and length of the pixels
    if syntax.is_compressed or syntax == uid.DeflatedExplicitVRLittleEndian:
        return None
    samples = int(header.get("SamplesPerPixel", 1)) * int(header.get("NumberOfFrames") or 1)
    if "422" in str(header.get("PhotometricInterpretation", "")):
        samples = samples * 2 // 3
    expected = int(header.Rows) * int(header.Columns) * samples * int(header.BitsAllocated) // 8
    if there >= expected:
        return None
    return f"cut short: {max(there, 0)} bytes of pixels are there, {expected} expected"


def _reason(path: Path, of_itk: str) -> str:
    """Say why a DICOM file could not be decoded."""
    with warnings.catch_warnings(), disable_value_validation():
        warnings.simplefilter("ignore")
        header = pydicom.dcmread(path, stop_before_pixels=True, force=True)
    syntax = header.file_meta.get("TransferSyntaxUID")
    if syntax is not None and syntax.is_compressed and syntax not in _DECODED:
        return (
            f"compressed as {syntax.name}, which ITK cannot decode; decompress it, for example by pydicom "
            "(Dataset.decompress) with the plugin for this transfer syntax"
        )
    shortage = _shortage(path)
    if shortage is not None:
        return shortage
    return f"its pixels cannot be decoded ({syntax.name if syntax else 'no transfer syntax'}: {of_itk})"
