# Copyright (c) monai_synthfm contributors
# Licensed under the Apache License, Version 2.0 (http://www.apache.org/licenses/LICENSE-2.0).
# SPDX-License-Identifier: Apache-2.0
"""Sizes of an answer: the alternatives of a network on prompted slices, and the next smaller or larger one."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import get_args

import torch

from monai_synthfm.inferers.propagation.propagation import Propagation
from monai_synthfm.inferers.propagation.stretches import carry_in_stretches
from monai_synthfm.networks import Sam2
from monai_synthfm.networks.promptable import Multimask
from monai_synthfm.prompts.ends import split_ends
from monai_synthfm.prompts.slice_prompts import SlicePrompts
from monai_synthfm.slices.sliced_volume import SlicedVolume

__all__ = ["SIZES", "AnswerSizes", "OfferedSizes", "next_rank", "ranked_masks"]

SIZES = ("smaller", "larger")
_OBJECTS_AT_ONCE = 16

logger = logging.getLogger(__name__)

Ranked = list[dict[int, torch.Tensor]]


def next_rank(areas: Sequence[float], current: float, size: str, chosen: int | None = None) -> int | None:
    """
    Return the next smaller or larger of some masks, None when there is none.

    Args:
        areas: of the masks, from small to large.
        current: area of the present mask.
        size: ``smaller`` or ``larger``.
        chosen: which of them the present mask is, from 0, if it is one.

    Raises:
        ValueError: when ``size`` is another word.

    Example:
        >>> next_rank((3.0, 5.0, 9.0), 4.0, "smaller"), next_rank((3.0, 5.0, 9.0), 4.0, "larger")
        (0, 1)
    """
    if size not in SIZES:
        raise ValueError(f"size must be smaller or larger, got {size!r}.")
    step = 1 if size == "larger" else -1
    if chosen is not None:
        fitting = [chosen + step]
    else:
        fitting = [rank for rank, area in enumerate(areas) if (area - current) * step > 0][::step]
    return fitting[0] if fitting and 0 <= fitting[0] < len(areas) else None


def ranked_masks(slices: SlicedVolume, by_slice: Mapping[int, SlicePrompts], rows: Mapping[int, int]) -> Ranked:
    """
    Return the alternative masks that a network has for one object, by area.

    Args:
        slices: of the volume.
        by_slice: prompts on stored slices.
        rows: of the object in these prompts, by slice on which it has a click or a box. Blank ones are left out.

    Returns:
        Alternatives from small to large, each with booleans [H, W] by slice; those without any pixel are left out.
    """
    return _ranked(
        {
            index: _alternatives(slices, index, by_slice[index], [row])[0]
            for index, row in rows.items()
            if not slices.blank[index]
        }
    )


@dataclass(frozen=True)
class OfferedSizes:
    """
    How large the alternatives for a prompted object are.

    Args:
        object: index of the object, from 0.
        pixels: of each alternative on all prompted slices together, from small to large.
        single: pixels of the single mask there, None where nobody asked for a size.
        chosen: which alternative was taken, from 0, or None.
    """

    object: int
    pixels: tuple[int, ...]
    single: int | None = None
    chosen: int | None = None


class AnswerSizes:
    """
    Take the next smaller or larger answer to the prompts of each object, and say how large all of them are.

    The masks of one rank by area on all slices where an object has a click or a box are one alternative; the next
    smaller or larger one than the present answer takes the place of these prompts, as with
    :meth:`~monai_synthfm.inferers.InteractiveSession.resize`. An object without such an alternative stays as it is.

    Args:
        multimask: ``smaller`` or ``larger``, or what the network is to do by itself: ``never``, ``single_click`` or
            ``always``, see :class:`~monai_synthfm.networks.Promptable`.

    Raises:
        ValueError: when ``multimask`` is another word; when called, when a network with a memory is to choose by
            itself, which its ``tracking_multimask`` says.

    Source: SAM (arXiv 2304.02643) has three masks for an ambiguous prompt; choosing by size is our choice.

    Example:
        >>> AnswerSizes("smaller").of_network, AnswerSizes("single_click").of_network
        ('never', 'single_click')
    """

    def __init__(self, multimask: str = "never") -> None:
        words = (*get_args(Multimask), *SIZES)
        if multimask not in words:
            raise ValueError(f"multimask must be one of {', '.join(words)}, got {multimask!r}.")
        self.multimask = multimask
        self._found: list[list[OfferedSizes]] = []

    @property
    def of_network(self) -> str:
        """What the network is to do by itself."""
        return "never" if self.multimask in SIZES else self.multimask

    @property
    def found(self) -> list[list[OfferedSizes]]:
        """Sizes for each prompted object of each volume since :meth:`begin`."""
        return self._found

    def begin(self) -> None:
        """Forget the volumes so far."""
        self._found = []

    @torch.no_grad()
    def __call__(
        self, slices: SlicedVolume, propagation: Propagation, by_slice: Mapping[int, SlicePrompts], slice_range: range
    ) -> Mapping[int, SlicePrompts]:
        """
        Put the chosen masks in the place of prompts.

        Args:
            slices: of the volume.
            propagation: whose answers on prompted slices are the present ones.
            by_slice: prompts on stored slices.
            slice_range: slices that may be segmented.

        Returns:
            ``by_slice`` with other prompts for the objects whose size was chosen.
        """
        if isinstance(slices.network, Sam2) and self.of_network != "never":
            raise ValueError(
                f"multimask {self.multimask} is for networks of single images: with {type(slices.network).__name__} "
                "give tracking_multimask."
            )
        shown, _ = split_ends(by_slice)
        ranked = {n: _ranked(masks) for n, masks in sorted(_by_object(slices, shown).items())}
        areas = {n: tuple(sum(int(m.sum()) for m in masks.values()) for masks in of) for n, of in ranked.items()}
        if self.multimask not in SIZES:
            self._found.append([OfferedSizes(n, pixels) for n, pixels in areas.items()])
            return by_slice
        offered, chosen = [], {}
        now = _present_areas(slices, propagation, shown, slice_range)
        for n, pixels in areas.items():
            rank = next_rank(pixels, now.get(n, 0), self.multimask)
            offered.append(OfferedSizes(n, pixels, now.get(n, 0), rank))
            if rank is None:
                logger.warning(
                    "The network has no %s answer for object %d, which stays as it is.", self.multimask, n + 1
                )
            else:
                chosen[n] = ranked[n][rank]
        self._found.append(offered)
        return {index: _replaced(here, index, chosen) for index, here in by_slice.items()}


def _ranked(found: Mapping[int, torch.Tensor]) -> Ranked:
    """Turn masks [M, H, W] by slice, from small to large, into M masks by slice, without the empty ones."""
    every = [dict(zip(found, masks, strict=True)) for masks in zip(*found.values(), strict=True)]
    kept = [{index: mask for index, mask in masks.items() if mask.any()} for masks in every]
    return [masks for masks in kept if masks]


def _alternatives(slices: SlicedVolume, index: int, here: SlicePrompts, rows: Sequence[int]) -> list[torch.Tensor]:
    """Return the alternatives [M, H, W] for objects on a stored slice, by area, all with a mask prompt or none."""
    network, embedding, device = slices.network, slices.embedding(index), slices.volume.device
    frame, chosen = slices.frame, list(rows)
    prompts = frame.turn_prompts(here.prompts.objects(chosen), slices.stored_size).to(device)
    if here.masks is not None and here.masks[chosen].any():
        known = frame.turn(here.masks[chosen]).to(device) > 0
        prompts = network.with_masks(prompts, known, embedding, slices.image(index))
    logits = network.predict_masks(embedding, prompts.batched())[0][0, :, 1:]
    if not logits.shape[1]:
        return [torch.zeros(0, *slices.stored_size, dtype=torch.bool) for _ in rows]
    masks = (network.postprocess(logits.flatten(0, 1)[None], embedding)[0] > 0).cpu().unflatten(0, logits.shape[:2])
    stored = frame.inverse.turn(masks)
    return [of_object[of_object.sum(dim=(1, 2)).argsort(stable=True)] for of_object in stored]


def _by_object(slices: SlicedVolume, by_slice: Mapping[int, SlicePrompts]) -> dict[int, dict[int, torch.Tensor]]:
    """Return object -> slice -> alternatives [M, H, W], where it has a click or a box."""
    found: dict[int, dict[int, torch.Tensor]] = {}
    for index, here in by_slice.items():
        if slices.blank[index]:
            continue
        asked = [row for row in range(len(here.objects)) if here.prompts.has_click_or_box(row)]
        known = [row for row in asked if here.masks is not None and here.masks[row].any()]
        for kind in (known, [row for row in asked if row not in known]):
            for start in range(0, len(kind), _OBJECTS_AT_ONCE):
                chunk = kind[start : start + _OBJECTS_AT_ONCE]
                for row, masks in zip(chunk, _alternatives(slices, index, here, chunk), strict=True):
                    found.setdefault(here.objects[row], {})[index] = masks
    return found


def _present_areas(
    slices: SlicedVolume, propagation: Propagation, by_slice: Mapping[int, SlicePrompts], slice_range: range
) -> dict[int, int]:
    """Return the pixels of each object on the slices where it has a click or a box."""
    areas: dict[int, int] = {}
    for masks in carry_in_stretches(propagation, slices, by_slice, "none", slice_range):
        here = by_slice[masks.index]
        for n, logits in zip(masks.objects, masks.logits, strict=True):
            if here.prompts.has_click_or_box(here.objects.index(n)):
                areas[n] = areas.get(n, 0) + int((logits > 0).sum())
    return areas


def _replaced(here: SlicePrompts, index: int, chosen: Mapping[int, Mapping[int, torch.Tensor]]) -> SlicePrompts:
    """Put the chosen masks of a slice in the place of the prompts of their objects."""
    rows = {row: chosen[n][index] for row, n in enumerate(here.objects) if index in chosen.get(n, {})}
    if not rows:
        return here
    which, drawn = list(rows), torch.stack(list(rows.values()))
    prompts = here.prompts
    labels = None if prompts.point_labels is None else prompts.point_labels.index_fill(0, torch.tensor(which), -1)
    boxes = None if prompts.boxes is None else prompts.boxes.index_fill(0, torch.tensor(which), torch.nan)
    masks = torch.zeros(len(here.objects), *drawn.shape[1:], dtype=torch.bool) if here.masks is None else here.masks
    masks = masks.index_copy(0, torch.tensor(which), drawn)
    return SlicePrompts(here.objects, replace(prompts, point_labels=labels, boxes=boxes), masks)
