# Copyright (c) monai_synthfm contributors
# Licensed under the Apache License, Version 2.0 (http://www.apache.org/licenses/LICENSE-2.0).
# SPDX-License-Identifier: Apache-2.0
"""Draw a gallery of generated samples, each beside its instances, to one PNG."""

from __future__ import annotations

import argparse
from pathlib import Path

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import numpy as np
from matplotlib.colors import ListedColormap

from monai_synthfm.data import SynthFMDataset
from monai_synthfm.transforms import RandSynthFM

INSTANCE_COLORS = ListedColormap(
    np.concatenate(
        [[[0.0, 0.0, 0.0]], plt.get_cmap("tab20")(np.arange(20))[:, :3], plt.get_cmap("Set3")(np.arange(12))[:, :3]]
    )
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("output", type=Path, help="PNG file to write")
    parser.add_argument("--module", default="both", choices=["shape", "boundary", "both"])
    parser.add_argument("--number", type=int, default=32, help="number of samples")
    parser.add_argument("--columns", type=int, default=8, help="samples in a row")
    parser.add_argument("--size", type=int, default=512, help="side of a sample in pixels")
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()

    size = (arguments.size, arguments.size)
    dataset = SynthFMDataset(arguments.number, size, arguments.seed, generator=RandSynthFM(size, arguments.module))
    rows = -(-arguments.number // arguments.columns)
    figure, axes = plt.subplots(
        2 * rows, arguments.columns, figsize=(1.6 * arguments.columns, 3.2 * rows), squeeze=False
    )
    for axis in axes.flat:
        axis.axis("off")
    for index in range(arguments.number):
        row, column = divmod(index, arguments.columns)
        sample = dataset[index]
        labels = np.asarray(sample["label"][0])
        axes[2 * row, column].imshow(sample["image"][0], cmap="gray", vmin=0, vmax=1)
        axes[2 * row + 1, column].imshow(
            np.where(labels > 0, 1 + (labels - 1) % 32, 0),
            cmap=INSTANCE_COLORS,
            vmin=0,
            vmax=32,
            interpolation="nearest",
        )
    figure.subplots_adjust(left=0, right=1, bottom=0, top=1, wspace=0.02, hspace=0.02)
    arguments.output.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(arguments.output, dpi=100)
    print(f"wrote {arguments.output}: {arguments.number} samples, module {arguments.module}")


if __name__ == "__main__":
    main()
