# Copyright (c) monai_synthfm contributors
# Licensed under the Apache License, Version 2.0 (http://www.apache.org/licenses/LICENSE-2.0).
# SPDX-License-Identifier: Apache-2.0
"""Boxes in three dimensions: the same box on slices side by side."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import pairwise

from monai_synthfm.prompts.slice_prompts import SlicePrompts

__all__ = ["spanning_boxes", "without_outer_boxes"]

_FEWEST = 4  # slices of a box of which some can be left out


def spanning_boxes(prompts: Mapping[int, SlicePrompts]) -> Iterator[tuple[int, range]]:
    """
    Find boxes that are the same on two or more slices side by side.

    Args:
        prompts: by slice.

    Yields:
        objects, each with the slices of one of its boxes.

    Example:
        >>> import torch
        >>> from monai_synthfm.prompts import Prompts
        >>> box = SlicePrompts([0], Prompts(boxes=torch.tensor([[1.0, 1.0, 4.0, 4.0]])))
        >>> list(spanning_boxes({3: box, 4: box, 5: box, 8: box}))
        [(0, range(3, 6))]
    """
    boxes: dict[int, dict[int, tuple[float, ...]]] = {}
    for index in sorted(prompts):
        here = prompts[index]
        for row, n in enumerate(here.objects):
            if here.prompts.boxes is not None and here.prompts.has_box[row]:
                boxes.setdefault(n, {})[index] = tuple(here.prompts.boxes[row].tolist())
    for n, by_slice in boxes.items():
        indexes = list(by_slice)
        cuts = [b for a, b in pairwise(indexes) if b != a + 1 or by_slice[a] != by_slice[b]]
        for start, stop in zip([indexes[0], *cuts], [*cuts, indexes[-1] + 1], strict=True):
            last = max(index for index in indexes if index < stop)
            if last > start:
                yield n, range(start, last + 1)


def without_outer_boxes(prompts: Mapping[int, SlicePrompts]) -> dict[int, SlicePrompts]:
    """
    Leave of each box in three dimensions the slices at one and at two thirds, from which the object is carried on.

    A box around a whole object is tight on none of its slices: near its ends the object is much smaller, so that
    what the box finds there is too large. Boxes of fewer than four slices stay as they are, as do slices on which the
    object has clicks or a mask as well.

    Source: not given in the papers; our choice. What it gains is in ``docs/experiments.md``, section "What carries a
    mask to the next slice".

    Args:
        prompts: by slice.

    Returns:
        The other prompts by slice, without slices on which there are none.

    Example:
        >>> import torch
        >>> from monai_synthfm.prompts import Prompts
        >>> box = SlicePrompts([0], Prompts(boxes=torch.tensor([[1.0, 1.0, 4.0, 4.0]])))
        >>> list(without_outer_boxes({index: box for index in range(10, 20)}))
        [13, 16]
    """
    dropped: dict[int, set[int]] = {}
    for n, span in spanning_boxes(prompts):
        if len(span) >= _FEWEST:
            third = (len(span) - 1) // 3
            for index in set(span) - {span[third], span[-1 - third]}:
                dropped.setdefault(index, set()).add(n)
    kept = {}
    for index, here in prompts.items():
        outer = dropped.get(index, set())
        rows = [row for row, n in enumerate(here.objects) if n not in outer or _has_more(here, row)]
        if rows:
            kept[index] = here if len(rows) == len(here.objects) else here.rows(rows)
    return kept


def _has_more(here: SlicePrompts, row: int) -> bool:
    clicked = here.prompts.point_labels is not None and bool((here.prompts.point_labels[row] >= 0).any())
    return clicked or (here.masks is not None and bool(here.masks[row].any()))
