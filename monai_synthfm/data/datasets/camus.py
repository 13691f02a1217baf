# Copyright (c) monai_synthfm contributors
# Licensed under the Apache License, Version 2.0 (http://www.apache.org/licenses/LICENSE-2.0).
# SPDX-License-Identifier: Apache-2.0
"""CAMUS: echocardiography in two- and four-chamber views, frames at end diastole and end systole or half cycles."""

from __future__ import annotations

import re
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from monai.data import MetaTensor

from monai_synthfm.data.datasets.base import LabelledDataset
from monai_synthfm.data.datasets.case import Case, LoadedCase
from monai_synthfm.io.canonical_volumes import nifti_spacing, read_nifti_array, whole_labels
from monai_synthfm.io.faults import Fault, FaultError, Finding
from monai_synthfm.io.folders import entries, file_of_stem, find_root, subfolders
from monai_synthfm.io.nifti import NIFTI
from monai_synthfm.io.pictures import grey_picture, read_itk_picture

__all__ = ["CamusDataset"]

_PATIENT = r"patient\d{4}"
_INNER = ("training", "database_nifti")
_VIEWS = ("2CH", "4CH")
_INSTANTS = ("ED", "ES")
_FALLBACK = (("training", 400), ("validation", 450), ("test", 500))
_LISTS = {"training": "training", "validation": "validation", "test": "testing"}


