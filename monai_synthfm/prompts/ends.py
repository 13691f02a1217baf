# Copyright (c) monai_synthfm contributors
# Licensed under the Apache License, Version 2.0 (http://www.apache.org/licenses/LICENSE-2.0).
# SPDX-License-Identifier: Apache-2.0
"""Slices on which an object is said not to be."""

from __future__ import annotations

from collections.abc import Mapping

from monai_synthfm.prompts.slice_prompts import SlicePrompts
from monai_synthfm.prompts.spanning_boxes import spanning_boxes

__all__ = ["split_ends"]


def split_ends(prompts: Mapping[int, SlicePrompts]) -> tuple[dict[int, SlicePrompts], dict[int, set[int]]]:
    """
    Separate what says where objects are from the slices on which they are said not to be.

    Negative clicks alone on a slice, without a positive click, a box or a mask, say that the object is not there. It
    ends before such a slice, whichever way it is carried. The same box on two or more slices side by side is one around
    the object in three dimensions, which says that the object is not on the slices next to these, unless it is prompted
    there, too.

    Source: not given in the papers; our choice. What boxes in three dimensions gain is in ``docs/experiments.md``,
    section "What carries a mask to the next slice".

    Args:
        prompts: by slice.

    Returns:
        The other prompts by slice, without slices on which there are none; and slices by object, for those that have
        such slices.

    Example:
        >>> import torch
        >>> from monai_synthfm.prompts import Prompts
        >>> clicks = {k: Prompts(torch.ones(1, 1, 2), torch.tensor([[label]])) for k, label in ((3, 1), (5, 0))}
        >>> shown, ends = split_ends({index: SlicePrompts([0], given) for index, given in clicks.items()})
        >>> list(shown), ends
        ([3], {0: {5}})
        >>> box = SlicePrompts([0], Prompts(boxes=torch.tensor([[1.0, 1.0, 4.0, 4.0]])))
        >>> split_ends({3: box, 4: box, 5: box})[1]
        {0: {2, 6}}
    """
    shown: dict[int, SlicePrompts] = {}
    ends: dict[int, set[int]] = {}
    for index, here in prompts.items():
        ended = [row for row in range(len(here.objects)) if _ends(here, row)]
        for row in ended:
            ends.setdefault(here.objects[row], set()).add(index)
        if not ended:
            shown[index] = here
        elif kept := [row for row in range(len(here.objects)) if row not in ended]:
            shown[index] = here.rows(kept)
    for n, outside in _beside_boxes(shown).items():
        ends.setdefault(n, set()).update(outside)
    return shown, ends


def _beside_boxes(shown: Mapping[int, SlicePrompts]) -> dict[int, set[int]]:
    """Return the slices without a prompt next to boxes that span several slices, by object."""
    found: dict[int, set[int]] = {}
    for n, span in spanning_boxes(shown):
        beside = {index for index in (span.start - 1, span.stop) if n not in _objects(shown, index)}
        found.setdefault(n, set()).update(beside)
    return {n: beside for n, beside in found.items() if beside}


def _objects(shown: Mapping[int, SlicePrompts], index: int) -> list[int]:
    return shown[index].objects if index in shown else []


def _ends(here: SlicePrompts, row: int) -> bool:
    labels = here.prompts.point_labels
    if labels is None or not (labels[row] == 0).any() or (labels[row] == 1).any():
        return False
    boxed = here.prompts.boxes is not None and bool(here.prompts.has_box[row])
    return not boxed and (here.masks is None or not here.masks[row].any())
