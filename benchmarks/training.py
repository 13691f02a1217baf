# Copyright (c) monai_synthfm contributors
# Licensed under the Apache License, Version 2.0 (http://www.apache.org/licenses/LICENSE-2.0).
# SPDX-License-Identifier: Apache-2.0
"""Training a decoder with a frozen encoder: updates per CPU-hour and validation Dice against CPU time, images encoded
at every step (train.yaml) and once (train_cached.yaml), on one thread.

python benchmarks/training.py --cpu-minutes 15 --image_size 512 --output training.json
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from ignite.engine import Engine, Events
from measuring import table, write
from monai.bundle import ConfigWorkflow

CONFIGS = Path(__file__).resolve().parents[1] / "bundles" / "synthfm_sam" / "configs"
KINDS = {"plain": ("train.yaml",), "cached": ("train.yaml", "train_cached.yaml")}
ENDLESS = 10**6


class CpuClock:
    """Notes the CPU-seconds that training took without its validations, and ends it after so many.

    Args:
        limit: CPU-seconds.
        trainer: to watch.
        evaluator: its validation.
    """

    def __init__(self, limit: float, trainer: Engine, evaluator: Engine) -> None:
        self.limit = limit
        self.steps: list[float] = []
        self.losses: list[float] = []
        self.scores: list[tuple[int, float, float]] = []
        self.trainer = trainer
        self.validating = 0.0
        self.begin = time.process_time()
        trainer.add_event_handler(Events.STARTED, self.start)
        trainer.add_event_handler(Events.ITERATION_COMPLETED, self.note_step)
        evaluator.add_event_handler(Events.STARTED, self.pause)
        evaluator.add_event_handler(Events.COMPLETED, self.note_score)

    def start(self) -> None:
        self.begin = time.process_time()

    def now(self) -> float:
        return time.process_time() - self.begin - self.validating

    def note_step(self, trainer: Engine) -> None:
        self.steps.append(self.now())
        self.losses.append(trainer.state.output["loss"].item())

    def pause(self) -> None:
        self.paused = time.process_time()

    def note_score(self, evaluator: Engine) -> None:
        self.validating += time.process_time() - self.paused
        dice = float(evaluator.state.metrics[evaluator.state.key_metric_name])
        self.scores.append((len(self.steps), self.now(), dice))
        if self.now() > self.limit:
            self.trainer.terminate()


def train(kind: str, arguments: argparse.Namespace, folder: str) -> dict[str, Any]:
    config = ConfigWorkflow(
        workflow_type="train",
        config_file=[str(CONFIGS / name) for name in KINDS[kind]],
        meta_file=str(CONFIGS / "metadata.json"),
        output_dir=folder,
        device="$torch.device('cpu')",
        num_workers=0,
        max_epochs=1000,
        **{"lr_scheduler#t_total": ENDLESS},  # the learning rate of a step must not depend on how many there will be
        image_size=arguments.image_size,
        batch_size=arguments.batch_size,
        num_objects=arguments.num_objects,
        samples_per_epoch=arguments.samples_per_epoch,
        validation_samples=arguments.validation_samples,
        val_interval=arguments.val_interval,
        **({"fresh_images": arguments.samples_per_epoch // arguments.visits} if kind == "cached" else {}),
        **{"generator#native_size": [arguments.image_size // 2, 3 * arguments.image_size // 2]},
    )
    config.initialize()
    parser = config.parser
    trainer, evaluator = (parser.get_parsed_content(name) for name in ("train#trainer", "validate#evaluator"))
    clock = CpuClock(60 * arguments.cpu_minutes, trainer, evaluator)
    config.run()
    config.finalize()
    return {
        "updates": len(clock.steps),
        "cpu_seconds": clock.steps[-1],
        "validation": [dict(zip(("step", "cpu_seconds", "dice"), score, strict=True)) for score in clock.scores],
        "loss": np.convolve(clock.losses, np.full(32, 1 / 32), "valid")[::32].round(4).tolist(),
    }


def cpu_until(result: dict[str, Any], dice: float) -> float:
    """CPU-seconds until validation first reached a Dice; infinite if it never did."""
    reached = [point["cpu_seconds"] for point in result["validation"] if point["dice"] >= dice]
    return reached[0] if reached else float("inf")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cpu-minutes", type=float, default=15.0, help="of training, each kind")
    parser.add_argument("--kinds", nargs="+", choices=list(KINDS), default=list(KINDS))
    parser.add_argument("--image_size", type=int, default=512)
    parser.add_argument("--batch_size", type=int, default=4)
    parser.add_argument("--num_objects", type=int, default=8)
    parser.add_argument("--samples_per_epoch", type=int, default=128)
    parser.add_argument("--validation_samples", type=int, default=16)
    parser.add_argument("--val_interval", type=int, default=1)
    parser.add_argument("--visits", type=int, default=8, help="of a cached image before another takes its place")
    parser.add_argument("--output", type=Path, help="JSON file for every measured number")
    arguments = parser.parse_args()
    torch.set_num_threads(1)

    results = {}
    for kind in arguments.kinds:
        with tempfile.TemporaryDirectory() as folder:
            results[kind] = train(kind, arguments, folder)

    goals = (0.3, 0.5, 0.6, 0.7)
    titles = ["updates", "updates per CPU-hour", "objects per CPU-hour", "best Dice"]
    rows = []
    for kind, result in results.items():
        rate = 3600 * result["updates"] / result["cpu_seconds"]
        objects = rate * arguments.batch_size * arguments.num_objects
        best = max((point["dice"] for point in result["validation"]), default=float("nan"))
        minutes = (f"{cpu_until(result, goal) / 60:.1f}" for goal in goals)
        rows.append([kind, result["updates"], f"{rate:.0f}", f"{objects:.0f}", f"{best:.3f}", *minutes])
    settings = {name: value for name, value in vars(arguments).items() if name not in ("output", "kinds")}
    markdown = table([*titles, *(f"CPU-minutes to Dice {goal}" for goal in goals)], rows)
    markdown += "\n\n" + ", ".join(f"{key} {value}" for key, value in settings.items())
    write(arguments.output, {"settings": settings, "results": results}, markdown)


if __name__ == "__main__":
    main()
