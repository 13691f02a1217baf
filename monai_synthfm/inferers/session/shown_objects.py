# Copyright (c) monai_synthfm contributors
# Licensed under the Apache License, Version 2.0 (http://www.apache.org/licenses/LICENSE-2.0).
# SPDX-License-Identifier: Apache-2.0
"""Which objects a session shows: found anew where prompts changed, remembered where they were found before."""

from __future__ import annotations

from collections import OrderedDict

from monai_synthfm.inferers.propagation.propagation import Progress, Propagation
from monai_synthfm.inferers.session.history import Said
from monai_synthfm.inferers.session.object_finder import (
    FoundObject,
    Key,
    Ticker,
    carry_object,
    glance_at_object,
    key_of,
    unknown_carries,
)
from monai_synthfm.inferers.session.volume import ChangedBox, ObjectMasks, SessionVolume, size_of

__all__ = ["ShownObjects"]

_REMEMBERED = 32
_CAPACITY = 2**30  # bytes of what earlier prompts gave


class ShownObjects:
    """
    The objects of a volume.

    Args:
        volume: holds the labels.
    """

    def __init__(self, volume: SessionVolume) -> None:
        self.volume = volume
        self.shown: dict[int, ObjectMasks] = {}
        self.carried: dict[int, ObjectMasks] = {}
        self.outdated: frozenset[int] = frozenset()
        self.found: OrderedDict[Key, FoundObject] = OrderedDict()

    def update(
        self, said: Said, propagation: Propagation, carries: bool, progress: Progress | None = None
    ) -> ChangedBox | None:
        """
        Show what is said.

        Args:
            said: all that decides the segmentation.
            propagation: how objects are carried on.
            carries: take objects through the volume; otherwise those that are not known yet are looked for where they
                are prompted, and the others of their slices show what the object was like when it was carried last.
            progress: is called after each slice of an object that is carried.

        Returns:
            Where the labels changed, or None.
        """
        by_object = said.by_object()
        keys = {number: key_of(items, said.reach) for number, items in by_object.items()}
        lacking = [items for number, items in by_object.items() if keys[number] not in self.found]
        count = sum(unknown_carries(self.volume, items, said.reach, self.found) for items in lacking)
        ticker = Ticker(progress, count, len(self.volume.allowed(said.reach.slice_range)))
        shown: dict[int, ObjectMasks] = {}
        outdated = set()
        for number, key in keys.items():
            if key not in self.found and (carries or said.reach.direction == "none"):
                carry_object(self.volume, propagation, by_object[number], said.reach, self.found, ticker)
            if key in self.found:
                self.found.move_to_end(key)
                shown[number] = self.found[key].masks
            else:
                shown[number] = self.glance(said, propagation, number).masks
                outdated.add(number)
        changed = self.volume.show(self.shown, shown)
        kept = {number: self.carried[number] for number in outdated & self.carried.keys()}
        self.carried = {number: masks for number, masks in shown.items() if number not in outdated} | kept
        self.shown, self.outdated = shown, frozenset(outdated)
        self._forget(spare=len(self.found) - len(shown))
        return changed

    def glance(self, said: Said, propagation: Propagation, number: int) -> FoundObject:
        """Find one object on the slices where it is prompted, unless it was carried."""
        interactions, earlier = said.by_object()[number], self.carried.get(number, {})
        if (key := key_of(interactions, said.reach)) in self.found:
            return self.found[key]
        return glance_at_object(self.volume, propagation, interactions, said.reach, self.found, earlier)

    def present(self, said: Said) -> dict[int, FoundObject]:
        """
        Return the objects that are shown, with the prompts that they come from.

        Raises:
            ValueError: when some are outdated.
        """
        if self.outdated:
            raise ValueError(
                f"objects {sorted(self.outdated)} have prompts that were not carried through the volume yet."
            )
        return {number: self.found[key_of(items, said.reach)] for number, items in said.by_object().items()}

    def _forget(self, spare: int) -> None:
        # those shown were used last
        size = sum(size_of(found.masks) for found in self.found.values())
        while spare > _REMEMBERED or (spare > 0 and size > _CAPACITY):
            size -= size_of(self.found.popitem(last=False)[1].masks)
            spare -= 1
