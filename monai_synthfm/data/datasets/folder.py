# Copyright (c) monai_synthfm contributors
# Licensed under the Apache License, Version 2.0 (http://www.apache.org/licenses/LICENSE-2.0).
# SPDX-License-Identifier: Apache-2.0
"""The user's own pairs of images and label maps, in any common format."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from monai.data import MetaTensor

from monai_synthfm.data.datasets.anatomy import sides_of_the_body
from monai_synthfm.data.datasets.base import LabelledDataset, split_names
from monai_synthfm.data.datasets.case import Case, LoadedCase
from monai_synthfm.data.datasets.layout import Layout, pair_up
from monai_synthfm.data.datasets.mirrored import mirrored_labels
from monai_synthfm.io.faults import Fault, FaultError, Finding
from monai_synthfm.io.folders import contents, entries
from monai_synthfm.io.formats import (
    FORMATS,
    file_format,
    picture_spacing,
    read_labels_like,
    read_picture,
    read_volume,
    volume_spacing,
)
from monai_synthfm.transforms.medsam import known_modality

__all__ = ["FolderDataset"]


_MIRRORED = {3: {"left to right": 0, "front to back": 1, "upside down": 2}, 2: {"upside down": 0, "left to right": 1}}
# Of 76 real cases of CT, MR, ultrasound, radiographs and microscopy the lowest is -0.018, of a tumour in MR.
_LOW, _ENOUGH = -0.05, 5


class FolderDataset(LabelledDataset):
    """
    Images and label maps that belong together by their names.

    Images may be NIfTI, MHA, MHD and NRRD files, pictures (PNG, JPEG, TIFF), DICOM files, or folders that hold one
    DICOM series each. Label maps may be files of any of these formats, not only of the image's. Names are compared
    without their endings, such as ``.nii.gz``; every image must have a label map and the other way round. Files that
    are neither are listed in ``skipped``.

    A folder with images of 2 dimensions gives pictures, one with volumes gives volumes; ``dimensions`` says which.

    ``images`` and ``labels`` are folders, or patterns in which ``*`` stands for what differs from case to case
    (see :class:`monai_synthfm.data.datasets.layout.Layout`):

    - KiTS: ``*/imaging.nii.gz`` and ``*/segmentation.nii.gz``;
    - BraTS: ``*/*_flair`` and ``*/*_seg``;
    - ACDC: ``*/*_frame*`` and ``*/*_frame*_gt``, whose patients are the folders;
    - Medical Segmentation Decathlon: ``imagesTr`` and ``labelsTr``;
    - nnU-Net: ``imagesTr/*_0000`` and ``labelsTr``;
    - numbered pairs: ``images/image_*`` and ``labels/label_*``.

    Args:
        root: folder of the data.
        structures: values in the label maps by names, or the names of the values 1, 2, ... in this order, in a list or
            in a text with commas; other values than these and 0 are faults, unless ``other_values`` is True.
        images: folder or pattern of the images below ``root``.
        labels: folder or pattern of the label maps below ``root``. What fits both patterns is of the longer one.
        image_suffix: end of the images' names before the ending, such as ``_0000``, where ``images`` is a folder.
        label_suffix: the same for label maps, such as ``_seg``.
        dimensions: 3 for volumes or 2 for pictures.
        modality: one of :data:`monai_synthfm.transforms.medsam.MODALITIES`.
        dataset: what the set is called in reports.
        pixel_spacing: whether the spacing in headers of 2D images is to be trusted; PNG files have none.
        other_values: allow values in label maps that ``structures`` does not name.
        transform: applied to each loaded case.
        exclude: case ids to leave out.
        on_fault: ``raise`` or ``skip``, see :class:`LabelledDataset`.

    Raises:
        FileNotFoundError: when a folder is missing.
        ValueError: when an argument is wrong, names do not match, or there are no images.

    Example:
        >>> FolderDataset(".", structures={"liver": 0})
        Traceback (most recent call last):
        ...
        ValueError: structures must name the values 1, 2, ... got {'liver': 0}.
    """

    sections: ClassVar[tuple[str, ...]] = ("all",)
    expected: Mapping[str, int] = {}

    def __init__(
        self,
        root: str | Path,
        structures: Mapping[str, int] | Sequence[str] | str | None = None,
        images: str = "images",
        labels: str = "labels",
        image_suffix: str = "",
        label_suffix: str = "",
        dimensions: int = 3,
        modality: str = "auto",
        dataset: str = "folder",
        pixel_spacing: bool = False,
        other_values: bool = False,
        **options: Any,
    ) -> None:
        table = _table(structures)
        if dimensions not in (2, 3):
            raise ValueError(f"dimensions must be 2 or 3, got {dimensions!r}.")
        modality = known_modality(modality)
        if images == labels and image_suffix == label_suffix:
            raise ValueError(
                "images and labels lie in one folder: image_suffix, label_suffix or patterns must tell them apart."
            )
        self.name, self.modality, self.table = dataset, modality, table
        self.evaluated = tuple(table)
        self.only_known_values = not other_values
        self.patterns = ((images, image_suffix), (labels, label_suffix))
        self.dimensions = dimensions
        self.pixel_spacing = pixel_spacing
        super().__init__(root, **options)

    def find_root(self, root: Path) -> Path:
        """Check that both folders are there."""
        if not root.is_dir():
            raise FileNotFoundError(
                f"root {root}: {'a file, expected a folder' if root.is_file() else 'no such folder'}."
            )
        self._layouts(root)
        return root

    def describe(self) -> dict[str, Any]:
        """Return what the user chose: patterns, values of structures, and how files are read."""
        (images, image_suffix), (labels, label_suffix) = self.patterns
        return {
            **super().describe(),
            "structures": dict(self.structures),
            "other_values": not self.only_known_values,
            "images": images,
            "labels": labels,
            "image_suffix": image_suffix,
            "label_suffix": label_suffix,
            "dimensions": self.dimensions,
            "pixel_spacing": self.pixel_spacing,
        }

    def scan(self) -> Iterator[Case | Fault]:
        """List the pairs, and what is neither image nor label map."""
        layouts = self._layouts(self.root)
        images, labels, twice, used = pair_up(*layouts)
        self._check_pairs(layouts, images, labels)
        yield from self.pair(images, labels, "all", partial(self._case_of, used), twice)
        yield from self._unused(layouts, set(used))

    def _case_of(
        self, used: Mapping[Path, tuple[str, ...]], case_id: str, split: str, image: Path, label: Path
    ) -> Case:
        stars = used[image]
        patient = stars[0] if len(stars) > 1 else case_id
        return self.case(case_id, split, image, label, patient_id=patient, spacing=self._spacing(image))

    def load(self, case: Case | Mapping[str, Any]) -> LoadedCase:
        """Read and check the files of a case."""
        try:
            return super().load(case)
        except FaultError as error:
            remedy = _remedy(error, self.table) if error.code == "unexpected_label" else ""
            raise FaultError(error.code, error.file, error.message + remedy) from error

    def read(self, case: Case) -> tuple[MetaTensor, MetaTensor]:
        """Read a pair."""
        with self._remedied():
            image = read_volume(case.image) if self.dimensions == 3 else read_picture(case.image)
            return image, read_labels_like(image, case.label)

    def inspect(self, sample: LoadedCase) -> Iterator[Finding]:
        """Check left and right, and that no mirror image of the labels fits the image much better."""
        if self.dimensions == 3:
            yield from sides_of_the_body(sample)
        label = np.max(sample.label.numpy(), axis=0)
        if label.any():
            image = sample.image.numpy().mean(axis=0)
            yield from mirrored_labels(image, label, _MIRRORED[self.dimensions], low=_LOW)

    def inspect_set(self, findings: Mapping[str, Sequence[Finding]]) -> Iterator[Finding]:
        """Check the same over all cases, whose labels may have little contrast each."""
        gains: dict[str, list[float]] = {}
        for finding in (finding for items in findings.values() for finding in items):
            if "mirrored" in finding.quantity:
                gains.setdefault(finding.quantity, []).append(finding.value)
        for quantity, values in gains.items():
            if len(values) >= _ENOUGH:
                share = float(np.mean(np.array(values) >= 0))
                yield Finding(f"share of cases with a positive {quantity}", share, low=0.5)

    def _check_pairs(self, layouts: Sequence[Layout], images: Mapping[str, Path], labels: Mapping[str, Path]) -> None:
        for layout, found in zip(layouts, (images, labels), strict=True):
            if not found:
                there = contents(next((folder for folder, _ in layout.folders()), layout.start))
                message = f"no name with a known ending ({', '.join(FORMATS)}) fits {layout.pattern!r}, found {there}"
                raise FaultError("empty", layout.start, message)
        if images.keys().isdisjoint(labels):
            names = (", ".join([repr(key) for key in found][:3]) for found in (images, labels))
            message = "images are called {}, label maps {}: no two are of one case".format(*names)
            remedy = "image_suffix, label_suffix or patterns such as 'images/image_*' say what differs in their names"
            raise FaultError("pairing", self.root, f"{message}; {remedy}")

    def _layouts(self, root: Path) -> tuple[Layout, Layout]:
        images, labels = (Layout(root, pattern, suffix, FORMATS) for pattern, suffix in self.patterns)
        return images, labels

    def _unused(self, layouts: Sequence[Layout], used: set[Path]) -> Iterator[Fault]:
        stems = {(path.parent, path.name.split(".")[0]) for path in used}
        folders = {folder for layout in layouts for folder, _ in layout.folders()}
        others = [
            path
            for folder in sorted(folders)
            for path in entries(folder)
            # beside an image lie its voxels, such as .raw, or notes on it, such as .json
            if path.is_file() and path not in used and (path.parent, path.name.split(".")[0]) not in stems
        ]
        if others:
            shown = ", ".join(path.name for path in others[:6]) + (" and more" if len(others) > 6 else "")
            patterns = " nor ".join(repr(layout.pattern) for layout in layouts)
            message = f"{len(others)} files are neither {patterns} with a known ending: {shown}"
            yield self.fault("unused", self.root, message, notice=True)

    @contextmanager
    def _remedied(self) -> Iterator[None]:
        try:
            yield
        except FaultError as error:
            what, dimensions = ("pictures", 2) if self.dimensions == 3 else ("volumes", 3)
            remedy = (
                f"; {what} are read with dimensions {dimensions} (`--dimensions {dimensions}`)"
                if error.code == "shape_mismatch"
                else ""
            )
            raise FaultError(error.code, error.file, error.message + remedy) from error

    def _spacing(self, image: Path) -> list[float] | None:
        with self._remedied():
            if self.dimensions == 3:
                return volume_spacing(image)
            return picture_spacing(image) if self.pixel_spacing else None


def _table(structures: Mapping[str, int] | Sequence[str] | str | None) -> dict[str, int]:
    """Values by names; names alone are of 1, 2, ..."""
    if isinstance(structures, Mapping):
        table = dict(structures)
    else:
        names = [] if structures is None else split_names(structures)
        table = {name: value for value, name in enumerate(names, start=1)}
        table = table if len(table) == len(names) and all(isinstance(name, str) for name in names) else {}
    if not table or not all(map(_is_label, table.values())):
        raise ValueError(
            "structures must name the values 1, 2, ... of the label maps in this order, such as liver,spleen, or map "
            f"names to whole numbers of at least 1, such as {{'liver': 1}}, got {structures!r}."
        )
    return table


def _is_label(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 1


def _remedy(error: FaultError, table: Mapping[str, int]) -> str:
    if not error.message.startswith("values ["):
        return ""
    if file_format(error.file) == "pillow" and error.file.lower().endswith((".jpg", ".jpeg")):
        return "; JPEG changes the values of label maps, store them as PNG"
    if "values [255]" in error.message and len(table) == 1:
        return f"; 255 is object 255 of this mask: structures {{{next(iter(table))!r}: 255}} names it"
    return "; name them in structures, or allow them: other_values true (`--other_values true` on the command line)"
