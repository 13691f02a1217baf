# Copyright (c) monai_synthfm contributors
# Licensed under the Apache License, Version 2.0 (http://www.apache.org/licenses/LICENSE-2.0).
# SPDX-License-Identifier: Apache-2.0
"""Objects carried through a volume by a network that remembers slices (SAM 2)."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping

import torch

from monai_synthfm.inferers.propagation.propagation import DIRECTIONS, Propagation, SliceMasks
from monai_synthfm.networks import ImageEmbedding, MemoryBank, Sam2, TrackedMasks
from monai_synthfm.prompts import Prompts
from monai_synthfm.prompts.slice_prompts import SlicePrompts
from monai_synthfm.slices.sliced_volume import SlicedVolume

__all__ = ["MemoryPropagation"]


class MemoryPropagation(Propagation):
    """
    Track objects by the memory of :class:`~monai_synthfm.networks.Sam2`, as sam2's video predictor does.

    The prompted slices of an object are segmented by their prompts alone and remembered throughout. From the first of
    them the object is tracked to higher slices and then, from the same slice, to lower ones; on the first slices of the
    way down the nearest slices of the way up are remembered, too. With direction ``backward`` it is tracked to lower
    slices from the last prompted one. Objects do not see each other. Networks that were trained to look one way alone
    (``remembers_across``) remember no slice of the way up on the way down.

    An object with a known mask on a slice keeps this mask; with clicks or a box besides, the mask is a prompt like
    these, and clicks without a box get positive ones within the mask.

    A slice is asked for once per direction, and both directions meet only between slices that different objects are
    prompted on. An object that is not on a slice has logits of -1024 there; it may come back later.

    Args:
        memory_dtype: of memory maps; bfloat16 as in sam2's predictor.
        objects_per_pass: how many objects are tracked together. Each takes about 0.2 GB at 1024 pixels while a slice is
            worked on.

    Raises:
        ValueError: when ``objects_per_pass`` is less than 1.

    Example:
        >>> from monai_synthfm.networks import Sam2Size
        >>> tiny = Sam2Size(8, 1, (1, 1, 2, 1), (3,), (4, 4), hidden_dim=32, memory_dim=8, memory_layers=1, mlp_dim=32)
        >>> from monai_synthfm.slices.slice_frame import SliceFrame
        >>> slices = SlicedVolume(torch.rand(1, 20, 24, 5), SliceFrame(2), Sam2(tiny, image_size=64).eval())
        >>> clicks = SlicePrompts([0], Prompts(torch.tensor([[[9.0, 9.0]]]), torch.tensor([[1]])))
        >>> [masks.index for masks in MemoryPropagation()(slices, {2: clicks}, "both", range(5))]
        [2, 3, 4, 1, 0]
    """

    def __init__(self, memory_dtype: torch.dtype = torch.bfloat16, objects_per_pass: int = 4) -> None:
        if objects_per_pass < 1:
            raise ValueError(f"objects_per_pass must be at least 1, got {objects_per_pass}.")
        self.memory_dtype = memory_dtype
        self.objects_per_pass = objects_per_pass

    @torch.no_grad()
    def __call__(
        self, slices: SlicedVolume, prompts: Mapping[int, SlicePrompts], direction: str, slice_range: range
    ) -> Iterator[SliceMasks]:
        """
        Segment the objects, slice after slice; see :class:`Propagation`.

        Raises:
            ValueError: when ``direction`` is none of the known ones.
            TypeError: when the network has no memory.
        """
        if direction not in DIRECTIONS:
            raise ValueError(f"direction must be one of {list(DIRECTIONS)}, got {direction!r}.")
        network = slices.network
        if not isinstance(network, Sam2):
            raise TypeError(f"MemoryPropagation needs a network with a memory (Sam2), got {type(network).__name__}.")
        tracks = [
            _Track(objects, prompted, len(slice_range))
            for prompted, found in _groups(prompts).items()
            for objects in _chunks(found, self.objects_per_pass)
        ]
        for index, given in sorted(prompts.items()):
            embedding = slices.embedding(index)
            for track in tracks:
                if index in track.prompted:
                    tracked = track.prompt(network, embedding, slices.image(index), given, index, self.memory_dtype)
                    yield track.found(network, embedding, tracked, index)
        if direction in ("both", "forward"):
            yield from self._sweep(slices, network, tracks, slice_range, reverse=False)
        if direction in ("both", "backward"):
            for track in tracks:
                track.turn(to_last=direction == "backward")
            yield from self._sweep(slices, network, tracks, slice_range, reverse=True)

    def _sweep(
        self, slices: SlicedVolume, network: Sam2, tracks: list[_Track], slice_range: range, reverse: bool
    ) -> Iterator[SliceMasks]:
        """Go through the slices once, with every object that has begun."""
        starts = [track.start for track in tracks]
        order = (
            range(max(starts) - 1, slice_range.start - 1, -1) if reverse else range(min(starts) + 1, slice_range.stop)
        )
        for index in order:
            active = [track for track in tracks if track.reaches(index, reverse)]
            if not active:
                continue
            embedding = slices.embedding(index)
            for track in active:
                tracked = track.follow(network, embedding, index, reverse, self.memory_dtype)
                yield track.found(network, embedding, tracked, index)


class _Track:
    """Objects prompted on the same slices, and what is remembered of them."""

    def __init__(self, objects: list[int], prompted: tuple[tuple[int, bool, bool], ...], num_slices: int) -> None:
        self.objects = objects
        self.prompted = {index for index, _, _ in prompted}
        self.start = min(self.prompted)
        self.bank = MemoryBank(num_slices)
        # The bank to start downwards with.
        self.turned = self.bank

    def prompt(
        self,
        network: Sam2,
        embedding: ImageEmbedding,
        picture: torch.Tensor,
        given: SlicePrompts,
        index: int,
        dtype: torch.dtype,
    ) -> TrackedMasks:
        """Find the objects by their prompts, whatever is remembered."""
        rows = [given.objects.index(n) for n in self.objects]
        prompts, masks = _inputs(network, embedding, picture, given, rows)
        tracked = network.track(embedding, MemoryBank(self.bank.num_slices), index, prompts, masks)
        memory = network.memorize(embedding, tracked, index, is_prompted=True).to(dtype)
        self.bank = self.turned = self.bank.with_prompted(memory)
        return tracked

    def reaches(self, index: int, reverse: bool) -> bool:
        """Return whether the objects are to be looked for on a slice."""
        return (index < self.start if reverse else index > self.start) and index not in self.prompted

    def follow(
        self, network: Sam2, embedding: ImageEmbedding, index: int, reverse: bool, dtype: torch.dtype
    ) -> TrackedMasks:
        """Find the objects by what is remembered of them, and remember this slice."""
        tracked = network.track(embedding, self.bank, index, reverse=reverse)
        memory = network.memorize(embedding, tracked, index, is_prompted=False).to(dtype)
        self.bank = self.bank.with_tracked(memory, coming=index - 1 if reverse else index + 1)
        if not reverse and network.remembers_across:
            self.turned = self.turned.with_tracked(memory, coming=self.start - 1)
        return tracked

    def turn(self, to_last: bool) -> None:
        """Prepare for the way down from the first prompted slice, or from the last."""
        self.start = max(self.prompted) if to_last else self.start
        self.bank = self.turned

    def found(self, network: Sam2, embedding: ImageEmbedding, tracked: TrackedMasks, index: int) -> SliceMasks:
        """Return the masks in the size of the slice."""
        return SliceMasks(index, self.objects, network.postprocess(tracked.logits[None], embedding)[0])


def _groups(prompts: Mapping[int, SlicePrompts]) -> dict[tuple[tuple[int, bool, bool], ...], list[int]]:
    """Gather the objects that have the same kinds of prompts (a mask, a click or box) on the same slices."""
    kinds = defaultdict(list)
    for index, given in sorted(prompts.items()):
        for row, n in enumerate(given.objects):
            has_mask = given.masks is not None and bool(given.masks[row].any())
            kinds[n].append((index, has_mask, given.prompts.has_click_or_box(row)))
    groups = defaultdict(list)
    for n in sorted(kinds):
        groups[tuple(kinds[n])].append(n)
    return groups


def _inputs(
    network: Sam2, embedding: ImageEmbedding, picture: torch.Tensor, given: SlicePrompts, rows: list[int]
) -> tuple[Prompts | None, torch.Tensor | None]:
    """Return prompts, or the masks of objects that have nothing else."""
    device = embedding.features.device
    masks = None if given.masks is None else given.masks[rows].to(device)
    prompts = given.prompts.objects(rows)
    if masks is None or not masks.any():
        return prompts, None
    if not prompts.has_click_or_box(0):
        return None, masks
    return network.with_masks(prompts, masks, embedding, picture), None


def _chunks(objects: list[int], size: int) -> Iterable[list[int]]:
    return (objects[start : start + size] for start in range(0, len(objects), size))
