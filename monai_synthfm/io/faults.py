# Copyright (c) monai_synthfm contributors
# Licensed under the Apache License, Version 2.0 (http://www.apache.org/licenses/LICENSE-2.0).
# SPDX-License-Identifier: Apache-2.0
"""What can be wrong with a downloaded dataset, in words for people and in records for machines."""

from __future__ import annotations

import gzip
import math
import os
import re
import zlib
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

__all__ = ["Fault", "FaultError", "Finding", "check_compressed", "unreadable"]

_CHUNK = 1 << 22


@dataclass(frozen=True)
class Fault:
    """
    One case that cannot be used, or is used with a reservation.

    Args:
        dataset: name of the dataset.
        case_id: the case, or None when the fault is the whole dataset's.
        split: official split of the case, or None when unknown.
        code: kind of fault in one word, such as ``missing_label``, ``unreadable``, ``shape_mismatch``,
            ``affine_mismatch``, ``unexpected_label``, ``no_metadata``, ``excluded``.
        file: the file or folder.
        message: what was found and what is expected.
        notice: True for what the archive is known to contain, or the user asked for; such a case is left out without
            an error, but reported.

    Example:
        >>> fault = Fault("hc18", "000_HC", "training", "missing_label", "000_HC.png", "no annotation beside the image")
        >>> print(fault)
        hc18 000_HC: missing_label: 000_HC.png: no annotation beside the image
    """

    dataset: str
    case_id: str | None
    split: str | None
    code: str
    file: str
    message: str
    notice: bool = False

    def __str__(self) -> str:
        return f"{self.dataset} {self.case_id or '(whole set)'}: {self.code}: {self.file}: {self.message}"

    def record(self) -> dict[str, Any]:
        """Return the fields for JSON."""
        return asdict(self)


class FaultError(ValueError):
    """
    A file that cannot be used.

    Args:
        code: see :class:`Fault`.
        file: the file or folder.
        message: what was found and what is expected.
        skipped: what was left out before, where that is the reason.
    """

    def __init__(self, code: str, file: str | Path, message: str, skipped: Sequence[Fault] = ()) -> None:
        super().__init__(code, str(file), message, tuple(skipped))
        self.code, self.file, self.message, self.skipped = code, str(file), message, tuple(skipped)

    def __str__(self) -> str:
        return f"{self.code}: {self.file}: {self.message}"


def unreadable(file: str | Path, what: str, error: Exception) -> FaultError:
    """
    Make the fault of a file that could not be read, in one sentence, out of what a library said.

    Links to files that are not there, missing and empty files, and folders are reported as such.

    Args:
        file: the file.
        what: what it is not, or what could not be done.
        error: the library's; its last line is kept, without the file's folder and addresses in memory.

    Example:
        >>> str(unreadable("/nowhere/ct.mha", "not a MetaImage", RuntimeError("bad header")))
        'missing_file: /nowhere/ct.mha: no such file'
    """
    path = Path(file)
    if path.is_symlink() and not path.exists():
        return FaultError("missing_file", file, f"a link to {os.readlink(path)}, which is not there; fetch it first")
    if not path.exists():
        return FaultError("missing_file", file, "no such file")
    if path.is_dir():
        return FaultError("unreadable", file, "expected a file, found a folder")
    if not path.stat().st_size:
        return FaultError("unreadable", file, "an empty file (0 bytes)")
    # ITK ends with what the system said last, which may be about another file
    lines = [line.strip() for line in str(error).splitlines() if line.strip() and not line.startswith("Reason:")]
    reason = lines[-1] if lines else type(error).__name__
    reason = re.sub(r"\(0x[0-9a-f]+\)", "", reason.replace(str(path), path.name)).rstrip(".")
    return FaultError("unreadable", file, f"{what} ({reason})")


def check_compressed(file: str | Path) -> None:
    """
    Read a gzip file to its end, where the checksum of its content stands; readers of images stop before.

    Raises:
        FaultError: when the file is cut short, or its content is not what was compressed.
    """
    try:
        with gzip.open(file) as stream:
            while stream.read(_CHUNK):
                pass
    except (OSError, EOFError, zlib.error) as error:
        raise unreadable(file, "damaged since it was compressed", error) from error


@dataclass(frozen=True)
class Finding:
    """
    A number measured on a case or on a whole dataset, with the range that sane data lie in.

    Args:
        quantity: what was measured, with its unit.
        value: the number.
        low: smallest plausible number.
        high: largest plausible number.

    Example:
        >>> print(Finding("mean HU of the liver", 35.6, low=60, high=200))
        mean HU of the liver is 35.6, expected 60 to 200
    """

    quantity: str
    value: float
    low: float = -math.inf
    high: float = math.inf

    @property
    def plausible(self) -> bool:
        """Whether the number lies in its range."""
        return self.low <= self.value <= self.high

    def __str__(self) -> str:
        return f"{self.quantity} is {self.value:.4g}, expected {self.low:g} to {self.high:g}"
