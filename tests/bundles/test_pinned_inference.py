# Copyright (c) monai_synthfm contributors
# Licensed under the Apache License, Version 2.0 (http://www.apache.org/licenses/LICENSE-2.0).
# SPDX-License-Identifier: Apache-2.0
"""What the inference bundle writes of oblique volumes stays what it is, voxel for voxel."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest
from monai.bundle import ConfigWorkflow

from tests.bundles.stored_volumes import OBLIQUE, ORIENTATIONS, SIZES, store

CLICKS = nib.affines.apply_affine(OBLIQUE, [[9.3, 13.8, 1.4], [14.2, 12.1, 1.2], [9.0, 12.0, 4.9], [5.0, 5.0, 6.0]])


def asked(name: str, shape: np.ndarray, mask: Path) -> dict[str, Any]:
    """Prompts on several slices: in mm, in voxels, half-way and beside a mask, or a box of many slices."""
    if name == "world":
        points = [CLICKS[:3].tolist(), CLICKS[3:].tolist()]
        given = {"points": points, "point_labels": [[1, 0, 1], [1]], "space": "world", "axis": "axial"}
        return {**given, "probabilities": True, "keep_largest": True, "direction": "both"}
    if name == "mask":
        points = [[(shape // 2).tolist()], [((shape * 0.3).astype(int) + 0.5).tolist()]]
        given = {"points": points, "point_labels": [[1], [1]], "mask": str(mask)}
        return {**given, "axis": 0, "direction": "backward"}
    box = [*(shape * 0.3).tolist(), *(shape * 0.7).tolist()]
    return {"boxes": [box], "axis": 2, "direction": "both", "slice_range": [1, int(shape[2]) - 2]}


@pytest.mark.parametrize("number", [13, 30])
@pytest.mark.parametrize("name", ["world", "mask", "box"])
def test_files_stay_the_same(
    segment: Callable[..., ConfigWorkflow], tmp_path: Path, voxels: np.ndarray, name: str, number: int
) -> None:
    source = store(tmp_path / "in.nii.gz", voxels, OBLIQUE, ORIENTATIONS[number])
    drawn = np.zeros(SIZES, np.uint8)
    drawn[10:14, 8:12, 3] = 2
    store(tmp_path / "mask.nii.gz", drawn, OBLIQUE, ORIENTATIONS[number])
    segment(tmp_path / "in.nii.gz", **asked(name, np.array(source.shape), tmp_path / "mask.nii.gz"))
    seen = hashlib.sha256()
    for file in sorted((tmp_path / "out").glob("*.nii.gz")):
        seen.update(np.ascontiguousarray(nib.load(file).dataobj).tobytes())
    assert seen.hexdigest()[:16] == PINNED[name, number], seen.hexdigest()[:16]


PINNED = {
    ("world", 13): "217b968bb5651f7d",
    ("world", 30): "e1317249af2e0c4e",
    ("mask", 13): "eff760c72b4f5d02",
    ("mask", 30): "91fce8ab4be2eeda",
    ("box", 13): "e5f1bcacdd47523a",
    ("box", 30): "aebd480bf22895e5",
}
