# Copyright (c) monai_synthfm contributors
# Licensed under the Apache License, Version 2.0 (http://www.apache.org/licenses/LICENSE-2.0).
# SPDX-License-Identifier: Apache-2.0
"""TotalSegmentator: CT and MR of all parts of the body, with one file for each of up to 117 structures."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from monai.data import MetaTensor

from monai_synthfm.data.datasets.anatomy import sides_of_the_body
from monai_synthfm.data.datasets.base import LabelledDataset
from monai_synthfm.data.datasets.case import Case, LoadedCase
from monai_synthfm.io.canonical_volumes import nifti_spacing, read_nifti, read_nifti_labels
from monai_synthfm.io.faults import Fault, FaultError, Finding
from monai_synthfm.io.folders import file_of_stem, files_by_stem, find_root, natural_key, read_rows, subfolders
from monai_synthfm.io.nifti import NIFTI

__all__ = ["TotalSegmentatorDataset"]

_SUBJECT = r"s\d+"
_IMAGES = {"ct": "ct", "mr": "mri"}
_ORGANS = ("aorta", "gallbladder", "kidney_left", "kidney_right", "liver", "pancreas", "prostate", "spleen")
_SPLITS = {"train": "training", "val": "validation", "test": "test"}
_SIZES = {"ct": {"training": 1082, "validation": 57, "test": 89}, "mr": {"training": 561, "test": 55}}


class TotalSegmentatorDataset(LabelledDataset):
    """
    The 1228 CT of release 2.0.1, the 616 MR of release 2.0.0, or other releases of TotalSegmentator.

    Traps that are handled:

    - A file is there for every structure, and all zero where the organ is out of view: see ``present``. In 50 subjects
      of MR 2.0.0 all masks are empty; :func:`check_data` lists them.
    - Masks of one case may overlap and are kept so; a label map has more than one channel only then.
    - ``meta.csv`` is separated by semicolons, starts with a byte order mark and has blanks at the end of values.
      Subjects without a row or a folder are faults.
    - CT and MR releases differ only in the name of the image, which is how they are told apart.
    - Release 1 of CT has no prostate: without naming ``structures`` it is refused.
    - Release 2.0.0 of CT has broken images (constant ones, and numbers far below air): these are refused or found by
      :func:`check_data`. It is replaced by 2.0.1.
    - Numbers of structures differ between releases and modalities: only names are used. Values in the label map are
      ours: 1-8 the organs of the paper, then the others by name.
    - Masks that lie elsewhere than the image are refused.
    - Spacing and orientation of MR vary: volumes come in RAS+, and ``spacing`` tells which axis is thick.

    Args:
        root: folder of the download.
        modality: ``ct`` or ``mr``.
        options: see :class:`LabelledDataset`.
    """

    evaluated = _ORGANS

    def __init__(self, root: str | Path, modality: str = "ct", **options: Any) -> None:
        if modality not in _IMAGES:
            raise ValueError(f"modality must be 'ct' or 'mr', got {modality!r}.")
        self.modality = modality
        self.name = f"totalsegmentator_{modality}"
        self.expected = _SIZES[modality]
        folder = self.find_root(Path(root))
        # what is there twice is a fault of one subject, reported when subjects are listed
        names = {name for subject in subfolders(folder, _SUBJECT) for name in _masks(subject, {})}
        ordered = [name for name in _ORGANS if name in names] + sorted(names - set(_ORGANS), key=natural_key)
        self.table = {name: value for value, name in enumerate(ordered, start=1)}
        absent = [name for name in _ORGANS if name not in names]
        if absent and options.get("structures") is None:
            message = (
                f"there are no masks of {absent} (release 1 of CT has no prostate); use release 2, or name structures"
            )
            raise FaultError("wrong_release", folder, message)
        super().__init__(root, **options)

    def find_root(self, root: Path) -> Path:
        """Find the folder of the subjects."""
        image = _IMAGES[self.modality]

        def is_root(folder: Path) -> bool:
            return any(image in files_by_stem(subject, NIFTI, twice={}) for subject in subfolders(folder, _SUBJECT))

        return find_root(root, is_root, f"subjects of TotalSegmentator (s0011/{image}.nii.gz)")

    def scan(self) -> Iterator[Case | Fault]:
        """List the subjects."""
        table = self.root / "meta.csv"
        if not table.is_file():
            raise FaultError("no_metadata", table, "no such file")
        splits = {row.get("image_id", ""): _SPLITS.get(row.get("split", "")) for row in read_rows(table, delimiter=";")}
        folders = {folder.name: folder for folder in subfolders(self.root, _SUBJECT)}
        for subject in sorted({*splits, *folders} - {""}, key=natural_key):
            split = splits.get(subject)
            if subject not in folders:
                yield self.fault(
                    "missing_image", self.root / subject, "in meta.csv, but there is no folder", subject, split
                )
            elif split is None:
                message = (
                    "no row in meta.csv" if subject not in splits else f"meta.csv: split is none of {list(_SPLITS)}"
                )
                yield self.fault("no_metadata", folders[subject], message, subject)
            else:
                yield self.try_case(subject, split, self._case_of, folders[subject])

    def _case_of(self, subject: str, split: str, folder: Path) -> Case:
        masks = _masks(folder)
        missing = [name for name in self.structures if name not in masks]
        image = file_of_stem(folder, _IMAGES[self.modality], NIFTI, "missing_image")
        if missing:
            message = f"no masks of {missing[:3]}{' and more' if len(missing) > 3 else ''}"
            raise FaultError("missing_label", folder / "segmentations", message)
        label = {name: masks[name] for name in self.structures}
        return self.case(subject, split, image, label, spacing=nifti_spacing(image))

    def read(self, case: Case) -> tuple[MetaTensor, MetaTensor]:
        """Read the volume and the masks of the chosen structures."""
        image = read_nifti(case.image)
        channels = [torch.zeros(image.shape[1:], dtype=torch.int16)]
        for name, path in case.label.items():
            mask = _read_mask(path, image)
            if not mask.any():
                continue
            free = next((channel for channel in channels if not channel[mask].any()), None)
            if free is None:
                free = torch.zeros_like(channels[0])
                channels.append(free)
            free[mask] = self.table[name]
        folder = str(Path(case.image).parent / "segmentations")
        return image, MetaTensor(torch.stack(channels), affine=image.affine, meta={"filename_or_obj": folder})

    def inspect(self, sample: LoadedCase) -> Iterator[Finding]:
        """Check left and right, and that numbers are those of CT and labels lie on tissue."""
        yield from sides_of_the_body(sample)
        if self.modality == "ct":
            yield Finding("smallest HU", float(sample.image.min()), low=-4096, high=-200)
            organs = [sample.mask(name) for name in _ORGANS if sample.present.get(name)]
            if organs:
                labelled = sample.image[0].numpy()[np.any(organs, axis=0)]
                yield Finding("median HU of the organs", float(np.median(labelled)), low=-200, high=1500)

    def why_nothing(self, sample: LoadedCase) -> str:
        """Distinguish subjects that do not show the organs from subjects without any label."""
        masks = _masks(Path(sample.label.meta["filename_or_obj"]).parent)
        if any(bool(read_nifti_labels(path).any()) for path in masks.values()):
            return super().why_nothing(sample)
        return f"all {len(masks)} masks of this subject are empty"


def _masks(subject: Path, twice: dict[str, FaultError] | None = None) -> dict[str, Path]:
    return files_by_stem(subject / "segmentations", NIFTI, twice=twice)


def _read_mask(path: str, image: MetaTensor) -> torch.Tensor:
    mask = read_nifti_labels(path)
    if mask.shape != image.shape:
        message = f"mask of size {tuple(mask.shape[1:])}, image of size {tuple(image.shape[1:])}"
        raise FaultError("shape_mismatch", path, message)
    if not np.allclose(mask.affine, image.affine, atol=1e-3):
        raise FaultError("affine_mismatch", path, "mask and image lie in different places (affines differ)")
    if int(mask.max()) > 1:
        raise FaultError("unexpected_label", path, f"expected a mask of 0 and 1, found values up to {int(mask.max())}")
    return torch.from_numpy(mask[0].numpy() > 0)
