# Copyright (c) monai_synthfm contributors
# Licensed under the Apache License, Version 2.0 (http://www.apache.org/licenses/LICENSE-2.0).
# SPDX-License-Identifier: Apache-2.0
"""CPU time of generating one sample on one thread: whole modules, their parts, and other generators where installed.

python benchmarks/generation.py --sizes 256 512 1024 --output generation.json
"""

from __future__ import annotations

import argparse
import importlib.metadata
import json
import platform
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import neurite.nn.functional as ne
import numpy as np
import torch
from monai.utils import optional_import
from tqdm import tqdm
from voxelmorph.nn.functional import spatial_transform

from monai_synthfm.synthesis.appearance import render_regions
from monai_synthfm.synthesis.sample import boundary_instances
from monai_synthfm.transforms import (
    RandBezierShapes,
    RandBoundaryMask,
    RandSynthFM,
    RandSynthFMIntensity,
    RandSynthMorphLabels,
)

NUM_LABELS = 12
PACKAGES = ("monai-synthfm", "torch", "monai", "neurite", "voxelmorph", "cornucopia")
Sampler = Callable[[int], object]


def whole_samples(size: tuple[int, int]) -> Iterator[tuple[str, Sampler]]:
    for module in ("shape", "boundary", "both"):
        generator = RandSynthFM(size, module=module, native_size=None)
        yield f"RandSynthFM, {module}", lambda seed, generator=generator: generator.set_random_state(seed=seed)()


def parts(size: tuple[int, int]) -> Iterator[tuple[str, Sampler]]:
    shapes, labels = RandBezierShapes(size), RandSynthMorphLabels(size, num_labels=(NUM_LABELS,) * 2)
    yield "part: shapes", lambda seed: shapes.set_random_state(seed=seed)()
    yield f"part: label map, {NUM_LABELS} labels", lambda seed: labels.set_random_state(seed=seed)()
    mask = RandBoundaryMask(size, label_map=labels)
    yield "part: label map, erosion, instances", lambda seed: mask.set_random_state(seed=seed)()

    regions = shapes.set_random_state(seed=0)()[0].as_tensor()
    count = int(regions.max())
    appearance = RandSynthFMIntensity()

    def render_shapes(seed: int) -> None:
        appearance.set_random_state(seed=seed).randomize_shapes(size, count, phantom=False)
        render_regions(regions, appearance.params)

    yield "part: appearance of shapes", render_shapes
    mask.set_random_state(seed=0).randomize()
    inside = (boundary_instances(mask.params) > 0).long()

    def render_canvas(seed: int) -> None:
        appearance.set_random_state(seed=seed).randomize_canvas(size)
        render_regions(inside, appearance.params)

    yield "part: appearance of boundaries", render_canvas


def peers(size: tuple[int, int]) -> Iterator[tuple[str, Sampler]]:
    yield (
        f"neurite + voxelmorph, {NUM_LABELS} labels, {NUM_LABELS} full-size warps",
        lambda seed: full_size_labels(size, seed),
    )
    yield from cornucopia_samplers(size)


def cornucopia_samplers(size: tuple[int, ...]) -> Iterator[tuple[str, Sampler]]:
    """Label maps and appearances of cornucopia in two or three dimensions, nothing where it is not installed."""
    cornucopia, installed = optional_import("cornucopia")
    if not installed:
        return
    labels = cornucopia.RandomSmoothLabelMap(nb_classes=NUM_LABELS)
    intensity = cornucopia.SynthFromLabelTransform(order=1, geom=False)
    canvas = torch.zeros(1, *size)

    def draw_labels(seed: int) -> torch.Tensor:
        torch.manual_seed(seed)
        return labels(canvas)

    fixed = draw_labels(0)

    def draw_intensity(seed: int) -> None:
        torch.manual_seed(seed)
        intensity(fixed)

    yield f"cornucopia RandomSmoothLabelMap, {NUM_LABELS} labels", draw_labels
    yield "cornucopia SynthFromLabelTransform, order 1, no geometry", draw_intensity


def full_size_labels(size: tuple[int, int], seed: int) -> torch.Tensor:
    """The SynthMorph label map as its authors draw it: every noise and every warp at full size."""
    generator = torch.Generator().manual_seed(seed)
    side = max(size)

    def noise(channels: int, fractions: tuple[float, ...]) -> torch.Tensor:
        return ne.fractal_noise(
            (NUM_LABELS, channels, *size),
            [side * fraction for fraction in fractions],
            weights=[1.0] * len(fractions),
            method="upsample",
            standardize=False,
            generator=generator,
        )

    warps = noise(2, (1 / 16, 1 / 8, 1 / 4)) * (side / 16 / 3**0.5)
    return spatial_transform(noise(1, (1 / 8, 1 / 4)), warps)[:, 0].argmax(dim=0)


def measure(sampler: Sampler, repeats: int) -> list[float]:
    """CPU seconds of samples with seeds 1 ... repeats, after one that nobody counts."""
    sampler(0)
    seconds = []
    for seed in range(1, repeats + 1):
        start = time.process_time()
        sampler(seed)
        seconds.append(time.process_time() - start)
    return seconds


def machine() -> dict[str, str]:
    cpu = platform.processor() or platform.machine()
    info = Path("/proc/cpuinfo")
    if info.exists():
        names = [
            line.split(":", 1)[1].strip() for line in info.read_text().splitlines() if line.startswith("model name")
        ]
        cpu = names[0] if names else cpu
    versions = {}
    for package in PACKAGES:
        try:
            versions[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            versions[package] = "not installed"
    return {"cpu": cpu, "python": platform.python_version(), **versions}


def print_table(seconds: dict[str, dict[str, list[float]]], repeats: int, environment: dict[str, str]) -> None:
    """Print the seconds of every kind (rows) at every size (columns)."""
    sizes = list(dict.fromkeys(size for by_size in seconds.values() for size in by_size))
    print("\nMedian CPU-seconds of one sample on one thread (10th to 90th percentile)\n")
    print("| |" + "".join(f" {size} |" for size in sizes))
    print("|---|" + "---|" * len(sizes))
    for name, by_size in seconds.items():
        cells = [np.quantile(by_size[size], [0.5, 0.1, 0.9]) for size in sizes]
        print(f"| {name} |" + "".join(f" {cell[0]:.3f} ({cell[1]:.3f} to {cell[2]:.3f}) |" for cell in cells))
    print(f"\n{repeats} samples each; " + ", ".join(f"{key} {value}" for key, value in environment.items()))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sizes", type=int, nargs="+", default=[256, 512, 1024], help="sides in pixels")
    parser.add_argument("--repeats", type=int, default=20, help="samples of each kind")
    parser.add_argument("--output", type=Path, help="JSON file for every measured number")
    arguments = parser.parse_args()
    torch.set_num_threads(1)

    jobs = [
        (name, side, sampler)
        for side in arguments.sizes
        for source in (whole_samples, parts, peers)
        for name, sampler in source((side, side))
    ]
    seconds: dict[str, dict[str, list[float]]] = {}
    for name, side, sampler in tqdm(jobs, unit="kind"):
        seconds.setdefault(name, {})[f"{side} x {side}"] = measure(sampler, arguments.repeats)

    environment = machine()
    print_table(seconds, arguments.repeats, environment)
    if arguments.output:
        content = {"machine": environment, "repeats": arguments.repeats, "cpu_seconds": seconds}
        arguments.output.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
