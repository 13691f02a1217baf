# Copyright (c) monai_synthfm contributors
# Licensed under the Apache License, Version 2.0 (http://www.apache.org/licenses/LICENSE-2.0).
# SPDX-License-Identifier: Apache-2.0
"""AMOS22 in miniature: two CT, two MR, LAS headers, uint16 labels, a one-pixel slice, no prostate in one case."""

from __future__ import annotations

import json
from pathlib import Path

import nibabel as nib
import numpy as np

from tests.replicas.body import centred_affine, hounsfield, organ_masks

LABELS = {
    "spleen": 1,
    "kidney_right": 2,
    "kidney_left": 3,
    "gallbladder": 4,
    "liver": 6,
    "stomach": 7,
    "aorta": 8,
    "pancreas": 10,
    "bladder": 14,
    "prostate": 15,
}
CASES = (("Tr", 1), ("Tr", 507), ("Va", 8), ("Va", 540))
SHAPE = (44, 34, 20)
LAS = np.diag([-4.5, 4.5, 5.0])


def write_amos(folder: Path) -> Path:
    """Write the replica and return its root."""
    root = folder / "amos22"
    for seed, (split, number) in enumerate(CASES):
        affine = centred_affine(LAS, SHAPE)
        labels = np.zeros(SHAPE, np.uint16)
        for name, mask in organ_masks(affine, SHAPE, list(LABELS)).items():
            if (name, number) != ("prostate", 8):
                labels[mask] = LABELS[name]
        labels[30, 20, 0] = 2
        image = hounsfield(affine, SHAPE, seed)
        if number > 500:
            image = (image + 1000).astype(np.int16)
        for kind, voxels in (("images", image), ("labels", labels)):
            path = root / f"{kind}{split}" / f"amos_{number:04d}.nii.gz"
            path.parent.mkdir(parents=True, exist_ok=True)
            nifti = nib.Nifti1Image(voxels, affine)
            nifti.set_qform(affine, 1)
            nifti.set_sform(None, 0)
            nib.save(nifti, path)
    (root / "imagesTs").mkdir()
    (root / "imagesTs" / "amos_0002.nii.gz").write_bytes((root / "imagesTr" / "amos_0001.nii.gz").read_bytes())
    junk = folder / "__MACOSX" / "amos22" / "imagesTr"
    junk.mkdir(parents=True)
    (junk / "._amos_0001.nii.gz").write_bytes(b"\0\5\26\7")
    (root / "imagesTr" / "._amos_0001.nii.gz").write_bytes(b"\0\5\26\7")
    (root / "dataset.json").write_text(json.dumps({"modality": {"0": "CT"}, "labels": {"8": "arota"}}))
    return root


def write_sexes(root: Path, sexes: dict[int, str]) -> None:
    """Write the table of patients that is a separate download."""
    rows = [f"{number},{sex},60\n" for number, sex in sexes.items()]
    (root / "labeled_data_meta_0000_0599.csv").write_text("amos_id,Patient's Sex,Patient's Age\n" + "".join(rows))
