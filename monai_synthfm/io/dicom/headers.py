# Copyright (c) monai_synthfm contributors
# Licensed under the Apache License, Version 2.0 (http://www.apache.org/licenses/LICENSE-2.0).
# SPDX-License-Identifier: Apache-2.0
"""Headers of DICOM files, and which files have images."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pydicom
from pydicom import uid
from pydicom.config import disable_value_validation
from pydicom.dataset import Dataset
from pydicom.errors import InvalidDicomError

from monai_synthfm.io.faults import FaultError

__all__ = ["ENDINGS", "NOT_IMAGES", "TELLING", "has_dicom_magic", "is_dicom", "modality_of", "read_header"]

ENDINGS = (".dcm", ".ima", ".dicom")
NOT_IMAGES = {
    uid.MediaStorageDirectoryStorage: "a DICOMDIR, which lists the files of a disc",
    uid.RTDoseStorage: "a dose distribution",
    uid.SegmentationStorage: "a segmentation",
    uid.SurfaceSegmentationStorage: "a segmentation",
    uid.ParametricMapStorage: "a parametric map",
    uid.VLWholeSlideMicroscopyImageStorage: "a tiled microscopy image",
}
"""Files that may lie beside images and have pixels, or a list, of their own."""

_FIRST_GROUPS = (b"\x02\0", b"\x08\0", b"\0\x08")
_CAPTURES = "Secondary Capture"
# Several of these tell the volumes of one series apart; the first that do are named.
TELLING = (
    "DiffusionBValue",
    "EchoTime",
    "EffectiveEchoTime",
    "InversionTime",
    "FlipAngle",
    "TemporalPositionIdentifier",
    "TemporalPositionIndex",
    "TriggerTime",
    "NominalCardiacTriggerDelayTime",
    "ImageType",
    "FrameType",
    "AcquisitionNumber",
    "AcquisitionTime",
    "FrameAcquisitionDateTime",
    "ContentTime",
)
_NEEDED = (
    "BitsAllocated",
    "Columns",
    "FrameTime",
    "FrameTimeVector",
    "ImageOrientationPatient",
    "ImagePositionPatient",
    "ImagerPixelSpacing",
    "Modality",
    "NominalScannedPixelSpacing",
    "NumberOfFrames",
    "PerFrameFunctionalGroupsSequence",
    "PixelSpacing",
    "RescaleIntercept",
    "RescaleSlope",
    "Rows",
    "SamplesPerPixel",
    "SequenceOfUltrasoundRegions",
    "SeriesDescription",
    "SeriesInstanceUID",
    "SeriesNumber",
    "SharedFunctionalGroupsSequence",
    "SliceThickness",
    "SOPClassUID",
    "SpacingBetweenSlices",
)


def has_dicom_magic(path: str | Path) -> bool:
    """Return whether a file begins as DICOM files do: 128 bytes of anything, then ``DICM``."""
    return _beginning(path)[128:] == b"DICM"


def _beginning(path: str | Path) -> bytes:
    try:
        with open(path, "rb") as file:
            return file.read(132)
    except OSError as error:
        raise FaultError("unreadable", path, f"it cannot be opened ({error.strerror})") from error


def is_dicom(path: str | Path) -> bool:
    """Return whether a file is DICOM by its beginning, by the ending of its name, or by being readable as such."""
    if Path(path).name.lower().endswith(ENDINGS) or has_dicom_magic(path):
        return True
    try:
        return "Rows" in read_header(path)
    except FaultError:
        return False


def read_header(path: str | Path, tags: Sequence[Any] = ()) -> Dataset:
    """
    Read what precedes the pixels of a DICOM file, as far as it is used here.

    Args:
        path: the file.
        tags: further elements that are wanted.

    Raises:
        FaultError: when it is not DICOM, or ends before its header does.
    """
    wanted = [*_NEEDED, *TELLING, *tags]
    if not Path(path).is_file():
        raise FaultError("unreadable", path, "no such file")
    try:
        with warnings.catch_warnings(), disable_value_validation():
            warnings.simplefilter("ignore")
            # files of before 1993 lack the beginning that the others have, and start with their first elements
            if not has_dicom_magic(path) and _beginning(path)[:2] not in _FIRST_GROUPS:
                raise InvalidDicomError("it lacks the DICM at its beginning")
            header = pydicom.dcmread(path, stop_before_pixels=True, specific_tags=wanted, force=True)
            if not has_dicom_magic(path) and not ("SOPClassUID" in header and "Rows" in header):
                raise InvalidDicomError("it lacks the DICM at its beginning")
            kind = header.file_meta.get("MediaStorageSOPClassUID", header.get("SOPClassUID", ""))
            # reads the sequences that are looked into later
            list(header.iterall())
    except Exception as error:  # damaged bytes make pydicom raise anything
        why = (str(error).splitlines() or [type(error).__name__])[0]
        raise FaultError("unreadable", path, f"not a whole DICOM file ({why})") from error
    header.filename = str(path)
    if "SOPClassUID" not in header and kind:
        header.SOPClassUID = kind
    if not kind:
        raise FaultError("unreadable", path, "cut short, or no DICOM file: it does not say what it is (0008,0016)")
    if "Image Storage" in uid.UID(kind).name and not {"Rows", "Columns", "BitsAllocated"} <= {*header.dir()}:
        raise FaultError("unreadable", path, "cut short: it ends before the header of its image does")
    return header


def modality_of(header: Dataset) -> str:
    """Return the modality (0008,0060) that made the values of an image, such as ``MR``, or "" when that is not said."""
    if _CAPTURES in uid.UID(header.get("SOPClassUID", "")).name:  # a picture of a screen
        return ""
    given = str(header.get("Modality") or "").strip().upper()
    return "" if given == "OT" else given
