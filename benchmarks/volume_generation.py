# Copyright (c) monai_synthfm contributors
# Licensed under the Apache License, Version 2.0 (http://www.apache.org/licenses/LICENSE-2.0).
# SPDX-License-Identifier: Apache-2.0
"""CPU time and memory of generating one volume on one thread: whole modules, and other generators where installed.

python benchmarks/volume_generation.py --sizes 128,128,8 128,128,128 256,256,64 --output volume_generation.json
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path

import torch
from measuring import Sampler, cell, cpu_seconds, forget_peak, in_new_process, peak_mib, table, write
from peers import cornucopia_samplers, torchio_samplers
from tqdm import tqdm

from monai_synthfm.transforms import RandSynthFM3D

Size = tuple[int, int, int]
MODULES = ("shape", "boundary", "both", "anatomy")
NUM_LABELS = 12


def whole_samples(size: Size) -> Iterator[tuple[str, Sampler]]:
    for module in MODULES:
        generator = RandSynthFM3D(size, module=module)
        yield f"RandSynthFM3D, {module}", lambda seed, generator=generator: generator.set_random_state(seed=seed)()


def peers(size: Size) -> Iterator[tuple[str, Sampler]]:
    yield from cornucopia_samplers(size, NUM_LABELS)
    yield from torchio_samplers(size, NUM_LABELS)


def peak_volumes(size: Size, module: str) -> float:
    """Return the memory that five samples need at most, in float32 volumes of their size."""
    RandSynthFM3D((16, 16, 4), module=module).set_random_state(seed=0)()
    before = forget_peak()
    generator = RandSynthFM3D(size, module=module)
    for seed in range(5):
        generator.set_random_state(seed=seed)()
    return (peak_mib() - before) * 2**20 / (4 * size[0] * size[1] * size[2])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", nargs="+", default=["128,128,8", "128,128,128", "256,256,64"], help="W,H,slices")
    parser.add_argument("--repeats", type=int, default=10, help="samples of each kind")
    parser.add_argument("--output", type=Path, help="JSON file for every measured number")
    arguments = parser.parse_args()
    torch.set_num_threads(1)

    sizes: dict[str, Size] = {}
    for text in arguments.sizes:
        width, height, depth = (int(number) for number in text.split(","))
        sizes[f"{width} x {height} x {depth}"] = (width, height, depth)
    jobs = [
        (name, label, sampler)
        for label, size in sizes.items()
        for source in (whole_samples, peers)
        for name, sampler in source(size)
    ]
    seconds: dict[str, dict[str, list[float]]] = {}
    for name, label, sampler in tqdm(jobs, unit="kind"):
        seconds.setdefault(name, {})[label] = cpu_seconds(sampler, arguments.repeats)
    volumes = {
        f"{module}, {kind}": {
            label: in_new_process(peak_volumes, size, module, keep_freed_memory=kept) for label, size in sizes.items()
        }
        for module in MODULES
        for kind, kept in (("in tensors", False), ("of the process", True))
    }

    parts = [
        f"CPU-seconds of one sample on one thread: median of {arguments.repeats} (10th to 90th percentile)",
        table(list(sizes), [[name, *(cell(by_size[label]) for label in sizes)] for name, by_size in seconds.items()]),
        "Peak extra memory over five samples, in float32 volumes of their size; what a process holds includes freed\n"
        "blocks that the C library keeps",
        table(
            list(sizes), [[name, *(f"{by_size[label]:.1f}" for label in sizes)] for name, by_size in volumes.items()]
        ),
    ]
    results = {"repeats": arguments.repeats, "cpu_seconds": seconds, "volumes": volumes}
    write(arguments.output, results, "\n\n".join(parts))


if __name__ == "__main__":
    main()
