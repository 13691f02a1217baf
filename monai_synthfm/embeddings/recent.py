# Copyright (c) monai_synthfm contributors
# Licensed under the Apache License, Version 2.0 (http://www.apache.org/licenses/LICENSE-2.0).
# SPDX-License-Identifier: Apache-2.0
"""A store of embeddings that keeps the latest in memory, and forgets the rest or puts it on disk."""

from __future__ import annotations

import logging
import tempfile
import weakref
from collections import OrderedDict
from collections.abc import Callable, Iterator, MutableMapping

from monai_synthfm.embeddings.cache import EmbeddingCache
from monai_synthfm.networks import ImageEmbedding
from monai_synthfm.utils.free_memory import free_memory

__all__ = ["RecentEmbeddings", "temporary_embeddings"]

logger = logging.getLogger(__name__)


class RecentEmbeddings(MutableMapping[int, ImageEmbedding]):
    """
    Embeddings by slice in memory; the ones used least recently leave it when they take more than ``capacity``.

    Args:
        capacity: bytes; None = half of the memory that is free on the host. 1 GiB holds 256 slices of a SAM of 1024
            pixels, or 64 of a SAM 2. The embedding stored last is kept whatever its size.
        spill: makes a place, when the first one has to leave, where embeddings go that leave; they are found there
            again. None drops them, and so does a place that is full.

    Raises:
        ValueError: when ``capacity`` is negative.

    Example:
        >>> import torch
        >>> store = RecentEmbeddings(capacity=2 * 4 * 16)
        >>> for index in range(3):
        ...     store[index] = ImageEmbedding(torch.zeros(1, 1, 4, 4), (64, 64), (64, 64))
        >>> list(store)
        [1, 2]
    """

    def __init__(
        self,
        capacity: int | None = None,
        spill: Callable[[], MutableMapping[int, ImageEmbedding]] | None = None,
    ) -> None:
        if capacity is not None and capacity < 0:
            raise ValueError(f"capacity must be a number of bytes, got {capacity}.")
        self.capacity = free_memory() // 2 if capacity is None else capacity
        self._kept: OrderedDict[int, ImageEmbedding] = OrderedDict()
        self._bytes = 0
        self._make_spill = spill
        self._spilled: MutableMapping[int, ImageEmbedding] = {}
        self._has_spilled = False

    def __getitem__(self, index: int) -> ImageEmbedding:
        if index not in self._kept:
            self._keep(index, self._spilled[index])
        self._kept.move_to_end(index)
        return self._kept[index]

    def __setitem__(self, index: int, embedding: ImageEmbedding) -> None:
        if index in self:
            del self[index]
        self._keep(index, embedding)

    def _keep(self, index: int, embedding: ImageEmbedding) -> None:
        self._kept[index] = embedding
        self._bytes += _size(embedding)
        while self._bytes > self.capacity and len(self._kept) > 1:
            self._spill(*self._kept.popitem(last=False))

    def _spill(self, index: int, embedding: ImageEmbedding) -> None:
        self._bytes -= _size(embedding)
        if self._make_spill is None or index in self._spilled:
            return
        try:
            if not self._has_spilled:
                self._spilled, self._has_spilled = self._make_spill(), True
            self._spilled[index] = embedding
        except OSError as error:
            self._make_spill = None
            logger.warning("embeddings that do not fit memory are made again when they are needed: %s", error)

    def __delitem__(self, index: int) -> None:
        if index in self._kept:
            self._bytes -= _size(self._kept.pop(index))
            self._spilled.pop(index, None)
        else:
            del self._spilled[index]

    def __contains__(self, index: object) -> bool:
        # The mixin's would count as a use.
        return index in self._kept or index in self._spilled

    def __iter__(self) -> Iterator[int]:
        yield from self._kept
        yield from (index for index in self._spilled if index not in self._kept)

    def __len__(self) -> int:
        return sum(1 for _ in self)


def temporary_embeddings() -> EmbeddingCache:
    """Open a folder for embeddings that goes with the object returned, or with the program."""
    folder = tempfile.TemporaryDirectory(prefix="monai_synthfm-")
    cache = EmbeddingCache(folder.name, {}, dtype="float32", in_memory=1)
    weakref.finalize(cache, folder.cleanup)
    return cache


def _size(embedding: ImageEmbedding) -> int:
    return sum(tensor.nbytes for tensor in (embedding.features, *embedding.high_resolution))
