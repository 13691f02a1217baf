# Copyright (c) monai_synthfm contributors
# Licensed under the Apache License, Version 2.0 (http://www.apache.org/licenses/LICENSE-2.0).
# SPDX-License-Identifier: Apache-2.0
"""CPU time and memory of generating one volume on one thread: whole modules, and other generators where installed.

python benchmarks/volume_generation.py --sizes 128,128,8 128,128,128 256,256,64 --output volume_generation.json
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
from collections.abc import Iterator
from multiprocessing.connection import Connection
from pathlib import Path

import torch
from generation import Sampler, cornucopia_samplers, machine, measure, print_table
from tqdm import tqdm

from monai_synthfm.transforms import RandSynthFM3D

Size = tuple[int, int, int]
MODULES = ("shape", "boundary", "both")


def whole_samples(size: Size) -> Iterator[tuple[str, Sampler]]:
    for module in MODULES:
        generator = RandSynthFM3D(size, module=module)
        yield f"RandSynthFM3D, {module}", lambda seed, generator=generator: generator.set_random_state(seed=seed)()


def peak_memory(size: Size, module: str, connection: Connection) -> None:
    """Send the memory that five samples need at most, in float32 volumes of their size."""
    torch.set_num_threads(1)
    RandSynthFM3D((16, 16, 4), module=module).set_random_state(seed=0)()
    before = peak_kilobytes()
    generator = RandSynthFM3D(size, module=module)
    for seed in range(5):
        generator.set_random_state(seed=seed)()
    connection.send((peak_kilobytes() - before) * 1024 / (4 * size[0] * size[1] * size[2]))


def peak_kilobytes() -> int:
    """Largest memory of this process so far; that of ``getrusage`` would include the process that started it."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM"))


def in_new_process(size: Size, module: str) -> float:
    context = multiprocessing.get_context("spawn")
    receiver, sender = context.Pipe(duplex=False)
    process = context.Process(target=peak_memory, args=(size, module, sender))
    process.start()
    volumes = receiver.recv()
    process.join()
    return volumes


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
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
        for source in (whole_samples, cornucopia_samplers)
        for name, sampler in source(size)
    ]
    seconds: dict[str, dict[str, list[float]]] = {}
    for name, label, sampler in tqdm(jobs, unit="kind"):
        seconds.setdefault(name, {})[label] = measure(sampler, arguments.repeats)
    volumes = {module: {label: in_new_process(size, module) for label, size in sizes.items()} for module in MODULES}

    environment = machine()
    print_table(seconds, arguments.repeats, environment)
    print("\nPeak extra memory of one sample in float32 volumes of its size\n")
    print("| |" + "".join(f" {label} |" for label in sizes))
    print("|---|" + "---|" * len(sizes))
    for module, by_size in volumes.items():
        print(f"| RandSynthFM3D, {module} |" + "".join(f" {by_size[label]:.1f} |" for label in sizes))
    if arguments.output:
        content = {"machine": environment, "repeats": arguments.repeats, "cpu_seconds": seconds, "volumes": volumes}
        arguments.output.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
