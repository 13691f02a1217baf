# Copyright (c) monai_synthfm contributors
# Licensed under the Apache License, Version 2.0 (http://www.apache.org/licenses/LICENSE-2.0).
# SPDX-License-Identifier: Apache-2.0
"""The user's own pairs of images and label maps, in any common format."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, ClassVar

from monai.data import MetaTensor

from monai_synthfm.data.datasets.base import Case, LabelledDataset
from monai_synthfm.data.datasets.faults import Fault, FaultError
from monai_synthfm.data.datasets.files import entries
from monai_synthfm.data.datasets.pairs import (
    FORMATS,
    file_format,
    picture_spacing,
    read_labels_like,
    read_picture,
    read_volume,
    volume_spacing,
)
from monai_synthfm.transforms.medsam import MODALITIES

__all__ = ["FolderDataset"]


class FolderDataset(LabelledDataset):
    """
    Images and label maps that belong together by their names.

    Images may be NIfTI, MHA, MHD and NRRD files, pictures (PNG, JPEG, TIFF), or folders that hold one DICOM series
    each. Label maps may be files of any of these formats, not only of the image's. Names are compared without their
    endings, such as ``.nii.gz``; every image must have a label map and the other way round.

    A folder with images of 2 dimensions gives pictures, one with volumes gives volumes; ``dimensions`` says which.

    Args:
        root: folder of the data.
        structures: values in the label maps by names; other values than these and 0 are faults, unless
            ``other_values`` is True.
        images: folder of the images below ``root``.
        labels: folder of the label maps below ``root``; may be the same when ``label_suffix`` tells them apart.
        image_suffix: end of the images' names before the ending, such as ``_0000``.
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
        ValueError: structures must map names to values of at least 1, got {'liver': 0}.
    """

    sections: ClassVar[tuple[str, ...]] = ("all",)
    expected: Mapping[str, int] = {}

    def __init__(
        self,
        root: str | Path,
        structures: Mapping[str, int],
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
        if not structures or not all(isinstance(value, int) and value >= 1 for value in structures.values()):
            raise ValueError(f"structures must map names to values of at least 1, got {structures!r}.")
        if dimensions not in (2, 3):
            raise ValueError(f"dimensions must be 2 or 3, got {dimensions!r}.")
        if modality not in MODALITIES:
            raise ValueError(f"modality must be one of {MODALITIES}, got {modality!r}.")
        if images == labels and image_suffix == label_suffix:
            raise ValueError("images and labels lie in one folder: image_suffix or label_suffix must tell them apart.")
        self.name, self.modality, self.table = dataset, modality, dict(structures)
        self.evaluated = tuple(structures)
        self.only_known_values = not other_values
        self.folders = {"image": (images, image_suffix), "label": (labels, label_suffix)}
        self.is_volume = dimensions == 3
        self.pixel_spacing = pixel_spacing
        super().__init__(root, **options)

    def find_root(self, root: Path) -> Path:
        """Check that both folders are there."""
        for folder, _ in self.folders.values():
            if not (root / folder).is_dir():
                raise FileNotFoundError(f"root {root}: no such folder: {root / folder}.")
        return root

    def scan(self) -> Iterator[Case | Fault]:
        """List the pairs."""
        images, labels = (self._list(key) for key in ("image", "label"))
        for stem in [*images, *(stem for stem in labels if stem not in images)]:
            if stem not in images:
                yield self.fault("missing_image", labels[stem], "a label map without an image", stem, "all")
            elif stem not in labels:
                yield self.fault("missing_label", images[stem], "an image without a label map", stem, "all")
            else:

                def make(stem: str = stem) -> Case:
                    image = images[stem]
                    return self.case(stem, "all", str(image), str(labels[stem]), spacing=self._spacing(image))

                yield self.try_case(make, stem, "all")

    def read(self, case: Case) -> tuple[MetaTensor, MetaTensor]:
        """Read a pair."""
        image = read_volume(case["image"]) if self.is_volume else read_picture(case["image"])
        return image, read_labels_like(image, case["label"])

    def _list(self, key: str) -> dict[str, Path]:
        folder, suffix = self.folders[key]
        other = self.folders["label" if key == "image" else "image"]
        found: dict[str, Path] = {}
        for path in entries(self.root / folder):
            ending = next((ending for ending in FORMATS if path.name.lower().endswith(ending)), "")
            stem = path.name[: len(path.name) - len(ending)]
            if (not ending and not path.is_dir()) or not stem.endswith(suffix):
                continue
            if folder == other[0] and len(other[1]) > len(suffix) and stem.endswith(other[1]):
                continue
            stem = stem.removesuffix(suffix)
            if stem in found:
                raise FaultError("duplicate", path, f"the same case as {found[stem].name}; keep one of them")
            found[stem] = path
        return found

    def _spacing(self, image: Path) -> list[float] | None:
        if self.is_volume:
            return volume_spacing(image)
        return picture_spacing(image) if self.pixel_spacing and file_format(image) != "pillow" else None
