# Copyright (c) monai_synthfm contributors
# Licensed under the Apache License, Version 2.0 (http://www.apache.org/licenses/LICENSE-2.0).
# SPDX-License-Identifier: Apache-2.0
"""MedSAM's preprocessing, compared with one written anew over SimpleITK on a real CT and MR."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import SimpleITK
import torch

from monai_synthfm.data.case_preprocessing import MedSAMPreprocessing, RemovedObjects
from monai_synthfm.data.case_slices import CutIntoSlices
from monai_synthfm.data.datasets import IndexedDataset


def _components(mask: np.ndarray) -> np.ndarray:
    found = SimpleITK.ConnectedComponent(SimpleITK.GetImageFromArray(mask.astype(np.uint8)), True)
    return SimpleITK.GetArrayFromImage(found)


def _without_small(mask: np.ndarray, smallest: int) -> np.ndarray:
    parts = _components(mask)
    kept = np.zeros_like(mask)
    for number in range(1, parts.max() + 1):
        part = parts == number
        if part.sum() >= smallest:
            kept |= part
    return kept


def _medsam(image: np.ndarray, mask: np.ndarray, is_ct: bool) -> tuple[np.ndarray, dict[int, np.ndarray]]:
    """Steps 2 to 4 of MedSAM's script on arrays (z, y, x): grey levels, and masks by slices."""
    kept = _without_small(mask, 1000)
    masks = {z: _without_small(plane, 100) for z, plane in enumerate(kept)}
    low, high = (-160, 240) if is_ct else np.percentile(image[image > 0], (0.5, 99.5))
    clipped = np.clip(image, low, high)
    grey = (clipped - clipped.min()) / (clipped.max() - clipped.min()) * 255.0
    if not is_ct:
        grey[image == 0] = 0
    return np.uint8(grey), {z: plane for z, plane in masks.items() if plane.any()}


@pytest.mark.parametrize("case_id", ["ts_ct_sm", "ts_mr_sm"])
def test_a_real_volume_is_prepared_as_by_an_independent_implementation(shared_dir: Path, case_id: str) -> None:
    dataset = IndexedDataset(shared_dir)
    case = next(case for case in dataset.data if case["case_id"] == case_id)
    sliced = CutIntoSlices(plane="axial")(dataset.load(case))
    found = {(t.structure, item.index): t.mask for item in sliced.slices for t in item.targets}
    images = {item.index: item.image for item in sliced.slices}

    # oriented LPS, an array [z, y, x] has the radiologist's slices
    stored = [SimpleITK.DICOMOrient(SimpleITK.ReadImage(case[key]), "LPS") for key in ("image", "label")]
    image, label = (SimpleITK.GetArrayFromImage(volume) for volume in stored)
    expected = {}
    for name, value in case["structures"].items():
        grey, masks = _medsam(image.astype(np.float64), label == value, case["modality"] == "ct")
        expected |= {(name, z): plane for z, plane in masks.items()}
    assert found.keys() == expected.keys()
    assert len(found) > 50
    assert all(np.array_equal(found[key], expected[key]) for key in found)
    # the grey levels differ where SimpleITK and nibabel round the stored scale factors differently
    apart = [np.abs(images[z][0] * 255 - grey[z].astype(float)) for z in images]
    assert max(plane.max() for plane in apart) <= 1
    assert np.mean([np.mean(plane > 0.5) for plane in apart]) < 1e-3


def test_objects_of_exactly_the_smallest_size_stay() -> None:
    mask = np.zeros((40, 40, 6), dtype=bool)
    mask[0:10, 0:10, 0:5] = True  # 500 voxels, 100 pixels on a slice
    mask[20:29, 20:31, 0:5] = True  # 495 voxels
    kept, removed = MedSAMPreprocessing(min_voxels=500, min_pixels=100).keep_large(mask, axis=2)
    assert kept[5, 5, 2]
    assert not kept[20:].any()
    assert removed == RemovedObjects(components=1, voxels=495, largest=495)
    kept, removed = MedSAMPreprocessing(min_voxels=0, min_pixels=100).keep_large(mask, axis=2)
    assert removed == RemovedObjects(slice_components=5, slice_pixels=495, slice_largest=99)


