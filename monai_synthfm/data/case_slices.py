# Copyright (c) monai_synthfm contributors
# Licensed under the Apache License, Version 2.0 (http://www.apache.org/licenses/LICENSE-2.0).
# SPDX-License-Identifier: Apache-2.0
"""The 2D images of a case that are evaluated, and what is to be found on each of them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
import torch
from monai.transforms import Transform
from scipy import ndimage

from monai_synthfm.data.case_preprocessing import MedSAMPreprocessing
from monai_synthfm.data.datasets.base import Case, structure_mask
from monai_synthfm.data.datasets.faults import FaultError
from monai_synthfm.data.planes import display_axis
from monai_synthfm.prompts.regions import largest_component

__all__ = [
    "CaseSlicer",
    "EvaluationSlice",
    "SlicedCase",
    "Target",
    "case_record",
    "cut_axis",
    "is_volume",
    "kept_structures",
]

SLICES = ("all", "largest")
OBJECTS = ("labelled", "all", "largest_component", "each")


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
class SlicedCase:
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
class CaseSlicer(Transform):
    """
    Cut a loaded case into the 2D images that are evaluated.

    Args:
        preprocessing: of intensities and small objects.
        slices: ``all`` slices (or frames) that show a structure, or for each structure only the one where it is
            ``largest``, the first of equals.
        objects: what one target is. ``labelled``: single objects where the dataset labels them, else the whole mask of
            the structure; ``all``: the whole mask; ``largest_component``: the largest 8-connected component alone;
            ``each``: every 8-connected component (or labelled object) on its own.
        plane: ``axial``, ``coronal``, ``sagittal`` or ``auto`` (the plane of acquisition), see
            :func:`~monai_synthfm.data.planes.display_axis`. Slices are shown as radiologists see them.

    Whether the paper evaluates all slices and whole masks is not given; our choice.

    Raises:
        ValueError: when an argument is not one of the above.

    Example:
        >>> label = torch.zeros(1, 8, 8, dtype=torch.int16)
        >>> label[0, 2:5, 3:7] = 1
        >>> case = {"dataset": "mine", "case_id": "a", "patient_id": "a", "modality": "us", "split": "all"}
        >>> case |= {"structures": {"head": 1}, "spacing": None}
        >>> loaded = case | {"image": torch.rand(1, 8, 8), "label": label}
        >>> [(s.index, s.targets[0].structure, int(s.targets[0].mask.sum())) for s in CaseSlicer()(loaded).slices]
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

    def __call__(self, sample: Case) -> SlicedCase:
        """
        Cut a case.

        Args:
            sample: as :meth:`~monai_synthfm.data.datasets.LabelledDataset.load` returns it.

        Raises:
            FaultError: when the image shows nothing, has values that are no numbers, or is one voxel wide across the
                plane.
        """
        case = case_record(sample)
        skipped: list[dict[str, Any]] = []
        image = sample["image"]
        in_space = is_volume(sample)
        axis = cut_axis(sample, self.plane)

        masks: dict[int, list[Target]] = {}
        for name, mask, records in kept_structures(sample, self.preprocessing, axis):
            skipped += records
            for index in self._chosen(mask, axis):
                plane = _plane(mask, axis, index, in_space)
                instances = sample.get("instances")
                numbers = None if instances is None else _plane(instances[0].numpy(), axis, index, in_space)
                masks.setdefault(index, []).extend(self._targets(name, plane, numbers))
        if not masks:
            return SlicedCase(case, [], skipped)
        try:
            planes = self._images(image, case["modality"], axis, sorted(masks), in_space)
        except ValueError as error:
            raise FaultError("unusable_image", str(sample["image"].meta["filename_or_obj"]), str(error)) from error
        spacing = self._spacing(sample["spacing"], axis, in_space)
        found = [EvaluationSlice(index, plane, spacing, masks[index]) for index, plane in planes]
        return SlicedCase(case, found, skipped)

    def _chosen(self, mask: np.ndarray, axis: int) -> list[int]:
        """Return the indexes of the slices that show a structure, -1 for that of a picture."""
        if mask.ndim == 2:
            return [-1] if mask.any() else []
        areas = np.count_nonzero(mask, axis=tuple(a for a in range(3) if a != axis))
        if not areas.any():
            return []
        return [int(areas.argmax())] if self.slices == "largest" else np.flatnonzero(areas).tolist()

    def _targets(self, name: str, mask: np.ndarray, numbers: np.ndarray | None) -> list[Target]:
        if self.objects == "largest_component":
            return [Target(name, 0, largest_component(mask))]
        if self.objects == "all" or (self.objects == "labelled" and numbers is None):
            return [Target(name, 0, mask)]
        if numbers is None:
            numbers, _ = ndimage.label(mask, structure=np.ones((3, 3)))
        return [Target(name, int(k), mask & (numbers == k)) for k in np.unique(numbers[mask]) if k > 0]

    def _images(
        self, image: torch.Tensor, modality: str, axis: int, indexes: list[int], in_space: bool
    ) -> list[tuple[int, np.ndarray]]:
        values = torch.as_tensor(np.asarray(image))
        if in_space:
            volume = self.preprocessing(values, modality, 3)[0].numpy()
            return [(k, _plane(volume, axis, k, in_space)[None]) for k in indexes]
        # The frames of a sequence are pictures of their own, as they come from the scanner one by one.
        frames = [(k, values if k < 0 else values[..., k]) for k in indexes]
        return [(k, self.preprocessing(frame, modality, 2).numpy()) for k, frame in frames]

    @staticmethod
    def _spacing(spacing: list[float] | None, axis: int, in_space: bool) -> tuple[float, float] | None:
        if spacing is None:
            return None
        if in_space:
            width, height = (size for a, size in enumerate(spacing) if a != axis)
            return height, width
        return spacing[0], spacing[1]


