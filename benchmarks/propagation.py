# Copyright (c) monai_synthfm contributors
# Licensed under the Apache License, Version 2.0 (http://www.apache.org/licenses/LICENSE-2.0).
# SPDX-License-Identifier: Apache-2.0
"""CPU time and peak memory of segmenting whole volumes of different lengths from one box on the middle slice.

    python benchmarks/propagation.py --image_size 512 --size 512 --slices 30 300

Every volume has a process of its own, since a process never gives back its peak. Networks have random weights; a mask
prompt and limits switched off, and for windows the mask of the nearest known slice in the place of the answer, make
sure that the object is followed to the end all the same.
"""

from __future__ import annotations

import argparse
import math
import time
from pathlib import Path
from typing import Any

import torch
from measuring import forget_peak, in_new_process, peak_mib, table, write

from monai_synthfm.embeddings.recent import RecentEmbeddings
from monai_synthfm.inferers import MaskPropagation, MemoryPropagation, VolumeInferer, WindowPropagation
from monai_synthfm.inferers.propagation.propagation import Propagation
from monai_synthfm.networks import MobileSam, Sam2
from monai_synthfm.networks.window_unet import WindowUNet

WAYS = ("masks", "windows", "memory")
_CERTAIN = 20.0  # as a logit: a mask of doubts would fade from window to window


class Endless(WindowUNet):
    """Computes its answer and gives the mask of the nearest known slice."""

    def forward(self, channels: torch.Tensor) -> torch.Tensor:
        return _CERTAIN * channels[:, 3:4] + 0.0 * super().forward(channels)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--ways", choices=WAYS, nargs="+", default=["masks", "windows"], help="to carry the object on")
    parser.add_argument("--image_size", type=int, default=512, help="side of the input of the network of slices")
    parser.add_argument("--size", type=int, default=512, help="side of a slice in voxels")
    parser.add_argument("--slices", type=int, nargs="+", default=[30, 300])
    parser.add_argument("--store_mib", type=int, default=1024, help="memory for embeddings that may be needed again")
    parser.add_argument("--output", type=Path, help="JSON file for every measured number")
    arguments = parser.parse_args()
    sizes = (arguments.image_size, arguments.size)
    rows = [
        in_new_process(measure, way, *sizes, slices, arguments.store_mib)
        for way in arguments.ways
        for slices in arguments.slices
    ]
    write(arguments.output, {"rows": rows}, table(list(rows[0])[1:], [list(row.values()) for row in rows]))


def endless(way: str) -> Propagation:
    """A propagation that never loses the object."""
    if way == "masks":
        return MaskPropagation(max_change=math.inf, max_grey_shift=math.inf)
    return MemoryPropagation() if way == "memory" else WindowPropagation(Endless(), max_grey_shift=math.inf)


def measure(way: str, image_size: int, size: int, slices: int, store_mib: int) -> dict[str, Any]:
    """Segment one random volume and return what it cost."""
    torch.manual_seed(0)
    network = (Sam2 if way == "memory" else MobileSam)(image_size=image_size).eval()
    volume = torch.rand(1, 1, size, size, slices)
    mask = torch.zeros(volume.shape, dtype=torch.uint8)
    mask[..., size // 4 : size // 2, size // 4 : size // 2, slices // 2] = 1
    store = RecentEmbeddings(store_mib * 2**20)
    inferer = VolumeInferer(endless(way), store=lambda *_: store)
    before, start = forget_peak(), time.process_time()
    labels = inferer(volume, network, masks=mask)
    seconds = time.process_time() - start
    return {
        "carried by": way,
        "image_size": image_size,
        "volume": [size, size, slices],
        "slices_segmented": int(labels.flatten(0, 3).any(dim=0).sum()),
        "cpu_seconds_per_slice": round(seconds / slices, 3),
        "peak_mib": round(peak_mib()),
        "of_which_before": round(before),
        "volume_mib": round(volume.nbytes / 2**20),
    }


if __name__ == "__main__":
    main()
