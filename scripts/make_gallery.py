# Copyright (c) monai_synthfm contributors
# Licensed under the Apache License, Version 2.0 (http://www.apache.org/licenses/LICENSE-2.0).
# SPDX-License-Identifier: Apache-2.0
"""Draw a gallery of generated images or volumes with their instances to one PNG; real ones may stand beside them."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import ListedColormap
from matplotlib.figure import Figure
from PIL import Image

from monai_synthfm.data import SynthFM3DDataset, SynthFMDataset
from monai_synthfm.data.datasets import IndexedDataset
from monai_synthfm.transforms import MedSAMIntensity, RandSynthFM, RandSynthFM3D, RandSynthFMIntensity
from monai_synthfm.transforms.synthfm import MODULES
from monai_synthfm.transforms.volume_presets import VOLUME_PRESETS

COLORS = np.concatenate(
    [np.zeros((1, 3)), plt.get_cmap("tab20")(np.arange(20))[:, :3], plt.get_cmap("Set3")(np.arange(12))[:, :3]]
)


VIVID = [color for color in COLORS[1:21:2] if np.ptp(color) > 0.1]  # the first ten without grey


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("output", type=Path, help="PNG file to write")
    parser.add_argument("--module", default="both", choices=MODULES)
    parser.add_argument("--preset", nargs="*", default=list(VOLUME_PRESETS), help="of volumes")
    parser.add_argument("--faint", action="store_true", help="faint anatomies, instances that cannot be seen left out")
    parser.add_argument("--number", type=int, default=32, help="number of samples")
    parser.add_argument("--columns", type=int, default=8, help="samples in a row")
    parser.add_argument("--size", type=int, default=512, help="side of a sample in pixels")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--real", type=Path, help="folder of an index.csv: real cases from it come first")
    parser.add_argument("--volumes", action="store_true", help="volumes: a column for each, axial, coronal, sagittal")
    parser.add_argument(
        "--slices", type=int, help="volumes of so many slices: two rows for each, the lower one with instances outlined"
    )
    arguments = parser.parse_args()
    if arguments.slices:
        clips = slice_rows(arguments)
        draw_slices(clips, arguments.output)
        print(f"wrote {arguments.output}: {len(clips)} volumes, module {arguments.module}")
        return
    if arguments.volumes:
        views = volume_views(arguments)
        draw_views(views, arguments.output)
        print(f"wrote {arguments.output}: {len(views)} volumes, module {arguments.module}")
        return

    size = (arguments.size, arguments.size)
    faint = {"intensity": RandSynthFMIntensity(faint_prob=1.0), "min_visibility": 1.5} if arguments.faint else {}
    generator = RandSynthFM(size, arguments.module, **faint)
    dataset = SynthFMDataset(arguments.number, size, arguments.seed, generator=generator)
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


def volume_views(arguments: argparse.Namespace) -> list[tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """Image, labels and spacing of real volumes, if asked for, and of generated ones, preset by preset."""
    volumes = []
    if arguments.real is not None:
        scale = MedSAMIntensity()
        data = IndexedDataset(arguments.real)
        for case in (data[index] for index in range(len(data))):
            if case["image"].ndim == 4 and min(case["image"].shape[1:]) >= 20 and len(volumes) < arguments.columns:
                image, spacing = scale(case["image"])[0], case["image"].pixdim
                # the arrays of these cases run to the patient's right and front or left and back: show the latter
                flips = [axis for axis in (0, 1) if case["image"].affine[axis, axis] > 0]
                arrays = [np.flip(np.asarray(array), flips) for array in (image, case["label"][0])]
                volumes.append((*arrays, np.asarray(spacing)))
    size = (arguments.size, arguments.size, arguments.size)
    count = -(-arguments.number // len(VOLUME_PRESETS))
    for seed, preset in enumerate(VOLUME_PRESETS, start=arguments.seed):
        # nearly cubic voxels, so that all three views have about the same size
        generator = RandSynthFM3D(size, arguments.module, preset, in_plane=(1.0, 1.4), through_plane=(1.0, 2.0))
        dataset = SynthFM3DDataset(count, size, seed, None, generator)
        for sample in (dataset[index] for index in range(len(dataset))):
            image, label = (np.asarray(sample[key][0]) for key in ("image", "label"))
            volumes.append((image, label, np.asarray(sample["image"].pixdim)))
    return volumes


def slice_rows(arguments: argparse.Namespace) -> list[tuple[np.ndarray, np.ndarray]]:
    """Image and labels of consecutive slices of real volumes, if asked for, round the middle of their labels, and of
    generated ones, preset by preset."""
    clips = []
    if arguments.real is not None:
        scale = MedSAMIntensity()
        data = IndexedDataset(arguments.real)
        for case in (data[index] for index in range(len(data))):
            if case["image"].ndim == 4 and case["image"].shape[-1] >= arguments.slices:
                image, label = (np.asarray(array[0]) for array in (scale(case["image"]), case["label"]))
                middle = round(float(np.flatnonzero((label > 0).any(axis=(0, 1))).mean()))
                first = int(np.clip(middle - arguments.slices // 2, 0, image.shape[-1] - arguments.slices))
                flips = tuple(axis for axis in (0, 1) if case["image"].affine[axis, axis] > 0)
                window = slice(first, first + arguments.slices)
                clips.append((np.flip(image[..., window], flips), np.flip(label[..., window], flips)))
    size = (arguments.size, arguments.size, arguments.slices)
    count = -(-arguments.number // len(arguments.preset))
    for seed, preset in enumerate(arguments.preset, start=arguments.seed):
        generator = RandSynthFM3D(size, arguments.module, preset)
        dataset = SynthFM3DDataset(count, size, seed, None, generator)
        samples = (dataset[index] for index in range(count))
        clips += [(np.asarray(sample["image"][0]), np.asarray(sample["label"][0])) for sample in samples]
    return clips


def draw_slices(clips: list[tuple[np.ndarray, np.ndarray]], output: Path) -> None:
    """Draw the slices of volumes side by side, twice: as they are, and with labels outlined."""
    columns = clips[0][0].shape[2]
    figure, axes = plt.subplots(2 * len(clips), columns, figsize=(1.6 * columns, 3.2 * len(clips)), squeeze=False)
    for (image, label), rows in zip(clips, axes.reshape(len(clips), 2, columns), strict=True):
        for index in range(columns):
            picture, names = image[..., index].T, label[..., index].T
            for axis in rows[:, index]:
                axis.imshow(picture, cmap="gray", vmin=0, vmax=1, interpolation="antialiased")
                axis.axis("off")
            outline(rows[1, index], names, VIVID)
    save_with_palette(figure, output, dpi=72)


def outline(axis: Axes, names: np.ndarray, colors: Sequence[np.ndarray]) -> None:
    """Draw the outlines of a slice's instances, each in the colour of its number."""
    for name in np.unique(names[names > 0]).astype(int):
        axis.contour(names == name, [0.5], colors=[colors[(name - 1) % len(colors)]], linewidths=0.6)


