# Copyright (c) monai_synthfm contributors
# Licensed under the Apache License, Version 2.0 (http://www.apache.org/licenses/LICENSE-2.0).
# SPDX-License-Identifier: Apache-2.0
"""Datasets whose samples depend on seed, epoch and index alone."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from monai.transforms import Randomizable
from torch.utils.data import Dataset

__all__ = ["SeededDataset"]


class SeededDataset(Dataset):
    """Base of datasets whose sample i of an epoch is the same for any number of workers and ranks and after a resume.

    Args:
        seed: seed of the whole dataset, 0 or more.
        transform: applied to each sample; random ones are seeded for the sample.

    Raises:
        ValueError: when ``seed`` is negative.
        IndexError: when an index is outside the epoch.
    """

    def __init__(self, seed: int, transform: Callable[[dict[str, Any]], Any] | None) -> None:
        if seed < 0:
            raise ValueError(f"seed must be 0 or more, got {seed}.")
        self.seed = seed
        self.transform = transform
        # shared memory: workers that outlive an epoch see the next one
        self._epoch = torch.zeros((), dtype=torch.int64).share_memory_()

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

    def __getitem__(self, index: int) -> Any:
        if not -len(self) <= index < len(self):
            raise IndexError(f"index must be within the {len(self)} samples of an epoch, got {index}.")
        index %= len(self)
        entropy = np.random.SeedSequence([self.seed, self.epoch, index])
        own, augmentation = entropy.generate_state(2).tolist()
        sample = self.make_sample(index, own)
        if isinstance(self.transform, Randomizable):
            self.transform.set_random_state(seed=augmentation)
        return sample if self.transform is None else self.transform(sample)
