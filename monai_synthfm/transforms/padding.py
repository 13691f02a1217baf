# Copyright (c) monai_synthfm contributors
# Licensed under the Apache License, Version 2.0 (http://www.apache.org/licenses/LICENSE-2.0).
# SPDX-License-Identifier: Apache-2.0
"""Padding that batches need and networks are not to see."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from typing import Any

import torch
from monai.config import KeysCollection
from monai.transforms import MapTransform, SpatialPad

from monai_synthfm.utils.switches import reads_switches

__all__ = ["PadToBatchd"]


@reads_switches
class PadToBatchd(MapTransform):
    """Pad images of one item with zeros right and below, and say how large they were.

    :class:`~monai_synthfm.networks.Promptable` takes that as ``sizes``, so that what it computes of a whole image, its
    contrast channels among it, is that of the image without padding, as in inference. Pixels keep their coordinates.

    Args:
        keys: of channel-first arrays of the same height and width.
        spatial_size: height and width to pad to; what is larger stays as it is.
        size_key: where the height and width before go, ``[2]``.
        allow_missing_keys: leave out keys that an item does not have.

    Raises:
        ValueError: when called with images of different sizes.

    Example:
        >>> item = PadToBatchd(["image", "label"], (8, 8))({"image": torch.ones(1, 5, 8), "label": torch.ones(3, 5, 8)})
        >>> item["image"].shape, item["label"].shape, item["sizes"].tolist()
        (torch.Size([1, 8, 8]), torch.Size([3, 8, 8]), [5, 8])
    """

    def __init__(
        self,
        keys: KeysCollection,
        spatial_size: Sequence[int],
        size_key: Hashable = "sizes",
        allow_missing_keys: bool = False,
    ) -> None:
        super().__init__(keys, allow_missing_keys)
        self.pad = SpatialPad(spatial_size, method="end")
        self.size_key = size_key

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """Return the item with padded images and their size."""
        item = dict(data)
        sizes = {key: tuple(item[key].shape[1:]) for key in self.key_iterator(item)}
        if len(set(sizes.values())) > 1:
            raise ValueError(f"images of one item must have one size, got {sizes}.")
        for key, size in sizes.items():
            item[self.size_key] = torch.tensor(size)
            item[key] = self.pad(item[key])
        return item
