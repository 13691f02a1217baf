# Copyright (c) monai_synthfm contributors
# Licensed under the Apache License, Version 2.0 (http://www.apache.org/licenses/LICENSE-2.0).
# SPDX-License-Identifier: Apache-2.0
"""CAMUS in miniature: one heart in both releases, non-square pixels, (width, height) arrays, ED after ES."""

from __future__ import annotations

from pathlib import Path

import nibabel as nib
import numpy as np
import SimpleITK

PATIENTS = {"patient0001": ("Good", 1, 5), "patient0002": ("Poor", 5, 1)}
HEIGHT, WIDTH, FRAMES = 48, 36, 5
PIXEL = 0.308


def heart(rows: int, columns: int, contraction: float, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Image and labels [H, W] of a ventricle above an atrium, off the middle; contraction 0 is ED, 1 is ES."""
    y, x = np.meshgrid(np.linspace(0, 1, rows), np.linspace(0, 1, columns), indexing="ij")
    size = 1 - 0.35 * contraction

    def ellipse(cy: float, cx: float, ry: float, rx: float) -> np.ndarray:
        return ((y - cy) / ry) ** 2 + ((x - cx) / rx) ** 2 <= 1

    label = np.zeros((rows, columns), np.uint8)
    label[ellipse(0.78, 0.45, 0.12, 0.16)] = 3
    label[ellipse(0.42, 0.4, 0.28, 0.25)] = 2
    label[ellipse(0.42, 0.4, 0.2 * size, 0.16 * size)] = 1
    noise = np.random.default_rng(seed).integers(0, 25, label.shape)
    image = np.array([60, 15, 150, 20])[label] + noise
    image[y < np.abs(x - 0.5) - 0.1] = 0
    return image.astype(np.uint8), label


def write_camus_nifti(folder: Path) -> Path:
    """Write the NIfTI release and return its root."""
    root = folder / "CAMUS_public"
    for seed, (name, (quality, ed, es)) in enumerate(PATIENTS.items()):
        patient = root / "database_nifti" / name
        patient.mkdir(parents=True)
        for view in ("2CH", "4CH"):
            stem = f"{name}_{view}"
            for instant, contraction in (("ED", 0.0), ("ES", 1.0)):
                image, label = heart(HEIGHT, WIDTH, contraction, seed)
                _save(patient / f"{stem}_{instant}.nii.gz", image)
                _save(patient / f"{stem}_{instant}_gt.nii.gz", label.astype(np.float32))
            steps = [abs(frame + 1 - ed) / (FRAMES - 1) for frame in range(FRAMES)]
            frames = [heart(HEIGHT, WIDTH, step, seed) for step in steps]
            _save(patient / f"{stem}_half_sequence.nii.gz", np.stack([image for image, _ in frames], axis=-1))
            _save(patient / f"{stem}_half_sequence_gt.nii.gz", np.stack([label for _, label in frames], axis=-1))
            lines = [
                f"ED: {ed}",
                f"ES: {es}",
                f"NbFrame: {FRAMES}",
                "Sex: F",
                "Age: 56",
                f"ImageQuality: {quality}",
                "EF: 54",
            ]
            (patient / f"Info_{view}.cfg").write_text("\n".join(lines if seed else reversed(lines)) + "\n")
    lists = root / "database_split"
    lists.mkdir()
    for split, names in (("training", ["patient0001"]), ("validation", []), ("testing", ["patient0002"])):
        (lists / f"subgroup_{split}.txt").write_text("".join(f"{name}\n" for name in names))
    return root


def write_camus_metaimage(folder: Path) -> Path:
    """Write the MetaImage release, whose pixels are twice as wide as high, and return its root."""
    root = folder / "CAMUS"
    for seed, (name, (quality, ed, es)) in enumerate(PATIENTS.items()):
        for part in ("training", "testing") if name == "patient0001" else ("training",):
            patient = root / part / name
            patient.mkdir(parents=True)
            for view in ("2CH", "4CH"):
                for instant, contraction in (("ED", 0.0), ("ES", 1.0)):
                    image, label = heart(2 * HEIGHT, WIDTH, contraction, seed if part == "training" else 9)
                    kinds = [("", image), ("_gt", label)] if part == "training" else [("", image)]
                    for kind, values in kinds:
                        volume = SimpleITK.GetImageFromArray(values[None])
                        volume.SetSpacing((PIXEL, PIXEL / 2, 1.54))
                        SimpleITK.WriteImage(volume, str(patient / f"{name}_{view}_{instant}{kind}.mhd"))
                text = f"ED: {ed}\nES: {es}\nNbFrame: {FRAMES}\nSex: F\nAge: 56\nImageQuality: {quality}\nLVef: 54\n"
                (patient / f"Info_{view}.cfg").write_text(text)
    lists = root / "listSubGroups"
    lists.mkdir()
    for split, names in (("training", ["patient0001"]), ("validation", []), ("testing", ["patient0002"])):
        (lists / f"subGroup3_{split}.txt").write_text("".join(f"{name}\n" for name in names))
    return root


def _save(path: Path, values: np.ndarray) -> None:
    affine = np.diag([-PIXEL, -PIXEL, 1.0, 1.0])
    image = nib.Nifti1Image(np.ascontiguousarray(np.swapaxes(values, 0, 1)), affine)
    nib.save(image, path)
