# Copyright (c) monai_synthfm contributors
# Licensed under the Apache License, Version 2.0 (http://www.apache.org/licenses/LICENSE-2.0).
# SPDX-License-Identifier: Apache-2.0
"""The volume of an interactive session: shown to the network in one frame, to the user in another."""

from __future__ import annotations

from collections import Counter, OrderedDict
from collections.abc import Callable, Collection, Hashable, Mapping
from dataclasses import dataclass
from typing import Any

import nibabel as nib
import numpy as np
import torch
from monai.data import MetaTensor
from monai.transforms import Orientation
from monai.utils import convert_to_tensor

from monai_synthfm.inferers.answer_sizes import ranked_masks
from monai_synthfm.inferers.file_order import turned
from monai_synthfm.inferers.propagation.propagation import Propagation
from monai_synthfm.inferers.propagation.stretches import carry_in_stretches, check_shown
from monai_synthfm.inferers.session.interactions import ObjectPrompts
from monai_synthfm.inferers.volume_inferer import EmbeddingStore
from monai_synthfm.inferers.volume_slices import VolumeSlices
from monai_synthfm.networks import Promptable
from monai_synthfm.prompts import Prompts
from monai_synthfm.prompts.coordinates import map_boxes
from monai_synthfm.prompts.map_prompts import MapPromptsToImaged
from monai_synthfm.prompts.slice_prompts import SlicePrompts, prompts_by_slice
from monai_synthfm.slices.planes import DISPLAY_AXCODES, is_reversed
from monai_synthfm.transforms.medsam import MedSAMIntensity

__all__ = ["ChangedBox", "ObjectMasks", "SessionVolume", "SliceCrop", "size_of"]

_ANSWERS = 512  # slices whose answers to their prompts are remembered

ChangedBox = tuple[slice, slice, slice]
"""Where a segmentation changed: slices of the three axes of the file."""


@dataclass(frozen=True)
class SliceCrop:
    """
    Logits of an object on one slice, in the box around where they are above 0.

    Args:
        rows: of the box.
        columns: of the box.
        logits: [height, width] of the box, float16 on the CPU, as in the volumes of
            :mod:`~monai_synthfm.inferers.mask_volumes`, so that objects that overlap share a voxel alike.
    """

    rows: slice
    columns: slice
    logits: torch.Tensor


ObjectMasks = dict[int, SliceCrop]
"""One object, by slice of the display frame."""


