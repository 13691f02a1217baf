# Copyright (c) monai_synthfm contributors
# Licensed under the Apache License, Version 2.0 (http://www.apache.org/licenses/LICENSE-2.0).
# SPDX-License-Identifier: Apache-2.0
"""The U-Net that ships, on generated volumes that its training did not see."""

from __future__ import annotations

import hashlib
import re

import numpy as np
import pytest
import torch

from monai_synthfm import bundle_path
from monai_synthfm.data import SynthFM3DDataset
from monai_synthfm.inferers import WindowPropagation
from monai_synthfm.networks import MobileSam
from monai_synthfm.prompts import Prompts
from monai_synthfm.prompts.slice_prompts import SlicePrompts
from monai_synthfm.slices.slice_frame import SliceFrame
from monai_synthfm.slices.sliced_volume import SlicedVolume
from monai_synthfm.transforms import RandSynthFM3D

SIZE = (160, 160, 28)


def dice(found: np.ndarray, wanted: np.ndarray) -> float:
    return float(2 * (found & wanted).sum() / (found.sum() + wanted.sum()))


@pytest.fixture(scope="module")
def carried() -> np.ndarray:
    """3D Dice of objects carried from their largest slice, and of that slice's mask on all slices of the object."""
    carry = WindowPropagation()
    generator = RandSynthFM3D(spatial_size=SIZE, module="anatomy")
    dataset = SynthFM3DDataset(6, SIZE, seed=4_000_037, generator=generator)
    rows = []
    for sample in dataset:
        slices = SlicedVolume(torch.as_tensor(sample["image"]), SliceFrame(2), MobileSam(image_size=64))
        label = np.asarray(sample["label"])[0].transpose(2, 1, 0)
        for number in np.unique(label[label > 0]):
            wanted = label == number
            areas = wanted.sum(axis=(1, 2))
            start, held = int(areas.argmax()), areas > 0
            if areas[start] < 60 or held.sum() < 6:
                continue
            given = SlicePrompts([0], Prompts(), torch.from_numpy(wanted[start])[None])
            found = np.zeros_like(wanted)
            for masks in carry(slices, {start: given}, "both", range(SIZE[2])):
                found[masks.index] = (masks.logits[0] > 0).numpy()
            copied = wanted[start] & held[:, None, None]
            rows.append((dice(found, wanted), dice(copied, wanted)))
    return np.array(rows)


def test_it_follows_objects_through_volumes_that_it_has_not_seen(carried: np.ndarray) -> None:
    assert len(carried) >= 30
    assert carried[:, 0].mean() > 0.6


def test_it_is_better_than_the_prompted_mask_on_all_slices_of_the_object(carried: np.ndarray) -> None:
    """Though nobody tells it where the object ends."""
    assert (carried[:, 0] - carried[:, 1]).mean() > 0.0
    assert np.median(carried[:, 0] - carried[:, 1]) > 0.02


def test_the_card_tells_the_hash_of_the_file() -> None:
    bundle = bundle_path("synthfm_sam2_3d")
    digest = hashlib.sha256((bundle / "models" / "windows.pt").read_bytes()).hexdigest()
    assert re.findall(r"sha256 `([0-9a-f]{64})`", (bundle / "docs" / "README.md").read_text()) == [digest]
