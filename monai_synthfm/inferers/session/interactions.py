# Copyright (c) monai_synthfm contributors
# Licensed under the Apache License, Version 2.0 (http://www.apache.org/licenses/LICENSE-2.0).
# SPDX-License-Identifier: Apache-2.0
"""What a user has said about one object of a volume so far, and the prompts that it amounts to."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch

from monai_synthfm.prompts import Prompts
from monai_synthfm.prompts.slice_prompts import slice_index

__all__ = [
    "NOTHING",
    "Choice",
    "Interaction",
    "ObjectPrompts",
    "box_slices",
    "combine",
    "slices_of",
    "split_negatives",
    "without_chosen",
]


NOTHING = Prompts(torch.zeros(1, 1, 3), torch.full((1, 1), -1), torch.full((1, 6), torch.nan))
"""Neither a click nor a box."""


@dataclass(frozen=True)
class Choice:
    """
    A mask that was chosen among the alternatives of a network.

    Args:
        rank: of the mask among the alternatives by area, from 0.
        among: serials of the interactions that had these alternatives. What they say on the slices of the chosen mask,
            the mask says instead.
    """

    rank: int
    among: frozenset[int]


@dataclass(frozen=True)
class Interaction:
    """
    One thing said about one object, in voxels of the stored array.

    Args:
        serial: number that no other interaction of the session has.
        object_id: of the object, from 1.
        prompts: ``points`` [1, K, 3], ``point_labels`` [1, K] and ``boxes`` [1, 6].
        masks: booleans [H, W] by slice, where H is the second and W the first axis that the slice leaves.
        choice: how ``masks`` came about, when the network offered them.
    """

    serial: int
    object_id: int
    prompts: Prompts
    masks: dict[int, torch.Tensor]
    choice: Choice | None = None


@dataclass(frozen=True)
class ObjectPrompts:
    """
    All prompts of one object.

    Args:
        prompts: ``points`` [1, K, 3], ``point_labels`` [1, K] and ``boxes`` [1, 6].
        masks: by slice, as in :class:`Interaction`.
    """

    prompts: Prompts
    masks: dict[int, torch.Tensor]


def combine(interactions: Sequence[Interaction]) -> ObjectPrompts:
    """
    Combine what was said about one object: all clicks, the latest box, and for each slice the latest mask.

    Example:
        >>> none = torch.full((1, 6), torch.nan)
        >>> clicks = [Prompts(torch.ones(1, 2, 3), torch.tensor([[label, -1]]), none) for label in (1, 0)]
        >>> combine([Interaction(k, 1, said, {}) for k, said in enumerate(clicks)]).prompts.point_labels.tolist()
        [[1, -1, 0, -1]]
    """
    said = [(item.prompts.points, item.prompts.point_labels, item.prompts.boxes) for item in interactions]
    points, labels, boxes = (list(values) for values in zip(*said, strict=True))
    box = next((box for box in reversed(boxes) if bool(box.isfinite().all())), boxes[-1])
    masks = {index: mask for item in interactions for index, mask in item.masks.items()}
    return ObjectPrompts(Prompts(torch.cat(points, dim=1), torch.cat(labels, dim=1), box), masks)


def without_chosen(interactions: Sequence[Interaction], axis: int) -> list[Interaction]:
    """
    Leave out what masks that were chosen later say instead: clicks, boxes and masks on the slices of these.

    Args:
        interactions: of one object.
        axis: across which the volume is cut.
    """
    left = []
    for item in interactions:
        chosen = {
            index
            for later in interactions
            if later.choice is not None and item.serial in later.choice.among
            for index in later.masks
        }
        left.append(_without(item, chosen, axis) if chosen else item)
    return left


def slices_of(item: Interaction, axis: int) -> set[int]:
    """Return the slices that an interaction speaks of."""
    points, labels, _ = _fields(item.prompts)
    clicked = {slice_index(float(point[axis])) for point in points[0][labels[0] >= 0]}
    return clicked | set(item.masks) | set(box_slices(item.prompts, axis))


def box_slices(prompts: Prompts, axis: int) -> range:
    """Return the slices that the box of an object spans."""
    _, _, boxes = _fields(prompts)
    if not prompts.has_box.all():
        return range(0)
    return range(slice_index(float(boxes[0, axis])), slice_index(float(boxes[0, axis + 3])) + 1)


def _without(item: Interaction, chosen: set[int], axis: int) -> Interaction:
    points, labels, boxes = _fields(item.prompts)
    gone = torch.tensor([slice_index(float(point[axis])) in chosen for point in points[0]])
    kept = labels.clone()
    kept[0, gone] = -1
    if set(box_slices(item.prompts, axis)) & chosen:
        boxes = torch.full_like(boxes, torch.nan)
    masks = {index: mask for index, mask in item.masks.items() if index not in chosen}
    return replace(item, prompts=Prompts(points, kept, boxes), masks=masks)


def split_negatives(given: ObjectPrompts, axis: int) -> tuple[ObjectPrompts, set[int]]:
    """
    Leave out the negative clicks on slices where nothing says where the object is.

    Such clicks correct what propagation brings to their slices, which has to be known first.

    Args:
        given: the prompts.
        axis: across which the volume is cut.

    Returns:
        The other prompts, and the slices of the clicks left out.
    """
    points, labels, boxes = _fields(given.prompts)
    clicks = [
        (number, slice_index(float(points[0, number, axis])), label)
        for number, label in enumerate(labels[0].tolist())
        if label >= 0
    ]
    shown = {index for _, index, label in clicks if label == 1} | set(given.masks)
    shown |= set(box_slices(given.prompts, axis))
    waiting = {number: index for number, index, _ in clicks if index not in shown}
    kept = labels.clone()
    kept[0, list(waiting)] = -1
    return ObjectPrompts(Prompts(points, kept, boxes), given.masks), set(waiting.values())


def _fields(prompts: Prompts) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    points, labels, boxes = prompts.points, prompts.point_labels, prompts.boxes
    assert points is not None
    assert labels is not None
    assert boxes is not None
    return points, labels, boxes
