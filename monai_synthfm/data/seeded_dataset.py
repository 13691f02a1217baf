# Copyright (c) monai_synthfm contributors
# Licensed under the Apache License, Version 2.0 (http://www.apache.org/licenses/LICENSE-2.0).
# SPDX-License-Identifier: Apache-2.0
"""Datasets whose samples depend on seed, epoch and index alone."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from torch.utils.data import Dataset, Subset

from monai_synthfm.data.transform_seeds import check_seedable
from monai_synthfm.utils.thread_copies import ThreadCopies

__all__ = ["SeededDataset"]


class SeededDataset(Dataset):
    """Base of datasets whose sample i of an epoch is the same for any number of workers and ranks and after a resume.

    Workers may be processes or threads. A slice or a sequence of indices gives a ``Subset``, as with MONAI's
    ``Dataset``.

    Args:
        seed: seed of the whole dataset, 0 or more.
        transform: applied to each sample; random ones are seeded for the sample.

    Raises:
        ValueError: when ``seed`` is negative, or ``transform`` holds random transforms that it does not seed.
        IndexError: when an index is outside the epoch.
    """

    def __init__(self, seed: int, transform: Callable[[dict[str, Any]], Any] | None) -> None:
        if seed < 0:
            raise ValueError(f"seed must be 0 or more, got {seed}.")
        self.seed = seed
        self.transform = transform
        self.copies = ThreadCopies()
        # shared memory: workers that outlive an epoch see the next one
        self._epoch = torch.zeros((), dtype=torch.int64).share_memory_()

    @property
    def transform(self) -> Callable[[dict[str, Any]], Any] | None:
        """What is applied to each sample."""
        return self._transform

    @transform.setter
    def transform(self, transform: Callable[[dict[str, Any]], Any] | None) -> None:
        check_seedable(transform)
        self._transform = transform

    @abstractmethod
    def make_sample(self, index: int, seed: int) -> dict[str, Any]:
        """Make sample ``index`` from a seed that belongs to it and the epoch."""

    @abstractmethod
    def __len__(self) -> int:
        """Return the number of samples in an epoch."""

    @property
    def epoch(self) -> int:
        """The epoch that samples belong to."""
        return int(self._epoch)

    def set_epoch(self, epoch: int) -> None:
        """Choose the epoch that following samples belong to, also in workers that are running."""
        if epoch < 0:
            raise ValueError(f"epoch must be 0 or more, got {epoch}.")
        self._epoch.fill_(epoch)

    def __getitem__(self, index: int | slice | Sequence[int]) -> Any:
        if isinstance(index, slice):
            return Subset(self, range(*index.indices(len(self))))
        if isinstance(index, Sequence):
            return Subset(self, index)
        if not -len(self) <= index < len(self):
            raise IndexError(f"index must be within the {len(self)} samples of an epoch, got {index}.")
        index %= len(self)
        entropy = np.random.SeedSequence([self.seed, self.epoch, index])
        own, augmentation = entropy.generate_state(2).tolist()
        sample = self.make_sample(index, own)
        if self.transform is None:
            return sample
        transform = self.copies.of(self.transform)
        if hasattr(transform, "set_random_state"):
            transform.set_random_state(seed=augmentation)
        return transform(sample)
