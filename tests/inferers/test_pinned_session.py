# Copyright (c) monai_synthfm contributors
# Licensed under the Apache License, Version 2.0 (http://www.apache.org/licenses/LICENSE-2.0).
# SPDX-License-Identifier: Apache-2.0
"""The masks of one scripted session stay what they are, voxel for voxel, across each axis of an oblique volume."""

from __future__ import annotations

import hashlib

import numpy as np
import pytest
import torch
from monai.data import MetaTensor
from scipy import ndimage

from monai_synthfm.inferers import InteractiveSession
from tests.bundles.stored_volumes import OBLIQUE

from .level_segmenter import LevelSegmenter
from .region_grower import RegionGrower

SHAPE = (22, 18, 15)


def lumpy() -> MetaTensor:
    """Two lumpy bodies of other brightness in a dark surrounding, with their axes permuted and turned."""
    rough = ndimage.gaussian_filter(np.random.default_rng(3).normal(size=SHAPE), 1.5)
    x, y, z = np.mgrid[: SHAPE[0], : SHAPE[1], : SHAPE[2]]
    distance = np.minimum((x - 7) ** 2 / 25 + (y - 8) ** 2 / 20 + (z - 7) ** 2 / 30, 9.0)
    other = (x - 16) ** 2 / 12 + (y - 9) ** 2 / 25 + (z - 6) ** 2 / 16
    voxels = np.select([distance + 8 * rough < 1, other + 8 * rough < 1], [180.0, 120.0], 20.0).astype(np.float32)
    affine = OBLIQUE @ np.array([[0, -2.0, 0, 1], [0, 0, 2.5, 2], [3.0, 0, 0, 3], [0, 0, 0, 1]])
    return MetaTensor(torch.from_numpy(voxels)[None], affine=torch.from_numpy(affine))


def scripted(session: InteractiveSession) -> str:
    """The hash of all masks after each step: clicks, a correction, a box, a mask, another size, undo and redo."""
    session.set_image(lumpy())
    seen = hashlib.sha256()
    known = np.zeros(SHAPE, np.uint8)
    known[14:19, 7:12, 4:8] = 1
    for step in (
        lambda: session.add_points([[7, 8, 7]], [1]),
        lambda: session.add_points([[9, 9, 9], [3, 3, 3]], [0, 0]),
        lambda: session.add_box([6, 6, 6, 8, 10, 8], object_id=2),
        lambda: session.add_mask(known, object_id=3),
        lambda: session.resize("smaller", object_id=2) if isinstance(session.network, LevelSegmenter) else None,
        session.undo,
        session.undo,
        session.redo,
    ):
        step()
        seen.update(np.asarray(session.segmentation).astype(np.uint16).tobytes())
    return seen.hexdigest()[:16]


@pytest.mark.parametrize("network", [LevelSegmenter, RegionGrower])
@pytest.mark.parametrize("axis", [0, 1, 2])
def test_masks_stay_the_same(network: type, axis: int) -> None:
    found = scripted(InteractiveSession(network(), axis=axis, modality="mr"))
    assert found == PINNED[network.__name__, axis], found


PINNED = {
    ("LevelSegmenter", 0): "00714d3b5c40ce14",
    ("LevelSegmenter", 1): "689d8d11dab34165",
    ("LevelSegmenter", 2): "96b5ebdec56627f0",
    ("RegionGrower", 0): "eb4e3c92ca7f2fb7",
    ("RegionGrower", 1): "1c2986f9ab7601c5",
    ("RegionGrower", 2): "6ff7d2f2f04f4fee",
}
