# Copyright (c) monai_synthfm contributors
# Licensed under the Apache License, Version 2.0 (http://www.apache.org/licenses/LICENSE-2.0).
# SPDX-License-Identifier: Apache-2.0
"""TotalSegmentator in miniature: a table with blanks, empty and overlapping masks, turned MR axes."""

from __future__ import annotations

from pathlib import Path

import nibabel as nib
import numpy as np

from tests.replicas.body import centred_affine, hounsfield, organ_masks

ORGANS = ("aorta", "gallbladder", "kidney_left", "kidney_right", "liver", "pancreas", "prostate", "spleen")
OTHERS = ("stomach", "urinary_bladder", "heart")
META = "image_id;age;gender;institute;study_type;split;manufacturer;scanner_model;kvp;pathology;pathology_location"
CT = {"s0011": "train", "s0013": "val", "s0100": "test"}
MR = {"s0026": "train", "s0029": "train", "s0030": "test"}
SHAPE = (38, 30, 22)
# Voxel axes of the MR volumes in RAS+: axial with thin slices, coronal with thick slices and turned axes.
MR_AXES = {
    "s0026": (np.diag([5.0, 5.0, 5.0]), SHAPE),
    "s0029": (np.diag([5.0, 5.0, 5.0]), SHAPE),
    "s0030": (np.array([[0.0, -4.0, 0.0], [0.0, 0.0, 9.0], [-4.0, 0.0, 0.0]]), (28, 46, 16)),
}


def write_ct(folder: Path) -> Path:
    """Write the CT replica and return its root."""
    root = folder / "Totalsegmentator_dataset_v201"
    for seed, subject in enumerate(CT):
        affine = centred_affine(np.diag([5.0, 5.0, 5.0]), SHAPE)
        masks = organ_masks(affine, SHAPE, [*ORGANS, "stomach"])
        # Masks drawn on their own may share voxels at a border.
        masks["aorta"] = masks["aorta"] | (
            np.roll(masks["kidney_left"], 1, axis=0) & masks["kidney_left"] & (seed == 1)
        )
        if subject == "s0100":
            masks["prostate"][:] = False
        _write(root / subject, "ct.nii.gz", hounsfield(affine, SHAPE, seed), masks, affine)
    _write_table(root, CT)
    return root


def write_mr(folder: Path) -> Path:
    """Write the MR replica and return its root; s0026 has only empty masks, backgrounds are below zero."""
    root = folder / "TotalsegmentatorMRI_dataset_v200"
    for seed, subject in enumerate(MR):
        matrix, shape = MR_AXES[subject]
        affine = centred_affine(matrix, shape)
        masks = organ_masks(affine, shape, [*ORGANS, "stomach"])
        if subject == "s0026":
            masks = {name: np.zeros(shape, bool) for name in masks}
        image = (hounsfield(affine, shape, seed) + 980).astype(np.int16)
        _write(root / subject, "mri.nii.gz", image, masks, affine)
    _write_table(root, MR)
    return root


def _write(subject: Path, name: str, image: np.ndarray, masks: dict[str, np.ndarray], affine: np.ndarray) -> None:
    (subject / "segmentations").mkdir(parents=True)
    nib.save(nib.Nifti1Image(image, affine), subject / name)
    for structure in (*ORGANS, *OTHERS):
        mask = masks.get(structure, np.zeros(image.shape, bool)).astype(np.uint8)
        nib.save(nib.Nifti1Image(mask, affine), subject / "segmentations" / f"{structure}.nii.gz")


def _write_table(root: Path, splits: dict[str, str]) -> None:
    rows = [f"{subject};60;m;A;ct abdomen ;{split} ;x;y;120;none;" for subject, split in splits.items()]
    (root / "meta.csv").write_text("\n".join((META, *rows)) + "\n", encoding="utf-8-sig")
