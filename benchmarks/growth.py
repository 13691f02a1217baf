# Copyright (c) monai_synthfm contributors
# Licensed under the Apache License, Version 2.0 (http://www.apache.org/licenses/LICENSE-2.0).
# SPDX-License-Identifier: Apache-2.0
"""How time and memory grow with slices, samples, objects and prompts: time should be linear and memory flat.

    python benchmarks/growth.py --output growth.json --plots docs

Every point has a process of its own, since a process never gives back its peak. Networks have random weights.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from matplotlib.figure import Figure
from measuring import forget_peak, in_new_process, peak_mib, table, write
from tqdm import tqdm

from monai_synthfm.inferers import MaskPropagation, VolumeInferer
from monai_synthfm.networks import MobileSam
from monai_synthfm.prompts import Prompts
from monai_synthfm.transforms import RandSynthFM, RandSynthFM3D

IMAGE_SIZE = 256
Point = tuple[float, float]


def measured(work: Callable[[], object]) -> Point:
    """CPU-seconds and MiB at most above the memory at the start."""
    before, start = forget_peak(), time.process_time()
    work()
    return time.process_time() - start, peak_mib() - before


def generate_slices(count: int) -> Point:
    RandSynthFM3D((32, 32, 8)).set_random_state(seed=0)()
    generator = RandSynthFM3D((128, 128, count), module="shape", preset="ct", through_plane=(2.0, 2.0))
    return measured(lambda: [generator.set_random_state(seed=seed)() for seed in range(4)])


def generate_samples(count: int) -> Point:
    generator = RandSynthFM((256, 256), native_size=None)
    for seed in range(20):
        generator.set_random_state(seed=1000 + seed)()
    return measured(lambda: [generator.set_random_state(seed=seed)()[0].shape for seed in range(count)])


def segment_slices(count: int) -> Point:
    torch.manual_seed(0)
    network = MobileSam(image_size=IMAGE_SIZE).eval()
    inferer = VolumeInferer(MaskPropagation(max_change=float("inf"), max_grey_shift=float("inf")))
    volume = torch.rand(1, 1, IMAGE_SIZE, IMAGE_SIZE, count)
    mask = torch.zeros(volume.shape, dtype=torch.uint8)
    mask[..., 64:128, 64:128, count // 2] = 1
    network(volume[..., 0])
    return measured(lambda: inferer(volume, network, masks=mask))


def decode(objects: int, clicks: int) -> Point:
    torch.manual_seed(0)
    network = MobileSam(image_size=1024).eval()
    with torch.inference_mode():
        embedding = network.encode(torch.rand(1, 1, 1024, 1024))

        def prompt(count: int) -> Prompts:
            points = 1023.0 * torch.rand(1, count, clicks, 2)
            return Prompts(points=points, point_labels=torch.ones(1, count, clicks, dtype=torch.int64))

        network.decode(embedding, prompt(1))
        prompts = prompt(objects)
        return measured(lambda: [network.decode(embedding, prompts) for _ in range(4)])


def decode_objects(count: int) -> Point:
    return decode(count, 2)


def decode_prompts(count: int) -> Point:
    return decode(4, count)


GROWTHS: dict[str, tuple[str, Callable[[int], Point], tuple[int, ...]]] = {
    "generated_slices": ("slices of 4 generated volumes, 128 x 128", generate_slices, (16, 32, 64, 128, 256)),
    "samples": ("generated images, 256 x 256", generate_samples, (50, 100, 200, 400)),
    "segmented_slices": ("segmented slices, 256 x 256", segment_slices, (8, 16, 32, 64)),
    "objects": ("objects decoded 4 times, 2 clicks each, image size 1024", decode_objects, (1, 4, 8, 16, 32)),
    "prompts": ("clicks on each of 4 objects decoded 4 times, image size 1024", decode_prompts, (1, 4, 8, 16, 32)),
}


def plot(title: str, counts: list[int], points: list[Point], path: Path) -> None:
    figure = Figure(figsize=(8, 3), layout="constrained")
    for axes, values, name in zip(
        figure.subplots(1, 2), np.transpose(points), ("CPU-seconds", "peak extra MiB"), strict=True
    ):
        axes.plot(counts, values, "o-")
        axes.set(ylabel=name, xlim=(0, None), ylim=(0, 1.2 * max(values.max(), 1e-3)))
        axes.grid(alpha=0.3)
    figure.supxlabel(title)
    figure.savefig(path, dpi=110)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kinds", nargs="+", choices=list(GROWTHS), default=list(GROWTHS))
    parser.add_argument("--output", type=Path, help="JSON file for every measured number")
    parser.add_argument("--plots", type=Path, help="folder for performance_<kind>.png")
    arguments = parser.parse_args()
    results: dict[str, Any] = {}
    rows = []
    for kind in arguments.kinds:
        title, work, counts = GROWTHS[kind]
        points = [in_new_process(work, count, keep_freed_memory=False) for count in tqdm(counts, desc=kind)]
        results[kind] = {"counts": counts, "points": points}
        (first, memory), (last, most) = points[0], points[-1]
        exponent = np.polyfit(np.log(counts), np.log([seconds for seconds, _ in points]), 1)[0]
        row = [title, f"{counts[0]} to {counts[-1]}", f"{first:.2f} to {last:.2f}", f"{memory:.0f} to {most:.0f}"]
        rows.append([*row, f"{exponent:.2f}"])
        if arguments.plots is not None:
            plot(title, list(counts), points, arguments.plots / f"performance_{kind}.png")
    titles = ["from to", "CPU-seconds", "peak extra MiB", "time grows with the power"]
    pictures = [f"![{GROWTHS[kind][0]}](performance_{kind}.png)" for kind in arguments.kinds if arguments.plots]
    write(arguments.output, results, "\n".join([table(titles, rows), "", *pictures]).rstrip())


if __name__ == "__main__":
    main()
