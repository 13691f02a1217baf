# Copyright (c) monai_synthfm contributors
# Licensed under the Apache License, Version 2.0 (http://www.apache.org/licenses/LICENSE-2.0).
# SPDX-License-Identifier: Apache-2.0
"""A store of embeddings that keeps the latest and forgets the rest, so that memory stays flat."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator, MutableMapping

from monai_synthfm.networks import ImageEmbedding

__all__ = ["RecentEmbeddings"]


class RecentEmbeddings(MutableMapping[int, ImageEmbedding]):
    """
    Embeddings by slice in memory; the ones used least recently are dropped when they take more than ``capacity``.

    Args:
        capacity: bytes. The default of 1 GiB holds 256 slices of a SAM of 1024 pixels, or 64 of a SAM 2. The
            embedding stored last is kept whatever its size.

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

    def __init__(self, capacity: int = 2**30) -> None:
        if capacity < 0:
            raise ValueError(f"capacity must be a number of bytes, got {capacity}.")
        self.capacity = capacity
        self._kept: OrderedDict[int, ImageEmbedding] = OrderedDict()
        self._bytes = 0

    def __getitem__(self, index: int) -> ImageEmbedding:
        self._kept.move_to_end(index)
        return self._kept[index]

    def __setitem__(self, index: int, embedding: ImageEmbedding) -> None:
        if index in self._kept:
            del self[index]
        self._kept[index] = embedding
        self._bytes += _size(embedding)
        while self._bytes > self.capacity and len(self._kept) > 1:
            del self[next(iter(self._kept))]

    def __delitem__(self, index: int) -> None:
        self._bytes -= _size(self._kept.pop(index))

    def __contains__(self, index: object) -> bool:
        # The mixin's would count as a use.
        return index in self._kept

    def __iter__(self) -> Iterator[int]:
        return iter(self._kept)

    def __len__(self) -> int:
        return len(self._kept)


def _size(embedding: ImageEmbedding) -> int:
    return sum(tensor.nbytes for tensor in (embedding.features, *embedding.high_resolution))
