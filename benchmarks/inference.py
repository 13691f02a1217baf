# Copyright (c) monai_synthfm contributors
# Licensed under the Apache License, Version 2.0 (http://www.apache.org/licenses/LICENSE-2.0).
# SPDX-License-Identifier: Apache-2.0
"""CPU-seconds of MobileSAM: its image encoder in torch and in ONNX Runtime, and further prompts on an encoded image.

python benchmarks/inference.py --image_sizes 512 1024 --output inference.json
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Iterator
from pathlib import Path
from unittest import mock

import torch
from measuring import Sampler, cell, cpu_seconds, table, wall_seconds, write
from torch import nn
from tqdm import tqdm

from monai_synthfm.networks import MobileSam, OnnxImageEncoder, export_onnx, tiny_vit
from monai_synthfm.prompts import Prompts

FOUR = 4


def encoders(image_size: int) -> Iterator[tuple[str, Sampler]]:
    """One network's encoder in several runtimes, on random images."""
    network = MobileSam(image_size=image_size).eval()
    encoder = network.image_encoder
    image = torch.rand(1, 3, image_size, image_size)
    yield "encoder, torch as MobileSAM computes it", lambda seed: as_published(encoder, image)
    yield "encoder, torch", lambda seed: encoder(image)
    yield "encoder, torch, bfloat16", lambda seed: in_bfloat16(encoder, image)
    with tempfile.TemporaryDirectory() as folder:
        path = export_onnx(network, folder)[0]
        yield "encoder, ONNX Runtime", lambda seed: onnx(path)(image)
    four = image.expand(FOUR, -1, -1, -1).contiguous()
    yield f"encoder, torch, {FOUR} slices at once", lambda seed: encoder(four)


def as_published(encoder: tiny_vit.TinyViT, image: torch.Tensor) -> torch.Tensor:
    """Convolution and normalisation one after the other, whole images, channels first."""
    whole = mock.patch.object(tiny_vit, "_is_traced", return_value=True)
    unfolded = mock.patch.object(tiny_vit._ConvNorm, "forward", nn.Sequential.forward)
    with whole, unfolded:
        return encoder.neck(encoder.layers(encoder.patch_embed(image)))


def in_bfloat16(encoder: nn.Module, image: torch.Tensor) -> torch.Tensor:
    with torch.autocast("cpu", dtype=torch.bfloat16):
        return encoder(image)


_sessions: dict[tuple[Path, int], OnnxImageEncoder] = {}


def onnx(path: Path) -> OnnxImageEncoder:
    """The exported encoder with as many threads as torch has now."""
    key = (path, torch.get_num_threads())
    if key not in _sessions:
        _sessions[key] = OnnxImageEncoder(path)
    return _sessions[key]


def further_prompts(image_size: int) -> Iterator[tuple[str, Sampler]]:
    """Masks in the image's size for prompts on an image that is encoded already."""
    network = MobileSam(image_size=image_size).eval()
    embedding = network.encode(torch.rand(1, 1, image_size, image_size))
    for count in (1, 16):
        places = torch.linspace(0.1, 0.9, count)[None, :, None, None] * image_size
        prompts = Prompts(places.expand(1, count, 1, 2), torch.ones(1, count, 1, dtype=torch.long))
        yield (
            f"one click on each of {count} objects" if count > 1 else "one click",
            lambda seed, prompts=prompts: network.postprocess(network.decode(embedding, prompts), embedding),
        )


@torch.inference_mode()
def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--image_sizes", type=int, nargs="+", default=[512, 1024], help="sides of the network's input")
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--output", type=Path, help="JSON file for every measured number")
    arguments = parser.parse_args()

    cpu: dict[str, dict[int, list[float]]] = {}
    wall: dict[str, dict[int, list[float]]] = {}
    for size in tqdm(arguments.image_sizes, unit="size"):
        for source in (encoders, further_prompts):
            for name, sampler in source(size):
                cpu.setdefault(name, {})[size] = cpu_seconds(sampler, arguments.repeats)
                wall.setdefault(name, {})[size] = wall_seconds(sampler, arguments.repeats)
    columns = [f"{size}, {what}" for size in arguments.image_sizes for what in ("1 thread", "wall, 2 threads")]
    rows = []
    for name in cpu:
        seconds = (values for size in arguments.image_sizes for values in (cpu[name][size], wall[name][size]))
        rows.append([name, *map(cell, seconds)])
    title = f"Seconds of the CPU and of the clock: median of {arguments.repeats} (10th to 90th percentile)\n\n"
    write(arguments.output, {"cpu_seconds": cpu, "wall_seconds": wall}, title + table(columns, rows))


if __name__ == "__main__":
    main()
