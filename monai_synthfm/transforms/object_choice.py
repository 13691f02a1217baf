# Copyright (c) monai_synthfm contributors
# Licensed under the Apache License, Version 2.0 (http://www.apache.org/licenses/LICENSE-2.0).
# SPDX-License-Identifier: Apache-2.0
"""An object drawn out of a volume of instances, at times together with one that touches it."""

from __future__ import annotations

from typing import ClassVar

import numpy as np
import torch
from monai.transforms import Transform
from monai.utils import TransformBackends
from torch.nn import functional as F

from monai_synthfm.transforms.random_state import SharedRandomizable

__all__ = ["RandObjectChoice"]


class RandObjectChoice(SharedRandomizable, Transform):
    """
    Draw an object with a probability that grows with the square root of its number of slices.

    With a probability of its own an object that touches it within slices is taken with it, one of several by how much
    of it does, so that some objects are of two tissues.

    Args:
        union_prob: probability of a second object.

    Raises:
        ValueError: when an argument is out of its range.

    Source: not given in the papers; our choice.

    Example:
        >>> instances = torch.zeros(3, 8, 8, dtype=torch.int32)
        >>> instances[:, 2:4, 2:6], instances[:, 4:6, 2:6] = 1, 2
        >>> [int(RandObjectChoice(union_prob=prob)(instances).sum()) for prob in (0.0, 1.0)]
        [24, 48]
    """

    backend: ClassVar[list[TransformBackends]] = [TransformBackends.TORCH]

    def __init__(self, union_prob: float = 0.2) -> None:
        if not 0 <= union_prob <= 1:
            raise ValueError(f"union_prob must lie in 0..1, got {union_prob}.")
        self.union_prob = union_prob

    def __call__(self, instances: torch.Tensor) -> torch.Tensor | None:
        """
        Draw an object.

        Args:
            instances: integers [D, H, W], 0 background, 1..K objects.

        Returns:
            its mask, booleans [D, H, W]; None where there is no object.
        """
        count = int(instances.max()) + 1
        shown = [torch.bincount(one.flatten(), minlength=count) > 0 for one in instances]
        lengths = torch.stack(shown).sum(dim=0)[1:].numpy()
        if not lengths.any():
            return None
        chances = np.sqrt(lengths)
        mask = instances == 1 + int(self.R.choice(len(lengths), p=chances / chances.sum()))
        return self._with_neighbour(instances, mask) if self.R.rand() < self.union_prob else mask

    def _with_neighbour(self, instances: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        around = F.max_pool2d(mask[:, None].float(), kernel_size=3, stride=1, padding=1)[:, 0] > mask
        touching = torch.bincount(instances[around]).double()
        touching[:1] = 0
        if not touching.sum() > 0:
            return mask
        return mask | (instances == int(self.R.choice(len(touching), p=(touching / touching.sum()).numpy())))
