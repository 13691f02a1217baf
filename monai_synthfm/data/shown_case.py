# Copyright (c) monai_synthfm contributors
# Licensed under the Apache License, Version 2.0 (http://www.apache.org/licenses/LICENSE-2.0).
# SPDX-License-Identifier: Apache-2.0
"""A loaded case as a volume of slices as people look at them, and the objects in it: the same for all evaluations."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from scipy import ndimage

from monai_synthfm.data.case_preprocessing import MedSAMPreprocessing
from monai_synthfm.data.datasets.case import LoadedCase
from monai_synthfm.io.faults import FaultError
from monai_synthfm.prompts.masks import largest_component
from monai_synthfm.slices.planes import display_axis

__all__ = ["OBJECTS", "ShownCase", "objects_of"]

OBJECTS = ("labelled", "all", "largest_component", "each")


@dataclass(frozen=True)
class ShownCase:
    """
    A loaded case as a volume whose slices are turned as people look at them; a picture is a volume of one slice.

    Slices stand in the order of the file in RAS+, or of time. Those of volumes are turned as radiologists see them,
    frames and pictures are not. A slice across ``axis`` has the first axis that is left as width.

    Args:
        case: the case.
        preprocessing: of intensities and small objects.
        plane: ``axial``, ``coronal``, ``sagittal`` or ``auto`` (the plane of acquisition) of volumes, see
            :func:`~monai_synthfm.slices.planes.display_axis`.

    Raises:
        FaultError: when asked for an axis whose slices would be one voxel wide, or for an image that shows nothing or
            has values that are no numbers.
    """

    case: LoadedCase
    preprocessing: MedSAMPreprocessing
    plane: str

    @property
    def is_picture(self) -> bool:
        """Whether there is but one slice, which has no place in space or time."""
        return self.case.image.ndim == 3

    @property
    def axis(self) -> int:
        """Axis across which the case is cut; that of pictures and sequences is the last."""
        if not self.case.is_volume:
            return 2
        try:
            # Volumes come in RAS+ order, in which the axes are those of the display frame.
            return display_axis(self.plane, self.case.image.affine.numpy(), self.case.image.shape[1:])
        except ValueError as error:
            raise FaultError("unusable_image", self.case.file, str(error)) from error

    @property
    def spacing(self) -> tuple[float, ...] | None:
        """Millimetres along X, Y and Z; of frames and pictures along X and Y; None where it is not known."""
        if self.case.spacing is None:
            return None
        # Pictures say it rows first.
        return tuple(self.case.spacing) if self.case.is_volume else tuple(self.case.spacing[1::-1])

    def turned(self, values: np.ndarray) -> np.ndarray:
        """Turn values [..., X, Y, Z], [..., H, W, T] or [..., H, W] in the order of the case to those shown."""
        if self.case.is_volume:
            return np.flip(values, tuple(a - 3 for a in range(3) if a != self.axis))
        return np.swapaxes(values[..., None] if self.is_picture else values, -3, -2)

    def image(self, frames: Iterable[int]) -> np.ndarray:
        """
        Return the intensities [C, X, Y, Z], float32 in [0, 1].

        Args:
            frames: those of a sequence that are needed, the others are 0; volumes and pictures are whole.
        """
        image, modality = self.case.image.as_tensor(), self.case.modality
        try:
            if self.case.is_volume or self.is_picture:
                return self.turned(self.preprocessing(image, modality, image.ndim - 1).numpy())
            shown = np.zeros(image.shape, np.float32)
            # Frames are pictures of their own, as they come from the scanner one by one.
            for frame in frames:
                shown[..., frame] = self.preprocessing(image[..., frame], modality, 2).numpy()
            return self.turned(shown)
        except ValueError as error:
            raise FaultError("unusable_image", self.case.file, str(error)) from error

    def structures(self) -> Iterator[tuple[str, np.ndarray, list[dict[str, Any]]]]:
        """
        Find the structures, those of volumes without their small objects.

        Yields:
            Name, mask in the order of the case (empty when nothing is left) and records of what is left out and why,
            for JSON.
        """
        for name in self.case.structures:
            mask = self.case.mask(name)
            record = {**self.case.record, "structure": name}
            records = []
            if not mask.any():
                records = [{**record, "code": "absent", "message": "the structure is not in this case"}]
            elif self.case.is_volume:
                mask, removed = self.preprocessing.keep_large(mask, self.axis)
                code = "small_objects" if mask.any() else "too_small"
                message = "small objects were removed" if mask.any() else self.preprocessing.why_nothing(removed)
                if removed.voxels or removed.slice_pixels:
                    records = [{**record, "code": code, "message": message, **asdict(removed)}]
            yield name, mask, records


def objects_of(mask: np.ndarray, numbers: np.ndarray | None, objects: str) -> Iterator[tuple[int, np.ndarray]]:
    """
    Part a mask into what is asked for.

    Args:
        mask: booleans of a picture or a volume.
        numbers: of single objects that are labelled, of the same size, or None.
        objects: ``labelled``: these objects, or the whole mask where there are none; ``all``: the whole mask;
            ``largest_component``: the largest component alone, connected over corners too; ``each``: every component
            (or labelled object) on its own.

    Yields:
        Number (0 for the whole or largest) and mask; nothing of an empty mask.

    Example:
        >>> mask = np.array([[1, 0, 1, 1]], dtype=bool)
        >>> {name: [(n, int(part.sum())) for n, part in objects_of(mask, None, name)] for name in OBJECTS[1:]}
        {'all': [(0, 3)], 'largest_component': [(0, 2)], 'each': [(1, 1), (2, 2)]}
    """
    if not mask.any():
        return
    if objects == "largest_component":
        yield 0, largest_component(mask)
        return
    if objects == "all" or (objects == "labelled" and numbers is None):
        yield 0, mask
        return
    if numbers is None:
        numbers, _ = ndimage.label(mask, structure=np.ones((3,) * mask.ndim))
    for number in np.unique(numbers[mask]).tolist():
        if number > 0:
            yield number, mask & (numbers == number)
