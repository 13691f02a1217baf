# Copyright (c) monai_synthfm contributors
# Licensed under the Apache License, Version 2.0 (http://www.apache.org/licenses/LICENSE-2.0).
# SPDX-License-Identifier: Apache-2.0
"""Whether training waits for images: samples a second of the loader alone with 0, 1 and 2 workers, and the share of a
training step that waits for its batch, at the settings of train_quick.yaml.

python benchmarks/feeding.py --output feeding.json
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


class Waits:
    """Notes how long each step waited for its batch and how long it took in all, and ends training after so many."""

    def __init__(self, trainer: Engine, steps: int) -> None:
        self.waits: list[float] = []
        self.steps: list[float] = []
        self.limit = steps
        self.asked = self.got = 0.0
        trainer.add_event_handler(Events.GET_BATCH_STARTED, self.ask)
        trainer.add_event_handler(Events.GET_BATCH_COMPLETED, self.get)
        trainer.add_event_handler(Events.ITERATION_COMPLETED, self.finish)

    def ask(self) -> None:
        self.asked = time.perf_counter()

    def get(self) -> None:
        self.got = time.perf_counter()

    def finish(self, trainer: Engine) -> None:
        self.waits.append(self.got - self.asked)
        self.steps.append(time.perf_counter() - self.asked)
        if len(self.steps) == self.limit:
            trainer.terminate()


def feed(workers: int, threads: int, samples: int, steps: int) -> dict[str, Any]:
    torch.set_num_threads(threads)
    with tempfile.TemporaryDirectory() as folder:
        config = ConfigWorkflow(
            workflow_type="train",
            config_file=[str(CONFIGS / name) for name in ("train.yaml", "train_quick.yaml")],
            meta_file=str(CONFIGS / "metadata.json"),
            output_dir=folder,
            device="$torch.device('cpu')",
            num_workers=workers,
            pretrained=None,
            max_epochs=1,
            validation_samples=2,
            samples_per_epoch=max(samples, 2 * steps + 8),
        )
        config.initialize()
        loader, trainer = (config.parser.get_parsed_content(f"train#{name}") for name in ("dataloader", "trainer"))
        rate = samples_per_second(loader, samples)
        waits = Waits(trainer, steps)
        config.run()
        config.finalize()
    steady = slice(4, None)  # the first batches pay for starting the workers
    return {
        "workers": workers,
        "threads": threads,
        "samples_per_second": rate,
        "step_seconds": waits.steps[steady],
        "wait_seconds": waits.waits[steady],
    }


def samples_per_second(loader: torch.utils.data.DataLoader, samples: int) -> float:
    """Speed of the loader alone, from its second batch on."""
    batches = iter(loader)
    next(batches)
    start, seen = time.perf_counter(), 0
    for batch in batches:
        seen += len(batch["image"])
        if seen >= samples:
            break
    return seen / (time.perf_counter() - start)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--workers", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--threads", type=int, default=2, help="of the process that trains")
    parser.add_argument("--samples", type=int, default=200, help="of the loader alone")
    parser.add_argument("--steps", type=int, default=40, help="of training")
    parser.add_argument("--output", type=Path, help="JSON file for every measured number")
    arguments = parser.parse_args()
    results = [feed(workers, arguments.threads, arguments.samples, arguments.steps) for workers in arguments.workers]
    rows = [
        [
            f"{result['workers']} workers",
            f"{result['samples_per_second']:.1f}",
            f"{np.median(result['step_seconds']):.3f}",
            f"{100 * np.sum(result['wait_seconds']) / np.sum(result['step_seconds']):.1f} %",
        ]
        for result in results
    ]
    titles = ["samples a second, loader alone", "seconds of a step", "share of it that waits for data"]
    write(arguments.output, {"runs": results}, table(titles, rows))


if __name__ == "__main__":
    main()
