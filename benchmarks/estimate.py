# Copyright (c) monai_synthfm contributors
# Licensed under the Apache License, Version 2.0 (http://www.apache.org/licenses/LICENSE-2.0).
# SPDX-License-Identifier: Apache-2.0
"""What the papers' 1,000,000 images and 10,000 volumes cost, from the measured times of generation.

python benchmarks/estimate.py --results benchmarks/results --gpu-step 0.25

The time of a training step on a GPU is an assumption, not a measurement: there was none here.
"""

from __future__ import annotations

import argparse
import json
import math
from pathlib import Path

import numpy as np
from measuring import table, write

IMAGES, SIDE = 1_000_000, 1024  # 100 epochs of 10,000 images, batch 1: SynthFM, section 3.2
VOLUMES, VOLUME = 10_000, (128, 128, 128)  # SynthFM-3D; the size of a volume is not given, our choice
GPUS = (1, 8, 64)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--results", type=Path, required=True, help="folder of generation.json, volume_generation.json")
    parser.add_argument("--gpu-step", type=float, default=0.25, help="assumed seconds of a step on one image")
    parser.add_argument("--gpu-volume", type=float, default=30.0, help="assumed seconds of training on one volume")
    parser.add_argument("--output", type=Path, help="JSON file")
    arguments = parser.parse_args()

    columns = {}
    for name, file, kind, size, count, step, elements in (
        ("images", "generation", "RandSynthFM, both", (SIDE, SIDE), IMAGES, arguments.gpu_step, SIDE**2),
        (
            "volumes",
            "volume_generation",
            "RandSynthFM3D, both",
            VOLUME,
            VOLUMES,
            arguments.gpu_volume,
            math.prod(VOLUME),
        ),
    ):
        content = json.loads((arguments.results / f"{file}.json").read_text(encoding="utf-8"))
        measured = content["results"]["cpu_seconds"][kind][" x ".join(map(str, size))]
        seconds = float(np.mean(measured))  # of a sum, so the mean and not the median counts
        title = f"{count:,} {name} of {' x '.join(map(str, size))}"
        columns[title] = {
            "CPU-seconds of one, mean": f"{seconds:.3f}",
            "CPU-hours of all = number x seconds / 3600": f"{count * seconds / 3600:.1f}",
            "disk if kept: float32 image, int16 instances": f"{6 * count * elements / 1e12:.2f} TB",
            "disk when made on the fly": "0",
            "assumed GPU-seconds of one": f"{step:g}",
            "GPU-hours of all = number x seconds / 3600": f"{count * step / 3600:.0f}",
            **{
                f"hours on {gpus} GPU{'s' if gpus > 1 else ''}, if they scale": f"{count * step / 3600 / gpus:.1f}"
                for gpus in GPUS
            },
            **{f"updates on {gpus} GPUs, batch of one on each": f"{count // gpus:,}" for gpus in GPUS[1:]},
            "workers that feed one GPU = CPU-seconds / GPU-seconds, rounded up": f"{math.ceil(seconds / step)}",
            **{f"workers for {gpus} GPUs": f"{gpus * math.ceil(seconds / step)}" for gpus in GPUS[1:]},
        }
    rows = [[name, *(column[name] for column in columns.values())] for name in next(iter(columns.values()))]
    write(
        arguments.output,
        {"assumptions": vars(arguments) | {"results": None, "output": None}, "columns": columns},
        table(list(columns), rows),
    )


if __name__ == "__main__":
    main()
