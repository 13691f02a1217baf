# Copyright (c) monai_synthfm contributors
# Licensed under the Apache License, Version 2.0 (http://www.apache.org/licenses/LICENSE-2.0).
# SPDX-License-Identifier: Apache-2.0
"""Which prompts of a volume belong to which of its slices."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from monai_synthfm.data.planes import slice_index
from monai_synthfm.prompts import Prompts

__all__ = ["SlicePrompts", "prompts_by_slice"]


@dataclass(frozen=True)
class SlicePrompts:
    """
    The prompts on one slice.

    Args:
        objects: indexes (0..N-1) of the n objects prompted on the slice.
        prompts: their prompts in pixels of the slice, ``points`` [n, K, 2] and ``boxes`` [n, 4] with x along the first axis that is left of the volume.
    """

    objects: list[int]
    prompts: Prompts


def prompts_by_slice(prompts: Prompts, axis: int) -> dict[int, SlicePrompts]:
    """
    Sort the prompts of a volume by slice: a click belongs to the slice it lies in, a box to every slice from its first to its last.

    Args:
        prompts: ``points`` [N, K, 3] with ``point_labels`` [N, K], ``boxes`` [N, 6], or both, in voxels.
        axis: the axis (0, 1 or 2) across which the volume is cut.

    Returns:
        Prompts by slice index, in the order of the slices; slices without prompts are left out.

    Raises:
        ValueError: when an object has only negative clicks on a slice, which says where it is not but not where it is.

    Example:
        >>> boxes = torch.tensor([[2.0, 3.0, 5.0, 8.0, 9.0, 6.0]])
        >>> {k: found.prompts.boxes.tolist() for k, found in prompts_by_slice(Prompts(boxes=boxes), axis=2).items()}
        {5: [[2.0, 3.0, 8.0, 9.0]], 6: [[2.0, 3.0, 8.0, 9.0]]}
    """
    inside = [a for a in range(3) if a != axis]
    clicks: dict[int, dict[int, list[tuple[list[float], int]]]] = {}
    boxes: dict[int, dict[int, list[float]]] = {}
    if prompts.points is not None and prompts.point_labels is not None:
        for n, (points, labels) in enumerate(zip(prompts.points.tolist(), prompts.point_labels.tolist(), strict=True)):
            for point, label in zip(points, labels, strict=True):
                if label >= 0:
                    on_slice = clicks.setdefault(slice_index(point[axis]), {})
                    on_slice.setdefault(n, []).append(([point[a] for a in inside], label))
    if prompts.boxes is not None:
        for n, box in enumerate(prompts.boxes.tolist()):
            if box[0] == box[0]:
                corners = [box[a] for a in inside] + [box[a + 3] for a in inside]
                for index in range(slice_index(box[axis]), slice_index(box[axis + 3]) + 1):
                    boxes.setdefault(index, {})[n] = corners
    return {
        index: _one_slice(index, clicks.get(index, {}), boxes.get(index, {})) for index in sorted({*clicks, *boxes})
    }


def _one_slice(
    index: int, clicks: dict[int, list[tuple[list[float], int]]], boxes: dict[int, list[float]]
) -> SlicePrompts:
    objects = sorted({*clicks, *boxes})
    longest = max(1, *(len(found) for found in clicks.values()), 0)
    points, labels = torch.zeros(len(objects), longest, 2), torch.full((len(objects), longest), -1)
    corners = torch.full((len(objects), 4), torch.nan)
    for row, n in enumerate(objects):
        for k, (point, label) in enumerate(clicks.get(n, [])):
            points[row, k], labels[row, k] = torch.tensor(point), label
        if n in boxes:
            corners[row] = torch.tensor(boxes[n])
        elif not (labels[row] == 1).any():
            raise ValueError(f"object {n + 1} has only negative clicks on slice {index}: add a positive click or a box there.")
    return SlicePrompts(objects, Prompts(points, labels, corners if boxes else None))