class SessionVolume:
    """
    A volume in the display frame and the labels of its objects.

    Args:
        stored: the image [1, X, Y, Z] in the orientation of its file.
        axis: of the display frame, across which it is cut.
        network: encodes.
        intensity: maps to [0, 1].
        store: gives a place for embeddings.
        device: where the network runs.
    """

    def __init__(
        self,
        stored: MetaTensor,
        axis: int,
        network: Promptable,
        intensity: MedSAMIntensity,
        store: EmbeddingStore,
        device: torch.device,
    ) -> None:
        self.stored = stored
        self._orient = Orientation(axcodes=DISPLAY_AXCODES, labels=None)
        self._displayed = self._orient(stored)
        self.to_file = np.linalg.inv(np.asarray(stored.affine)) @ np.asarray(self._displayed.affine)
        self._reverse = is_reversed(np.asarray(stored.affine), axis)
        shown = intensity(self._displayed)
        assert isinstance(shown, MetaTensor)
        self.scaling: dict[str, Any] = shown.meta.get("medsam_intensity", {})
        """Which intensities became 0 and 1, and why."""
        grey = convert_to_tensor(shown, track_meta=False).to(device)
        self.slices = VolumeSlices(grey, axis, network, store(grey, axis, network))
        self._labels = torch.zeros(grey.shape[1:], dtype=torch.int16)
        self._answers: OrderedDict[Hashable, SliceCrop | None] = OrderedDict()
        self.counts: Counter[int] = Counter()
        """Voxels of each object."""

    def displayed_prompts(self, prompts: Prompts) -> Prompts:
        """Move prompts from voxels of the file to those of the display frame."""
        data: dict[Hashable, Any] = {"image": self._displayed, "points": prompts.points, "boxes": prompts.boxes}
        moved = MapPromptsToImaged()(data)
        return Prompts(moved["points"], prompts.point_labels, moved["boxes"])

    def displayed_mask(self, inside: np.ndarray) -> dict[int, torch.Tensor]:
        """Cut a mask [X, Y, Z] of the file into slices [H, W] of the display frame; empty ones are left out."""
        mask = MetaTensor(torch.from_numpy(inside.astype(np.uint8))[None], affine=self.stored.affine.clone())
        by_slice = self._orient(mask).as_tensor()[0].movedim(self.slices.axis, 0).transpose(1, 2) > 0
        return {index: by_slice[index] for index in by_slice.flatten(1).any(dim=1).nonzero().flatten().tolist()}

    def prompted(self, given: ObjectPrompts) -> dict[int, SlicePrompts]:
        """Sort the prompts of one object by slice."""
        axis = self.slices.axis
        masks = None
        if given.masks:
            masks = torch.zeros(self._labels.shape, dtype=torch.uint8)
            for index, inside in given.masks.items():
                masks.select(axis, index).copy_(inside.transpose(0, 1))
        return prompts_by_slice(given.prompts, axis, masks)

    def propagate(
        self,
        propagation: Propagation,
        given: ObjectPrompts,
        direction: str,
        slice_range: tuple[int, int] | None = None,
        tick: Callable[[], None] | None = None,
    ) -> ObjectMasks:
        """
        Segment one object.

        Args:
            propagation: how it is carried on.
            given: what was said about it.
            direction: that of slices of the file.
            slice_range: first and last slice of the file that may be segmented.
            tick: called after each slice.
        """
        by_slice = self.prompted(given)
        if not by_slice:
            return {}
        allowed = self.allowed(slice_range)
        if outside := sorted(self.file_slice(index) for index in by_slice if index not in allowed):
            raise ValueError(f"prompts lie on slices {outside}, out of slice_range {list(slice_range or ())}.")
        if direction == "none":
            # slices then know nothing of each other: those whose prompts are as before are not asked again
            check_shown(self.slices.blank, by_slice)
            answers = {index: self._answer(propagation, index, here) for index, here in by_slice.items()}
            return {index: crop for index, crop in answers.items() if crop is not None}
        masks = {}
        turn = turned(direction, self._reverse)
        for found in carry_in_stretches(propagation, self.slices, by_slice, turn, allowed):
            crop = _cropped(found.logits[0].half().cpu())
            if crop is not None:
                masks[found.index] = crop
            if tick is not None:
                tick()
        return masks

    def _answer(self, propagation: Propagation, index: int, here: SlicePrompts) -> SliceCrop | None:
        if self.slices.blank[index] and (here.masks is None or not here.masks.any()):
            return None
        given = (here.prompts.points, here.prompts.point_labels, here.prompts.boxes, here.masks)
        key = (propagation, index, *(None if value is None else value.numpy().tobytes() for value in given))
        if key not in self._answers:
            found = carry_in_stretches(propagation, self.slices, {index: here}, "none", range(len(self.slices)))
            crops = [_cropped(masks.logits[0].half().cpu()) for masks in found]
            self._answers[key] = crops[0] if crops else None
            if len(self._answers) > _ANSWERS:
                self._answers.popitem(last=False)
        self._answers.move_to_end(key)
        return self._answers[key]

    def allowed(self, slice_range: tuple[int, int] | None) -> range:
        """Return the slices of the display frame in a range of slices of the file."""
        first, last = (0, len(self.slices) - 1) if slice_range is None else slice_range
        if self._reverse:
            first, last = len(self.slices) - 1 - last, len(self.slices) - 1 - first
        return range(first, last + 1)

    def file_slice(self, index: int) -> int:
        """Return which slice of the file a slice of the display frame is."""
        return len(self.slices) - 1 - index if self._reverse else index

    def alternatives(self, given: ObjectPrompts, indexes: Collection[int]) -> list[dict[int, torch.Tensor]]:
        """
        Return the alternative masks that the network has for an object, by area.

        Args:
            given: what was said about it.
            indexes: slices on which it has a click or a box.

        Returns:
            Alternatives from small to large, each with booleans [H, W] by slice; those without any pixel are left out.
        """
        return ranked_masks(self.slices, self.prompted(given), dict.fromkeys(indexes, 0))

    @property
    def pixel_area(self) -> float:
        """Area of a pixel of a slice in mm2."""
        a, b = (np.asarray(self._displayed.affine)[:3, other] for other in range(3) if other != self.slices.axis)
        return float(np.linalg.norm(np.cross(a, b)))

    def whole(self, crop: SliceCrop) -> torch.Tensor:
        """Return where an object is on a slice, booleans [H, W]."""
        inside = torch.zeros(self.slices.size, dtype=torch.bool)
        inside[crop.rows, crop.columns] = crop.logits > 0
        return inside

    def show(self, before: Mapping[int, ObjectMasks], after: Mapping[int, ObjectMasks]) -> ChangedBox | None:
        """
        Update the labels where objects changed.

        Args:
            before: masks of the objects that the labels show.
            after: masks that they are to show.

        Returns:
            Where the labels changed, or None.
        """
        changed = [n for n in {**before, **after} if before.get(n) is not after.get(n)]
        touched = {index for n in changed for index in {**before.get(n, {}), **after.get(n, {})}}
        corners = []
        for index in sorted(touched):
            labels = self._labels.select(self.slices.axis, index).transpose(0, 1)
            new = self._merged(index, after)
            differs = (new != labels).nonzero()
            if len(differs):
                self._count(labels, -1)
                self._count(new, 1)
                labels.copy_(new)
                for row, column in (differs.amin(dim=0).tolist(), differs.amax(dim=0).tolist()):
                    corner = [column, row]
                    corner.insert(self.slices.axis, index)
                    corners.append(corner)
        if not corners:
            return None
        box = np.concatenate([np.min(corners, axis=0), np.max(corners, axis=0)]).astype(float)
        x0, y0, z0, x1, y1, z1 = map_boxes(self.to_file, box).round().astype(int).tolist()
        return slice(x0, x1 + 1), slice(y0, y1 + 1), slice(z0, z1 + 1)

    @property
    def shape(self) -> torch.Size:
        """Sizes of the display frame."""
        return self._labels.shape

    def in_file(self, displayed: torch.Tensor) -> np.ndarray:
        """Return a view of a volume [X, Y, Z] of the display frame in the orientation of the file."""
        # not the inverse of Orientation, which finds the axes anew: they are ambiguous in a volume turned by 45 degrees
        axes = nib.orientations.io_orientation(self.to_file.round())
        return nib.orientations.apply_orientation(displayed.numpy(), axes)

    def labels(self, box: ChangedBox | None = None) -> np.ndarray:
        """Return a copy of the labels [X, Y, Z] in the orientation of the file, or of those in a box of it."""
        labels = self.in_file(self._labels)
        return np.array(labels if box is None else labels[box])

    def labels_of_file(self) -> MetaTensor:
        """Return the labels [1, X, Y, Z] in the orientation of the file."""
        return MetaTensor(torch.from_numpy(self.labels())[None], affine=self.stored.affine.clone())

    def _count(self, labels: torch.Tensor, sign: int) -> None:
        numbers, counts = labels.unique(return_counts=True)
        for number, voxels in zip(numbers.tolist(), counts.tolist(), strict=True):
            if number:
                self.counts[number] += sign * voxels

    def _merged(self, index: int, objects: Mapping[int, ObjectMasks]) -> torch.Tensor:
        merged = torch.zeros(self.slices.size, dtype=torch.int16)
        best = torch.zeros(self.slices.size, dtype=torch.float16)
        for number in sorted(objects):
            crop = objects[number].get(index)
            if crop is not None:
                wins = crop.logits > best[crop.rows, crop.columns]
                merged[crop.rows, crop.columns][wins] = number
                best[crop.rows, crop.columns][wins] = crop.logits[wins]
        return merged


def size_of(masks: ObjectMasks) -> int:
    """Return the bytes that the masks of an object take."""
    return sum(crop.logits.nbytes for crop in masks.values())


def _cropped(logits: torch.Tensor) -> SliceCrop | None:
    inside = (logits > 0).nonzero()
    if not len(inside):
        return None
    (top, left), (bottom, right) = inside.amin(dim=0).tolist(), inside.amax(dim=0).tolist()
    rows, columns = slice(top, bottom + 1), slice(left, right + 1)
    return SliceCrop(rows, columns, logits[rows, columns].clone())
