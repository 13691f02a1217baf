# Copyright (c) monai_synthfm contributors
# Licensed under the Apache License, Version 2.0 (http://www.apache.org/licenses/LICENSE-2.0).
# SPDX-License-Identifier: Apache-2.0
"""A dataset of generated samples whose content depends on seed, epoch and index alone."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from monai.transforms import Randomizable
from torch.utils.data import Dataset

from monai_synthfm.transforms.synthfm import RandSynthFM

__all__ = ["SynthFMDataset"]


class SynthFMDataset(Dataset):
    """Generate SynthFM samples on the fly: sample i of an epoch is the same for any number of workers and ranks and
    after a resume.

    Args:
        length: samples in an epoch; the paper uses 10,000.
        spatial_size: height and width in pixels; the paper uses 1024 x 1024.
        seed: seed of the whole dataset.
        transform: applied to each dictionary, for example ``RandPromptsd``; random ones are seeded for the sample too.
        generator: makes image and label; ``RandSynthFM(spatial_size)`` if None. Its ``spatial_size`` must agree.

    Returns:
        ``dataset[i]`` is a dictionary with ``image`` ``[1, H, W]`` float32 in [0, 1] and ``label`` ``[1, H, W]`` int64
        instances, passed through ``transform``.

    Raises:
        ValueError: when ``length`` is not positive, ``seed`` negative, or the generator has another size.
        IndexError: when an index is outside the epoch.

    Source: SynthFM, section 3.3 (images generated on the fly, 10,000 an epoch).

    Example:
        >>> dataset = SynthFMDataset(length=4, spatial_size=(64, 64), seed=0)
        >>> first = dataset[0]["image"]
        >>> bool((first == dataset[0]["image"]).all()), bool((first == dataset[1]["image"]).all())
        (True, False)
    """

    def __init__(
        self,
        length: int,
        spatial_size: Sequence[int],
        seed: int = 0,
        transform: Callable[[dict[str, Any]], Any] | None = None,
        generator: RandSynthFM | None = None,
    ) -> None:
        if length < 1:
            raise ValueError(f"length must be at least 1, got {length}.")
        if seed < 0:
            raise ValueError(f"seed must be 0 or more, got {seed}.")
        self.length = length
        self.seed = seed
        self.transform = transform
        self.generator = generator or RandSynthFM(spatial_size)
        if self.generator.spatial_size != tuple(spatial_size):
            raise ValueError(
                f"spatial_size {tuple(spatial_size)} is not the generator's {self.generator.spatial_size}."
            )
        # shared memory: workers that outlive an epoch see the next one
        self._epoch = torch.zeros((), dtype=torch.int64).share_memory_()

    @property
    def epoch(self) -> int:
        """The epoch that samples belong to."""
        return int(self._epoch)

    def set_epoch(self, epoch: int) -> None:
        """Choose the epoch that following samples belong to, also in workers that are running."""
        if epoch < 0:
            raise ValueError(f"epoch must be 0 or more, got {epoch}.")
        self._epoch.fill_(epoch)

    def __len__(self) -> int:
        return self.length

    def __getitem__(self, index: int) -> Any:
        if not -self.length <= index < self.length:
            raise IndexError(f"index must be within the {self.length} samples of an epoch, got {index}.")
        entropy = [self.seed, self.epoch, index % self.length]
        generation, augmentation = np.random.SeedSequence(entropy).generate_state(2).tolist()
        image, label = self.generator.set_random_state(seed=generation)()
        sample = {"image": image, "label": label}
        if isinstance(self.transform, Randomizable):
            self.transform.set_random_state(seed=augmentation)
        return sample if self.transform is None else self.transform(sample)
