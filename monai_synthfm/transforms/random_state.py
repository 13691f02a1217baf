# Copyright (c) monai_synthfm contributors
# Licensed under the Apache License, Version 2.0 (http://www.apache.org/licenses/LICENSE-2.0).
# SPDX-License-Identifier: Apache-2.0
"""The random state of transforms made of random parts: one for all parts, and another one in every worker."""

from __future__ import annotations

import itertools
import os
from typing import Any, TypeVar

import numpy as np
from monai.transforms import Randomizable
from torch.utils.data import get_worker_info

__all__ = ["SharedRandomizable"]

S = TypeVar("S", bound="SharedRandomizable")

_HOME = os.getpid()  # the process that imported this file: a forked one has its random numbers, too
_SEEDED = itertools.count()  # how many were seeded from their worker, so that no two get the same seed


class SharedRandomizable(Randomizable):
    """Base of random transforms: one random state for a transform and every ``Randomizable`` among its attributes.

    As with MONAI's own transforms, those that nobody seeded draw from one common state, their copies too, and the copy
    of a seeded one continues like its original. A worker of a data loader starts with a copy of what its parent had. A
    transform that is not seeded in the worker, as MONAI's ``DataLoader`` does and torch's does not, seeds itself there,
    by the worker's seed, which ``torch.manual_seed`` decides before each epoch: no two workers and no two epochs draw
    the same.

    Example:
        >>> transform = SharedRandomizable()
        >>> transform.part = SharedRandomizable()
        >>> transform.set_random_state(seed=0).part.R is transform.R
        True
    """

    _state: np.random.RandomState | None = None
    _process: int | None = None  # where the state was set

    @property
    def R(self) -> np.random.RandomState:  # noqa: N802, the name that MONAI gives it
        """The random state to draw from."""
        if self._process != os.getpid():
            self._enter_process()
        return Randomizable.R if self._state is None else self._state

    @R.setter
    def R(self, state: np.random.RandomState) -> None:  # noqa: N802
        self._state, self._process = state, os.getpid()

    def _enter_process(self) -> None:
        worker = get_worker_info()
        if worker is not None:
            entropy = np.random.SeedSequence([worker.seed, next(_SEEDED)])
            self.set_random_state(seed=int(entropy.generate_state(1)[0]))
        elif self._state is not None:
            self._process = os.getpid()
        elif os.getpid() != _HOME:
            self.set_random_state()

    def set_random_state(self: S, seed: int | None = None, state: Any = None) -> S:
        """Seed the transform and all its parts, see :class:`monai.transforms.Randomizable`."""
        super().set_random_state(seed, state)
        for part in vars(self).values():
            if isinstance(part, Randomizable):
                part.set_random_state(state=self.R)
        return self
