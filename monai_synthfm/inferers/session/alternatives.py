# Copyright (c) monai_synthfm contributors
# Licensed under the Apache License, Version 2.0 (http://www.apache.org/licenses/LICENSE-2.0).
# SPDX-License-Identifier: Apache-2.0
"""The alternative masks that a network has for an ambiguous prompt, and the choice of a smaller or larger one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch

from monai_synthfm.inferers.answer_sizes import SIZES, next_rank
from monai_synthfm.inferers.propagation.propagation import Propagation
from monai_synthfm.inferers.session.history import Said
from monai_synthfm.inferers.session.interactions import NOTHING, Choice, Interaction, box_slices, slices_of
from monai_synthfm.inferers.session.shown_objects import ShownObjects
from monai_synthfm.prompts.ends import split_ends

__all__ = ["SIZES", "Alternatives", "find_alternatives"]


@dataclass(frozen=True)
class Alternatives:
    """
    The masks that a network offers for the latest click or box of an object.

    Args:
        areas: of each in mm2, over all slices of that prompt, from small to large.
        current: area of the object's present mask on these slices.
        chosen: which of them was chosen, from 0, or None.
        masks: booleans [H, W] by slice of each.
        among: serials of the interactions that they are answers to.
    """

    areas: tuple[float, ...]
    current: float
    chosen: int | None
    masks: Sequence[dict[int, torch.Tensor]]
    among: frozenset[int]

    def next(self, size: str) -> int | None:
        """
        Return the next smaller or larger one, None when there is none.

        Args:
            size: ``smaller`` or ``larger``.

        Raises:
            ValueError: when ``size`` is another word.

        Example:
            >>> offered = Alternatives((3.0, 5.0, 9.0), 4.0, None, [{}, {}, {}], frozenset())
            >>> offered.next("smaller"), offered.next("larger")
            (0, 1)
        """
        return next_rank(self.areas, self.current, size, self.chosen)

    def choose(self, rank: int, serial: int, object_id: int) -> Interaction:
        """Return what it means to choose one of them: a mask in place of what it is an answer to."""
        return Interaction(serial, object_id, NOTHING, self.masks[rank], Choice(rank, self.among))


def find_alternatives(objects: ShownObjects, propagation: Propagation, said: Said, object_id: int) -> Alternatives:
    """
    Ask the network for the alternatives of the latest click or box of an object.

    Args:
        objects: as they are shown.
        propagation: how objects are found on prompted slices.
        said: so far.
        object_id: of the object.

    Raises:
        ValueError: when it has no click or box.
    """
    volume = objects.volume
    axis = volume.slices.frame.axis
    items = said.by_object().get(object_id, [])
    chosen = items[-1].choice if items else None
    if chosen is not None:
        items = items[:-1]
    indexes: list[int] = []
    if items:
        asked = replace(said, interactions=tuple(items))
        given = objects.glance(asked, propagation, object_id).given
        prompted, _ = split_ends(volume.prompted(given))
        able = {index for index, here in prompted.items() if here.prompts.has_click_or_box(0)}
        latest = next((slices for item in reversed(items) if (slices := slices_of(item, axis) & able)), set())
        # a box speaks of all its slices or of none
        boxed = set(box_slices(given.prompts, axis))
        indexes = sorted(latest | boxed if latest & boxed else latest)
    if not indexes:
        raise ValueError(f"object {object_id} has no click or box whose answer could be smaller or larger.")
    masks = volume.alternatives(given, indexes)
    areas = tuple(volume.pixel_area * sum(int(mask.sum()) for mask in by_slice.values()) for by_slice in masks)
    now = objects.shown.get(object_id, {})
    pixels = sum(int((now[index].logits > 0).sum()) for index in indexes if index in now)
    rank = None if chosen is None else chosen.rank
    return Alternatives(areas, volume.pixel_area * pixels, rank, masks, frozenset(item.serial for item in items))
