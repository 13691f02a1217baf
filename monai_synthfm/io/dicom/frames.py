# Copyright (c) monai_synthfm contributors
# Licensed under the Apache License, Version 2.0 (http://www.apache.org/licenses/LICENSE-2.0).
# SPDX-License-Identifier: Apache-2.0
"""The pictures in a DICOM file: which place each has, in what units, and what else tells it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from pydicom import uid
from pydicom.dataset import Dataset

from monai_synthfm.io.dicom.headers import NOT_IMAGES, TELLING
from monai_synthfm.io.faults import FaultError

__all__ = ["Frame", "frames_of"]

_IN_TIME = {
    uid.UltrasoundMultiFrameImageStorage,
    uid.XRayAngiographicImageStorage,
    uid.XRayRadiofluoroscopicImageStorage,
    uid.EnhancedXAImageStorage,
    uid.EnhancedXRFImageStorage,
}
_CENTIMETRES = 3  # (0018,6024) of a region of an ultrasound image


@dataclass(frozen=True)
class Frame:
    """
    One picture of a DICOM file, in mm of the patient (LPS+) where the file says so.

    Args:
        file: where it is.
        index: which of the file's pictures.
        multiple: whether the file is of a kind that holds several, even if it has one.
        size: columns and rows.
        position: centre of the first pixel [3], or None when not given.
        direction: unit vectors [3, 3] as columns: along a row, along a column, and across both; None with ``position``.
        spacing: mm between columns and between rows, or None when not given.
        thickness: mm to the next slice, as far as a single slice can say.
        slope: with ``intercept``, what turns stored values of a ``multiple`` file into intensities.
        intercept: see ``slope``.
        in_patient: whether ``position`` is in the patient, and not in an ultrasound volume of its own.
        tells: what may tell it from another picture in the same place.
    """

    file: Path
    index: int
    multiple: bool
    size: tuple[int, int]
    position: np.ndarray | None
    direction: np.ndarray | None
    spacing: tuple[float, float] | None
    thickness: float
    slope: float = 1.0
    intercept: float = 0.0
    in_patient: bool = True
    tells: dict[str, str] = field(default_factory=dict)


def frames_of(header: Dataset) -> list[Frame]:
    """
    List the pictures of an image file.

    Raises:
        FaultError: when it is no image, or one whose pictures have no known places.
    """
    path = Path(str(header.filename))
    kind = uid.UID(header.get("SOPClassUID", ""))
    if kind in NOT_IMAGES:
        raise FaultError("unknown_format", path, f"{NOT_IMAGES[kind]}, not an image; give the images themselves")
    if "Rows" not in header or "Columns" not in header:
        what = kind.name if kind else "a DICOM file"
        raise FaultError("unknown_format", path, f"no image is in it ({what}); give the images themselves")
    if "MOSAIC" in [str(word).upper() for word in header.get("ImageType") or ()]:
        message = "a mosaic of all slices of a volume side by side; convert it with dcm2niix and give a volume"
        raise FaultError("shape_mismatch", path, message)
    count = int(header.get("NumberOfFrames") or 1)
    groups = header.get("PerFrameFunctionalGroupsSequence")
    if not groups and count == 1:
        return [_frame(header, (header,), 0, False)]
    if groups is not None and len(groups) != count:
        raise FaultError("shape_mismatch", path, f"{count} frames, but {len(groups)} descriptions of frames")
    shared = [*_items(header, "SharedFunctionalGroupsSequence")]
    places = [
        _frame(header, (*_levels(group), *(level for item in shared for level in _levels(item)), header), index, True)
        for index, group in enumerate(groups or [Dataset()] * count)
    ]
    in_time = kind in _IN_TIME or "FrameTime" in header or "FrameTimeVector" in header
    if not in_time and any(place.position is None for place in places):
        raise FaultError(
            "slice_geometry",
            path,
            f"{count} frames without positions ({kind.name}); convert it, for example with dcm2niix, and give a volume",
        )
    return places


def _levels(group: Dataset) -> Iterator[Dataset]:
    """Go through a group of attributes, each in a sequence of its own."""
    yield group
    for element in group:
        if element.VR == "SQ":
            yield from element.value


def _items(header: Dataset, name: str) -> Sequence[Dataset]:
    return header.get(name) or ()


def _frame(header: Dataset, levels: Sequence[Dataset], index: int, multiple: bool) -> Frame:
    def found(*names: str) -> Any:
        values = (level[name].value for name in names for level in levels if name in level)
        return next((value for value in values if value not in (None, "")), None)

    path = Path(str(header.filename))
    in_patient = found("ImagePositionPatient") is not None
    position = _numbers(path, "position", found("ImagePositionPatient", "ImagePositionVolume"), 3)
    turned = _numbers(path, "orientation", found("ImageOrientationPatient", "ImageOrientationVolume"), 6)
    direction = None
    if position is not None and turned is not None:
        along_row, along_column = turned[:3], turned[3:]
        direction = np.stack([along_row, along_column, np.cross(along_row, along_column)], axis=1)
        if not np.allclose(direction.T @ direction, np.eye(3), atol=1e-3):
            message = f"its orientation {turned.tolist()} is not that of two perpendicular axes"
            raise FaultError("slice_geometry", path, message)
    names = ("PixelSpacing", "ImagerPixelSpacing", "NominalScannedPixelSpacing")
    spacing = _numbers(path, "pixel spacing", found(*names), 2)
    if spacing is None:
        spacing = _ultrasound_spacing(header)
    if spacing is not None and not (spacing > 0).all():
        raise FaultError("slice_geometry", path, f"its pixel spacing {spacing.tolist()} is not above 0")
    step = _numbers(path, "spacing of slices", found("SpacingBetweenSlices", "SliceThickness"), 1)
    slope, intercept = (_numbers(path, name, found(name), 1) for name in ("RescaleSlope", "RescaleIntercept"))
    return Frame(
        path,
        index,
        multiple,
        (int(header.Columns), int(header.Rows)),
        None if direction is None else position,
        direction,
        None if spacing is None else (float(spacing[1]), float(spacing[0])),
        float(step[0]) if step is not None and step[0] > 0 else 1.0,
        1.0 if slope is None else float(slope[0]),
        0.0 if intercept is None else float(intercept[0]),
        in_patient,
        {name: str(value) for name in TELLING if (value := found(name)) is not None},
    )


def _numbers(path: Path, what: str, given: Any, count: int) -> np.ndarray | None:
    if given is None:
        return None
    try:
        numbers = np.atleast_1d(np.array(given, dtype=np.float64))
    except (TypeError, ValueError):
        numbers = np.zeros(0)
    if numbers.shape != (count,) or not np.isfinite(numbers).all():
        raise FaultError("slice_geometry", path, f"its {what} must be {count} numbers, found {given!r}")
    return numbers


def _ultrasound_spacing(header: Dataset) -> np.ndarray | None:
    """Return mm between rows and columns of an ultrasound image, if all its regions agree."""
    found = {
        (abs(float(region.PhysicalDeltaY)) * 10, abs(float(region.PhysicalDeltaX)) * 10)
        for region in _items(header, "SequenceOfUltrasoundRegions")
        if region.get("PhysicalUnitsXDirection") == region.get("PhysicalUnitsYDirection") == _CENTIMETRES
        and region.get("PhysicalDeltaX")
        and region.get("PhysicalDeltaY")
    }
    return np.array(found.pop()) if len(found) == 1 else None
