# Copyright (c) monai_synthfm contributors
# Licensed under the Apache License, Version 2.0 (http://www.apache.org/licenses/LICENSE-2.0).
# SPDX-License-Identifier: Apache-2.0
"""Tests of the trainer's handlers."""

from __future__ import annotations

import pytest
import torch
from ignite.engine import Engine
from monai.engines import IterationEvents, SupervisedTrainer
from monai.utils import CommonKeys

from monai_synthfm.data import SynthFMDataset
from monai_synthfm.engines.checkpoint import TrainingCheckpoint
from monai_synthfm.engines.handlers import EpochSetter, GradientClipper, TrainingProgress


def make_trainer(
    handlers: list, network: torch.nn.Module, optimizer: torch.optim.Optimizer, epochs: int = 2
) -> SupervisedTrainer:
    generator = torch.Generator().manual_seed(0)
    data = [
        {"image": torch.rand(3, generator=generator), "label": torch.rand(1, generator=generator)} for _ in range(4)
    ]
    return SupervisedTrainer(
        device="cpu",
        max_epochs=epochs,
        train_data_loader=torch.utils.data.DataLoader(data, batch_size=2),
        network=network,
        optimizer=optimizer,
        loss_function=torch.nn.functional.mse_loss,
        train_handlers=handlers,
        decollate=False,
    )


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


def test_an_error_in_a_step_is_not_swallowed_by_the_bar() -> None:
    network = torch.nn.Linear(3, 1)
    trainer = make_trainer([TrainingProgress()], network, torch.optim.SGD(network.parameters(), lr=0.1))

    @trainer.on(IterationEvents.FORWARD_COMPLETED)
    def fail(engine: Engine) -> None:
        raise RuntimeError(f"broken {CommonKeys.PRED}")

    with pytest.raises(RuntimeError, match="broken pred"):
        trainer.run()


class Training:
    """A tiny training with momentum and a schedule, so that anything forgotten in a checkpoint shows."""

    def __init__(self, folder, epochs: int, resume: bool = False, fail_at: int | None = None) -> None:
        torch.manual_seed(0)
        self.network = torch.nn.Linear(3, 1)
        self.optimizer = torch.optim.AdamW(self.network.parameters(), lr=0.1)
        self.scheduler = torch.optim.lr_scheduler.ExponentialLR(self.optimizer, 0.7)
        self.checkpoint = TrainingCheckpoint(folder, self.network, self.optimizer, self.scheduler, resume=resume)
        trainer = make_trainer([self.checkpoint], self.network, self.optimizer, epochs)
        trainer.add_event_handler(IterationEvents.MODEL_COMPLETED, lambda engine: self.step(engine, fail_at))
        self.trainer = trainer

    def step(self, engine: Engine, fail_at: int | None) -> None:
        if engine.state.iteration == fail_at:
            raise KeyboardInterrupt
        self.scheduler.step()


def test_an_interrupted_training_ends_where_the_uninterrupted_one_does(tmp_path) -> None:
    whole = Training(tmp_path / "whole", epochs=5)
    whole.trainer.run()
    broken = Training(tmp_path / "broken", epochs=5, fail_at=6)
    with pytest.raises(KeyboardInterrupt):
        broken.trainer.run()
    resumed = Training(tmp_path / "broken", epochs=5, resume=True)
    resumed.trainer.run()
    assert resumed.trainer.state.iteration == whole.trainer.state.iteration == 10
    for one, other in zip(resumed.network.parameters(), whole.network.parameters(), strict=True):
        assert torch.equal(one, other)


def test_resuming_without_a_checkpoint_names_the_file(tmp_path) -> None:
    with pytest.raises(FileNotFoundError, match=r"resume is set, but there is no .*checkpoint\.pt"):
        Training(tmp_path, epochs=1, resume=True).trainer.run()


def test_resuming_a_training_of_another_epoch_length_is_refused(tmp_path) -> None:
    Training(tmp_path, epochs=1).trainer.run()
    state = torch.load(tmp_path / "checkpoint.pt", weights_only=True)
    torch.save(state | {"epoch_length": 7}, tmp_path / "checkpoint.pt")
    with pytest.raises(ValueError, match="7 steps in an epoch, this one has 2"):
        Training(tmp_path, epochs=2, resume=True).trainer.run()


def test_model_is_written_at_a_new_best_only_also_after_a_resume(tmp_path) -> None:
    network = torch.nn.Linear(1, 1)
    optimizer = torch.optim.SGD(network.parameters(), lr=0.1)
    scheduler = torch.optim.lr_scheduler.ExponentialLR(optimizer, 1.0)
    evaluator = Engine(lambda engine, batch: None)
    evaluator.state.key_metric_name = "dice"

    def run(scores: list[float], resume: bool) -> float:
        handler = TrainingCheckpoint(tmp_path, network, optimizer, scheduler, evaluator, resume)
        trainer = Engine(lambda engine, batch: None)
        trainer.state.epoch_length, trainer.state.epoch, trainer.state.iteration = 1, 0, 0
        handler.restore(trainer)
        for score in scores:
            trainer.state.epoch += 1
            evaluator.state.epoch = trainer.state.epoch
            evaluator.state.metrics = {"dice": score}
            torch.nn.init.constant_(network.weight, score)
            handler(trainer)
        return float(torch.load(tmp_path / "model.pt", weights_only=True)["weight"])

    assert run([0.2, 0.6, 0.4], resume=False) == pytest.approx(0.6)
    assert run([0.5], resume=True) == pytest.approx(0.6)
    assert run([0.7], resume=True) == pytest.approx(0.7)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["checkpoint.pt", "model.pt"]
