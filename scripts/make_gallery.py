# Copyright (c) monai_synthfm contributors
# Licensed under the Apache License, Version 2.0 (http://www.apache.org/licenses/LICENSE-2.0).
# SPDX-License-Identifier: Apache-2.0
"""Draw a gallery of generated samples, each above its instances, to one PNG; real slices may stand above them."""

from __future__ import annotations

import argparse
from pathlib import Path

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import numpy as np
from matplotlib.colors import ListedColormap

from monai_synthfm.data import SynthFMDataset
from monai_synthfm.data.datasets import IndexedDataset
from monai_synthfm.transforms import MedSAMIntensity, RandSynthFM

COLORS = np.concatenate(
    [np.zeros((1, 3)), plt.get_cmap("tab20")(np.arange(20))[:, :3], plt.get_cmap("Set3")(np.arange(12))[:, :3]]
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("output", type=Path, help="PNG file to write")
    parser.add_argument("--module", default="both", choices=["shape", "boundary", "both"])
    parser.add_argument("--number", type=int, default=32, help="number of samples")
    parser.add_argument("--columns", type=int, default=8, help="samples in a row")
    parser.add_argument("--size", type=int, default=512, help="side of a sample in pixels")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--real", type=Path, help="folder of an index.csv: a first row of real slices from it")
    arguments = parser.parse_args()

    size = (arguments.size, arguments.size)
    dataset = SynthFMDataset(arguments.number, size, arguments.seed, generator=RandSynthFM(size, arguments.module))
    pictures = [] if arguments.real is None else real_slices(arguments.real, arguments.columns)
    samples = [dataset[index] for index in range(arguments.number)]
    for start in range(0, arguments.number, arguments.columns):
        row = samples[start : start + arguments.columns]
        blank = [np.full(size, np.nan)] * (arguments.columns - len(row))
        pictures += [np.asarray(sample["image"][0]) for sample in row] + blank
        pictures += [np.asarray(sample["label"][0]) for sample in row] + blank
    draw(pictures, arguments.columns, arguments.output)
    print(f"wrote {arguments.output}: {arguments.number} samples, module {arguments.module}")


def real_slices(folder: Path, number: int) -> list[np.ndarray]:
    """The largest slice of cases spread over a collection, with the intensities that networks are given."""
    data = IndexedDataset(folder)
    scale = MedSAMIntensity()
    slices = []
    for index in np.linspace(0, len(data) - 1, number).round().astype(int):
        case = data[int(index)]
        image, label = np.asarray(scale(case["image"])[0]), np.asarray(case["label"][0])
        if image.ndim == 3:
            largest = np.argmax((label > 0).sum(axis=(0, 1)))
            image = image[:, ::-1, largest].T
        slices.append(image)
    return slices


def draw(pictures: list[np.ndarray], columns: int, output: Path) -> None:
    """Draw grey images and coloured label maps (integers) in rows."""
    rows = len(pictures) // columns
    figure, axes = plt.subplots(rows, columns, figsize=(1.6 * columns, 1.6 * rows), squeeze=False)
    for axis, picture in zip(axes.flat, pictures, strict=True):
        axis.axis("off")
        if np.issubdtype(picture.dtype, np.integer):
            colors = np.where(picture > 0, 1 + (picture - 1) % (len(COLORS) - 1), 0)
            axis.imshow(colors, cmap=ListedColormap(COLORS), vmin=0, vmax=len(COLORS) - 1, interpolation="nearest")
        else:
            axis.imshow(picture, cmap="gray", vmin=0, vmax=1)
    figure.subplots_adjust(left=0, right=1, bottom=0, top=1, wspace=0.02, hspace=0.02)
    output.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(output, dpi=80)


if __name__ == "__main__":
    main()
