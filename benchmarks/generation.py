# Copyright (c) monai_synthfm contributors
# Licensed under the Apache License, Version 2.0 (http://www.apache.org/licenses/LICENSE-2.0).
# SPDX-License-Identifier: Apache-2.0
"""CPU time of generating one sample on one thread: whole modules, their parts, and other generators where installed.

python benchmarks/generation.py --sizes 256 512 1024 --output generation.json
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path

import neurite.nn.functional as ne
import torch
from measuring import Sampler, cell, cpu_seconds, table, wall_seconds, write
from peers import cornucopia_samplers, torchio_samplers
from tqdm import tqdm
from voxelmorph.nn.functional import spatial_transform

from monai_synthfm.synthesis.appearance import render_regions
from monai_synthfm.synthesis.boundaries import boundary_instances
from monai_synthfm.transforms import (
    RandBezierShapes,
    RandBoundaryMask,
    RandSynthFM,
    RandSynthFMIntensity,
    RandSynthMorphLabels,
)

NUM_LABELS = 12


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
    yield from cornucopia_samplers(size, NUM_LABELS)
    yield from torchio_samplers(size, NUM_LABELS)


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


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
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
    cpu: dict[str, dict[str, list[float]]] = {}
    wall: dict[str, dict[str, list[float]]] = {}
    for name, side, sampler in tqdm(jobs, unit="kind"):
        cpu.setdefault(name, {})[f"{side} x {side}"] = cpu_seconds(sampler, arguments.repeats)
        if side == arguments.sizes[-1]:
            wall.setdefault(name, {})[f"{side} x {side}"] = wall_seconds(sampler, max(3, arguments.repeats // 4))

    sizes = [f"{side} x {side}" for side in arguments.sizes]
    rows = [
        [name, *(cell(by_size[size]) for size in sizes), cell(wall[name][sizes[-1]])] for name, by_size in cpu.items()
    ]
    title = f"CPU-seconds of one sample on one thread: median of {arguments.repeats} (10th to 90th percentile)\n\n"
    markdown = title + table([*sizes, f"wall, 2 threads, {sizes[-1]}"], rows)
    write(arguments.output, {"repeats": arguments.repeats, "cpu_seconds": cpu, "wall_seconds": wall}, markdown)


if __name__ == "__main__":
    main()
