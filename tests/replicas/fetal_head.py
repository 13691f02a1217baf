# Copyright (c) monai_synthfm contributors
# Licensed under the Apache License, Version 2.0 (http://www.apache.org/licenses/LICENSE-2.0).
# SPDX-License-Identifier: Apache-2.0
"""FH-PS-AOP, PSFHS and JNU-IFM in miniature: channels as an axis or as vectors, 7 and 8, four classes of frames."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import SimpleITK
from PIL import Image

SIDE = 40
VIDEOS = ("20190830T115515", "20190830T120102")
FRAMES = {3: "none", 4: "only_sp", 5: "only_head", 6: "sp_head"}


def picture(seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Image and labels 0, 1 (symphysis), 2 (head) [H, W]."""
    y, x = np.mgrid[:SIDE, :SIDE]
    label = np.zeros((SIDE, SIDE), np.uint8)
    label[((y - 24) / 11) ** 2 + ((x - 22 - seed) / 13) ** 2 <= 1] = 2
    label[((y - 8) / 3) ** 2 + ((x - 8) / 6) ** 2 <= 1] = 1
    noise = np.random.default_rng(seed).integers(0, 40, label.shape)
    return (np.array([20, 150, 90])[label] + noise).astype(np.uint8), label


def write_mha(folder: Path, name: str, vectors: bool) -> Path:
    """Write a set of three MHA images and return its root."""
    root = folder / name
    for part in ("image_mha", "label_mha"):
        (root / part).mkdir(parents=True)
    for seed, stem in enumerate(("00001", "00744", "03744")):
        image, label = picture(seed)
        channels = np.stack([image] * 3, axis=-1 if vectors else 0)
        SimpleITK.WriteImage(
            SimpleITK.GetImageFromArray(channels, isVector=vectors), str(root / "image_mha" / f"{stem}.mha")
        )
        SimpleITK.WriteImage(SimpleITK.GetImageFromArray(label), str(root / "label_mha" / f"{stem}.mha"))
    return root


def write_fh_ps_aop(folder: Path) -> Path:
    """Write FH-PS-AOP under the name of its archive."""
    return write_mha(folder, "Pubic Symphysis-Fetal Head Segmentation and Angle of Progression", vectors=False)


def write_psfhs(folder: Path) -> Path:
    """Write PSFHS."""
    return write_mha(folder, "PSFHS", vectors=True)


def write_jnu_ifm(folder: Path) -> Path:
    """Write two videos of four frames, one of each class, and return the root."""
    root = folder / "JNU-IFM" / "us_data"
    for number, video in enumerate(VIDEOS):
        for part in ("image", "mask", "mask_enhance"):
            (root / video / part).mkdir(parents=True)
        rows = ["frame_id,frame_label"]
        for frame, code in enumerate(FRAMES, start=9):
            image, label = picture(number)
            kept = {3: (), 4: (1,), 5: (2,), 6: (1, 2)}[code]
            label = np.where(np.isin(label, kept), label, 0).astype(np.uint8)
            stem = f"{video}_{frame}"
            Image.fromarray(image).convert("RGB").save(root / video / "image" / f"{stem}.png")
            Image.fromarray(np.array([0, 7, 8], np.uint8)[label]).save(root / video / "mask" / f"{stem}_mask.png")
            colours = np.array([[0, 0, 0], [255, 0, 0], [0, 255, 0]], np.uint8)[label]
            Image.fromarray(colours).save(root / video / "mask_enhance" / f"{stem}_mask.png")
            rows.append(f"{stem},{code}")
        (root / video / "frame_label.csv").write_text("\n".join(rows) + "\n")
    return root
