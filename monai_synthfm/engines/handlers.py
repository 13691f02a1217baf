# Copyright (c) monai_synthfm contributors
# Licensed under the Apache License, Version 2.0 (http://www.apache.org/licenses/LICENSE-2.0).
# SPDX-License-Identifier: Apache-2.0
"""The few lines that MONAI's trainer lacks: epochs of generated data, clipping of gradients, time left."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from ignite.distributed import get_rank
from ignite.engine import Engine, Events
from monai.engines import IterationEvents
from monai.handlers import from_engine
from tqdm import tqdm

from monai_synthfm.data.seeded_dataset import SeededDataset

__all__ = ["EpochSetter", "GradientClipper", "TrainingProgress"]

_SMOOTHING = 0.05  # weight of the newest loss in the running mean


class EpochSetter:
    """Set the epoch of a seeded dataset as it begins: every epoch has new samples, and a resumed one has its own.

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


class GradientClipper:
    """Scale the gradients down where their common norm exceeds a limit, after the backward pass and before the update.

    Args:
        parameters: the trained parameters.
        max_norm: the limit of the Euclidean norm.

    Raises:
        ValueError: when the limit is not positive.
    """

    def __init__(self, parameters: Iterable[torch.nn.Parameter], max_norm: float) -> None:
        if not max_norm > 0:
            raise ValueError(f"max_norm must be above 0, got {max_norm}.")
        self.parameters = list(parameters)
        self.max_norm = max_norm

    def attach(self, engine: Engine) -> None:
        """Register with the trainer."""
        engine.add_event_handler(IterationEvents.BACKWARD_COMPLETED, self)

    def __call__(self, engine: Engine) -> None:
        """Clip."""
        torch.nn.utils.clip_grad_norm_(self.parameters, self.max_norm)


class TrainingProgress:
    """Show one bar for the whole training: step, running loss, last validation and the time left, on the first rank
    only.

    Args:
        evaluator: whose key metric to show; None = no validation.
    """

    def __init__(self, evaluator: Engine | None = None) -> None:
        self.evaluator = evaluator
        self.loss: float | None = None
        self.bar: tqdm | None = None

    def attach(self, engine: Engine) -> None:
        """Register with the trainer."""
        engine.add_event_handler(Events.STARTED, self.start)
        engine.add_event_handler(Events.ITERATION_COMPLETED, self)
        engine.add_event_handler(Events.COMPLETED | Events.TERMINATE | Events.EXCEPTION_RAISED, self.close)

    def start(self, engine: Engine) -> None:
        """Open the bar, at the step from which the training goes on."""
        total = engine.state.max_epochs * engine.state.epoch_length
        self.bar = tqdm(
            total=total, initial=engine.state.iteration, desc="training", unit="step", disable=get_rank() > 0
        )

    def __call__(self, engine: Engine) -> None:
        """Move the bar by one step."""
        if self.bar is None:
            return
        loss = from_engine("loss", first=True)(engine.state.output)
        loss = loss[0].item() if isinstance(loss, tuple) else loss  # a tuple when the trainer does not decollate
        self.loss = loss if self.loss is None else self.loss + _SMOOTHING * (loss - self.loss)
        shown = {"loss": f"{self.loss:.3f}"}
        if self.evaluator is not None:
            shown |= {name: f"{value:.3f}" for name, value in self.evaluator.state.metrics.items()}
        self.bar.set_postfix(shown, refresh=False)
        self.bar.update()

    def close(self, engine: Engine, error: Exception | None = None) -> None:
        """Close the bar and let an error pass."""
        if self.bar is not None:
            self.bar.close()
        if error is not None:
            raise error
