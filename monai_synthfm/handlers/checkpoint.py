# Copyright (c) monai_synthfm contributors
# Licensed under the Apache License, Version 2.0 (http://www.apache.org/licenses/LICENSE-2.0).
# SPDX-License-Identifier: Apache-2.0
"""Checkpoints of a training: the best network, and the last state from which training goes on exactly."""

from __future__ import annotations

import io
import shlex
from pathlib import Path
from typing import Any

import torch
from ignite.distributed import get_rank
from ignite.engine import Engine, Events

from monai_synthfm.networks import Promptable
from monai_synthfm.networks.state_settings import with_settings
from monai_synthfm.networks.weights.fingerprint import file_settings
from monai_synthfm.utils.atomic_files import check_writable, staged_files
from monai_synthfm.utils.processes import from_first_process
from monai_synthfm.utils.switches import reads_switches

__all__ = ["TrainingCheckpoint", "tell_network"]

_LAST = "checkpoint.pt"
_BEST = "model.pt"


def tell_network(folder: str | Path, file: str = _BEST) -> None:
    """
    Print where the network of a training is and the command that uses it next; of data-parallel processes the first
    alone does.

    Args:
        folder: of :class:`TrainingCheckpoint`.
        file: that the training is for, in this folder.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     _ = (Path(folder) / "model.pt").touch()
        ...     tell_network(folder)
        /.../model.pt is the best network; use it with: synthfm segment IMAGE --click X Y Z --model /.../model.pt
    """
    best, last = Path(folder) / file, Path(folder) / _LAST
    if get_rank() > 0:
        return
    if best.is_file():
        command = f"synthfm segment IMAGE --click X Y Z --model {shlex.quote(str(best))}"
        print(f"{best} is {'the best network' if file == _BEST else 'what was trained'}; use it with: {command}")
    elif last.is_file():
        print(f"{last} is the last state; there is no {file}, since no epoch was validated (val_interval).")


@reads_switches
class TrainingCheckpoint:
    """Write ``model.pt`` whenever validation reaches a new best and ``checkpoint.pt`` after each epoch; resume from the
    latter.

    ``model.pt`` is the state dict of the network. ``checkpoint.pt`` holds network, optimizer, scheduler, the position
    in the training and the best metric so far, so that a resumed training is the training that was never interrupted.
    Every file says what network it is of (:func:`~monai_synthfm.networks.weights.fingerprint.file_settings`):
    ``model.pt`` in the metadata of the state dict, ``checkpoint.pt`` in ``settings``. Files appear whole or not at
    all. Of data-parallel processes the first alone writes and reads, and sends the others what it read, so that they
    need not see its folder. Attach it after the handler that validates.

    Args:
        folder: where the files go; made when missing.
        network: the network itself, not its data-parallel wrapper.
        optimizer: its optimizer.
        lr_scheduler: its learning-rate scheduler.
        evaluator: the validation engine with a key metric, larger = better; None = the last network is the best.
        resume: start from ``checkpoint.pt``; the first process decides for all.
        keep_epochs: how many of the last epochs leave their network in ``epoch_<number>.pt``, for an average of them.
        combines_prompts: whether a promptable network is trained to read masks, and boxes with clicks; if not, it is
            taken to read clicks or a box alone, whatever it could before, see
            :class:`~monai_synthfm.networks.Promptable`.

    Raises:
        FileNotFoundError: when there is nothing to resume from.
        OSError: when ``folder`` cannot be written to.
        ValueError: when the training has no step, the checkpoint is of a training with another number of steps in an
            epoch, or ``keep_epochs`` is negative.
    """

    def __init__(
        self,
        folder: str | Path,
        network: torch.nn.Module,
        optimizer: torch.optim.Optimizer,
        lr_scheduler: torch.optim.lr_scheduler.LRScheduler,
        evaluator: Engine | None = None,
        resume: bool = False,
        keep_epochs: int = 0,
        combines_prompts: bool = False,
    ) -> None:
        if keep_epochs < 0:
            raise ValueError(f"keep_epochs must be at least 0, got {keep_epochs}.")
        check_writable(folder, "folder")
        self.folder = Path(folder)
        self.resume = from_first_process(b"" if resume else None) is not None
        if self.resume and from_first_process(b"" if (self.folder / _LAST).is_file() else None) is None:
            raise FileNotFoundError(f"resume is set, but there is no {self.folder / _LAST}; start without it.")
        self.parts: dict[str, Any] = {"network": network, "optimizer": optimizer, "lr_scheduler": lr_scheduler}
        self.evaluator = evaluator
        self.keep_epochs = keep_epochs
        self.combines_prompts = combines_prompts
        self.best = -float("inf")

    def attach(self, engine: Engine) -> None:
        """Register with the trainer."""
        if engine.state.epoch_length == 0:
            raise ValueError("the training has no step: an epoch has fewer samples than a batch; lower batch_size.")
        engine.add_event_handler(Events.STARTED, self.restore)
        engine.add_event_handler(Events.EPOCH_COMPLETED, self)

    def restore(self, engine: Engine) -> None:
        """Load the last state, if asked to, and say in the network what kinds of prompts it is trained with."""
        if self.resume:
            self._load(engine)
        network = self.parts["network"]
        if isinstance(network, Promptable):
            network.combines_prompts = self.combines_prompts

    def _load(self, engine: Engine) -> None:
        path = self.folder / _LAST
        content = from_first_process(path.read_bytes() if get_rank() == 0 else None)
        assert content is not None
        state = torch.load(io.BytesIO(content), map_location="cpu", weights_only=True)
        if state["epoch_length"] != engine.state.epoch_length:
            raise ValueError(
                f"{path} is of a training with {state['epoch_length']} steps in an epoch, "
                f"this one has {engine.state.epoch_length}."
            )
        for name, part in self.parts.items():
            part.load_state_dict(state[name])
        self.best = state["best"]
        engine.state.epoch = state["epoch"]
        engine.state.iteration = state["epoch"] * state["epoch_length"]

    def __call__(self, engine: Engine) -> None:
        """Write what the finished epoch calls for."""
        metric = self._newest_metric(engine)
        improved = self.evaluator is None or (metric is not None and metric > self.best)
        self.best = self.best if metric is None else max(self.best, metric)
        if get_rank() > 0:
            return
        state = {name: part.state_dict() for name, part in self.parts.items()}
        position = {"epoch": engine.state.epoch, "epoch_length": engine.state.epoch_length, "best": self.best}
        network = self.parts["network"]
        settings = file_settings(network) if isinstance(network, Promptable) else {}
        model = with_settings(state["network"], settings)
        with staged_files(self.folder) as stage:
            torch.save(state | position | {"settings": settings}, stage / _LAST)
            if improved:
                torch.save(model, stage / _BEST)
            if self.keep_epochs:
                torch.save(model, stage / f"epoch_{engine.state.epoch:04d}.pt")
        if self.keep_epochs:
            last = range(engine.state.epoch - self.keep_epochs + 1, engine.state.epoch + 1)
            kept = {f"epoch_{number:04d}.pt" for number in last}
            for path in self.folder.glob("epoch_*.pt"):
                if path.name not in kept:  # too old, or of an earlier training in this folder
                    path.unlink()

    def _newest_metric(self, engine: Engine) -> float | None:
        """The key metric if this very epoch was validated."""
        if self.evaluator is None or self.evaluator.state.epoch != engine.state.epoch:
            return None
        return float(self.evaluator.state.metrics[self.evaluator.state.key_metric_name])
