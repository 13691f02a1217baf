# Copyright (c) monai_synthfm contributors
# Licensed under the Apache License, Version 2.0 (http://www.apache.org/licenses/LICENSE-2.0).
# SPDX-License-Identifier: Apache-2.0
"""Which series of images a folder of DICOM files holds, and the choice of one of them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from pydicom import uid
from pydicom.dataset import Dataset

from monai_synthfm.io.dicom.headers import ENDINGS, NOT_IMAGES, has_dicom_magic, read_header
from monai_synthfm.io.faults import FaultError
from monai_synthfm.io.folders import entries, subfolders

__all__ = ["Series", "choose_series", "list_series"]

_DEPTH = 4
_SHOWN = 8


@dataclass(frozen=True)
class Series:
    """
    The images of one series.

    Args:
        uid: its SeriesInstanceUID.
        headers: of its files, in the order of their names.

    Example:
        >>> header = Dataset()
        >>> header.SeriesNumber, header.SeriesDescription, header.Modality = 3, "T1 axial", "MR"
        >>> header.Columns, header.Rows = 256, 192
        >>> print(Series("1.2.3", [header, header]))
        series 3 'T1 axial' (MR, 2 slices of 256 x 192)
    """

    uid: str
    headers: list[Dataset]

    @property
    def number(self) -> str:
        """Return SeriesNumber as text, or "" when there is none."""
        given = self.headers[0].get("SeriesNumber")
        return "" if given is None else str(given)

    def __str__(self) -> str:
        first = self.headers[0]
        slices = sum(int(header.get("NumberOfFrames") or 1) for header in self.headers)
        name = self.number or self.uid
        what = f"{first.get('Modality') or 'no modality'}, {slices} slice{'s' * (slices > 1)}"
        return f"series {name} {first.get('SeriesDescription', '')!r} ({what} of {first.Columns} x {first.Rows})"


def list_series(folder: str | Path) -> list[Series]:
    """
    List the series of images whose files lie in a folder, not in folders within.

    Doses, segmentations, tiled microscopy, reports and what else is no image to segment are left out, and so are files
    of other formats.

    Raises:
        FaultError: when a file is a damaged or empty one of a series, so that a slice would be missing.
    """
    images, others = _sorted(folder)
    endings = {_ending(path) for path in images}
    for path in others:
        ending = _ending(path)
        # a text without an ending is a README, but bytes are what is left of a slice
        if ending in ENDINGS or (ending in endings and (ending or not _is_text(path))):
            read_header(path)  # says what is wrong with it
    found: dict[str, list[Dataset]] = {}
    for header in images.values():
        found.setdefault(str(header.get("SeriesInstanceUID", "")), []).append(header)
    return [Series(name, headers) for name, headers in found.items()]


def choose_series(folder: str | Path, series: str | int | None = None) -> Series:
    """
    Return the series of images in a folder that is meant.

    Args:
        folder: of DICOM files.
        series: its number (0020,0011) or its SeriesInstanceUID; None when the folder holds only one.

    Raises:
        FaultError: when there is none, or when it is not clear which; the message lists those there are.
    """
    found = list_series(folder)
    if not found:
        raise FaultError("series", folder, f"expected one DICOM series in the folder, found 0{_hint(folder)}")
    if series is None:
        if len(found) == 1:
            return found[0]
        message = f"expected one DICOM series in the folder, found {len(found)}: {_distinct(found)}"
        raise FaultError("series", folder, f"{message}; name one (option series)")
    wanted = str(series).strip()
    chosen = [item for item in found if wanted in (item.number, item.uid)]
    if len(chosen) == 1:
        return chosen[0]
    if chosen:
        raise FaultError("series", folder, f"{len(chosen)} series are number {wanted}: {_distinct(chosen)}")
    raise FaultError("series", folder, f"no series {wanted}, there are: {_distinct(found)}")


def _sorted(folder: str | Path) -> tuple[dict[Path, Dataset], list[Path]]:
    """Return the headers of images, and the files that are not DICOM."""
    images, others = {}, []
    for path in entries(folder):
        if path.is_dir():
            continue
        try:
            header = read_header(path)
        except FaultError:
            if has_dicom_magic(path):
                raise
            others.append(path)
            continue
        if "Rows" in header and header.get("SOPClassUID") not in NOT_IMAGES:
            images[path] = header
    return images, others


def _ending(path: Path) -> str:
    """Return the ending of a name, which the last number of a UID is not."""
    return "" if path.suffix[1:].isdigit() else path.suffix.lower()


def _is_text(path: Path) -> bool:
    with open(path, "rb") as file:
        beginning = file.read(132)
    return bool(beginning) and b"\0" not in beginning


def _distinct(found: Sequence[Series]) -> str:
    """List series so that each can be named."""
    count = Counter(item.number for item in found)
    return "; ".join(f"{item}{f' = {item.uid}' if count[item.number] > 1 else ''}" for item in found)


def _hint(folder: str | Path) -> str:
    """Say what there is instead of a series."""
    kinds, others = set(), list[str]()
    for path in entries(folder):
        if path.is_file() and not has_dicom_magic(path):
            others.append(path.name)
        elif path.is_file():
            kind = uid.UID(read_header(path).get("SOPClassUID", ""))
            kinds.add(NOT_IMAGES.get(kind, kind.name))
    if kinds:
        return f", only {', '.join(sorted(kinds))}"
    level, within = [Path(folder)], list[Path]()
    for _ in range(_DEPTH):
        level = [child for parent in level for child in subfolders(parent)]
        within += [child for child in level if any(p.is_file() and has_dicom_magic(p) for p in entries(child))]
    if not within:
        return f", only other files such as {others[0]}" if others else ""
    names = ", ".join(str(child.relative_to(folder)) for child in within[:_SHOWN])
    more = ", ..." if len(within) > _SHOWN else ""
    return f", but there are some in folders within: {names}{more}; give one of these"
