# Copyright (c) monai_synthfm contributors
# Licensed under the Apache License, Version 2.0 (http://www.apache.org/licenses/LICENSE-2.0).
# SPDX-License-Identifier: Apache-2.0
"""Which slices an object is carried to, and from which of its prompted slices."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise

from monai_synthfm.inferers.propagation.propagation import DIRECTIONS
from monai_synthfm.prompts.slice_prompts import SlicePrompts

__all__ = ["Run", "plan_runs"]


@dataclass(frozen=True)
class Run:
    """
    One way of one object through a volume.

    Args:
        object: index of the object.
        start: slice on which it is prompted.
        slices: the slices that follow, in the order in which they are visited; at least one.
    """

    object: int
    start: int
    slices: range


def plan_runs(prompts: Mapping[int, SlicePrompts], direction: str, slice_range: range) -> list[Run]:
    """
    Plan the runs of all objects.

    A run ends before the next slice on which the object is prompted. Runs that go towards each other meet in the
    middle: each slice belongs to the prompted slice that is nearer, the middle one to that of lower index. So no object
    comes to a slice twice.

    Args:
        prompts: by slice.
        direction: one of :data:`~monai_synthfm.inferers.propagation.propagation.DIRECTIONS`.
        slice_range: consecutive slices not to be left.

    Raises:
        ValueError: when ``direction`` is another word.

    Example:
        >>> from monai_synthfm.prompts import Prompts
        >>> prompts = {k: SlicePrompts([0], Prompts()) for k in (2, 7)}
        >>> [(run.start, *run.slices) for run in plan_runs(prompts, "both", range(9))]
        [(2, 3, 4), (7, 8), (2, 1, 0), (7, 6, 5)]
    """
    if direction not in DIRECTIONS:
        raise ValueError(f"direction must be one of {', '.join(DIRECTIONS)}, got {direction!r}.")
    prompted: dict[int, list[int]] = {}
    for index in sorted(prompts):
        for n in prompts[index].objects:
            prompted.setdefault(n, []).append(index)
    runs = []
    for n, indexes in prompted.items():
        both = direction == "both"
        if both or direction == "forward":
            ends = [(low + high) // 2 + 1 if both else high for low, high in pairwise(indexes)]
            for start, end in zip(indexes, [*ends, slice_range.stop], strict=True):
                runs.append(Run(n, start, range(start + 1, end)))
        if both or direction == "backward":
            ends = [(low + high) // 2 if both else low for low, high in pairwise(indexes)]
            for start, end in zip(indexes, [slice_range.start - 1, *ends], strict=True):
                runs.append(Run(n, start, range(start - 1, end, -1)))
    return [run for run in runs if run.slices]
