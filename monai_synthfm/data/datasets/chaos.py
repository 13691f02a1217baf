# Copyright (c) monai_synthfm contributors
# Licensed under the Apache License, Version 2.0 (http://www.apache.org/licenses/LICENSE-2.0).
# SPDX-License-Identifier: Apache-2.0
"""CHAOS: abdominal CT (liver) and MR (liver, kidneys, spleen) as DICOM slices with one PNG label map per slice."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from monai.data import MetaTensor

from monai_synthfm.data.datasets.anatomy import sides_of_the_body
from monai_synthfm.data.datasets.base import LabelledDataset
from monai_synthfm.data.datasets.case import Case, LoadedCase
from monai_synthfm.data.datasets.mirrored import mirrored_labels
from monai_synthfm.io.canonical_volumes import canonical_volume
from monai_synthfm.io.dicom.volume import dicom_number, dicom_spacing, read_dicom_stack
from monai_synthfm.io.faults import Fault, FaultError, Finding
from monai_synthfm.io.folders import files_by_stem, find_root, subfolders
from monai_synthfm.io.pictures import read_png

__all__ = ["SEQUENCES", "ChaosDataset"]

SEQUENCES = {
    "ct": ("CT", "DICOM_anon", "Ground"),
    "t1_in": ("MR", "T1DUAL/DICOM_anon/InPhase", "T1DUAL/Ground"),
    "t1_out": ("MR", "T1DUAL/DICOM_anon/OutPhase", "T1DUAL/Ground"),
    "t2": ("MR", "T2SPIR/DICOM_anon", "T2SPIR/Ground"),
}
"""Folders of slices and of label maps by sequence."""

_GREYS = {"liver": (56, 69), "kidney_right": (111, 134), "kidney_left": (176, 199), "spleen": (241, 255)}
_ECHO_TIME = "0018|0081"
_PATIENTS = 20


class ChaosDataset(LabelledDataset):
    """
    The labelled volumes of CHAOS: 20 CT, or 20 MR patients with three sequences.

    Traps that are handled:

    - Slices and label maps belong together in the order of their names, which says nothing about where they lie: names
      run against z in CT and along z in MR. Pairs are made by name, then put in order by position together.
    - The two phases of T1-DUAL share one label folder and one SeriesInstanceUID, so they are told apart by folder
      alone. The labels carry the names of the in-phase slices.
    - CT and MR numbers repeat but are different people: patients are ``CT_1`` and ``MR_1``. All sequences of one person
      have one ``patient_id``.
    - SliceThickness may differ from the step between slices, which comes from the positions. RescaleIntercept is
      applied.
    - Greys of MR labels are accepted in the bands of the official tools (63, 126, 189, 252); 126 is the right kidney.
      CT labels are one-bit files.
    - Test labels were never released; only patients with labels are read. The folder of the patients is found by what
      they hold (``1/DICOM_anon`` and ``1/Ground`` for CT), whatever it or ``Train_Sets`` above it is called.

    Args:
        root: folder of the download.
        sequences: ``("ct",)``, or some of ``t1_in``, ``t1_out``, ``t2``. Not given in the paper; our choice for MR is
            ``("t1_in", "t2")``, one image for each annotation.
        options: see :class:`LabelledDataset`; the only ``section`` is ``training``.
    """

    sections = ("training",)

    def __init__(self, root: str | Path, sequences: Sequence[str] = ("t1_in", "t2"), **options: Any) -> None:
        self.sequences = tuple(sequences)
        folders = {SEQUENCES[name][0] for name in self.sequences if name in SEQUENCES}
        if len(folders) != 1 or not set(self.sequences) <= set(SEQUENCES) or isinstance(sequences, str):
            raise ValueError(f"sequences must be ('ct',) or some of t1_in, t1_out, t2, got {sequences!r}.")
        self.modality = folders.pop().lower()
        one_of_mr = self.modality == "mr" and len(self.sequences) == 1
        self.name = f"chaos_{self.modality}" + (f"_{self.sequences[0].replace('_', '')}" if one_of_mr else "")
        structures = ("liver",) if self.modality == "ct" else tuple(_GREYS)
        self.table = {name: value for value, name in enumerate(structures, start=1)}
        self.evaluated = structures
        self.expected = {"training": _PATIENTS * len(self.sequences)}
        super().__init__(root, **options)

    def describe(self) -> dict[str, Any]:
        """Return what the user chose."""
        return {**super().describe(), "sequences": list(self.sequences)}

    def find_root(self, root: Path) -> Path:
        """Find the folder of the patients, such as ``Train_Sets/CT``."""
        modality = self.modality.upper()

        def is_root(folder: Path) -> bool:
            return self._has_patients(folder) or self._has_patients(folder / modality)

        _, images, labels = SEQUENCES[self.sequences[0]]
        found = find_root(
            root, is_root, f"{modality} patients of CHAOS ({modality}/1/{images} and {modality}/1/{labels})"
        )
        return found if self._has_patients(found) else found / modality

    def _has_patients(self, folder: Path) -> bool:
        parts = [SEQUENCES[name][1:] for name in self.sequences]
        patients = subfolders(folder, r"\d+") if folder.is_dir() else []
        return any(all((patient / part).is_dir() for part in pair) for patient in patients for pair in parts)

    def scan(self) -> Iterator[Case | Fault]:
        """List the volumes, one for each patient and sequence."""
        for folder in subfolders(self.root, r"\d+"):
            patient = f"{self.modality.upper()}_{int(folder.name)}"
            for sequence in self.sequences:
                case_id = patient if sequence == "ct" else f"{patient}_{sequence}"
                yield self.try_case(case_id, "training", self._case_of, patient, folder, sequence)

    def _case_of(self, case_id: str, split: str, patient: str, folder: Path, sequence: str) -> Case:
        images, labels = _pair(folder, sequence)
        spacing = dicom_spacing(images)
        return self.case(case_id, split, images, labels, patient_id=patient, spacing=spacing, sequence=sequence)

    def read(self, case: Case) -> tuple[MetaTensor, MetaTensor]:
        """Read the slices with their label maps."""
        image, affine, order = read_dicom_stack(case.image)
        labels = [self._read_label(path, image.shape[:2]) for path in case.label]
        label = np.stack([labels[index] for index in order], axis=-1)
        folder = Path(case.label[0]).parent
        return canonical_volume(image, affine, Path(case.image[0]).parent), canonical_volume(label, affine, folder)

    def _read_label(self, path: str, size: tuple[int, ...]) -> np.ndarray:
        stored = read_png(path)
        if stored.shape != size[::-1]:
            raise FaultError("shape_mismatch", path, f"label of {stored.shape} pixels, image of {size[::-1]}")
        label = np.zeros(size, np.int16)
        bands = {"liver": (1, 255)} if self.modality == "ct" else _GREYS
        for name, (low, high) in bands.items():
            label[((stored >= low) & (stored <= high)).T] = self.table[name]
        known = (stored == 0) | (label.T > 0)
        if self.modality == "ct":
            known = np.isin(stored, (0, 1, 255))
        if not known.all():
            found = np.unique(stored[~known])[:5].tolist()
            raise FaultError("unexpected_label", path, f"greys {found}, expected 0 and {bands}")
        return label

    def inspect(self, sample: LoadedCase) -> Iterator[Finding]:
        """Check left and right, the HU of the liver, the borders of organs, and the echo times of the two phases."""
        yield from sides_of_the_body(sample)
        image, label = sample.image[0].numpy(), sample.label[0].numpy()
        if not label.any():
            return
        if self.modality == "ct":
            liver = image[sample.mask("liver")]
            yield Finding("mean HU of the liver", float(liver.mean()), low=60, high=200)
            yield Finding("standard deviation of HU in the liver", float(liver.std()), high=120)
        yield from mirrored_labels(image, label, {"in the order of slices": 2, "front to back": 1})
        if sample.facts["sequence"].startswith("t1"):
            phases = Path(sample.image.meta["filename_or_obj"]).parent
            inner, outer = (_echo_time(phases / phase) for phase in ("InPhase", "OutPhase"))
            if inner is not None and outer is not None:
                yield Finding("echo time in phase minus out of phase, ms", inner - outer, low=0.1)


def _pair(folder: Path, sequence: str) -> tuple[list[Path], list[Path]]:
    _, images_folder, labels_folder = SEQUENCES[sequence]
    images = files_by_stem(folder / images_folder, (".dcm",))
    labels = files_by_stem(folder / labels_folder, (".png",))
    if not images:
        raise FaultError("missing_image", folder / images_folder, "no DICOM slices")
    if not labels:
        raise FaultError("missing_label", folder / labels_folder, "no PNG label maps")
    if len(images) != len(labels):
        message = f"{len(labels)} label maps for {len(images)} slices in {images_folder}"
        raise FaultError("count_mismatch", folder / labels_folder, message)
    if sequence in ("t1_in", "t2") and set(images) != set(labels):
        odd = sorted(set(labels) - set(images))[0]
        raise FaultError("pairing", labels[odd], f"no slice of this name in {images_folder}")
    return list(images.values()), list(labels.values())


def _echo_time(folder: Path) -> float | None:
    slices = files_by_stem(folder, (".dcm",))
    return dicom_number(next(iter(slices.values())), _ECHO_TIME) if slices else None
