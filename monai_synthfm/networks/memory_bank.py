# Copyright (c) monai_synthfm contributors
# Licensed under the Apache License, Version 2.0 (http://www.apache.org/licenses/LICENSE-2.0).
# SPDX-License-Identifier: Apache-2.0
"""What a network with a memory (SAM 2) finds on a slice and remembers of the slices before."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch

__all__ = ["MAX_POINTERS", "NUM_MEMORIES", "MemoryBank", "RecalledMemory", "SliceMemory", "TrackedMasks"]

NUM_MEMORIES = 7
"""Temporal positions of memory maps: the 6 slices before and one for all prompted slices."""
MAX_POINTERS = 16
"""Object pointers reach back over this number of slices less one."""
_ABSENT_LOGIT = -1024.0


@dataclass(frozen=True)
class TrackedMasks:
    """Masks of M objects on one slice of B volumes, M = B N in the order of the volumes.

    Args:
        decoded: mask logits ``[M, h, w]`` as decoded, whether the object is thought to be there or not: what the loss
            of a mask wants.
        candidates: all logits that ``decoded`` was chosen from, ``[M, 4, h, w]``; index 0 is the unambiguous mask.
        iou: predicted IoU of the candidates ``[M, 4]``.
        object_score: ``[M]``, logit of the object being on the slice.
        pointer: ``[M, C]``, the object as one token.
    """

    decoded: torch.Tensor
    candidates: torch.Tensor
    iou: torch.Tensor
    object_score: torch.Tensor
    pointer: torch.Tensor

    @property
    def present(self) -> torch.Tensor:
        """Whether each object is on the slice, booleans ``[M]``."""
        return self.object_score > 0

    @property
    def logits(self) -> torch.Tensor:
        """Mask logits ``[M, h, w]``, -1024 everywhere for an object that is not on the slice."""
        return self.decoded.where(self.present[:, None, None], _ABSENT_LOGIT)


@dataclass(frozen=True)
class SliceMemory:
    """What is remembered of M objects on one slice.

    Args:
        index: of the slice.
        pointer: ``[M, C]``.
        features: memory map ``[M, C', h, w]``; None when the slice has become too far away for it.
        mask: logits ``[M, 1, 4 h, 4 w]`` that prompt the next slice, in networks that do so; None when that is done.
    """

    index: int
    pointer: torch.Tensor
    features: torch.Tensor | None
    mask: torch.Tensor | None = None

    def to(self, dtype: torch.dtype) -> SliceMemory:
        """Return the memory with its maps, which are nearly all of it, in another floating point type."""
        maps = {name: getattr(self, name) for name in ("features", "mask")}
        return replace(self, **{name: value.to(dtype) for name, value in maps.items() if value is not None})

    def detach(self) -> SliceMemory:
        """Return the memory without the history of its computation."""
        features = None if self.features is None else self.features.detach()
        return replace(self, pointer=self.pointer.detach(), features=features)

    def of(self, objects: torch.Tensor) -> SliceMemory:
        """Return the memory of some of the objects, by their indexes."""
        maps = {name: getattr(self, name) for name in ("pointer", "features", "mask")}
        return replace(self, **{name: value[objects] for name, value in maps.items() if value is not None})


@dataclass(frozen=True)
class RecalledMemory:
    """What one slice looks at.

    Args:
        maps: memory maps and how many slices they lie behind, 0 for a prompted slice.
        pointers: object pointers and how many slices they lie behind, negative for one ahead.
    """

    maps: tuple[tuple[int, torch.Tensor], ...]
    pointers: tuple[tuple[int, torch.Tensor], ...]


@dataclass(frozen=True)
class MemoryBank:
    """Memories of objects that are tracked together; adding one gives a new bank.

    It holds every prompted slice, and of the others what the coming slices can look at: pointers of 15 and maps of 6.

    Args:
        num_slices: length of the sequence; SAM 2 measures the distance of pointers in ``min(num_slices, 16) - 1``.
        prompted: memories of the prompted slices.
        recent: memories of other slices.

    Example:
        >>> bank = MemoryBank(num_slices=100)
        >>> for index in range(40):
        ...     memory = SliceMemory(index, torch.zeros(1, 8), torch.zeros(1, 4, 2, 2))
        ...     bank = bank.with_prompted(memory) if index == 0 else bank.with_tracked(memory, coming=index + 1)
        >>> len(bank.prompted), len(bank.recent), sum(memory.features is not None for memory in bank.recent)
        (1, 15, 6)
    """

    num_slices: int
    prompted: tuple[SliceMemory, ...] = ()
    recent: tuple[SliceMemory, ...] = ()

    @property
    def is_empty(self) -> bool:
        """True before anything is remembered."""
        return not self.prompted and not self.recent

    @property
    def pointer_reach(self) -> int:
        """Over how many slices pointers reach back."""
        return min(self.num_slices, MAX_POINTERS) - 1

    def with_prompted(self, memory: SliceMemory) -> MemoryBank:
        """Add the memory of a prompted slice; it takes the place of what was known of this slice."""
        keep, recent = (
            tuple(old for old in memories if old.index != memory.index) for memories in (self.prompted, self.recent)
        )
        return replace(self, prompted=(*keep, memory), recent=recent)

    def with_tracked(self, memory: SliceMemory, coming: int) -> MemoryBank:
        """Add the memory of a slice without prompts.

        Args:
            memory: of the slice.
            coming: the slice to be tracked next; what is too far from it is dropped.
        """
        recent = []
        for old in (*self.recent, memory):
            distance = abs(old.index - coming)
            if distance <= self.pointer_reach:
                features = old.features if distance < NUM_MEMORIES else None
                recent.append(replace(old, features=features, mask=old.mask if distance == 1 else None))
        return replace(self, recent=tuple(recent))

    def mask_before(self, index: int, reverse: bool) -> torch.Tensor | None:
        """Return the mask remembered of the slice that comes just before ``index``, None where none is remembered."""
        before = index + 1 if reverse else index - 1
        return next((memory.mask for memory in (*self.recent, *self.prompted) if memory.index == before), None)

    def of(self, objects: torch.Tensor) -> MemoryBank:
        """Return the memories of some of the objects, by their indexes."""
        prompted, recent = (tuple(m.of(objects) for m in memories) for memories in (self.prompted, self.recent))
        return replace(self, prompted=prompted, recent=recent)

    def recall(self, index: int, reverse: bool, past_only: bool, max_prompted: int | None = None) -> RecalledMemory:
        """Collect what slice ``index`` looks at.

        Args:
            index: of the slice.
            reverse: True when slices are gone through downwards.
            past_only: leave out pointers of prompted slices still ahead, as SAM 2 does in evaluation but not in
                training.
            max_prompted: look at the maps of so many prompted slices only, the closest; None = at all of them.
        """
        prompted, others = self._closest(index, max_prompted)
        sign = -1 if reverse else 1
        maps = [(0, memory.features) for memory in prompted]
        pointers = [(sign * (index - memory.index), memory.pointer) for memory in prompted]
        if past_only:
            pointers = [(behind, pointer) for behind, pointer in pointers if behind >= 0]
        for memory in (*self.recent, *others):
            behind = sign * (index - memory.index)
            if 0 < behind < NUM_MEMORIES:
                maps.append((behind, memory.features))
            if 0 < behind <= self.pointer_reach:
                pointers.append((behind, memory.pointer))
        return RecalledMemory(
            tuple((behind, features) for behind, features in maps if features is not None), tuple(pointers)
        )

    def _closest(self, index: int, limit: int | None) -> tuple[Sequence[SliceMemory], Sequence[SliceMemory]]:
        """Split the prompted slices in the ``limit`` closest, one of them on either side, and the others; of two at the
        same distance the lower one is closer."""
        if limit is None or len(self.prompted) <= limit:
            return self.prompted, ()
        by_distance = sorted(self.prompted, key=lambda memory: (abs(memory.index - index), memory.index))
        sides = ([m for m in by_distance if m.index < index], [m for m in by_distance if m.index >= index])
        first = [side[0] for side in sides if side]
        rest = [memory for memory in by_distance if all(memory is not taken for taken in first)]
        chosen = first + rest[: limit - len(first)]
        return chosen, rest[limit - len(first) :]
