# Copyright (c) monai_synthfm contributors
# Licensed under the Apache License, Version 2.0 (http://www.apache.org/licenses/LICENSE-2.0).
# SPDX-License-Identifier: Apache-2.0
"""The slices of a stored volume as a promptable network sees them, each encoded once."""

from __future__ import annotations

from collections.abc import MutableMapping
from functools import cached_property

import torch

from monai_synthfm.networks import ImageEmbedding, Promptable
from monai_synthfm.slices.slice_frame import SliceFrame

__all__ = ["SlicedVolume", "blank_slices"]

_GREY_LEVEL = 1 / 255


def blank_slices(volume: torch.Tensor, axis: int) -> list[bool]:
    """
    Tell which slices of a volume show nothing: their values, of each channel, differ by less than a grey level of 255.

    Args:
        volume: [C, X, Y, Z] in [0, 1].
        axis: the axis (0, 1 or 2) across which it is cut.

    Example:
        >>> volume = torch.rand(1, 4, 5, 3)
        >>> volume[..., 2] = 0.5
        >>> blank_slices(volume, 2)
        [False, False, True]
    """
    inside = [a + 1 for a in range(3) if a != axis]
    spread = volume.amax(dim=inside) - volume.amin(dim=inside)
    blank: list[bool] = (spread < _GREY_LEVEL).all(dim=0).tolist()
    return blank


class SlicedVolume:
    """
    The slices of one stored volume across one axis, encoded when they are first asked for.

    Args:
        volume: [C, X, Y, Z] in [0, 1] with C = 1 or 3.
        frame: how slices become the pictures that the network is shown.
        network: encodes.
        store: keeps embeddings by slice index; a new ``dict`` by default. What it gives back is what is used, so that a
            store that rounds gives the same masks when it is filled and when it is read.

    Example:
        >>> from monai_synthfm.networks import MobileSam
        >>> slices = SlicedVolume(torch.rand(1, 20, 24, 3), SliceFrame(2), MobileSam(image_size=64).eval())
        >>> len(slices), slices.size, slices.embedding(1).features is slices.embedding(1).features
        (3, (24, 20), True)
    """

    def __init__(
        self,
        volume: torch.Tensor,
        frame: SliceFrame,
        network: Promptable,
        store: MutableMapping[int, ImageEmbedding] | None = None,
    ) -> None:
        self.volume = volume
        self.frame = frame
        self.network = network
        self.store = {} if store is None else store

    def __len__(self) -> int:
        return self.volume.shape[self.frame.axis + 1]

    @property
    def stored_size(self) -> tuple[int, int]:
        """Height and width of a slice as it is stored."""
        width, height = (size for a, size in enumerate(self.volume.shape[1:]) if a != self.frame.axis)
        return height, width

    @property
    def size(self) -> tuple[int, int]:
        """Height and width of a picture."""
        height, width = self.stored_size
        return (width, height) if self.frame.transposed else (height, width)

    @cached_property
    def blank(self) -> list[bool]:
        """Which slices show nothing, see :func:`blank_slices`."""
        return blank_slices(self.volume, self.frame.axis)

    def image(self, index: int) -> torch.Tensor:
        """Return the picture of slice ``index`` [1, C, H, W]."""
        return self.frame.turn(self.frame.stored(self.volume, index))[None]

    def embedding(self, index: int) -> ImageEmbedding:
        """Return the embedding of slice ``index``."""
        if index not in self.store:
            self.store[index] = self.network.encode(self.image(index))
        return self.store[index].to(self.volume.device)

    def counted_back(self) -> SlicedVolume:
        """Return the same slices counted from the last one."""
        return _CountedBack(self)


class _CountedBack(SlicedVolume):
    def __init__(self, slices: SlicedVolume) -> None:
        super().__init__(slices.volume, slices.frame, slices.network, slices.store)
        self.slices = slices

    @property
    def blank(self) -> list[bool]:
        return self.slices.blank[::-1]

    def image(self, index: int) -> torch.Tensor:
        return self.slices.image(len(self) - 1 - index)

    def embedding(self, index: int) -> ImageEmbedding:
        return self.slices.embedding(len(self) - 1 - index)