def test_3d_components_touch_by_corners_and_2d_ones_are_of_one_slice() -> None:
    mask = np.zeros((8, 8, 8), dtype=bool)
    mask[0:2, 0:2, 0:2] = True
    mask[2:4, 2:4, 2:4] = True  # touches the first by a corner: 16 voxels together
    whole, _ = MedSAMPreprocessing(min_voxels=16, min_pixels=0).keep_large(mask, axis=0)
    assert whole.sum() == 16
    none, removed = MedSAMPreprocessing(min_voxels=16, min_pixels=5).keep_large(mask, axis=0)
    assert not none.any()
    assert removed == RemovedObjects(slice_components=4, slice_pixels=16, slice_largest=4, slices=4)


@pytest.mark.parametrize(
    ("limits", "reason"),
    [
        ((200, 0), "min_voxels 200: largest component has 104"),
        ((100, 60), "min_pixels 60: largest slice has 54"),
        ((0, 60), "min_pixels 60: largest slice has 54"),
    ],
)
def test_the_limit_that_left_nothing_is_named_with_the_size_nearest_to_it(limits: tuple[int, int], reason: str) -> None:
    mask = np.zeros((30, 30, 6), dtype=bool)
    mask[0:9, 0:6, 0] = mask[0:10, 0:5, 1] = True  # 54 and 50 pixels, 104 voxels together
    mask[20:24, 20:24, 4] = True  # 16 on its own
    preprocessing = MedSAMPreprocessing(*limits)
    kept, removed = preprocessing.keep_large(mask, axis=2)
    assert not kept.any()
    assert preprocessing.why_nothing(removed) == f"too small ({reason})"


def test_slices_that_lose_a_structure_are_counted() -> None:
    mask = np.zeros((30, 30, 3), dtype=bool)
    mask[0:20, 0:20, 0] = True
    mask[5, 5, 1] = True
    _, removed = MedSAMPreprocessing(min_voxels=0, min_pixels=100).keep_large(mask, axis=2)
    assert removed.slices == 1


def test_a_grey_picture_is_clipped_and_colours_are_left_alone() -> None:
    rng = np.random.default_rng(0)
    grey = torch.from_numpy(rng.integers(0, 256, (1, 50, 50)).astype(np.float32))
    grey[0, :5] = 0
    low, high = np.percentile(grey[grey > 0], (0.5, 99.5))
    clipped = np.clip(grey.numpy(), low, high)
    expected = np.uint8((clipped - clipped.min()) / (clipped.max() - clipped.min()) * 255)
    expected[grey.numpy() == 0] = 0
    assert np.array_equal(MedSAMPreprocessing()(grey, "us", 2).numpy() * 255, expected.astype(np.float32))
    assert torch.equal(MedSAMPreprocessing(clip_pictures=False)(grey, "us", 2), grey / 255)
    colour = grey.expand(3, -1, -1)
    assert torch.equal(MedSAMPreprocessing()(colour, "microscopy", 2), colour / 255)


def test_a_picture_of_a_ct_slice_is_not_windowed() -> None:
    picture = torch.arange(1.0, 255.0).reshape(1, 2, 127)
    assert MedSAMPreprocessing()(picture, "ct", 2).max() == 1


def test_sixteen_bits_become_eight() -> None:
    picture = torch.linspace(100, 60000, 400).reshape(1, 20, 20)
    levels = MedSAMPreprocessing(clip_pictures=False)(picture, "microscopy", 2) * 255
    assert levels.min() == 0
    assert levels.max() == 255
    assert torch.allclose(levels, levels.round(), atol=1e-4)


@pytest.mark.parametrize("wrong", [{"min_voxels": -1}, {"min_pixels": -1}, {"width": 0.0}, {"percentiles": (5, 5)}])
def test_wrong_arguments_are_named(wrong: dict) -> None:
    with pytest.raises(ValueError, match=next(iter(wrong))):
        MedSAMPreprocessing(**wrong)
