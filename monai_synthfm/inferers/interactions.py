# Copyright (c) monai_synthfm contributors
# Licensed under the Apache License, Version 2.0 (http://www.apache.org/licenses/LICENSE-2.0).
# SPDX-License-Identifier: Apache-2.0
"""What a user has said about one object of a volume so far, and the prompts that it amounts to."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch

from monai_synthfm.data.slice_prompts import slice_index
from monai_synthfm.prompts import Prompts

__all__ = ["Interaction", "ObjectPrompts", "combine", "split_negatives"]


@dataclass(frozen=True)
class Interaction:
    """
    One thing said about one object, in voxels of the display frame.

    Args:
        serial: number that no other interaction of the session has.
        object_id: of the object, from 1.
        prompts: ``points`` [1, K, 3], ``point_labels`` [1, K] and ``boxes`` [1, 6].
        masks: booleans [H, W] by slice, where H is the second and W the first axis that the slice leaves.
    """

    serial: int
    object_id: int
    prompts: Prompts
    masks: dict[int, torch.Tensor]


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
    points, labels, boxes = given.prompts.points, given.prompts.point_labels, given.prompts.boxes
    assert points is not None
    assert labels is not None
    assert boxes is not None
    clicks = [
        (number, slice_index(float(points[0, number, axis])), label)
        for number, label in enumerate(labels[0].tolist())
        if label >= 0
    ]
    shown = {index for _, index, label in clicks if label == 1} | set(given.masks)
    if bool(boxes.isfinite().all()):
        shown |= set(range(slice_index(float(boxes[0, axis])), slice_index(float(boxes[0, axis + 3])) + 1))
    waiting = {number: index for number, index, _ in clicks if index not in shown}
    kept = labels.clone()
    kept[0, list(waiting)] = -1
    return ObjectPrompts(Prompts(points, kept, boxes), given.masks), set(waiting.values())