def draw_views(volumes: list[tuple[np.ndarray, np.ndarray, np.ndarray]], output: Path) -> None:
    """Draw the middle axial, coronal and sagittal slices of volumes, the lower row of each with labels outlined."""
    figure, axes = plt.subplots(6, len(volumes), figsize=(1.3 * len(volumes), 1.3 * 6), squeeze=False)
    for column, (image, label, spacing) in zip(axes.T, volumes, strict=True):
        for row, cut in enumerate((2, 1, 0)):
            rest = [axis for axis in range(3) if axis != cut]
            middle = image.shape[cut] // 2
            picture, names = (np.take(array, middle, axis=cut).T for array in (image, label))
            origin = "upper" if cut == 2 else "lower"
            for axis in column[2 * row : 2 * row + 2]:
                aspect = spacing[rest[1]] / spacing[rest[0]]
                axis.imshow(picture, cmap="gray", vmin=0, vmax=1, origin=origin, aspect=aspect, interpolation="nearest")
                axis.axis("off")
            outline(column[2 * row + 1], names, COLORS[1:])
    save_with_palette(figure, output, dpi=72)


def save_with_palette(figure: Figure, output: Path, dpi: int) -> None:
    figure.subplots_adjust(left=0, right=1, bottom=0, top=1, wspace=0.02, hspace=0.02)
    output.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(output, dpi=dpi)
    # noise does not compress: a palette of greys and the outlines' colours takes a third of the space
    greys = np.linspace(0, 1, 256 - len(COLORS))[:, None].repeat(3, axis=1)
    palette = Image.new("P", (1, 1))
    palette.putpalette((np.concatenate([greys, COLORS]) * 255).round().astype(np.uint8).tobytes())
    picture = Image.open(output).convert("RGB").quantize(palette=palette, dither=Image.Dither.NONE)
    picture.save(output, optimize=True)


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
