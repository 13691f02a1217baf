# Copyright (c) monai_synthfm contributors
# Licensed under the Apache License, Version 2.0 (http://www.apache.org/licenses/LICENSE-2.0).
# SPDX-License-Identifier: Apache-2.0
"""From prompts on stored slices to masks of these: a propagation sees pictures, and objects end where they do."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import groupby

from monai_synthfm.inferers.propagation.propagation import Propagation, SliceMasks
from monai_synthfm.networks.preprocessing import as_logits
from monai_synthfm.prompts.ends import split_ends
from monai_synthfm.prompts.slice_prompts import SlicePrompts
from monai_synthfm.prompts.spanning_boxes import without_outer_boxes
from monai_synthfm.slices.sliced_volume import SlicedVolume

__all__ = ["carry_in_stretches", "check_shown"]

_COUNTED_BACK = {"forward": "backward", "backward": "forward"}


def carry_in_stretches(
    propagation: Propagation,
    slices: SlicedVolume,
    prompts: Mapping[int, SlicePrompts],
    direction: str,
    slice_range: range,
) -> Iterator[SliceMasks]:
    """
    Let a propagation work on each stretch of slices between blank ones, and between those on which an object is said
    not to be, as if there were no more of the volume.

    The propagation is shown slices as pictures, in the order of pictures
    (:class:`~monai_synthfm.slices.slice_frame.SliceFrame`), so that what it finds does not depend on how the volume is
    stored; all that this function takes and yields is in terms of the stored volume.

    Padding, cropping and defacing leave slices of one value (:attr:`SlicedVolume.blank`), on which networks answer all
    the same. So nothing is carried through them, and what lies behind is segmented by its own prompts. On a blank slice
    only a known mask is kept; clicks and boxes find nothing there.

    A slice on which an object has negative clicks alone, or next to a box over several slices, ends this object
    (:func:`~monai_synthfm.prompts.ends.split_ends`): it is not there, nor carried through, and on either side it is
    segmented by the prompts of that side. Objects that end on the same slices are carried together.

    When objects are carried both ways, a box over several slices prompts two of them
    (:func:`~monai_synthfm.prompts.spanning_boxes.without_outer_boxes`).

    Args:
        propagation: carries objects on.
        slices: of the volume.
        prompts: on stored slices, by slice, each within ``slice_range``.
        direction: see :class:`Propagation`.
        slice_range: consecutive slices not to be left.

    Yields:
        Masks of stored slices, as :class:`Propagation` does.

    Raises:
        ValueError: before anything is segmented, when clicks or boxes of an object are on blank slices alone.

    Example:
        >>> import torch
        >>> from monai_synthfm.inferers import MaskPropagation
        >>> from monai_synthfm.networks import MobileSam
        >>> from monai_synthfm.prompts import Prompts
        >>> from monai_synthfm.slices.slice_frame import SliceFrame
        >>> slices = SlicedVolume(torch.zeros(1, 20, 24, 5), SliceFrame(2), MobileSam(image_size=64).eval())
        >>> known = SlicePrompts([0], Prompts(), torch.ones(1, 24, 20, dtype=torch.bool))
        >>> [masks.index for masks in carry_in_stretches(MaskPropagation(), slices, {2: known}, "both", range(5))]
        [2]
    """
    check_shown(slices.blank, prompts)
    for ends, together in _ending_alike(prompts):
        closed = [is_blank or index in ends for index, is_blank in enumerate(slices.blank)]
        yield from _between(closed, propagation, slices, together, direction, slice_range)


def _ending_alike(prompts: Mapping[int, SlicePrompts]) -> Iterator[tuple[frozenset[int], dict[int, SlicePrompts]]]:
    """Sort prompts by the slices on which their objects are said not to be."""
    shown, ends = split_ends(prompts)
    objects = {n for here in shown.values() for n in here.objects}
    of_object = {n: frozenset(ends.get(n, ())) for n in sorted(objects)}
    for alike in dict.fromkeys(of_object.values()):
        together = {}
        for index, here in shown.items():
            rows = [row for row, n in enumerate(here.objects) if of_object[n] == alike]
            if rows:
                together[index] = here if len(rows) == len(here.objects) else here.rows(rows)
        yield alike, together


def _between(
    closed: Sequence[bool],
    propagation: Propagation,
    slices: SlicedVolume,
    prompts: Mapping[int, SlicePrompts],
    direction: str,
    slice_range: range,
) -> Iterator[SliceMasks]:
    """Let a propagation work on each stretch of slices that are not closed, where known masks alone are kept."""
    for is_closed, stretch in groupby(slice_range, closed.__getitem__):
        indexes = list(stretch)
        given = {index: prompts[index] for index in indexes if index in prompts}
        if is_closed:
            for index, here in given.items():
                if rows := _masked(here):
                    assert here.masks is not None
                    logits = as_logits(here.masks[rows].to(slices.volume.device))
                    yield SliceMasks(index, [here.objects[row] for row in rows], logits)
        elif given:
            given = without_outer_boxes(given) if direction == "both" else given
            yield from _carry_pictures(propagation, slices, given, direction, range(indexes[0], indexes[-1] + 1))


def _carry_pictures(
    propagation: Propagation,
    slices: SlicedVolume,
    prompts: Mapping[int, SlicePrompts],
    direction: str,
    slice_range: range,
) -> Iterator[SliceMasks]:
    """Let a propagation work on pictures, and turn its masks back into those of stored slices."""
    frame, last = slices.frame, len(slices) - 1
    given = frame.turn_all(prompts, slices.stored_size)
    if frame.reversed:
        slices, direction = slices.counted_back(), _COUNTED_BACK.get(direction, direction)
        given = {last - index: here for index, here in given.items()}
        slice_range = range(last - slice_range[-1], last - slice_range[0] + 1)
    for found in propagation(slices, given, direction, slice_range):
        index = last - found.index if frame.reversed else found.index
        yield replace(found, index=index, logits=frame.inverse.turn(found.logits))


def _masked(here: SlicePrompts) -> list[int]:
    """Return the rows of the objects of which a mask is known."""
    if here.masks is None:
        return []
    rows: list[int] = here.masks.flatten(1).any(dim=1).nonzero().flatten().tolist()
    return rows


def check_shown(blank: Sequence[bool], prompts: Mapping[int, SlicePrompts]) -> None:
    """
    Check that every object that is anywhere is prompted where the picture shows something, or by a mask.

    Args:
        blank: whether each slice is of one value.
        prompts: by slice.

    Raises:
        ValueError: when clicks or boxes of an object are on blank slices alone.
    """
    shown: set[int] = set()
    unseen: dict[int, list[int]] = {}
    for index, here in sorted(split_ends(prompts)[0].items()):
        found = {here.objects[row] for row in _masked(here)} if blank[index] else set(here.objects)
        shown |= found
        for n in set(here.objects) - found:
            unseen.setdefault(n, []).append(index)
    for n in sorted(unseen.keys() - shown):
        raise ValueError(
            f"object {n + 1} is prompted on slices {unseen[n]} alone, which are blank, with pixels of one value: "
            "prompt it where the picture shows it."
        )
