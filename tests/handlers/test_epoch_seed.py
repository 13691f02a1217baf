# Copyright (c) monai_synthfm contributors
# Licensed under the Apache License, Version 2.0 (http://www.apache.org/licenses/LICENSE-2.0).
# SPDX-License-Identifier: Apache-2.0
"""Tests of the seeds of epochs."""

from __future__ import annotations

import pytest
import torch
from ignite.engine import Engine, Events

from monai_synthfm.handlers.epoch_seed import EpochSeed


def draws(seed: int, first_epoch: int, epochs: int) -> list[float]:
    """What a training draws in each of its steps when it starts after some epoch, with the generators anywhere."""
    seen: list[float] = []
    trainer = Engine(lambda engine, batch: seen.append(torch.rand(()).item()))
    EpochSeed(seed).attach(trainer)

    @trainer.on(Events.STARTED)
    def resume(engine: Engine) -> None:
        torch.rand(17)
        engine.state.epoch, engine.state.iteration = first_epoch, 2 * first_epoch

    trainer.run([0, 1], max_epochs=epochs)
    return seen


def test_a_later_start_draws_what_an_earlier_one_drew_in_the_same_epochs() -> None:
    whole = draws(3, 0, 4)
    assert draws(3, 2, 4) == whole[4:]
    assert len(set(whole)) == len(whole)


def test_another_seed_draws_other_numbers() -> None:
    assert not set(draws(3, 0, 2)) & set(draws(4, 0, 2))


def test_a_seed_is_not_negative() -> None:
    with pytest.raises(ValueError, match="seed must be 0 or more, got -1"):
        EpochSeed(-1)
