# Copyright (c) monai_synthfm contributors
# Licensed under the Apache License, Version 2.0 (http://www.apache.org/licenses/LICENSE-2.0).
# SPDX-License-Identifier: Apache-2.0
"""Checkpoints: exact resume, the best network, and what is refused."""

from __future__ import annotations

import shlex
from pathlib import Path

import pytest
import torch
from ignite.engine import Engine
from monai.engines import IterationEvents, SupervisedTrainer

from monai_synthfm import __version__
from monai_synthfm.handlers.checkpoint import TrainingCheckpoint, tell_network
from monai_synthfm.networks import MobileSam, load_state, open_network, prepare
from monai_synthfm.networks.weights.files import read_weights
from monai_synthfm.networks.weights.fingerprint import state_sha256
from tests.handlers.trainers import make_trainer


class Training:
    """A tiny training with momentum and a schedule, so that anything forgotten in a checkpoint shows."""

    def __init__(self, folder: Path, epochs: int, resume: bool = False, fail_at: int | None = None) -> None:
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


def test_an_interrupted_training_ends_where_the_uninterrupted_one_does(tmp_path: Path) -> None:
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


def test_the_command_that_uses_the_network_is_told_once(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "my runs"
    tell_network(folder)
    assert capsys.readouterr().out == ""
    Training(folder, epochs=1).trainer.run()
    tell_network(folder)
    (line,) = capsys.readouterr().out.splitlines()
    words = shlex.split(line.partition("with: ")[2])
    assert words[:2] == ["synthfm", "segment"]
    assert Path(words[words.index("--model") + 1]) == folder / "model.pt"

    (folder / "model.pt").unlink()
    tell_network(folder)
    assert "checkpoint.pt is the last state; there is no model.pt" in capsys.readouterr().out
    (folder / "decoder.pt").touch()
    tell_network(folder, "decoder.pt")
    assert f"{folder}/decoder.pt is what was trained; use it with: " in capsys.readouterr().out
    monkeypatch.setattr("monai_synthfm.handlers.checkpoint.get_rank", lambda: 1)
    tell_network(folder)
    assert capsys.readouterr().out == ""


def test_resuming_without_a_checkpoint_names_the_file(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"resume is set, but there is no .*checkpoint\.pt"):
        Training(tmp_path, epochs=1, resume=True)


def test_a_training_without_a_step_is_refused(tmp_path: Path) -> None:
    network = torch.nn.Linear(3, 1)
    optimizer = torch.optim.SGD(network.parameters(), lr=0.1)
    scheduler = torch.optim.lr_scheduler.StepLR(optimizer, 1)
    handler = TrainingCheckpoint(tmp_path / "run", network, optimizer, scheduler)
    data = torch.utils.data.TensorDataset(torch.zeros(3, 1))
    with pytest.raises(ValueError, match="the training has no step: an epoch has fewer samples than a batch"):
        SupervisedTrainer(
            device="cpu",
            max_epochs=1,
            train_data_loader=torch.utils.data.DataLoader(data, batch_size=4, drop_last=True),
            network=network,
            optimizer=optimizer,
            loss_function=torch.nn.functional.mse_loss,
            train_handlers=[handler],
        )


def test_a_folder_that_is_a_file_is_refused_before_the_training(tmp_path: Path) -> None:
    (tmp_path / "run").write_text("mine")
    with pytest.raises(NotADirectoryError, match=r"folder .*run: expected a folder, found a file"):
        Training(tmp_path / "run", epochs=1)


def test_resuming_a_training_of_another_epoch_length_is_refused(tmp_path: Path) -> None:
    Training(tmp_path, epochs=1).trainer.run()
    state = torch.load(tmp_path / "checkpoint.pt", weights_only=True)
    torch.save(state | {"epoch_length": 7}, tmp_path / "checkpoint.pt")
    with pytest.raises(ValueError, match="7 steps in an epoch, this one has 2"):
        Training(tmp_path, epochs=2, resume=True).trainer.run()


def test_model_is_written_at_a_new_best_only_also_after_a_resume(tmp_path: Path) -> None:
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
        return float(load_state(tmp_path / "model.pt")["weight"])

    assert run([0.2, 0.6, 0.4], resume=False) == pytest.approx(0.6)
    assert run([0.5], resume=True) == pytest.approx(0.6)
    assert run([0.7], resume=True) == pytest.approx(0.7)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["checkpoint.pt", "model.pt"]


def test_the_last_epochs_leave_their_networks_also_after_a_resume(tmp_path: Path) -> None:
    network = torch.nn.Linear(1, 1)
    optimizer = torch.optim.SGD(network.parameters(), lr=0.1)
    scheduler = torch.optim.lr_scheduler.ExponentialLR(optimizer, 1.0)
    torch.save(network.state_dict(), tmp_path / "epoch_0030.pt")  # of an earlier training
    for epochs, resume in ((3, False), (2, True)):
        handler = TrainingCheckpoint(tmp_path, network, optimizer, scheduler, resume=resume, keep_epochs=2)
        trainer = Engine(lambda engine, batch: None)
        trainer.state.epoch_length, trainer.state.epoch, trainer.state.iteration = 1, 0, 0
        handler.restore(trainer)
        for _ in range(epochs):
            trainer.state.epoch += 1
            torch.nn.init.constant_(network.weight, trainer.state.epoch)
            handler(trainer)
    kept = sorted(tmp_path.glob("epoch_*.pt"))
    assert [path.name for path in kept] == ["epoch_0004.pt", "epoch_0005.pt"]
    assert [float(load_state(path)["weight"]) for path in kept] == [4.0, 5.0]


@pytest.mark.parametrize("combines", [False, True])
def test_weights_say_what_kinds_of_prompts_a_network_was_trained_with_whatever_it_could_before(
    tmp_path: Path, combines: bool
) -> None:
    network = MobileSam(image_size=64)
    network.combines_prompts = not combines
    optimizer = torch.optim.SGD(network.mask_decoder.iou_token.parameters(), lr=0.1)
    scheduler = torch.optim.lr_scheduler.ExponentialLR(optimizer, 1.0)
    trainer = Engine(lambda engine, batch: None)
    TrainingCheckpoint(tmp_path, network, optimizer, scheduler, combines_prompts=combines).attach(trainer)
    trainer.run([0], max_epochs=1)
    for state in (
        torch.load(tmp_path / "model.pt", weights_only=True),
        torch.load(tmp_path / "checkpoint.pt", weights_only=True)["network"],
    ):
        other = MobileSam(image_size=64)
        other.load_state_dict(state)
        assert other.combines_prompts is combines
    assert prepare(MobileSam(image_size=64), checkpoint=tmp_path / "model.pt").combines_prompts is combines


def test_every_file_says_what_network_it_is_of(tmp_path: Path) -> None:
    network = MobileSam(image_size=64, preprocessing="contrast", multimask="always")
    optimizer = torch.optim.SGD(network.mask_decoder.iou_token.parameters(), lr=0.1)
    scheduler = torch.optim.lr_scheduler.ExponentialLR(optimizer, 1.0)
    trainer = Engine(lambda engine, batch: None)
    TrainingCheckpoint(tmp_path, network, optimizer, scheduler, keep_epochs=1).attach(trainer)
    trainer.run([0], max_epochs=1)
    for name in ("model.pt", "checkpoint.pt", "epoch_0001.pt"):
        assert read_weights(tmp_path / name)[1] == {
            "network": "MobileSam",
            "image_size": 64,
            "preprocessing": "contrast",
            "combines_prompts": False,
            "image_encoder_sha256": state_sha256(network.image_encoder),
            "monai_synthfm": __version__,
        }
    opened = open_network(tmp_path / "epoch_0001.pt")
    assert all(torch.equal(value, opened.state_dict()[key]) for key, value in network.state_dict().items())
