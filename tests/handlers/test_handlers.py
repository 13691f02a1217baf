# Copyright (c) monai_synthfm contributors
# Licensed under the Apache License, Version 2.0 (http://www.apache.org/licenses/LICENSE-2.0).
# SPDX-License-Identifier: Apache-2.0
"""Tests of the trainer's handlers."""

from __future__ import annotations

import pytest
import torch
from ignite.engine import Engine
from monai.data import decollate_batch
from monai.engines import IterationEvents
from monai.utils import CommonKeys

from monai_synthfm.data import SynthFMDataset
from monai_synthfm.handlers.epoch_setter import EpochSetter
from monai_synthfm.handlers.gradient_clipper import GradientClipper
from monai_synthfm.handlers.training_progress import TrainingProgress
from tests.handlers.trainers import make_trainer


def test_the_dataset_is_told_the_epoch_of_the_trainer() -> None:
    dataset = SynthFMDataset(2, (32, 32))
    seen: list[int] = []
    trainer = Engine(lambda engine, batch: seen.append(dataset.epoch))
    EpochSetter(dataset).attach(trainer)
    trainer.run([0, 1], max_epochs=3)
    assert seen == [1, 1, 2, 2, 3, 3]


def test_gradients_above_the_limit_are_scaled_to_it_and_others_left() -> None:
    parameter = torch.nn.Parameter(torch.zeros(4))
    clipper = GradientClipper([parameter], max_norm=1.0)
    parameter.grad = torch.tensor([3.0, 0.0, 4.0, 0.0])
    clipper(Engine(lambda engine, batch: None))
    torch.testing.assert_close(parameter.grad, torch.tensor([0.6, 0.0, 0.8, 0.0]))
    parameter.grad = torch.tensor([0.3, 0.0, 0.4, 0.0])
    clipper(Engine(lambda engine, batch: None))
    torch.testing.assert_close(parameter.grad, torch.tensor([0.3, 0.0, 0.4, 0.0]))


def test_clipping_happens_between_backward_pass_and_update() -> None:
    network = torch.nn.Linear(3, 1)
    optimizer = torch.optim.SGD(network.parameters(), lr=1.0)
    start = [parameter.detach().clone() for parameter in network.parameters()]
    trainer = make_trainer([GradientClipper(network.parameters(), max_norm=1e-3)], network, optimizer, epochs=1)
    trainer.run()
    moved = torch.cat([(now - then).flatten() for now, then in zip(network.parameters(), start, strict=True)]).norm()
    assert 0 < moved <= 2 * 1.001e-3  # two updates of at most the limit


def test_clipping_needs_a_positive_limit() -> None:
    with pytest.raises(ValueError, match=r"max_norm must be above 0, got 0"):
        GradientClipper([], max_norm=0)


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
