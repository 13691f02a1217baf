# Copyright (c) monai_synthfm contributors
# Licensed under the Apache License, Version 2.0 (http://www.apache.org/licenses/LICENSE-2.0).
# SPDX-License-Identifier: Apache-2.0
"""ALFI: label-free time lapse microscopy of cells in interphase and mitosis."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch
from monai.data import MetaTensor
from scipy import ndimage

from monai_synthfm.data.datasets.base import LabelledDataset
from monai_synthfm.data.datasets.case import Case, LoadedCase
from monai_synthfm.io.faults import Fault, FaultError, Finding
from monai_synthfm.io.folders import files_by_stem, find_root, subfolders
from monai_synthfm.io.pictures import grey_picture, picture_tensor, read_png, relabelled

__all__ = ["AlfiDataset", "label_objects"]

_STORED = {128: 1, 255: 2}
_SEQUENCE = r"MI\d+"


class AlfiDataset(LabelledDataset):
    """
    The 796 frames of ALFI that have masks, out of sequences MI01 to MI08.

    Traps that are handled:

    - Only the MI sequences have masks; CD and TP sequences have boxes alone and are not read.
    - Images have 16 bits, which stay; many tools cut them to black and white.
    - Masks hold 128 (interphase: the nucleus alone) and 255 (mitosis: the whole rounded cell), which become 1 and 2.
    - Not every cell is annotated, so objects are to be prompted one by one: with ``target="instance"`` a loaded case
      has ``instances``, the 8-connected components of each class. Components that touch the border of the image and
      are smaller than ``min_border_area`` are taken out of both maps.
    - There is no split; frames of one sequence are alike, so the sequence is the patient.
    - The tables of boxes (decimal ids, duplicate rows) are not needed for masks and are not read.

    Args:
        root: folder of the download.
        target: ``instance`` or ``class``. Which of them the paper evaluates is not given; our choice is ``instance``.
        min_border_area: in pixels; not given in the paper; our choice.
        options: see :class:`LabelledDataset`; the only ``section`` is ``test``.
    """

    name = "alfi"
    modality = "microscopy"
    sections: ClassVar[tuple[str, ...]] = ("test",)
    table: Mapping[str, int] = {"interphase": 1, "mitosis": 2}
    evaluated = ("interphase", "mitosis")
    expected: Mapping[str, int] = {"test": 796}

    def __init__(self, root: str | Path, target: str = "instance", min_border_area: int = 200, **options: Any) -> None:
        if target not in ("instance", "class"):
            raise ValueError(f"target must be 'instance' or 'class', got {target!r}.")
        if min_border_area < 0:
            raise ValueError(f"min_border_area must be at least 0 pixels, got {min_border_area}.")
        self.target, self.min_border_area = target, min_border_area
        super().__init__(root, **options)

    def describe(self) -> dict[str, Any]:
        """Return what the user chose."""
        return {**super().describe(), "target": self.target, "min_border_area": self.min_border_area}

    def find_root(self, root: Path) -> Path:
        """Find the folder of the sequences, such as ``Data&Annotations``."""
        return find_root(
            root.resolve(), lambda folder: bool(subfolders(folder, _SEQUENCE)), "sequences MI01, MI02, ... of ALFI"
        )

    def scan(self) -> Iterator[Case | Fault]:
        """List the frames that have masks, sequence by sequence."""
        for sequence in subfolders(self.root, _SEQUENCE):
            twice: dict[str, FaultError] = {}
            images = _frames(sequence / "Images", "I_", twice)
            masks = _frames(sequence / "Masks", "M_", twice)
            if not images or not masks:
                code = "missing_label" if images else "missing_image"
                yield self.fault(code, sequence, "expected frames in Images and Masks", sequence.name, "test")
                continue
            make = partial(self.case, patient_id=sequence.name)
            # How many frames have no mask is not known; the count of all masks shows whether any is missing.
            yield from self.pair(images, masks, "test", make, twice, unlabelled_is_known=True)

    def load(self, case: Case | Mapping[str, Any]) -> LoadedCase:
        """Read and check the files of a case."""
        sample = super().load(case)
        if self.target != "instance":
            return sample
        objects = torch.from_numpy(label_objects(sample.label[0].numpy()))
        return replace(sample, instances=MetaTensor(objects[None], meta=sample.label.meta))

    def read(self, case: Case) -> tuple[MetaTensor, MetaTensor]:
        """Read the frame and its mask."""
        image, stored = (grey_picture(read_png(file), file) for file in (case.image, case.label))
        label = relabelled(stored, _STORED, case.label)
        if self.target == "instance":
            label[_cut_off(label_objects(label), self.min_border_area)] = 0
        return picture_tensor(image, case.image), picture_tensor(label, case.label)

    def inspect(self, sample: LoadedCase) -> Iterator[Finding]:
        """Check that all 16 bits are there."""
        yield Finding("largest grey level", float(sample.image.max()), low=256)
        if sample.instances is not None:
            yield Finding("objects", float(sample.instances.max()))


def label_objects(label: np.ndarray) -> np.ndarray:
    """
    Number the 8-connected components of each class [H, W], class by class, from 1.

    Example:
        >>> label_objects(np.array([[1, 0, 1], [2, 2, 0]])).tolist()
        [[1, 0, 2], [3, 3, 0]]
    """
    objects = np.zeros(label.shape, np.int16)
    for value in np.unique(label[label > 0]):
        found, _ = ndimage.label(label == value, structure=np.ones((3, 3)))
        objects[found > 0] = found[found > 0] + objects.max()
    return objects


def _cut_off(objects: np.ndarray, min_area: int) -> np.ndarray:
    border = np.unique(np.concatenate([objects[0], objects[-1], objects[:, 0], objects[:, -1]]))
    small = np.flatnonzero(np.bincount(objects.ravel()) < min_area)
    return np.isin(objects, np.setdiff1d(np.intersect1d(border, small), [0]))


def _frames(folder: Path, prefix: str, twice: dict[str, FaultError]) -> dict[str, Path]:
    same: dict[str, FaultError] = {}
    found = {stem.removeprefix(prefix): path for stem, path in files_by_stem(folder, (".png",), twice=same).items()}
    twice |= {stem.removeprefix(prefix): fault for stem, fault in same.items()}
    return found
