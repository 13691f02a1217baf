# Copyright (c) monai_synthfm contributors
# Licensed under the Apache License, Version 2.0 (http://www.apache.org/licenses/LICENSE-2.0).
# SPDX-License-Identifier: Apache-2.0
"""From what was said about one object to its masks: carried through the volume, or at a glance on its own slices."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from monai_synthfm.inferers.propagation.propagation import Progress, Propagation, PropagationStopped
from monai_synthfm.inferers.session.history import Reach
from monai_synthfm.inferers.session.interactions import (
    Interaction,
    ObjectPrompts,
    combine,
    split_negatives,
    without_chosen,
)
from monai_synthfm.inferers.session.volume import ObjectMasks, SessionVolume

__all__ = ["FoundObject", "Ticker", "carry_object", "glance_at_object"]


@dataclass(frozen=True)
class FoundObject:
    """
    One object.

    Args:
        masks: of it.
        given: the prompts that these came from, which :class:`~monai_synthfm.inferers.VolumeInferer` takes as well:
            there is no slice with negative clicks alone.
    """

    masks: ObjectMasks
    given: ObjectPrompts


class Ticker:
    """
    Counts the slices of objects for a :data:`~monai_synthfm.inferers.propagation.propagation.Progress`.

    Args:
        progress: is called; None = nothing is.
        objects: how many there are.
        slices: how many each may reach.
    """

    def __init__(self, progress: Progress | None, objects: int, slices: int) -> None:
        self.progress = progress
        self.total = objects * slices
        self.slices = slices
        self.begun = 0
        self.done = 0

    def next_object(self) -> None:
        """Begin with the next object; the one before may have ended early, or was done twice where clicks correct."""
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


def carry_object(
    volume: SessionVolume,
    propagation: Propagation,
    interactions: Sequence[Interaction],
    reach: Reach,
    tick: Callable[[], None] | None = None,
) -> FoundObject:
    """
    Carry one object through the volume.

    Negative clicks on slices where nothing says where it is correct what the other prompts bring there.

    Args:
        volume: to segment.
        propagation: how objects are carried on.
        interactions: about the object.
        reach: how far it goes.
        tick: called after each slice.
    """
    given = combine(without_chosen(interactions, volume.slices.frame.axis))
    first, corrected = split_negatives(given, volume.slices.frame.axis)
    masks = volume.propagate(propagation, first, reach.direction, reach.slice_range, tick)
    known = {index: volume.whole(masks[index]) for index in corrected if index in masks}
    if not known:
        return FoundObject(masks, first)
    # Clicks on slices that the object does not reach stay without effect.
    again, _ = split_negatives(replace(given, masks={**known, **given.masks}), volume.slices.frame.axis)
    return FoundObject(volume.propagate(propagation, again, reach.direction, reach.slice_range, tick), again)


def glance_at_object(
    volume: SessionVolume,
    propagation: Propagation,
    interactions: Sequence[Interaction],
    reach: Reach,
    earlier: ObjectMasks,
) -> FoundObject:
    """
    Segment one object on the slices where something is said about it alone.

    Args:
        volume: to segment.
        propagation: how objects are found on prompted slices.
        interactions: about the object.
        reach: how far it would go, which has to include these slices.
        earlier: its masks when it was carried through the volume last, which stay on the other slices.
    """
    given = combine(without_chosen(interactions, volume.slices.frame.axis))
    _, corrected = split_negatives(given, volume.slices.frame.axis)
    known = {index: volume.whole(earlier[index]) for index in corrected if index in earlier}
    here, _ = split_negatives(replace(given, masks={**known, **given.masks}), volume.slices.frame.axis)
    masks = volume.propagate(propagation, here, "none", reach.slice_range)
    prompted = volume.prompted(here)
    elsewhere = {index: crop for index, crop in earlier.items() if index not in prompted}
    return FoundObject({**elsewhere, **masks}, here)
