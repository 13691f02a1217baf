# Copyright (c) monai_synthfm contributors
# Licensed under the Apache License, Version 2.0 (http://www.apache.org/licenses/LICENSE-2.0).
# SPDX-License-Identifier: Apache-2.0
"""The volume of an interactive session: its slices, and the labels of its objects."""

from __future__ import annotations

from collections import Counter, OrderedDict
from collections.abc import Callable, Collection, Hashable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from monai.data import MetaTensor
from monai.utils import convert_to_tensor

from monai_synthfm.inferers.answer_sizes import ranked_masks
from monai_synthfm.inferers.propagation.propagation import Propagation
from monai_synthfm.inferers.propagation.stretches import carry_in_stretches, check_shown
from monai_synthfm.inferers.session.interactions import ObjectPrompts
from monai_synthfm.inferers.volume_inferer import EmbeddingStore
from monai_synthfm.networks import Promptable
from monai_synthfm.prompts.slice_prompts import SlicePrompts, numbers_by_slice, prompts_by_slice
from monai_synthfm.slices.slice_frame import SliceFrame
from monai_synthfm.slices.sliced_volume import SlicedVolume
from monai_synthfm.transforms.medsam import MedSAMIntensity

__all__ = ["ChangedBox", "ObjectMasks", "SessionVolume", "SliceCrop", "size_of"]

_ANSWERS = 512  # slices whose answers to their prompts are remembered

ChangedBox = tuple[slice, slice, slice]
"""Where a segmentation changed: slices of the three axes of the file."""


@dataclass(frozen=True)
class SliceCrop:
    """
    Logits of an object on one stored slice, in the box around where they are above 0.

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
"""One object, by slice."""


class SessionVolume:
    """
    A volume and the labels of its objects, in the voxels of its file.

    Args:
        stored: the image [1, X, Y, Z] in the orientation of its file.
        axis: across which it is cut.
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
        shown = intensity(stored)
        assert isinstance(shown, MetaTensor)
        self.scaling: dict[str, Any] = shown.meta.get("medsam_intensity", {})
        """Which intensities became 0 and 1, and why."""
        grey = convert_to_tensor(shown, track_meta=False).to(device)
        frame = SliceFrame.of(np.asarray(stored.affine), axis)
        self.slices = SlicedVolume(grey, frame, network, store(grey, frame, network))
        self._labels = torch.zeros(grey.shape[1:], dtype=torch.int16)
        self._answers: OrderedDict[Hashable, SliceCrop | None] = OrderedDict()
        self.counts: Counter[int] = Counter()
        """Voxels of each object."""

    def cut(self, inside: np.ndarray) -> dict[int, torch.Tensor]:
        """Cut a mask [X, Y, Z] into stored slices [H, W]; empty ones are left out."""
        return numbers_by_slice(torch.from_numpy(np.ascontiguousarray(inside)) > 0, self.slices.frame.axis)

    def prompted(self, given: ObjectPrompts) -> dict[int, SlicePrompts]:
        """Sort the prompts of one object by slice."""
        masks = {index: inside.to(torch.uint8) for index, inside in given.masks.items()}
        return prompts_by_slice(given.prompts, self.slices.frame.axis, masks)

    def check(self, given: ObjectPrompts, slice_range: tuple[int, int] | None = None) -> None:
        """
        Check that one object can be segmented.

        Args:
            given: what was said about it.
            slice_range: first and last slice that may be segmented.

        Raises:
            ValueError: when a prompt lies out of ``slice_range``, or clicks and boxes on blank slices alone.
        """
        by_slice, allowed = self.prompted(given), self.allowed(slice_range)
        if outside := [index for index in by_slice if index not in allowed]:
            raise ValueError(f"prompts lie on slices {outside}, out of slice_range {list(slice_range or ())}.")
        check_shown(self.slices.blank, by_slice)

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
            direction: in which it is carried on.
            slice_range: first and last slice that may be segmented.
            tick: called after each slice.
        """
        self.check(given, slice_range)
        by_slice = self.prompted(given)
        if not by_slice:
            return {}
        if direction == "none":
            # slices then know nothing of each other: those whose prompts are as before are not asked again
            answers = {index: self._answer(propagation, index, here) for index, here in by_slice.items()}
            return {index: crop for index, crop in answers.items() if crop is not None}
        masks = {}
        for found in carry_in_stretches(propagation, self.slices, by_slice, direction, self.allowed(slice_range)):
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
        """Return the slices in a range from its first to its last, None = all."""
        first, last = (0, len(self.slices) - 1) if slice_range is None else slice_range
        return range(first, last + 1)

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
        first, second = (np.asarray(self.stored.affine)[:3, a] for a in range(3) if a != self.slices.frame.axis)
        return float(np.linalg.norm(np.cross(first, second)))

    def whole(self, crop: SliceCrop) -> torch.Tensor:
        """Return where an object is on a slice, booleans [H, W]."""
        inside = torch.zeros(self.slices.stored_size, dtype=torch.bool)
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
            labels = self.slices.frame.stored(self._labels, index)
            new = self._merged(index, after)
            differs = (new != labels).nonzero()
            if len(differs):
                self._count(labels, -1)
                self._count(new, 1)
                labels.copy_(new)
                for row, column in (differs.amin(dim=0).tolist(), differs.amax(dim=0).tolist()):
                    corner = [column, row]
                    corner.insert(self.slices.frame.axis, index)
                    corners.append(corner)
        if not corners:
            return None
        x, y, z = (slice(min(along), max(along) + 1) for along in zip(*corners, strict=True))
        return x, y, z

    def labels(self, box: ChangedBox | None = None) -> np.ndarray:
        """Return a copy of the labels [X, Y, Z], or of those in a box."""
        labels = self._labels.numpy()
        return np.array(labels if box is None else labels[box])

    def _count(self, labels: torch.Tensor, sign: int) -> None:
        numbers, counts = labels.unique(return_counts=True)
        for number, voxels in zip(numbers.tolist(), counts.tolist(), strict=True):
            if number:
                self.counts[number] += sign * voxels

    def _merged(self, index: int, objects: Mapping[int, ObjectMasks]) -> torch.Tensor:
        merged = torch.zeros(self.slices.stored_size, dtype=torch.int16)
        best = torch.zeros(self.slices.stored_size, dtype=torch.float16)
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
