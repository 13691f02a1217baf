# Copyright (c) monai_synthfm contributors
# Licensed under the Apache License, Version 2.0 (http://www.apache.org/licenses/LICENSE-2.0).
# SPDX-License-Identifier: Apache-2.0
"""Which prompts of a volume belong to which of its slices."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain

import torch

from monai_synthfm.prompts import Prompts
from monai_synthfm.prompts.coordinates import DECIMALS

__all__ = ["SlicePrompts", "numbers_by_slice", "prompts_by_slice", "slice_index"]


@dataclass(frozen=True)
class SlicePrompts:
    """
    The prompts on one slice.

    Args:
        objects: indexes (0..N-1) of the n objects prompted on the slice.
        prompts: their prompts in pixels of the slice as it is stored, ``points`` [n, K, 2] and ``boxes`` [n, 4], where
            x runs along the first and y along the second axis that the slice leaves of the volume; or in pixels of its
            picture, see :class:`~monai_synthfm.slices.slice_frame.SliceFrame`.
        masks: what is known of the objects, booleans [n, H, W] in the same pixels, without any True for an object of
            which nothing is known; None when that holds for all.
    """

    objects: list[int]
    prompts: Prompts
    masks: torch.Tensor | None = None

    def rows(self, rows: Sequence[int]) -> SlicePrompts:
        """Return the prompts of some of the objects, by row."""
        masks = None if self.masks is None else self.masks[list(rows)]
        known = masks if masks is not None and masks.any() else None
        return SlicePrompts([self.objects[row] for row in rows], self.prompts.objects(rows), known)


def slice_index(coordinate: float) -> int:
    """
    Return the slice that a voxel coordinate lies in; half-way between two slices, to a thousandth, it is the lower one.

    Example:
        >>> slice_index(3.0), slice_index(3.4), slice_index(3.5), slice_index(3.6)
        (3, 3, 3, 4)
    """
    return math.ceil(round(coordinate, DECIMALS) - 0.5)


def prompts_by_slice(
    prompts: Prompts, axis: int, masks: torch.Tensor | Mapping[int, torch.Tensor] | None = None
) -> dict[int, SlicePrompts]:
    """
    Sort the prompts of a volume by slice.

    A click belongs to the slice it lies in, a box to every slice from its first to its last, a mask to every slice on
    which it has voxels. Negative clicks alone on a slice say that the object is not there, and boxes over several
    slices that it is not beside these (:func:`~monai_synthfm.prompts.ends.split_ends`).

    Args:
        prompts: ``points`` [N, K, 3] with ``point_labels`` [N, K], ``boxes`` [N, 6], or both, in voxels.
        axis: the axis (0, 1 or 2) across which the volume is cut.
        masks: what is known of the objects, integers [X, Y, Z], or [H, W] by slice: n + 1 where object n is known to
            be, 0 elsewhere.

    Returns:
        Prompts in float64 pixels of stored slices, to a thousandth, by slice index in the order of the slices; slices
        without prompts are left out.

    Raises:
        ValueError: when an object has only negative clicks: these say where it is not, but not where it is.

    Example:
        >>> boxes = torch.tensor([[2.0, 3.0, 5.0, 8.0, 9.0, 6.0]])
        >>> {k: found.prompts.boxes.tolist() for k, found in prompts_by_slice(Prompts(boxes=boxes), axis=2).items()}
        {5: [[2.0, 3.0, 8.0, 9.0]], 6: [[2.0, 3.0, 8.0, 9.0]]}
    """
    clicked, boxed = _objects_by_slice(prompts, axis)
    numbers = numbers_by_slice(masks, axis) if isinstance(masks, torch.Tensor) else masks or {}
    masked = {index: {int(n) - 1 for n in here.unique() if n > 0} for index, here in numbers.items()}
    inside = [a for a in range(3) if a != axis]
    _check_shown(prompts, {*chain(*boxed.values(), *masked.values())})
    found = {}
    for index in sorted({*clicked, *boxed, *(index for index, known in masked.items() if known)}):
        clicks, boxes, known = clicked.get(index, {}), boxed.get(index, set()), masked.get(index, set())
        objects = sorted({*clicks, *boxes, *known})
        points = torch.zeros(len(objects), max(1, *map(len, clicks.values()), 0), 2, dtype=torch.float64)
        labels = torch.full(points.shape[:2], -1)
        corners = torch.full((len(objects), 4), torch.nan, dtype=torch.float64)
        for row, n in enumerate(objects):
            for k, click in enumerate(clicks.get(n, ())):
                points[row, k] = prompts.points[n, click, inside]  # type: ignore[index]
                labels[row, k] = prompts.point_labels[n, click]  # type: ignore[index]
            if n in boxes:
                corners[row] = prompts.boxes[n, inside + [a + 3 for a in inside]]  # type: ignore[index]
        points, corners = points.round(decimals=DECIMALS), corners.round(decimals=DECIMALS)
        drawn = torch.stack([numbers[index] == n + 1 for n in objects]) if known else None
        found[index] = SlicePrompts(objects, Prompts(points, labels, corners if boxes else None), drawn)
    return found


def _check_shown(prompts: Prompts, others: Collection[int]) -> None:
    """Check that all objects with clicks have positive ones, or are among others."""
    if prompts.point_labels is None:
        return
    for n, labels in enumerate(prompts.point_labels):
        if n not in others and (labels == 0).any() and not (labels == 1).any():
            raise ValueError(
                f"object {n + 1} has only negative clicks, which do not say where it is: "
                "add a positive click, a box or a mask."
            )


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


def numbers_by_slice(masks: torch.Tensor, axis: int) -> dict[int, torch.Tensor]:
    """
    Cut object numbers, or a mask, into stored slices; empty ones are left out.

    Args:
        masks: [X, Y, Z].
        axis: the axis (0, 1 or 2) across which it is cut.

    Returns:
        Views [H, W] by slice index.

    Example:
        >>> masks = torch.zeros(2, 3, 4, dtype=torch.uint8)
        >>> masks[1, 2, 3] = 5
        >>> {index: here.tolist() for index, here in numbers_by_slice(masks, axis=2).items()}
        {3: [[0, 0], [0, 0], [0, 5]]}
    """
    shown = masks.movedim(axis, 0).flatten(1).any(dim=1).nonzero().flatten().tolist()
    return {index: masks.select(axis, index).transpose(0, 1) for index in shown}
