# Copyright (c) monai_synthfm contributors
# Licensed under the Apache License, Version 2.0 (http://www.apache.org/licenses/LICENSE-2.0).
# SPDX-License-Identifier: Apache-2.0
"""What can be wrong with a downloaded dataset, in words for people and in records for machines."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

__all__ = ["Fault", "FaultError", "Finding"]


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