class CamusDataset(LabelledDataset):
    """
    The labelled images of CAMUS: 500 patients (NIfTI release) or 450 (MetaImage release), two views, two instants each.

    Traps that are handled:

    - Both releases are read. In the MetaImage release ``testing/patient0001`` is another person than
      ``training/patient0001`` and has no labels; only ``training`` is read.
    - Splits: the lists in ``database_split`` (NIfTI), or one of ten folds in ``listSubGroups`` (MetaImage, ``fold``).
      When the NIfTI lists are missing, patients 1-400, 401-450, 451-500 with a warning.
    - NIfTI arrays are (width, height): they are transposed, never reoriented; the affine means nothing for ultrasound.
    - Pixels of the MetaImage release are about twice as wide as high: see ``spacing`` (rows, columns).
    - Labels may be stored as floating point numbers. Label 3 is the left atrium, whatever some tools call it.
    - Info files are read by their keys. Frames count from 1, and ED may come after ES; half sequences are turned to
      run from ED to ES.

    Args:
        root: folder of the download.
        frames: ``single`` for the frames at ED and ES, ``half_sequence`` for half cycles [1, H, W, T] (NIfTI release
            only).
        fold: fold 1-10 of the MetaImage release; None calls all of its patients ``training``.
        options: see :class:`LabelledDataset`. ``structures`` may be ``left_ventricle``, ``myocardium``,
            ``left_atrium``.

    A case has ``view``, ``instant`` (single frames) and ``quality`` (Good, Medium, Poor, or None) besides.
    """

    modality = "us"
    table: Mapping[str, int] = {"left_ventricle": 1, "myocardium": 2, "left_atrium": 3}
    evaluated = ("left_ventricle", "left_atrium")

    def __init__(self, root: str | Path, frames: str = "single", fold: int | None = None, **options: Any) -> None:
        if frames not in ("single", "half_sequence"):
            raise ValueError(f"frames must be 'single' or 'half_sequence', got {frames!r}.")
        if fold is not None and fold not in range(1, 11):
            raise ValueError(f"fold must be 1 to 10 or None, got {fold!r}.")
        self.frames, self.fold = frames, fold
        self.name = "camus" if frames == "single" else "camus_half_sequence"
        per_patient = len(_VIEWS) * (len(_INSTANTS) if frames == "single" else 1)
        folder = self.find_root(Path(root))
        self.is_metaimage = (folder / "training").is_dir()
        self._endings = (".mhd",) if self.is_metaimage else NIFTI
        if self.is_metaimage and frames == "half_sequence":
            raise FaultError("missing_label", folder, "sequences of the MetaImage release have no labels")
        patients = {"training": 450} if self.is_metaimage else {"training": 400, "validation": 50, "test": 50}
        self.expected = {} if fold else {split: count * per_patient for split, count in patients.items()}
        super().__init__(root, **options)

    def describe(self) -> dict[str, Any]:
        """Return what the user chose."""
        return {**super().describe(), "frames": self.frames, "fold": self.fold}

    def find_root(self, root: Path) -> Path:
        """Find the folder that holds ``training/patient0001``, ``database_nifti/patient0001`` or ``patient0001``."""

        def is_root(folder: Path) -> bool:
            inside = any(_has_patients(folder / name) for name in _INNER)
            return folder.name != "testing" and (inside or _has_patients(folder))

        # the folder's own name tells what it is, and not that of a link to it
        found = find_root(root.resolve(), is_root, "folders patient0001, patient0002, ... of CAMUS")
        return found.parent if found.name in _INNER else found

    def scan(self) -> Iterator[Case | Fault]:
        """List the images, patient by patient."""
        split_of = self._metaimage_splits() if self.is_metaimage else self._nifti_splits()
        inner = next((name for name in _INNER if (self.root / name).is_dir()), "")
        for folder in subfolders(self.root / inner, _PATIENT):
            split = split_of(folder.name)
            if split is None:
                yield self.fault("no_metadata", folder, "patient is in none of the lists of splits", folder.name)
                continue
            for view in _VIEWS:
                for part in _INSTANTS if self.frames == "single" else ("half_sequence",):
                    case_id = f"{folder.name}_{view}_{part}"
                    yield self.try_case(case_id, split, self._case_of, folder, view, part)

    def read(self, case: Case) -> tuple[MetaTensor, MetaTensor]:
        """Read the frame or sequence and its labels, rows first."""
        image, label = (self._read_one(file) for file in (case.image, case.label))
        label = whole_labels(label, case.label)
        if case.facts["reversed"]:
            image, label = image[..., ::-1], label[..., ::-1]
        tensors = (torch.from_numpy(array.copy())[None] for array in (image.astype(np.float32), label))
        files = ({"filename_or_obj": file} for file in (case.image, case.label))
        first, second = (MetaTensor(tensor, meta=meta) for tensor, meta in zip(tensors, files, strict=True))
        return first, second

    def inspect(self, sample: LoadedCase) -> Iterator[Finding]:
        """Check that the apex is at the top: the ventricle lies above the atrium."""
        if sample.present.get("left_ventricle") and sample.present.get("left_atrium"):
            rows = [np.argwhere(sample.mask(name))[:, 0].mean() for name in ("left_atrium", "left_ventricle")]
            yield Finding("rows from the ventricle down to the atrium", float(rows[0] - rows[1]), low=0.0)
        if self.frames == "single":
            yield Finding(f"ventricle pixels at {sample.facts['instant']}", float((sample.label == 1).sum()))
        else:
            areas = [float((sample.label[..., index] == 1).sum()) for index in (0, -1)]
            yield Finding("ventricle pixels in the first minus the last frame", areas[0] - areas[1])

    def inspect_set(self, findings: Mapping[str, Sequence[Finding]]) -> Iterator[Finding]:
        """Check that the ventricle is larger at end diastole in most cases."""
        changes: list[float] = []
        areas = {case_id: items[-1].value for case_id, items in findings.items()}
        if self.frames == "single":
            changes = [
                area - areas[f"{key[:-2]}ES"]
                for key, area in areas.items()
                if f"{key[:-2]}ES" in areas and key.endswith("ED")
            ]
        else:
            changes = list(areas.values())
        if changes:
            yield Finding(
                "share of views with a larger ventricle at ED than at ES",
                float(np.mean(np.array(changes) > 0)),
                low=0.5,
            )

    def _case_of(self, case_id: str, split: str, folder: Path, view: str, part: str) -> Case:
        image = file_of_stem(folder, case_id, self._endings, "missing_image")
        label = file_of_stem(folder, f"{case_id}_gt", self._endings, "missing_label")
        info = _read_info(folder / f"Info_{view}.cfg")
        reverse = part == "half_sequence" and int(info["ED"]) > int(info["ES"])
        spacing = read_itk_picture(image)[1] if self.is_metaimage else nifti_spacing(image, as_stored=True)[1::-1]
        return self.case(
            case_id,
            split,
            image,
            label,
            patient_id=folder.name,
            spacing=spacing,
            view=view,
            instant=part if part in _INSTANTS else None,
            quality=info.get("ImageQuality"),
            reversed=reverse,
        )

    def _read_one(self, path: str) -> np.ndarray:
        if self.is_metaimage:
            return grey_picture(read_itk_picture(path)[0], path)
        voxels = read_nifti_array(path)[0]
        wanted = 2 if self.frames == "single" else 3
        if voxels.ndim > wanted and voxels.size == np.prod(voxels.shape[:wanted]):
            voxels = voxels.reshape(voxels.shape[:wanted])
        if voxels.ndim != wanted:
            raise FaultError("shape_mismatch", path, f"expected {wanted} dimensions, found shape {voxels.shape}")
        return np.swapaxes(voxels, 0, 1)

    def _nifti_splits(self) -> Callable[[str], str | None]:
        lists = {split: self.root / "database_split" / f"subgroup_{name}.txt" for split, name in _LISTS.items()}
        missing = [path.name for path in lists.values() if not path.is_file()]
        if missing:
            if len(missing) < len(lists):
                raise FaultError("no_metadata", self.root / "database_split", f"lists of splits without {missing}")
            warnings.warn(f"{self.root}: no database_split; splitting patients 1-400, 401-450, 451-500.", stacklevel=2)
            return lambda name: next((split for split, last in _FALLBACK if int(name[7:]) <= last), None)
        return _lookup(lists)

    def _metaimage_splits(self) -> Callable[[str], str | None]:
        if self.fold is None:
            return lambda name: "training"
        folder = self.root / "listSubGroups"
        lists = {split: folder / f"subGroup{self.fold}_{name}.txt" for split, name in _LISTS.items()}
        missing = [path.name for path in lists.values() if not path.is_file()]
        if missing:
            raise FaultError("no_metadata", folder, f"lists of splits without {missing}")
        return _lookup(lists)


def _has_patients(folder: Path) -> bool:
    return folder.is_dir() and any(path.is_dir() and re.fullmatch(_PATIENT, path.name) for path in entries(folder))


def _lookup(lists: Mapping[str, Path]) -> Callable[[str], str | None]:
    return {name: split for split, path in lists.items() for name in path.read_text().split()}.get


def _read_info(path: Path) -> dict[str, str]:
    if not path.is_file():
        raise FaultError("no_metadata", path, "no such file")
    lines = (line.split(":", 1) for line in path.read_text().splitlines() if ":" in line)
    info = {key.strip(): value.strip() for key, value in lines}
    if not all(info.get(key, "").isdigit() for key in _INSTANTS):
        raise FaultError("no_metadata", path, "expected 'ED: <frame>' and 'ES: <frame>'")
    return info
