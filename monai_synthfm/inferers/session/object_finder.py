# Copyright (c) monai_synthfm contributors
# Licensed under the Apache License, Version 2.0 (http://www.apache.org/licenses/LICENSE-2.0).
# SPDX-License-Identifier: Apache-2.0
"""From what was said about one object to its masks: carried through the volume, or at a glance on its own slices."""

from __future__ import annotations

from collections.abc import Callable, Mapping, MutableMapping, Sequence
from dataclasses import dataclass, replace

import torch

from monai_synthfm.inferers.propagation.propagation import Progress, Propagation, PropagationStopped
from monai_synthfm.inferers.session.ends import is_deep
from monai_synthfm.inferers.session.history import Reach
from monai_synthfm.inferers.session.interactions import (
    Interaction,
    ObjectPrompts,
    box_slices,
    combine,
    corrections_of,
    ended_at_first,
    negatives_alone,
    split_negatives,
    without_chosen,
)
from monai_synthfm.inferers.session.volume import ObjectMasks, SessionVolume

__all__ = ["FoundObject", "Key", "Ticker", "carry_object", "glance_at_object", "key_of", "unknown_carries"]

Key = tuple[Reach, tuple[int, ...]]
"""What the masks of an object that was carried depend on: how far, and the serials of what was said about it."""

Known = dict[int, torch.Tensor]


@dataclass(frozen=True)
class FoundObject:
    """
    One object.

    Args:
        masks: of it.
        given: the prompts that these came from, which :class:`~monai_synthfm.inferers.VolumeInferer` takes as well:
            masks that clicks correct are among them, and where there are negative clicks alone it is not.
    """

    masks: ObjectMasks
    given: ObjectPrompts


class Ticker:
    """
    Counts the slices of objects for a :data:`~monai_synthfm.inferers.propagation.propagation.Progress`.

    Args:
        progress: is called; None = nothing is.
        carries: how often an object is carried through the volume, at most.
        slices: how many it may reach each time.
    """

    def __init__(self, progress: Progress | None = None, carries: int = 1, slices: int = 1) -> None:
        self.progress = progress
        self.total = carries * slices
        self.slices = slices
        self.begun = 0
        self.done = 0

    def next_carry(self) -> None:
        """Begin anew; the object before may have ended early, or was done twice where negative clicks waited for it."""
        self.done = self.begun * self.slices
        self.begun += 1

    def __call__(self) -> None:
        """
        Count a slice.

        Raises:
            PropagationStopped: when the progress says so.
        """
        self.done = min(self.done + 1, self.begun * self.slices)
        if self.progress is not None and not self.progress(self.done, self.total):
            raise PropagationStopped(f"stopped after {self.done} of at most {self.total} slices: nothing has changed.")


def key_of(interactions: Sequence[Interaction], reach: Reach) -> Key:
    """Return what the masks of an object depend on."""
    return reach, tuple(item.serial for item in interactions)


def unknown_carries(
    volume: SessionVolume, interactions: Sequence[Interaction], reach: Reach, found: Mapping[Key, FoundObject]
) -> int:
    """Return how often :func:`carry_object` carries the object, at most."""
    corrected = corrections_of(interactions, volume.slices.frame.axis)
    return sum(key_of(items, reach) not in found for items in [interactions, *(before for before, _ in corrected)])


def carry_object(
    volume: SessionVolume,
    propagation: Propagation,
    interactions: Sequence[Interaction],
    reach: Reach,
    found: MutableMapping[Key, FoundObject],
    ticker: Ticker | None = None,
) -> FoundObject:
    """
    Carry one object through the volume.

    Clicks on slices that it was only carried to correct the masks there, which are those of what was said before them.
    Negative ones alone, one of which lies deep in such a mask, end the object there
    (:func:`~monai_synthfm.inferers.session.ends.is_deep`).

    Args:
        volume: to segment.
        propagation: how objects are carried on.
        interactions: about the object.
        reach: how far it goes.
        found: what was carried before, and is not again; what is carried now is added.
        ticker: called after each slice.

    Raises:
        ValueError: before anything is segmented, when a prompt lies where it cannot be.
    """
    ticker = Ticker() if ticker is None else ticker

    def carried(items: Sequence[Interaction], known: Known) -> FoundObject:
        key = key_of(items, reach)
        if key not in found:
            ticker.next_carry()
            found[key] = _carry(volume, propagation, items, known, reach, ticker)
        return found[key]

    def brought(before: Sequence[Interaction], known: Known) -> ObjectMasks:
        try:  # what was said first may lie where it cannot be as long as the rest does not
            _check(volume, before, reach)
        except ValueError:
            return {}
        return carried(before, known).masks

    _check(volume, interactions, reach)
    return carried(interactions, _corrected(volume, interactions, brought))


