# Copyright (c) monai_synthfm contributors
# Licensed under the Apache License, Version 2.0 (http://www.apache.org/licenses/LICENSE-2.0).
# SPDX-License-Identifier: Apache-2.0
"""ALFI in miniature: 16 bits, two classes, a bit of a cell at the border, odd tables, a sequence without masks."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image

SEQUENCES = ("MI01", "MI06")
FRAMES = (1, 2, 10)
SHAPE = (72, 90)


def frame(seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Image (16 bits) and stored mask [H, W]: a nucleus in interphase, two cells in mitosis, a bit of a nucleus."""
    mask = np.zeros(SHAPE, np.uint8)
    mask[10:30, 10 + seed : 30], mask[30:50, 30:45] = 128, 128
    y, x = np.mgrid[: SHAPE[0], : SHAPE[1]]
    mask[(y - 20) ** 2 + (x - 70) ** 2 <= 100] = 255
    mask[52:, 60:80] = 255
    mask[40:50, :5] = 128
    image = np.random.default_rng(seed).integers(2000, 9000, SHAPE) + 100 * mask.astype(int)
    return image.astype(np.uint16), mask


def write_alfi(folder: Path) -> Path:
    """Write the replica and return its root."""
    root = folder / "Data&Annotations"
    for sequence in (*SEQUENCES, "CD01"):
        (root / sequence / "Images").mkdir(parents=True)
        for number in FRAMES:
            image, mask = frame(number)
            Image.fromarray(image).save(root / sequence / "Images" / f"I_{sequence}_{number:04d}.png")
            if sequence != "CD01":
                (root / sequence / "Masks").mkdir(exist_ok=True)
                Image.fromarray(mask).save(root / sequence / "Masks" / f"M_{sequence}_{number:04d}.png")
        rows = (
            "ImNo,ID,Class,xmin,ymin,width,height,Parent\n1,14.11,Mitosis,60,10,21,21,14\n"
            + "1,3,Interphase,11,10,19,20,\n" * 2
        )
        (root / sequence / f"{sequence}_DTLTruth.csv").write_text(rows)
    (root / ".DS_Store").write_bytes(b"\0")
    junk = folder / "__MACOSX" / "Data&Annotations" / "MI01"
    junk.mkdir(parents=True)
    (junk / "._Images").write_bytes(b"\0")
    return root
