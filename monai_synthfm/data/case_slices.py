# Copyright (c) monai_synthfm contributors
# Licensed under the Apache License, Version 2.0 (http://www.apache.org/licenses/LICENSE-2.0).
# SPDX-License-Identifier: Apache-2.0
"""The 2D images of a case that are evaluated, and what is to be found on each of them."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from monai.transforms import Transform

from monai_synthfm.data.case_preprocessing import MedSAMPreprocessing
from monai_synthfm.data.datasets.case import LoadedCase
from monai_synthfm.data.shown_case import OBJECTS, ShownCase, objects_of

__all__ = ["CaseSlices", "CutIntoSlices", "EvaluationSlice", "Target"]

SLICES = ("all", "largest")


@dataclass(frozen=True)
class Target:
    """
    One mask to be found on a slice.

    Args:
        structure: its name.
        instance: 0 for the whole mask of the structure, 1..K for single objects of it.
        mask: booleans [H, W].
    """

    structure: str
    instance: int
    mask: np.ndarray


@dataclass(frozen=True)
class EvaluationSlice:
    """
    One image and its targets.

    Args:
        index: of the slice in the volume (in RAS+ order) or of the frame in the sequence; -1 for pictures.
        image: float32 [1 or 3, H, W] in [0, 1], as people look at it. An array, since worker processes hand over each
            tensor through an open file, of which a volume would need hundreds.
        spacing: mm between rows and between columns; None where it is not known.
        targets: at least one.
    """

    index: int
    image: np.ndarray
    spacing: tuple[float, float] | None
    targets: list[Target]


@dataclass(frozen=True)
class CaseSlices:
    """
    A case ready for evaluation.

    Args:
        case: ``dataset``, ``case_id``, ``patient_id``, ``modality`` and ``split``.
        slices: in the order of their indexes; none when nothing is left to evaluate.
        skipped: records of what is left out and why, for JSON.
    """

    case: dict[str, str]
    slices: list[EvaluationSlice] = field(default_factory=list)
    skipped: list[dict[str, Any]] = field(default_factory=list)


@dataclass(frozen=True)
class CutIntoSlices(Transform):
    """
    Cut a loaded case into the 2D images that are evaluated.

    Args:
        preprocessing: of intensities and small objects.
        slices: ``all`` slices (or frames) that show a structure, or for each structure only the one where it is
            ``largest``, the first of equals.
        objects: what one target is, see :func:`~monai_synthfm.data.shown_case.objects_of`; components are 8-connected.
        plane: see :class:`~monai_synthfm.data.shown_case.ShownCase`.

    Whether the paper evaluates all slices and whole masks is not given; our choice.

    Raises:
        ValueError: when an argument is not one of the above.

    Example:
        >>> import torch
        >>> from monai.data import MetaTensor
        >>> label = torch.zeros(1, 8, 8, dtype=torch.int16)
        >>> label[0, 2:5, 3:7] = 1
        >>> names = {"dataset": "mine", "case_id": "a", "patient_id": "a", "modality": "us", "split": "all"}
        >>> given = {"image": MetaTensor(torch.rand(1, 8, 8)), "label": MetaTensor(label), "present": {"head": True}}
        >>> case = LoadedCase(**names, **given, structures={"head": 1})
        >>> [(s.index, s.targets[0].structure, int(s.targets[0].mask.sum())) for s in CutIntoSlices()(case).slices]
        [(-1, 'head', 12)]
    """

    preprocessing: MedSAMPreprocessing = field(default_factory=MedSAMPreprocessing)
    slices: str = "all"
    objects: str = "labelled"
    plane: str = "axial"

    def __post_init__(self) -> None:
        if self.slices not in SLICES:
            raise ValueError(f"slices must be one of {SLICES}, got {self.slices!r}.")
        if self.objects not in OBJECTS:
            raise ValueError(f"objects must be one of {OBJECTS}, got {self.objects!r}.")

    def __call__(self, sample: LoadedCase) -> CaseSlices:
        """Cut a case; raises as :class:`~monai_synthfm.data.shown_case.ShownCase` does."""
        shown = ShownCase(sample, self.preprocessing, self.plane)
        axis, spacing = shown.axis, shown.spacing
        numbers = None if sample.instances is None else shown.turned(sample.instances[0].numpy())
        targets: dict[int, list[Target]] = {}
        skipped: list[dict[str, Any]] = []
        for name, found, records in shown.structures():
            skipped += records
            mask = shown.turned(found)
            for index in self._chosen(mask, axis):
                on_slice = None if numbers is None else _picture(numbers, axis, index)
                parts = objects_of(_picture(mask, axis, index), on_slice, self.objects)
                targets.setdefault(index, []).extend(Target(name, number, part) for number, part in parts)
        if not targets:
            return CaseSlices(sample.record, [], skipped)
        if spacing is not None:
            width, height = (size for a, size in enumerate(spacing) if a != axis)
            spacing = height, width
        image = shown.image(targets)
        slices = [
            EvaluationSlice(-1 if shown.is_picture else k, _picture(image, axis, k), spacing, targets[k])
            for k in sorted(targets)
        ]
        return CaseSlices(sample.record, slices, skipped)

    def _chosen(self, mask: np.ndarray, axis: int) -> list[int]:
        """Return the indexes of the slices of a mask [X, Y, Z] that show something."""
        areas = np.count_nonzero(mask, axis=tuple(a for a in range(3) if a != axis))
        shown = np.flatnonzero(areas).tolist()
        return [int(areas.argmax())] if self.slices == "largest" and shown else shown


def _picture(values: np.ndarray, axis: int, index: int) -> np.ndarray:
    """Cut one slice [..., H, W] out of what is shown [..., X, Y, Z]."""
    return np.ascontiguousarray(np.swapaxes(np.take(values, index, axis=axis - 3), -1, -2))
