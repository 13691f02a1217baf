# Copyright (c) monai_synthfm contributors
# Licensed under the Apache License, Version 2.0 (http://www.apache.org/licenses/LICENSE-2.0).
# SPDX-License-Identifier: Apache-2.0
"""Slices on which an object is said not to be."""

from __future__ import annotations

from collections.abc import Mapping

from monai_synthfm.prompts.slice_prompts import SlicePrompts

__all__ = ["split_ends"]


def split_ends(prompts: Mapping[int, SlicePrompts]) -> tuple[dict[int, SlicePrompts], dict[int, set[int]]]:
    """
    Separate what says where objects are from the slices on which they are said not to be.

    Negative clicks alone on a slice, without a positive click, a box or a mask, say that the object is not there. It
    ends before such a slice, whichever way it is carried.

    Source: not given in the papers; our choice.

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
    return shown, ends


def _ends(here: SlicePrompts, row: int) -> bool:
    labels = here.prompts.point_labels
    if labels is None or not (labels[row] == 0).any() or (labels[row] == 1).any():
        return False
    has_box = here.prompts.boxes is not None and bool(here.prompts.has_box[row])
    return not has_box and (here.masks is None or not here.masks[row].any())
