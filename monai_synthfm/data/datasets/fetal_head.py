# Copyright (c) monai_synthfm contributors
# Licensed under the Apache License, Version 2.0 (http://www.apache.org/licenses/LICENSE-2.0).
# SPDX-License-Identifier: Apache-2.0
"""Pubic symphysis and fetal head in ultrasound during labour: FH-PS-AOP, PSFHS and JNU-IFM."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, ClassVar

from monai.data import MetaTensor

from monai_synthfm.data.datasets.base import LabelledDataset
from monai_synthfm.data.datasets.case import Case, LoadedCase
from monai_synthfm.io.canonical_volumes import whole_labels
from monai_synthfm.io.faults import Fault, FaultError, Finding
from monai_synthfm.io.folders import files_by_stem, find_root, read_rows, subfolders
from monai_synthfm.io.pictures import grey_picture, picture_tensor, read_itk_picture, read_png, relabelled

__all__ = ["FetalHeadDataset", "JnuIfmDataset"]

_TABLE = {"pubic_symphysis": 1, "fetal_head": 2}
_SIZES = {"fh_ps_aop": 4000, "psfhs": 1358}


class _FetalHead(LabelledDataset):
    modality = "us"
    table: Mapping[str, int] = _TABLE
    evaluated = ("fetal_head",)
    sections: ClassVar[tuple[str, ...]] = ("training",)

    def inspect(self, sample: LoadedCase) -> Iterator[Finding]:
        """Check that the head is larger than the symphysis."""
        areas = {name: float((sample.label == value).sum()) for name, value in _TABLE.items()}
        if all(areas.values()):
            yield Finding(
                "area of the head over that of the symphysis", areas["fetal_head"] / areas["pubic_symphysis"], low=1.0
            )


class FetalHeadDataset(_FetalHead):
    """
    The 4000 public images of FH-PS-AOP 2023, or the 1358 of PSFHS, which have the same tree.

    Traps that are handled:

    - Three identical channels are stored as a third axis of a scalar image, or as vectors: one is kept, and images
      whose channels differ are refused.
    - Spacing in the headers is of no meaning, since images were resized: ``spacing`` is None.
    - Numbers are no patients: there is no telling which images show one person, so every image is its own patient, and
      parts drawn at random share patients. There is no official split of the public images.
    - The two sets are taken for one another: more images than a set has are reported.

    Args:
        root: folder of the download.
        release: ``fh_ps_aop`` or ``psfhs``.
        options: see :class:`LabelledDataset`; the only ``section`` is ``training``.
    """

    def __init__(self, root: str | Path, release: str = "fh_ps_aop", **options: Any) -> None:
        if release not in _SIZES:
            raise ValueError(f"release must be one of {tuple(_SIZES)}, got {release!r}.")
        self.name = release
        self.expected = {"training": _SIZES[release]}
        super().__init__(root, **options)

    def find_root(self, root: Path) -> Path:
        """Find the folder that has ``image_mha`` and ``label_mha``."""

        def is_root(folder: Path) -> bool:
            return (folder / "image_mha").is_dir() and (folder / "label_mha").is_dir()

        return find_root(root, is_root, "the folders image_mha and label_mha")

    def scan(self) -> Iterator[Case | Fault]:
        """List the images."""
        twice: dict[str, FaultError] = {}
        folders = (self.root / name for name in ("image_mha", "label_mha"))
        images, labels = (files_by_stem(folder, (".mha",), twice=twice) for folder in folders)
        if len(images) > _SIZES[self.name]:
            message = f"{len(images)} images, but {self.name} has {_SIZES[self.name]}: is this another release?"
            yield self.fault("count_mismatch", self.root / "image_mha", message, split="training")
        yield from self.pair(images, labels, "training", faults=twice)

    def read(self, case: Case) -> tuple[MetaTensor, MetaTensor]:
        """Read one channel of the image, and the label map."""
        image, label = (grey_picture(read_itk_picture(file)[0], file) for file in (case.image, case.label))
        return picture_tensor(image, case.image), picture_tensor(whole_labels(label, case.label), case.label)


class JnuIfmDataset(_FetalHead):
    """
    The labelled video frames of JNU-IFM.

    Traps that are handled:

    - Masks hold 7 (symphysis) and 8 (head), which become 1 and 2 as in the related sets. ``mask_enhance`` is a coloured
      preview and is not read.
    - ``frame_label.csv`` says what each frame shows; frames of class ``none`` (3) are left out, and masks must agree
      with their class.
    - Frames of one video are nearly the same, and patients are not named: the video is the patient.

    Args:
        root: folder of the download.
        options: see :class:`LabelledDataset`; the only ``section`` is ``training``, there is no official split.
    """

    name = "jnu_ifm"
    expected: Mapping[str, int] = {}
    _CLASSES: ClassVar[dict[int, set[str]]] = {
        3: set(),
        4: {"pubic_symphysis"},
        5: {"fetal_head"},
        6: {"pubic_symphysis", "fetal_head"},
    }
    _STORED: ClassVar[dict[int, int]] = {7: _TABLE["pubic_symphysis"], 8: _TABLE["fetal_head"]}

    def find_root(self, root: Path) -> Path:
        """Find the folder of the videos, each of which has ``image`` and ``mask``."""

        def is_root(folder: Path) -> bool:
            return any((video / "image").is_dir() and (video / "mask").is_dir() for video in subfolders(folder))

        return find_root(root, is_root, "folders of videos with image and mask")

    def scan(self) -> Iterator[Case | Fault]:
        """List the frames that show something, video by video."""
        for video in subfolders(self.root):
            table = video / "frame_label.csv"
            if not table.is_file():
                yield self.fault("no_metadata", table, "no such file", video.name, "training")
                continue
            try:
                yield from self._scan_video(video, table)
            except FaultError as error:
                yield self.fault_of(error, video.name, "training")

    def _scan_video(self, video: Path, table: Path) -> Iterator[Case | Fault]:
        listed = set()
        twice: dict[str, FaultError] = {}
        images, labels = (files_by_stem(video / name, (".png",), twice=twice) for name in ("image", "mask"))
        for row in read_rows(table):
            frame, code = (row.get(key, "") for key in ("frame_id", "frame_label"))
            if not code.isdigit() or int(code) not in self._CLASSES or not frame:
                raise FaultError("no_metadata", table, f"expected frame_id and frame_label 3 to 6, found {row}")
            stem = re.sub(r"\.png$", "", frame, flags=re.IGNORECASE)
            stem = stem if stem.startswith(f"{video.name}_") else f"{video.name}_{stem}"
            listed.add(stem)
            same = twice.get(stem) or twice.get(f"{stem}_mask")
            if not self._CLASSES[int(code)]:
                continue
            if same is not None:
                yield self.fault_of(same, stem, "training")
            elif stem not in images:
                file = video / "image" / f"{stem}.png"
                yield self.fault("missing_image", file, "listed in frame_label.csv", stem, "training")
            elif f"{stem}_mask" not in labels:
                file = video / "mask" / f"{stem}_mask.png"
                yield self.fault("missing_label", file, "frame_label.csv says it shows something", stem, "training")
            else:
                files = images[stem], labels[f"{stem}_mask"]
                yield self.case(stem, "training", *files, patient_id=video.name, frame_class=int(code))
        for stem, path in images.items():
            if stem not in listed:
                message = "not listed in frame_label.csv"
                yield self.fault("no_metadata", path, message, stem, "training", notice=True)

    def read(self, case: Case) -> tuple[MetaTensor, MetaTensor]:
        """Read the frame, and its label map with the values of the related sets."""
        image, stored = (grey_picture(read_png(file), file) for file in (case.image, case.label))
        label = relabelled(stored, self._STORED, case.label)
        return picture_tensor(image, case.image), picture_tensor(label, case.label)

    def inspect(self, sample: LoadedCase) -> Iterator[Finding]:
        """Check the areas, and that the mask shows what the class of the frame says."""
        yield from super().inspect(sample)
        seen = {name for name, value in _TABLE.items() if (sample.label == value).any()}
        wrong = seen ^ self._CLASSES[sample.facts["frame_class"]]
        yield Finding("structures that the mask and the frame's class disagree about", float(len(wrong)), high=0.0)
