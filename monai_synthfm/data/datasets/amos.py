# Copyright (c) monai_synthfm contributors
# Licensed under the Apache License, Version 2.0 (http://www.apache.org/licenses/LICENSE-2.0).
# SPDX-License-Identifier: Apache-2.0
"""AMOS22: abdominal CT and MR with 15 organs."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any

from monai.data import MetaTensor

from monai_synthfm.data.datasets.anatomy import sides_of_the_body
from monai_synthfm.data.datasets.base import LabelledDataset
from monai_synthfm.data.datasets.case import Case, LoadedCase
from monai_synthfm.io.canonical_volumes import nifti_spacing, read_nifti, read_nifti_labels
from monai_synthfm.io.faults import Fault, FaultError, Finding
from monai_synthfm.io.folders import entries, files_by_stem, find_root, read_rows
from monai_synthfm.io.nifti import NIFTI

__all__ = ["AMOS_LABELS", "AmosDataset"]

AMOS_LABELS = {
    name: value
    for value, name in enumerate(
        (
            "spleen",
            "kidney_right",
            "kidney_left",
            "gallbladder",
            "esophagus",
            "liver",
            "stomach",
            "aorta",
            "inferior_vena_cava",
            "pancreas",
            "adrenal_gland_right",
            "adrenal_gland_left",
            "duodenum",
            "bladder",
            "prostate_or_uterus",
        ),
        start=1,
    )
}
_SPLITS = {"training": ("imagesTr", ("labelsTr",)), "validation": ("imagesVa", ("labelsVa", "labelsTs"))}
_LAST_CT, _LAST_MR = 499, 600


class AmosDataset(LabelledDataset):
    """
    The labelled volumes of AMOS22 of one modality: 200 + 100 CT or 40 + 20 MR (training + validation).

    Traps that are handled:

    - Which volumes are MR is said by their numbers alone: 1-499 are CT, 501-600 are MR; dataset.json calls all of them
      CT. 500 and numbers over 600 are refused where they have labels, since sources disagree about them.
    - Training and validation numbers interleave; the split is the folder's. Test labels are not public; some copies
      keep the validation labels in ``labelsTs``, where they are looked for second.
    - Copies in the style of nnU-Net end image names in ``_0000``. ``__MACOSX`` and ``._*`` are ignored.
    - Orientations are mixed: everything goes through the affine.
    - Label 15 is prostate or uterus. When ``labeled_data_meta_0000_0599.csv`` lies in the folder, the structure is
      called ``prostate`` or ``uterus`` by the patient's sex; otherwise, or for unclear rows, ``prostate_or_uterus``. A
      uterus is among the structures only when all are asked for.
    - MR intensities are arbitrary units, CT are HU.

    Args:
        root: folder of the download.
        modality: ``ct`` or ``mr``.
        options: see :class:`LabelledDataset`; ``section`` is ``training`` or ``validation``.
    """

    sections = ("training", "validation")
    table = AMOS_LABELS
    evaluated = (
        "aorta",
        "gallbladder",
        "kidney_left",
        "kidney_right",
        "liver",
        "pancreas",
        "prostate_or_uterus",
        "spleen",
    )

    def __init__(self, root: str | Path, modality: str = "ct", **options: Any) -> None:
        if modality not in ("ct", "mr"):
            raise ValueError(f"modality must be 'ct' or 'mr', got {modality!r}.")
        self.modality = modality
        self.name = f"amos_{modality}"
        self.expected = {"training": 200, "validation": 100} if modality == "ct" else {"training": 40, "validation": 20}
        super().__init__(root, **options)

    def find_root(self, root: Path) -> Path:
        """Find the folder that has ``imagesTr`` or ``imagesVa``."""

        def is_root(folder: Path) -> bool:
            return any((folder / images).is_dir() for images, _ in _SPLITS.values())

        return find_root(root, is_root, "the folder imagesTr or imagesVa of AMOS22")

    def scan(self) -> Iterator[Case | Fault]:
        """List the volumes of the modality."""
        sexes = self._sexes()
        for split, (images_folder, labels_folders) in _SPLITS.items():
            twice: dict[str, FaultError] = {}
            images = files_by_stem(self.root / images_folder, NIFTI, drop="_0000", twice=twice)
            labels: dict[str, Path] = {}
            for folder in reversed(labels_folders):
                found = files_by_stem(self.root / folder, NIFTI, twice=twice)
                labels |= found if folder == labels_folders[0] else {k: v for k, v in found.items() if k in images}
            for stem, file in {**labels, **images}.items():
                number = _number(stem)
                if number is None:
                    yield self.fault("unexpected_name", file, "expected amos_<number>.nii.gz", stem, split)
                elif _modality(number) is None and stem in labels:
                    message = f"numbers 1-{_LAST_CT} are CT and {_LAST_CT + 2}-{_LAST_MR} MR; {number} is neither"
                    yield self.fault("unknown_modality", file, message, stem, split)
            images, labels = (
                {stem: path for stem, path in found.items() if _modality(_number(stem)) == self.modality}
                for found in (images, labels)
            )
            yield from self.pair(images, labels, split, partial(self._case_of, sexes), twice)

    def _case_of(self, sexes: Mapping[int, str], case_id: str, split: str, image: Path, label: Path) -> Case:
        structures = self._structures_of(sexes.get(_number(case_id) or 0))
        return self.case(case_id, split, image, label, spacing=nifti_spacing(image), structures=structures)

    def _structures_of(self, sex: str | None) -> dict[str, int]:
        renamed = {"M": "prostate", "F": "uterus"}.get((sex or "")[:1].upper(), "prostate_or_uterus")
        # A uterus is not what the benchmark's prostate row means, so it is kept only when all structures are asked for.
        kept = {k: v for k, v in self.structures.items() if k != "prostate_or_uterus"}
        if "prostate_or_uterus" in self.structures and (renamed != "uterus" or len(self.structures) == len(self.table)):
            kept[renamed] = self.table["prostate_or_uterus"]
        return kept

    def _sexes(self) -> dict[int, str]:
        for path in entries(self.root):
            if path.name.startswith("labeled_data_meta") and path.suffix == ".csv":
                sexes: dict[int, set[str]] = {}
                for row in read_rows(path):
                    if row.get("amos_id", "").isdigit():
                        sex = next((value for key, value in row.items() if key.endswith("Sex")), "")
                        sexes.setdefault(int(row["amos_id"]), set()).add(sex)
                return {number: found.pop() for number, found in sexes.items() if len(found) == 1}
        return {}

    def read(self, case: Case) -> tuple[MetaTensor, MetaTensor]:
        """Read the volume (HU, or arbitrary units for MR) and its label map."""
        return read_nifti(case.image), read_nifti_labels(case.label)

    def inspect(self, sample: LoadedCase) -> Iterator[Finding]:
        """Check left and right, and that CT numbers reach down to air."""
        yield from sides_of_the_body(sample)
        if self.modality == "ct":
            yield Finding("smallest HU", float(sample.image.min()), low=-4096, high=-200)


def _number(stem: str) -> int | None:
    match = re.fullmatch(r"amos_(\d+)", stem)
    return int(match[1]) if match else None


def _modality(number: int | None) -> str | None:
    if number is None or number == _LAST_CT + 1 or number > _LAST_MR:
        return None
    return "mr" if number > _LAST_CT else "ct"
