# Copyright (c) monai_synthfm contributors
# Licensed under the Apache License, Version 2.0 (http://www.apache.org/licenses/LICENSE-2.0).
# SPDX-License-Identifier: Apache-2.0
"""HC18 in miniature: outlines, one filled in colour, one with a value of 1, one off the border, odd sizes, repeats."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image

PIXEL = 0.5
# name: (rows, columns), centre x, y, semi-axes, kind of annotation
IMAGES = {
    "000_HC": ((108, 160), (80, 52), (46, 34), "outline"),
    "001_HC": ((108, 160), (70, 55), (40, 33), "filled"),
    "010_HC": ((111, 153), (76, 60), (44, 36), "outline"),
    "010_2HC": ((108, 160), (75, 50), (38, 30), "three values"),
    "186_HC": ((108, 160), (80, 84), (55, 42), "outline"),
}


def inside(name: str) -> np.ndarray:
    """The true head [H, W]."""
    (rows, columns), (x, y), (a, b), _ = IMAGES[name]
    grid_y, grid_x = np.mgrid[:rows, :columns]
    return ((grid_x - x) / a) ** 2 + ((grid_y - y) / b) ** 2 <= 1


def outline(name: str) -> np.ndarray:
    """A line of one pixel along the edge of the head, as wide as the image lets it."""
    (rows, columns), (x, y), (a, b), _ = IMAGES[name]
    turn = np.linspace(0, 2 * np.pi, 4000)
    xs, ys = np.rint(x + a * np.cos(turn)).astype(int), np.rint(y + b * np.sin(turn)).astype(int)
    kept = (xs >= 0) & (xs < columns) & (ys >= 0) & (ys < rows)
    line = np.zeros((rows, columns), bool)
    line[ys[kept], xs[kept]] = True
    return line


def circumference(name: str) -> float:
    """Length of the edge in mm, summed up over small steps."""
    _, _, (a, b), _ = IMAGES[name]
    turn = np.linspace(0, 2 * np.pi, 100_000)
    steps = np.hypot(np.diff(a * np.cos(turn)), np.diff(b * np.sin(turn)))
    return float(steps.sum() * PIXEL)


def write_hc18(folder: Path) -> Path:
    """Write the replica and return its root."""
    root = folder / "training_set"
    root.mkdir(parents=True)
    rows = ["filename,pixel size(mm),head circumference (mm)"]
    for seed, (name, (shape, _, _, kind)) in enumerate(IMAGES.items()):
        noise = np.random.default_rng(seed).integers(0, 40, shape)
        Image.fromarray((noise + 80 * inside(name)).astype(np.uint8)).save(root / f"{name}.png")
        mark = outline(name)
        if kind == "filled":
            mark = mark | inside(name)
        values = (mark * 255).astype(np.uint8)
        if kind == "three values":
            values[5, 5:9] = 1
        picture = Image.fromarray(values)
        (picture.convert("RGB") if kind == "filled" else picture).save(root / f"{name}_Annotation.png")
        rows.append(f"{name}.png,{PIXEL},{circumference(name) - 1.2}")
    (folder / "training_set_pixel_size_and_HC.csv").write_text("\n".join(rows) + "\n")
    test = folder / "test_set"
    test.mkdir()
    (test / "000_HC.png").write_bytes((root / "000_HC.png").read_bytes())
    (folder / "test_set_pixel_size.csv").write_text(f"filename,pixel size(mm)\n000_HC.png,{PIXEL}\n")
    return root
