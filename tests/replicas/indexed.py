# Copyright (c) monai_synthfm contributors
# Licensed under the Apache License, Version 2.0 (http://www.apache.org/licenses/LICENSE-2.0).
# SPDX-License-Identifier: Apache-2.0
"""A folder with index.csv in miniature: NIfTI, NRRD with a NIfTI mask, MHA with channels first, PNG, instances."""

from __future__ import annotations

from pathlib import Path

import nibabel as nib
import numpy as np
import SimpleITK
from PIL import Image

from tests.replicas.body import centred_affine, hounsfield, organ_masks

HEADER = "case_id,image,mask,label,structure,modality,set,dims,spacing_mm,patient"
ROWS = (
    "ct1,ct/ct1.nii.gz,ct/ct1_mask.nii.gz,5,liver,CT,ct,3D,8x8x8,someone",
    "ct1,ct/ct1.nii.gz,ct/ct1_mask.nii.gz,1,spleen,CT,ct,3D,8x8x8,someone",
    "mr1,mr/mr1.nrrd,mr/mr1_mask.nii.gz,1,tumour,MR,mr,3D,8x8x8,",
    "us1,us/us1.mha,us/us1_label.mha,2,fetal_head,US,us,2D,,unknown",
    "us2,us/us2.png,us/us2_mask.png,1,fetal_head,US,us,2D,0.1x0.2,p2",
    'cells,cells/a.png,cells/a_mask.png,1..3,nucleus (instances),"microscopy (fluorescence)",cells,2D,,',
)


def write_indexed(folder: Path) -> Path:
    """Write the replica and return its root."""
    root = folder / "data"
    for name in ("ct", "mr", "us", "cells"):
        (root / name).mkdir(parents=True)
    (root / "index.csv").write_text("\n".join((HEADER, *ROWS)) + "\n")
    shape = (24, 18, 12)
    affine = centred_affine(np.diag([-8.0, 8.0, 8.0]), shape)
    masks = organ_masks(affine, shape, ["liver", "spleen", "stomach"])
    labels = (5 * masks["liver"] + masks["spleen"] + 9 * masks["stomach"]).astype(np.uint8)
    nib.save(nib.Nifti1Image(hounsfield(affine, shape), affine), root / "ct/ct1.nii.gz")
    nib.save(nib.Nifti1Image(labels, affine), root / "ct/ct1_mask.nii.gz")
    volume = SimpleITK.GetImageFromArray(hounsfield(affine, shape).transpose(2, 1, 0) + 1000)
    volume.SetSpacing((8.0, 8.0, 8.0))
    volume.SetDirection((1, 0, 0, 0, -1, 0, 0, 0, 1))
    volume.SetOrigin((-affine[0, 3], -affine[1, 3], affine[2, 3]))
    SimpleITK.WriteImage(volume, str(root / "mr/mr1.nrrd"))
    nib.save(nib.Nifti1Image(masks["liver"].astype(np.uint8), affine), root / "mr/mr1_mask.nii.gz")
    grey = np.random.default_rng(0).integers(0, 255, (20, 30), dtype=np.uint8)
    label = np.zeros((20, 30), np.uint8)
    label[3:6, 4:9], label[10:18, 12:25] = 1, 2
    SimpleITK.WriteImage(SimpleITK.GetImageFromArray(np.stack([grey] * 3)), str(root / "us/us1.mha"))
    SimpleITK.WriteImage(SimpleITK.GetImageFromArray(label), str(root / "us/us1_label.mha"))
    Image.fromarray(grey).convert("RGB").save(root / "us/us2.png")
    Image.fromarray((label == 2).astype(np.uint8)).save(root / "us/us2_mask.png")
    Image.fromarray(grey.astype(np.uint16) * 200).save(root / "cells/a.png")
    label[0:2, 0:2] = 3
    Image.fromarray(label).save(root / "cells/a_mask.png")
    return root
