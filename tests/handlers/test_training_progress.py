# Copyright (c) monai_synthfm contributors
# Licensed under the Apache License, Version 2.0 (http://www.apache.org/licenses/LICENSE-2.0).
# SPDX-License-Identifier: Apache-2.0
"""The bar of a training."""

from __future__ import annotations

import pytest
import torch
from ignite.engine import Engine
from monai.data import decollate_batch
from monai.engines import IterationEvents
from monai.utils import CommonKeys

from monai_synthfm.handlers.training_progress import TrainingProgress
from tests.handlers.trainers import make_trainer


def test_the_bar_counts_every_step_of_the_training(capsys: pytest.CaptureFixture[str]) -> None:
    network = torch.nn.Linear(3, 1)
    progress = TrainingProgress()
    make_trainer([progress], network, torch.optim.SGD(network.parameters(), lr=0.1)).run()
    assert progress.bar is not None
    assert progress.bar.n == progress.bar.total == 4
    assert "loss=" in capsys.readouterr().err


def test_the_bar_shows_the_loss_of_trainers_that_decollate_and_of_those_that_do_not() -> None:
    output = {"image": torch.zeros(2, 3), "loss": torch.tensor(0.25)}
    shown = []
    for given in (output, decollate_batch(output)):
        progress = TrainingProgress()
        engine = Engine(lambda engine, batch, given=given: given)
        progress.attach(engine)
        engine.run([0])
        shown.append(progress.loss)
    assert shown == [0.25, 0.25]


def test_an_error_in_a_step_is_not_swallowed_by_the_bar() -> None:
    network = torch.nn.Linear(3, 1)
    trainer = make_trainer([TrainingProgress()], network, torch.optim.SGD(network.parameters(), lr=0.1))

    @trainer.on(IterationEvents.FORWARD_COMPLETED)
    def fail(engine: Engine) -> None:
        raise RuntimeError(f"broken {CommonKeys.PRED}")

    with pytest.raises(RuntimeError, match="broken pred"):
        trainer.run()