def case_record(sample: Case) -> dict[str, str]:
    """Return what the table says of a case."""
    return {name: sample[name] for name in ("dataset", "case_id", "patient_id", "modality", "split")}


def is_volume(sample: Case) -> bool:
    """Distinguish volumes from sequences of pictures, and from pictures."""
    return sample["image"].ndim == 4 and len(sample["spacing"] or ()) == 3


def cut_axis(sample: Case, plane: str) -> int:
    """
    Return the axis across which a loaded case is cut; that of pictures and sequences is the last.

    Raises:
        FaultError: when the slices of a volume would be one voxel wide.
    """
    if not is_volume(sample):
        return 2
    image = sample["image"]
    try:
        # Volumes come in RAS+ order, in which the axes are those of the display frame.
        return display_axis(plane, image.affine.numpy(), image.shape[1:])
    except ValueError as error:
        raise FaultError("unusable_image", str(image.meta["filename_or_obj"]), str(error)) from error


def kept_structures(
    sample: Case, preprocessing: MedSAMPreprocessing, axis: int
) -> Iterator[tuple[str, np.ndarray, list[dict[str, Any]]]]:
    """
    Find the structures of a loaded case; those of volumes lose their small objects.

    Args:
        sample: the case.
        preprocessing: removes small objects.
        axis: across which a volume is cut.

    Yields:
        Name, mask (empty when nothing is left) and records of what is left out and why, for JSON.
    """
    for name in sample["structures"]:
        mask = structure_mask(sample, name)
        record = {**case_record(sample), "structure": name}
        if not mask.any():
            yield name, mask, [{**record, "code": "absent", "message": "the structure is not in this case"}]
        elif is_volume(sample):
            mask, removed = preprocessing.keep_large(mask, axis)
            code = "small_objects" if mask.any() else "too_small"
            message = "small objects were removed" if mask.any() else "nothing but small objects"
            lost = removed.voxels or removed.slice_pixels
            yield name, mask, [{**record, "code": code, "message": message, **asdict(removed)}] if lost else []
        else:
            yield name, mask, []


def _plane(values: np.ndarray, axis: int, index: int, in_space: bool) -> np.ndarray:
    """Cut one slice out of a volume in RAS+ and turn it as radiologists see it, or one frame out of a sequence."""
    if index < 0:
        return values
    plane = np.take(values, index, axis=axis)
    return np.ascontiguousarray(plane[::-1, ::-1].T if in_space else plane)
