# Copyright (c) monai_synthfm contributors
# Licensed under the Apache License, Version 2.0 (http://www.apache.org/licenses/LICENSE-2.0).
# SPDX-License-Identifier: Apache-2.0
"""Random numbers of a training's epochs that do not depend on how the training got there."""

from __future__ import annotations

import numpy as np
import torch
from ignite.distributed import get_rank
from ignite.engine import Engine, Events

__all__ = ["EpochSeed"]


class EpochSeed:
    """Seed torch's generators at the start of each epoch from seed, epoch and rank, so that a network that draws
    (dropout, earlier masks) goes on after a resume exactly as if the training had never been interrupted.

    Args:
        seed: of the training, 0 or more.

    Raises:
        ValueError: when the seed is negative.
    """

    def __init__(self, seed: int) -> None:
        if seed < 0:
            raise ValueError(f"seed must be 0 or more, got {seed}.")
        self.seed = seed

    def attach(self, engine: Engine) -> None:
        """Register with the trainer."""
        engine.add_event_handler(Events.EPOCH_STARTED, self)

    def __call__(self, engine: Engine) -> None:
        """Seed the epoch that begins."""
        entropy = np.random.SeedSequence([self.seed, engine.state.epoch, get_rank()])
        torch.manual_seed(int(entropy.generate_state(1)[0]))
