# Copyright (c) monai_synthfm contributors
# Licensed under the Apache License, Version 2.0 (http://www.apache.org/licenses/LICENSE-2.0).
# SPDX-License-Identifier: Apache-2.0
"""What a user has said about one object of a volume so far, and the prompts that it amounts to."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import groupby

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
    "corrections_of",
    "ended_at_first",
    "negatives_alone",
    "one_by_one",
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
        step: those that follow each other with the same number were said at once, in no order.
    """

    serial: int
    object_id: int
    prompts: Prompts
    masks: dict[int, torch.Tensor]
    choice: Choice | None = None
    step: int = 0


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
    points, labels, every = (list(values) for values in zip(*(_fields(i.prompts) for i in interactions), strict=True))
    boxes = torch.cat(every)
    present = boxes.isfinite().all(dim=1).nonzero()
    box = boxes[present[-1]] if len(present) else boxes[-1:]
    masks = {index: mask for item in interactions for index, mask in item.masks.items()}
    return ObjectPrompts(Prompts(torch.cat(points, dim=1), torch.cat(labels, dim=1), box), masks)


def without_chosen(interactions: Sequence[Interaction], axis: int) -> list[Interaction]:
    """
    Leave out what masks that were chosen later say instead: clicks, boxes and masks on the slices of these.

    Args:
        interactions: of one object.
        axis: across which the volume is cut.
    """
    choices = [item for item in interactions if item.choice is not None]  # mostly none, and asked for often
    left = []
    for item in interactions:
        chosen = {
            index
            for later in choices
            if later.choice is not None and item.serial in later.choice.among
            for index in later.masks
        }
        left.append(_without(item, chosen, axis) if chosen else item)
    return left


def corrections_of(interactions: Sequence[Interaction], axis: int) -> Iterator[tuple[list[Interaction], set[int]]]:
    """
    Go through what was said about an object in order, and find the clicks that may correct what it brought till then.

    These are clicks on slices on which neither what was said before shows the object, by a positive click, a box or a
    mask, nor a box or a mask that was said with them.

    Args:
        interactions: about the object.
        axis: across which the volume is cut.

    Yields:
        What was said before, never nothing, and the slices of such clicks.

    Example:
        >>> none = torch.full((1, 6), torch.nan)
        >>> clicks = [Prompts(torch.full((1, 1, 3), z), torch.ones(1, 1), none) for z in (2.0, 4.0, 4.0)]
        >>> said = [Interaction(k, 1, click, {}, step=k) for k, click in enumerate(clicks)]
        >>> [(len(before), slices) for before, slices in corrections_of(said, axis=2)]
        [(1, {4})]
    """
    before: list[Interaction] = []
    for step in _said_together(interactions):
        if before:
            shown = _shown_slices(combine(without_chosen(before, axis)), axis)
            new = combine(step)
            slices = _clicked_slices(new.prompts, axis, (0, 1)) - shown - set(new.masks)
            if slices := slices - set(box_slices(new.prompts, axis)):
                yield list(before), slices
        before += step


def _said_together(interactions: Sequence[Interaction]) -> Iterator[list[Interaction]]:
    for _, together in groupby(interactions, lambda item: item.step):
        yield list(together)


def one_by_one(said: Prompts) -> list[Prompts]:
    """Split the prompts of one object into its box, if there is one, and single clicks."""
    points, labels, boxes = _fields(said)
    no_click, no_box = torch.full((1, 1), -1), torch.full_like(boxes, torch.nan)
    found = [Prompts(points[:, :1], no_click, boxes)] if said.has_box.all() else []
    for k in (labels[0] >= 0).nonzero().flatten().tolist():
        found.append(Prompts(points[:, k : k + 1], labels[:, k : k + 1], no_box))
    return found


def slices_of(item: Interaction, axis: int) -> set[int]:
    """Return the slices that an interaction speaks of."""
    return _clicked_slices(item.prompts, axis, (0, 1)) | set(item.masks) | set(box_slices(item.prompts, axis))


def box_slices(prompts: Prompts, axis: int) -> range:
    """Return the slices that the box of an object spans."""
    _, _, boxes = _fields(prompts)
    if not prompts.has_box.all():
        return range(0)
    return range(slice_index(float(boxes[0, axis])), slice_index(float(boxes[0, axis + 3])) + 1)


