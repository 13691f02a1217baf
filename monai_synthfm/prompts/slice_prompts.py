# Copyright (c) monai_synthfm contributors
# Licensed under the Apache License, Version 2.0 (http://www.apache.org/licenses/LICENSE-2.0).
# SPDX-License-Identifier: Apache-2.0
"""Which prompts of a volume belong to which of its slices."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import torch

from monai_synthfm.prompts import Prompts

__all__ = ["SlicePrompts", "prompts_by_slice", "slice_index", "within_slices"]

# Further than prompts are moved when they are rounded later.
_MARGIN = 1e-3
_DECIMALS = 3


@dataclass(frozen=True)
class SlicePrompts:
    """
    The prompts on one slice.

    Args:
        objects: indexes (0..N-1) of the n objects prompted on the slice.
        prompts: their prompts in pixels of the slice, ``points`` [n, K, 2] and ``boxes`` [n, 4], where x runs along
            the first and y along the second axis that the slice leaves of the volume.
        masks: what is known of the objects, booleans [n, H, W] in pixels of the slice, without any True for an object
            of which nothing is known; None when that holds for all.
    """

    objects: list[int]
    prompts: Prompts
    masks: torch.Tensor | None = None


def slice_index(coordinate: float) -> int:
    """
    Return the slice that a voxel coordinate lies in; half-way between two slices it is the lower one.

    Example:
        >>> slice_index(3.0), slice_index(3.4), slice_index(3.5), slice_index(3.6)
        (3, 3, 3, 4)
    """
    return math.ceil(coordinate - 0.5)


def within_slices(prompts: Prompts, axis: int) -> Prompts:
    """
    Move prompts from half-way between two slices into the lower one, to which they then belong when slices are counted
    the other way round, too.

    Args:
        prompts: ``points`` [N, K, 3] with ``point_labels`` [N, K], ``boxes`` [N, 6], or both, in float64 voxels.
        axis: the axis (0, 1 or 2) across which the volume is cut.

    Example:
        >>> boxes = torch.tensor([[0, 0, 2.5, 9, 9, 4]], dtype=torch.float64)
        >>> within_slices(Prompts(boxes=boxes), axis=2).boxes.tolist()
        [[0.0, 0.0, 2.499, 9.0, 9.0, 4.0]]
    """

    def moved(coordinates: torch.Tensor) -> torch.Tensor:
        coordinates = coordinates.clone()
        along = coordinates[..., axis::3]
        index = (along.round(decimals=_DECIMALS) - 0.5).ceil()
        coordinates[..., axis::3] = along.clamp(index - 0.5 + _MARGIN, index + 0.5 - _MARGIN)
        return coordinates

    given = {name: getattr(prompts, name) for name in ("points", "boxes") if getattr(prompts, name) is not None}
    return replace(prompts, **{name: moved(value) for name, value in given.items()})


def prompts_by_slice(prompts: Prompts, axis: int, masks: torch.Tensor | None = None) -> dict[int, SlicePrompts]:
    """
    Sort the prompts of a volume by slice.

    A click belongs to the slice it lies in, a box to every slice from its first to its last, a mask to every slice on
    which it has voxels.

    Args:
        prompts: ``points`` [N, K, 3] with ``point_labels`` [N, K], ``boxes`` [N, 6], or both, in voxels.
        axis: the axis (0, 1 or 2) across which the volume is cut.
        masks: what is known of the objects, integers [X, Y, Z]: n + 1 where object n is known to be, 0 elsewhere.

    Returns:
        Prompts by slice index, in the order of the slices; slices without prompts are left out.

    Raises:
        ValueError: when an object has only negative clicks on a slice: that says where it is not, but not where it is.

    Example:
        >>> boxes = torch.tensor([[2.0, 3.0, 5.0, 8.0, 9.0, 6.0]])
        >>> {k: found.prompts.boxes.tolist() for k, found in prompts_by_slice(Prompts(boxes=boxes), axis=2).items()}
        {5: [[2.0, 3.0, 8.0, 9.0]], 6: [[2.0, 3.0, 8.0, 9.0]]}
    """
    clicked, boxed = _objects_by_slice(prompts, axis)
    masked = {} if masks is None else _masked_by_slice(masks, axis)
    inside = [a for a in range(3) if a != axis]
    found = {}
    for index in sorted({*clicked, *boxed, *masked}):
        clicks, boxes, known = clicked.get(index, {}), boxed.get(index, set()), masked.get(index, set())
        objects = sorted({*clicks, *boxes, *known})
        points = torch.zeros(len(objects), max(1, *map(len, clicks.values()), 0), 2)
        labels = torch.full(points.shape[:2], -1)
        corners = torch.full((len(objects), 4), torch.nan)
        for row, n in enumerate(objects):
            for k, click in enumerate(clicks.get(n, ())):
                points[row, k] = prompts.points[n, click, inside]  # type: ignore[index]
                labels[row, k] = prompts.point_labels[n, click]  # type: ignore[index]
            if n in boxes:
                corners[row] = prompts.boxes[n, inside + [a + 3 for a in inside]]  # type: ignore[index]
            elif n not in known and not (labels[row] == 1).any():
                raise ValueError(
                    f"object {n + 1} has only negative clicks on slice {index} of axis {axis}: "
                    "add a positive click or a box there."
                )
        drawn = None
        if masks is not None and known:
            numbers = masks.select(axis, index).transpose(0, 1)
            drawn = torch.stack([numbers == n + 1 for n in objects])
        found[index] = SlicePrompts(objects, Prompts(points, labels, corners if boxes else None), drawn)
    return found


def _objects_by_slice(prompts: Prompts, axis: int) -> tuple[dict[int, dict[int, list[int]]], dict[int, set[int]]]:
    """Return slice -> object -> its clicks, and slice -> objects with a box."""
    clicked: dict[int, dict[int, list[int]]] = {}
    boxed: dict[int, set[int]] = {}
    if prompts.points is not None and prompts.point_labels is not None:
        for n, k in (prompts.point_labels >= 0).nonzero().tolist():
            index = slice_index(float(prompts.points[n, k, axis]))
            clicked.setdefault(index, {}).setdefault(n, []).append(k)
    if prompts.boxes is not None:
        for n in prompts.has_box.nonzero().flatten().tolist():
            first, last = (slice_index(float(prompts.boxes[n, a])) for a in (axis, axis + 3))
            for index in range(first, last + 1):
                boxed.setdefault(index, set()).add(n)
    return clicked, boxed


def _masked_by_slice(masks: torch.Tensor, axis: int) -> dict[int, set[int]]:
    """Return slice -> objects with voxels on it."""
    slices = masks.movedim(axis, 0).flatten(1)
    return {
        index: {int(number) - 1 for number in slices[index].unique() if number > 0}
        for index in slices.any(dim=1).nonzero().flatten().tolist()
    }
