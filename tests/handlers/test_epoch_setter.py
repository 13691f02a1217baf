# Copyright (c) monai_synthfm contributors
# Licensed under the Apache License, Version 2.0 (http://www.apache.org/licenses/LICENSE-2.0).
# SPDX-License-Identifier: Apache-2.0
"""Epochs reach the dataset."""

from __future__ import annotations

from ignite.engine import Engine

from monai_synthfm.data import SynthFMDataset
from monai_synthfm.handlers.epoch_setter import EpochSetter


def test_the_dataset_is_told_the_epoch_of_the_trainer() -> None:
    dataset = SynthFMDataset(2, (32, 32))
    seen: list[int] = []
    trainer = Engine(lambda engine, batch: seen.append(dataset.epoch))
    EpochSetter(dataset).attach(trainer)
    trainer.run([0, 1], max_epochs=3)
    assert seen == [1, 1, 2, 2, 3, 3]