def _without(item: Interaction, chosen: set[int], axis: int) -> Interaction:
    points, labels, boxes = _fields(item.prompts)
    gone = torch.tensor([slice_index(z) in chosen for z in points[0, :, axis].tolist()], dtype=torch.bool)
    kept = labels.clone()
    kept[0, gone] = -1
    if set(box_slices(item.prompts, axis)) & chosen:
        boxes = torch.full_like(boxes, torch.nan)
    masks = {index: mask for index, mask in item.masks.items() if index not in chosen}
    return replace(item, prompts=Prompts(points, kept, boxes), masks=masks)


def negatives_alone(given: ObjectPrompts, axis: int) -> dict[int, torch.Tensor]:
    """
    Return the negative clicks on slices where nothing says where the object is.

    Args:
        given: the prompts.
        axis: across which the volume is cut.

    Returns:
        Clicks [K, 2] in pixels (x, y) of the slice, by slice.
    """
    points, labels, _ = _fields(given.prompts)
    inside = [a for a in range(3) if a != axis]
    shown = _shown_slices(given, axis)
    found: dict[int, list[torch.Tensor]] = {}
    for click in points[0][labels[0] == 0]:
        if (index := slice_index(float(click[axis]))) not in shown:
            found.setdefault(index, []).append(click[inside])
    return {index: torch.stack(clicks) for index, clicks in found.items()}


def ended_at_first(interactions: Sequence[Interaction], axis: int) -> set[int]:
    """
    Return the slices on which an object is not, as what was said first says.

    These have negative clicks alone, said at once with what shows the object elsewhere, so that there was no mask yet
    that they could correct (:func:`~monai_synthfm.prompts.ends.split_ends`).

    Args:
        interactions: about the object.
        axis: across which the volume is cut.

    Example:
        >>> none = torch.full((1, 6), torch.nan)
        >>> clicks = Prompts(torch.tensor([[[5.0, 5.0, 2.0], [5.0, 5.0, 4.0]]]), torch.tensor([[1, 0]]), none)
        >>> ended_at_first([Interaction(0, 1, clicks, {})], axis=2)
        {4}
    """
    first = combine(next(_said_together(interactions)))
    return set(negatives_alone(first, axis)) if _shown_slices(first, axis) else set()


def split_negatives(given: ObjectPrompts, axis: int, ended: Collection[int] = ()) -> tuple[ObjectPrompts, set[int]]:
    """
    Leave out the negative clicks on slices where nothing says where the object is.

    Such clicks wait until something else brings the object to their slices.

    Args:
        given: the prompts.
        axis: across which the volume is cut.
        ended: slices on which such clicks say that the object is not there; they stay, if it is anywhere.

    Returns:
        The other prompts, and the slices of the clicks left out.
    """
    points, labels, boxes = _fields(given.prompts)
    clicks = [
        (number, slice_index(float(points[0, number, axis])), label)
        for number, label in enumerate(labels[0].tolist())
        if label >= 0
    ]
    shown = _shown_slices(given, axis)
    stay = shown.union(ended) if shown else shown
    waiting = {number: index for number, index, _ in clicks if index not in stay}
    kept = labels.clone()
    kept[0, list(waiting)] = -1
    return ObjectPrompts(Prompts(points, kept, boxes), given.masks), set(waiting.values())


def _shown_slices(given: ObjectPrompts, axis: int) -> set[int]:
    """Return the slices where something says where the object is."""
    return _clicked_slices(given.prompts, axis, (1,)) | set(given.masks) | set(box_slices(given.prompts, axis))


def _clicked_slices(prompts: Prompts, axis: int, kinds: Sequence[int]) -> set[int]:
    points, labels, _ = _fields(prompts)
    clicked = torch.isin(labels[0], torch.tensor(kinds))
    return {slice_index(coordinate) for coordinate in points[0][clicked][:, axis].unique().tolist()}


def _fields(prompts: Prompts) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    points, labels, boxes = prompts.points, prompts.point_labels, prompts.boxes
    assert points is not None
    assert labels is not None
    assert boxes is not None
    return points, labels, boxes