def glance_at_object(
    volume: SessionVolume,
    propagation: Propagation,
    interactions: Sequence[Interaction],
    reach: Reach,
    found: Mapping[Key, FoundObject],
    earlier: ObjectMasks,
) -> FoundObject:
    """
    Segment one object on the slices where something is said about it alone.

    Args:
        volume: to segment.
        propagation: how objects are found on prompted slices.
        interactions: about the object.
        reach: how far it would go, which has to include these slices.
        found: what was carried before.
        earlier: its masks when it was carried through the volume last, which stay on the other slices. Clicks correct
            them where what was said before these clicks was not carried yet.
    """

    def brought(before: Sequence[Interaction], known: Known) -> ObjectMasks:
        key = key_of(before, reach)
        return found[key].masks if key in found else earlier

    known = _corrected(volume, interactions, brought)
    here = _with_waiting(volume, interactions, known, earlier) or _given(volume, interactions, known)[0]
    masks = volume.propagate(propagation, here, "none", reach.slice_range)
    prompted = volume.prompted(here)
    elsewhere = {index: crop for index, crop in earlier.items() if index not in prompted}
    return FoundObject({**elsewhere, **masks}, here)


def _corrected(
    volume: SessionVolume,
    interactions: Sequence[Interaction],
    brought: Callable[[Sequence[Interaction], Known], ObjectMasks],
) -> Known:
    """Return the masks that clicks correct, by slice; ``brought`` has those of what was said before such clicks."""
    known: Known = {}
    for before, slices in corrections_of(interactions, volume.slices.frame.axis):
        # the first click on a slice decides which mask is corrected
        if new := slices - known.keys():
            masks = brought(before, known)
            known = {**known, **{index: volume.whole(masks[index]) for index in sorted(new & masks.keys())}}
    return known


def _given(volume: SessionVolume, interactions: Sequence[Interaction], known: Known) -> tuple[ObjectPrompts, set[int]]:
    """
    Combine what was said with the masks that clicks correct, unless a box or a mask was given there since.

    Negative clicks alone, one of which lies deep in such a mask, stay alone: the object is not on their slice.

    Returns:
        The prompts without the negative clicks alone that nothing is known for, and the slices of these, where they
        wait.
    """
    axis = volume.slices.frame.axis
    given = combine(without_chosen(interactions, axis))
    slices = volume.slices
    ended = {
        index
        for index, clicks in negatives_alone(given, axis).items()
        if index in known and is_deep(known[index], clicks, slices.frame.stored(slices.volume, index))
    }
    without = ended.union(box_slices(given.prompts, axis))
    corrected = {index: mask for index, mask in known.items() if index not in without}
    whole = replace(given, masks={**corrected, **given.masks})
    return split_negatives(whole, axis, ended | ended_at_first(interactions, axis))


def _carry(
    volume: SessionVolume,
    propagation: Propagation,
    interactions: Sequence[Interaction],
    known: Known,
    reach: Reach,
    ticker: Ticker,
) -> FoundObject:
    first, _ = _given(volume, interactions, known)
    masks = volume.propagate(propagation, first, reach.direction, reach.slice_range, ticker)
    again = _with_waiting(volume, interactions, known, masks)
    if again is not None:
        masks = volume.propagate(propagation, again, reach.direction, reach.slice_range, ticker)
    return FoundObject(masks, first if again is None else again)


def _with_waiting(
    volume: SessionVolume, interactions: Sequence[Interaction], known: Known, masks: ObjectMasks
) -> ObjectPrompts | None:
    """Let negative clicks that nothing was known for speak of the masks that there are by now; None = there is none."""
    _, waiting = _given(volume, interactions, known)
    reached = {index: volume.whole(masks[index]) for index in sorted(waiting & masks.keys())}
    return _given(volume, interactions, {**known, **reached})[0] if reached else None


def _check(volume: SessionVolume, interactions: Sequence[Interaction], reach: Reach) -> None:
    first, _ = _given(volume, interactions, {})
    volume.check(first, reach.slice_range)
