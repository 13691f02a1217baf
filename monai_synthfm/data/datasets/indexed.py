# Copyright (c) monai_synthfm contributors
# Licensed under the Apache License, Version 2.0 (http://www.apache.org/licenses/LICENSE-2.0).
# SPDX-License-Identifier: Apache-2.0
"""Small collections of labelled cases described by an ``index.csv``, such as the development set."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from monai.data import MetaTensor

from monai_synthfm.data.datasets.base import LabelledDataset
from monai_synthfm.data.datasets.case import Case, LoadedCase
from monai_synthfm.io.faults import Fault, FaultError
from monai_synthfm.io.folders import find_root, read_rows
from monai_synthfm.io.formats import read_labels_like, read_picture, read_volume, volume_spacing

__all__ = ["IndexedDataset"]

_MODALITIES = {"CT": "ct", "MR": "mr", "US": "us", "XR": "xray", "microscopy": "microscopy"}
_COLUMNS = ("case_id", "image", "mask", "label", "structure", "modality", "dims", "spacing_mm", "patient", "set")


class IndexedDataset(LabelledDataset):
    """
    Cases listed in ``index.csv``, one row for each case and structure: NIfTI, NRRD, MHA and PNG files side by side.

    Columns: ``case_id``, ``image``, ``mask`` (files beside the table), ``label`` (value in the mask, or a range
    ``1..K`` of instances), ``structure``, ``modality``, ``dims`` (``2D`` or ``3D``), ``spacing_mm`` (``0.1x0.1`` for
    pictures, columns by rows; empty where unknown; volumes say it themselves), ``patient`` (empty or ``unknown``: the
    case is its own patient), ``set`` (becomes ``source`` of the case).

    Structures are those of the table; masks may hold other values too. A row of instances gives one structure with
    value 1 and ``instances`` besides. There is no split: every case is ``development``.

    Args:
        root: folder of the table, or one above it.
        options: see :class:`LabelledDataset`; ``structures`` are names of the table, and cases without any of them are
            left out.
    """

    name = "development"
    modality = "auto"
    sections = ("development",)
    expected: Mapping[str, int] = {}
    only_known_values = False

    def __init__(self, root: str | Path, **options: Any) -> None:
        folder = self.find_root(Path(root))
        self._rows = read_rows(folder / "index.csv")
        missing = [column for column in _COLUMNS if column not in (self._rows or [{}])[0]]
        if missing:
            raise FaultError("no_metadata", folder / "index.csv", f"expected the columns {_COLUMNS}, without {missing}")
        # Values differ by case, so this table only names the structures; each case carries its own values.
        self.table = {_structure(row): 1 for row in self._rows}
        self.evaluated = tuple(self.table)
        super().__init__(root, **options)

    def find_root(self, root: Path) -> Path:
        """Find the folder of ``index.csv``."""
        return find_root(root, lambda folder: (folder / "index.csv").is_file(), "the table index.csv")

    def scan(self) -> Iterator[Case | Fault]:
        """List the cases of the table."""
        by_case: dict[str, list[dict[str, str]]] = {}
        for row in self._rows:
            if _structure(row) in self.structures:
                by_case.setdefault(row["case_id"], []).append(row)
        for case_id, rows in by_case.items():
            yield self.try_case(case_id, "development", self._case_of, rows)

    def _case_of(self, case_id: str, split: str, rows: list[dict[str, str]]) -> Case:
        first = rows[0]
        image, label = (self.root / first[key] for key in ("image", "mask"))
        for path, code in ((image, "missing_image"), (label, "missing_label")):
            if not path.is_file():
                raise FaultError(code, path, "listed in index.csv, but there is no such file")
        modality = _MODALITIES.get(first["modality"].split(" ")[0])
        if modality is None:
            raise FaultError("unknown_modality", image, f"{first['modality']!r} is not one of {list(_MODALITIES)}")
        if first["dims"] not in ("2D", "3D"):
            raise FaultError("no_metadata", image, f"dims must be 2D or 3D, found {first['dims']!r}")
        instances = [row["label"] for row in rows if ".." in row["label"]]
        if instances and len(rows) > 1:
            raise FaultError("no_metadata", label, f"instances {instances[0]} beside other structures")
        if any(not row["label"].isdigit() for row in rows) and not instances:
            raise FaultError("no_metadata", label, f"labels must be numbers, found {[row['label'] for row in rows]}")
        return self.case(
            case_id,
            split,
            image,
            label,
            patient_id=first["patient"] if first["patient"] not in ("", "unknown") else case_id,
            modality=modality,
            structures={_structure(row): 1 if instances else int(row["label"]) for row in rows},
            spacing=volume_spacing(image) if first["dims"] == "3D" else _picture_spacing(image, first["spacing_mm"]),
            source=first["set"],
            has_instances=bool(instances),
        )

    def load(self, case: Case | Mapping[str, Any]) -> LoadedCase:
        """Read and check the files of a case; instances become one structure, and are kept beside it."""
        sample = super().load(case)
        if not sample.facts["has_instances"]:
            return sample
        label = (sample.label > 0).to(sample.label.dtype)
        present = {name: bool(label.any()) for name in sample.structures}
        return replace(sample, label=label, present=present, instances=sample.label)

    def read(self, case: Case) -> tuple[MetaTensor, MetaTensor]:
        """Read a volume or a picture with its mask."""
        image = read_volume(case.image) if case.is_volume else read_picture(case.image)
        return image, read_labels_like(image, case.label)


def _structure(row: dict[str, str]) -> str:
    return row["structure"].removesuffix(" (instances)")


def _picture_spacing(image: Path, text: str) -> list[float] | None:
    """Turn ``0.1x0.2``, columns by rows, into mm of rows and columns."""
    if not re.fullmatch(r"([\d.]+x[\d.]+)?", text):
        raise FaultError("no_metadata", image, f"spacing_mm of a picture must be such as 0.1x0.2, found {text!r}")
    return [float(size) for size in reversed(text.split("x"))] if text else None
