# Copyright (c) monai_synthfm contributors
# Licensed under the Apache License, Version 2.0 (http://www.apache.org/licenses/LICENSE-2.0).
# SPDX-License-Identifier: Apache-2.0
"""A dataset of embeddings out of a ring: new prompts and objects at every visit, new images in every epoch."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch

from monai_synthfm.data.seeded_dataset import SeededDataset
from monai_synthfm.embeddings.ring import EmbeddingRing
from monai_synthfm.utils.switches import reads_switches

__all__ = ["EmbeddingRingDataset"]


@reads_switches
class EmbeddingRingDataset(SeededDataset):
    """Visit embeddings of a ring: what sample i of an epoch is depends on seed, epoch and index alone.

    Epoch e, the first being 1, works on a window of the stream: the ``fresh`` images ``(e - 1) fresh ... e fresh - 1``
    and those before them, as many as the ring holds beside the next epoch's fresh ones. Each pass through the window
    is in another random order.

    Args:
        ring: where the embeddings are; someone must put the images of the window there before they are asked for.
        fresh: new images in an epoch; each image is visited ``length / fresh`` times before it is overwritten.
        length: visits in an epoch.
        seed: of order and transform.
        transform: applied to each dictionary, for example ``RandPromptsd``; random ones are seeded for the sample.
        shuffle: False = image i in visit i, as a validation set wants it.

    Returns:
        ``dataset[i]`` is a dictionary with ``image``, the features ``[C, h, w]`` float16 (of a clip ``[Z, C, h, w]``),
        and ``label``, int64 instances ``[1, H, W]`` (``[1, X, Y, Z]``), passed through ``transform``.

    Raises:
        ValueError: when the ring is too small for the fresh images of two epochs.
    """

    def __init__(
        self,
        ring: EmbeddingRing,
        fresh: int,
        length: int,
        seed: int = 0,
        transform: Callable[[dict[str, Any]], Any] | None = None,
        shuffle: bool = True,
    ) -> None:
        super().__init__(seed, transform)
        if fresh < 1 or length < 1:
            raise ValueError(f"fresh and length must be at least 1, got {fresh} and {length}.")
        if ring.slots < 2 * fresh:
            raise ValueError(
                f"size_gb of the ring must be at least {2 * fresh * ring.slot_bytes / 1e9:.4f}: it has {ring.slots} "
                f"slots, and the {fresh} fresh images of two epochs must fit."
            )
        self.ring = ring
        self.fresh = fresh
        self.length = length
        self.shuffle = shuffle

    def __len__(self) -> int:
        return self.length

    def window(self, epoch: int) -> range:
        """Return the numbers in the stream of the images that an epoch visits; epoch 0 is as epoch 1."""
        stop = max(epoch, 1) * self.fresh
        return range(max(0, stop - (self.ring.slots - self.fresh)), stop)

    def make_sample(self, index: int, seed: int) -> dict[str, Any]:
        """Read one image of the window."""
        window = self.window(self.epoch)
        turn, place = divmod(index, len(window))
        if self.shuffle:
            order = np.random.default_rng([self.seed, self.epoch, turn])
            place = int(order.permutation(len(window))[place])
        stored = self.ring.read(window[place])
        return {"image": torch.from_numpy(stored.features), "label": torch.from_numpy(stored.label.astype(np.int64))}
