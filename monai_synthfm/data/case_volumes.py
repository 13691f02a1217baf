# Copyright (c) monai_synthfm contributors
# Licensed under the Apache License, Version 2.0 (http://www.apache.org/licenses/LICENSE-2.0).
# SPDX-License-Identifier: Apache-2.0
"""
Whole volumes and sequences that are evaluated, and what is to be found in them.

Slices stand in the order of the file in RAS+, or of time, and are turned as :class:`CaseSlicer` turns them: a network
sees the same images in both kinds of evaluation, and a slice has the same index.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from monai.transforms import Transform
from scipy import ndimage

from monai_synthfm.data.case_preprocessing import MedSAMPreprocessing
from monai_synthfm.data.case_slices import OBJECTS, case_record, cut_axis, is_volume, kept_structures
from monai_synthfm.data.datasets.base import Case
from monai_synthfm.io.faults import FaultError

__all__ = ["CaseVolumes", "EvaluationVolume", "VolumeTarget"]


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
class EvaluationVolume:
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
class CaseVolumes(Transform):
    """
    Make a loaded volume or sequence ready to be evaluated as a whole; pictures are skipped.

    Args:
        preprocessing: of intensities and small objects, as for slices.
        objects: what one target is: ``labelled``, ``all``, ``largest_component`` or ``each`` as for
            :class:`~monai_synthfm.data.case_slices.CaseSlicer`, but components are those of the volume (26-connected).
        plane: as for :class:`~monai_synthfm.data.case_slices.CaseSlicer`.

    Raises:
        ValueError: when ``objects`` is not one of the above.

    Example:
        >>> label = torch.zeros(1, 8, 6, 4, dtype=torch.int16)
        >>> label[0, 2:5, 3:5, 1:3] = 1
        >>> case = {"dataset": "mine", "case_id": "a", "patient_id": "a", "modality": "us", "split": "all"}
        >>> case |= {"structures": {"head": 1}, "spacing": None}
        >>> volume = CaseVolumes()(case | {"image": torch.rand(1, 8, 6, 4), "label": label})
        >>> volume.is_sequence, volume.size, volume.targets[0].areas(volume.axis)
        (True, (6, 8, 4), {1: 6, 2: 6})
    """

    preprocessing: MedSAMPreprocessing = field(default_factory=MedSAMPreprocessing)
    objects: str = "labelled"
    plane: str = "axial"

    def __post_init__(self) -> None:
        if self.objects not in OBJECTS:
            raise ValueError(f"objects must be one of {OBJECTS}, got {self.objects!r}.")

    def __call__(self, sample: Case) -> EvaluationVolume:
        """
        Make a case ready.

        Args:
            sample: as :meth:`~monai_synthfm.data.datasets.LabelledDataset.load` returns it.

        Raises:
            FaultError: when the image shows nothing, has values that are no numbers, or is one voxel wide across the
                plane.
        """
        case, image = case_record(sample), sample["image"]
        if image.ndim == 3:
            record = {**case, "code": "no_volume", "message": "a picture, neither volume nor sequence"}
            return EvaluationVolume(case, np.zeros((1, 0, 0, 0), np.float32), skipped=[record])
        in_space = is_volume(sample)
        axis = cut_axis(sample, self.plane)
        numbers = sample["instances"][0].numpy() if "instances" in sample else None
        targets: list[VolumeTarget] = []
        skipped: list[dict[str, Any]] = []
        for name, mask, records in kept_structures(sample, self.preprocessing, axis):
            skipped += records
            for instance, part in self._parts(mask, numbers):
                targets.append(_target(name, instance, _as_shown(part, axis, in_space)))
        shown = np.zeros((1, *_as_shown(image[0], axis, in_space).shape), np.float32)
        if targets:
            try:
                shown = _as_shown(self._intensities(image, case["modality"], in_space), axis, in_space)
            except ValueError as error:
                raise FaultError("unusable_image", str(image.meta["filename_or_obj"]), str(error)) from error
        return EvaluationVolume(
            case,
            np.ascontiguousarray(shown),
            axis,
            _spacing(sample["spacing"], in_space),
            not in_space,
            targets,
            skipped,
        )

    def _intensities(self, image: torch.Tensor, modality: str, in_space: bool) -> np.ndarray:
        values = torch.as_tensor(np.asarray(image))
        if in_space:
            return self.preprocessing(values, modality, 3).numpy()
        # The frames of a sequence are pictures of their own, as they come from the scanner one by one.
        return torch.stack([self.preprocessing(frame, modality, 2) for frame in values.unbind(-1)], dim=-1).numpy()

    def _parts(self, mask: np.ndarray, numbers: np.ndarray | None) -> Iterator[tuple[int, np.ndarray]]:
        if not mask.any():
            return
        if self.objects == "all" or (self.objects == "labelled" and numbers is None):
            yield 0, mask
            return
        if numbers is None or self.objects == "largest_component":
            numbers, _ = ndimage.label(mask, structure=np.ones((3, 3, 3)))
        if self.objects == "largest_component":
            yield 0, numbers == 1 + np.bincount(numbers.ravel())[1:].argmax()
            return
        for number in np.unique(numbers[mask]).tolist():
            if number > 0:
                yield number, mask & (numbers == number)


def _as_shown(values: np.ndarray, axis: int, in_space: bool) -> np.ndarray:
    """Turn the slices of a volume [..., X, Y, Z] in RAS+ as radiologists see them; put the width of frames first."""
    if in_space:
        return np.flip(values, tuple(a - 3 for a in range(3) if a != axis))
    return np.swapaxes(values, -3, -2)


def _target(structure: str, instance: int, mask: np.ndarray) -> VolumeTarget:
    (window,) = ndimage.find_objects(mask.astype(np.uint8))
    return VolumeTarget(structure, instance, tuple(w.start for w in window), mask[window].copy())


def _spacing(spacing: list[float] | None, in_space: bool) -> tuple[float, ...] | None:
    if spacing is None:
        return None
    # Pictures say it rows first.
    return tuple(spacing) if in_space else (spacing[1], spacing[0])
