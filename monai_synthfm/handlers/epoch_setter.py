# Copyright (c) monai_synthfm contributors
# Licensed under the Apache License, Version 2.0 (http://www.apache.org/licenses/LICENSE-2.0).
# SPDX-License-Identifier: Apache-2.0
"""Epochs of generated data."""

from __future__ import annotations

from ignite.engine import Engine, Events

from monai_synthfm.data.seeded_dataset import SeededDataset

__all__ = ["EpochSetter"]


class EpochSetter:
    """Tell a seeded dataset which epoch begins: every epoch has new samples, and a resumed one has its own.

    Args:
        dataset: the trainer's dataset.
    """

    def __init__(self, dataset: SeededDataset) -> None:
        self.dataset = dataset

    def attach(self, engine: Engine) -> None:
        """Register with the trainer."""
        engine.add_event_handler(Events.EPOCH_STARTED, self)

    def __call__(self, engine: Engine) -> None:
        """Pass the epoch on."""
        self.dataset.set_epoch(engine.state.epoch)
