# Copyright (c) monai_synthfm contributors
# Licensed under the Apache License, Version 2.0 (http://www.apache.org/licenses/LICENSE-2.0).
# SPDX-License-Identifier: Apache-2.0
"""Whole volumes and sequences that are evaluated, and what is to be found in them."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from monai.transforms import Transform
from scipy import ndimage

from monai_synthfm.data.case_preprocessing import MedSAMPreprocessing
from monai_synthfm.data.datasets.case import LoadedCase
from monai_synthfm.data.shown_case import OBJECTS, ShownCase, objects_of

__all__ = ["CaseVolume", "CutIntoVolume", "VolumeTarget"]


@dataclass(frozen=True)
class VolumeTarget:
    """
    One object to be found in a volume; kept as its bounding box, since a volume may have a hundred of them.

    Args:
        structure: its name.
        instance: 0 for the whole mask of the structure, 1..K for single objects of it.
        start: lowest voxel of the bounding box.
        crop: booleans [x, y, z] within the box, not empty.
    """

    structure: str
    instance: int
    start: tuple[int, ...]
    crop: np.ndarray

    def mask(self, size: tuple[int, ...]) -> np.ndarray:
        """Return booleans of a whole volume of ``size``."""
        mask = np.zeros(size, dtype=bool)
        mask[tuple(slice(s, s + n) for s, n in zip(self.start, self.crop.shape, strict=True))] = self.crop
        return mask

    def areas(self, axis: int) -> dict[int, int]:
        """Return the numbers of pixels on the slices across ``axis`` that show the object, by slice."""
        counts = np.count_nonzero(self.crop, axis=tuple(a for a in range(3) if a != axis)).tolist()
        return {self.start[axis] + k: count for k, count in enumerate(counts) if count}


@dataclass(frozen=True)
class CaseVolume:
    """
    A case ready for evaluation as a whole.

    Args:
        case: ``dataset``, ``case_id``, ``patient_id``, ``modality`` and ``split``.
        image: float32 [1 or 3, X, Y, Z] in [0, 1]; a slice across ``axis`` has the first axis that is left as width.
        axis: across which the volume is cut; time in a sequence.
        spacing: mm along X, Y and Z; of a sequence along the two axes of its frames; None where it is not known.
        is_sequence: whether slices are frames, which do not lie beside each other in space.
        targets: none when there is nothing to evaluate.
        skipped: records of what is left out and why, for JSON.
    """

    case: dict[str, str]
    image: np.ndarray
    axis: int = 2
    spacing: tuple[float, ...] | None = None
    is_sequence: bool = False
    targets: list[VolumeTarget] = field(default_factory=list)
    skipped: list[dict[str, Any]] = field(default_factory=list)

    @property
    def size(self) -> tuple[int, ...]:
        """X, Y and Z."""
        return self.image.shape[1:]


@dataclass(frozen=True)
class CutIntoVolume(Transform):
    """
    Make a loaded volume or sequence ready to be evaluated as a whole; pictures are skipped.

    Args:
        preprocessing: of intensities and small objects, as for slices.
        objects: what one target is, see :func:`~monai_synthfm.data.shown_case.objects_of`; components are 26-connected.
        plane: see :class:`~monai_synthfm.data.shown_case.ShownCase`.

    Raises:
        ValueError: when ``objects`` is not one of the above.

    Example:
        >>> import torch
        >>> from monai.data import MetaTensor
        >>> label = torch.zeros(1, 8, 6, 4, dtype=torch.int16)
        >>> label[0, 2:5, 3:5, 1:3] = 1
        >>> names = {"dataset": "mine", "case_id": "a", "patient_id": "a", "modality": "us", "split": "all"}
        >>> given = {"image": MetaTensor(torch.rand(1, 8, 6, 4)), "label": MetaTensor(label), "present": {"head": True}}
        >>> volume = CutIntoVolume()(LoadedCase(**names, **given, structures={"head": 1}))
        >>> volume.is_sequence, volume.size, volume.targets[0].areas(volume.axis)
        (True, (6, 8, 4), {1: 6, 2: 6})
    """

    preprocessing: MedSAMPreprocessing = field(default_factory=MedSAMPreprocessing)
    objects: str = "labelled"
    plane: str = "axial"

    def __post_init__(self) -> None:
        if self.objects not in OBJECTS:
            raise ValueError(f"objects must be one of {OBJECTS}, got {self.objects!r}.")

    def __call__(self, sample: LoadedCase) -> CaseVolume:
        """Make a case ready; raises as :class:`~monai_synthfm.data.shown_case.ShownCase` does."""
        shown = ShownCase(sample, self.preprocessing, self.plane)
        if shown.is_picture:
            record = {**sample.record, "code": "no_volume", "message": "a picture, neither volume nor sequence"}
            return CaseVolume(sample.record, np.zeros((1, 0, 0, 0), np.float32), skipped=[record])
        numbers = None if sample.instances is None else sample.instances[0].numpy()
        targets: list[VolumeTarget] = []
        skipped: list[dict[str, Any]] = []
        for name, mask, records in shown.structures():
            skipped += records
            # Components are numbered in the order of the file, whatever the plane.
            parts = objects_of(mask, numbers, self.objects)
            targets += [_target(name, number, shown.turned(part)) for number, part in parts]
        if targets:
            image = np.ascontiguousarray(shown.image(range(sample.image.shape[-1])))
        else:
            image = np.zeros((1, *shown.turned(sample.image[0].numpy()).shape), np.float32)
        return CaseVolume(sample.record, image, shown.axis, shown.spacing, not sample.is_volume, targets, skipped)


def _target(structure: str, instance: int, mask: np.ndarray) -> VolumeTarget:
    (window,) = ndimage.find_objects(mask.astype(np.uint8))
    return VolumeTarget(structure, instance, tuple(w.start for w in window), mask[window].copy())
