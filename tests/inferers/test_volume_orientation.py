# Copyright (c) monai_synthfm contributors
# Licensed under the Apache License, Version 2.0 (http://www.apache.org/licenses/LICENSE-2.0).
# SPDX-License-Identifier: Apache-2.0
"""A volume stored in any orientation gives the same segmentation in space, along any axis, from voxels or mm."""

from __future__ import annotations

from itertools import permutations, product
from typing import Any

import nibabel as nib
import numpy as np
import pytest
import torch
from monai.data import MetaTensor, list_data_collate

from monai_synthfm.inferers import VolumeInferer
from monai_synthfm.prompts.volume_prompts import read_volume_prompts
from monai_synthfm.slices.planes import PLANES, slicing_axis
from monai_synthfm.transforms.medsam import MedSAMIntensity

from .blob_segmenter import BlobSegmenter
from .region_grower import RegionGrower

SIZES = (17, 15, 8)
ORIENTATIONS = [
    np.array([*zip(order, flips, strict=True)], dtype=float)
    for order in permutations(range(3))
    for flips in product((1, -1), repeat=3)
]
"""All 48 ways to store the same volume: where each axis goes, and whether it is flipped."""

COS, SIN = np.cos(0.35), np.sin(0.35)
STRAIGHT = np.array([[0.9, 0, 0, -11], [0, 1.1, 0, 7], [0, 0, 1.3, 30], [0, 0, 0, 1.0]])
OBLIQUE = (
    np.array([[COS, -SIN, 0, 0], [SIN, COS, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1.0]])
    @ np.array([[1, 0, 0, 0], [0, COS, SIN, 0], [0, -SIN, COS, 0], [0, 0, 0, 1.0]])
    @ STRAIGHT
)
SHEARED = STRAIGHT @ np.array([[1, 0.1, 0, 0], [0, 1, -0.15, 0], [0.05, 0, 1, 0], [0, 0, 0, 1.0]])


@pytest.fixture(scope="module")
def voxels() -> np.ndarray:
    """Blobs of two grey levels, in RAS order."""
    noise = torch.rand(1, 1, 5, 4, 3, generator=torch.Generator().manual_seed(5))
    blobs = torch.nn.functional.interpolate(noise, SIZES, mode="trilinear")[0, 0] > 0.45
    return (100 + 200 * blobs.numpy()).astype(np.float32)


def segment(
    array: np.ndarray, affine: np.ndarray, plane: str, space: str, points: Any, labels: Any, boxes: Any
) -> np.ndarray:
    """Segment a stored volume as the bundles do; the labels are those of the stored array."""
    prompts = read_volume_prompts(points, labels, boxes, affine=affine, shape=array.shape, space=space)
    image = MedSAMIntensity("mr")(MetaTensor(array[None], affine=torch.from_numpy(affine)))
    found = VolumeInferer()(
        image[None],
        RegionGrower(),
        prompts.points[None],
        prompts.point_labels[None],
        prompts.boxes[None],
        axis=slicing_axis(plane, affine, array.shape),
    )
    return found[0, 0].numpy()


@pytest.mark.parametrize("affine", [STRAIGHT, OBLIQUE, SHEARED], ids=["straight", "oblique", "sheared"])
@pytest.mark.parametrize("plane", PLANES)
def test_volume_in_space_does_not_depend_on_how_it_is_stored(
    voxels: np.ndarray, affine: np.ndarray, plane: str
) -> None:
    axis = PLANES.index(plane)
    clicks = np.array([[6.0, 9.0, 3.0], [11.0, 8.0, 3.0], [4.0, 4.0, 6.0]])
    clicks[1, axis] = clicks[0, axis]
    corners = np.array([[3.0, 4.0, 2.0], [12.0, 11.0, 6.0]])
    corners[:, axis] = 4.0
    world = nib.affines.apply_affine(affine, clicks)
    box = nib.affines.apply_affine(affine, corners).ravel().tolist()
    ends = np.reshape(box, (2, 3))
    region = np.array([[ends[i, a] for a, i in enumerate(pick)] for pick in np.ndindex(2, 2, 2)])
    labels = [[1, 0], [1], []]
    in_mm = [world[:2].tolist(), world[2:].tolist(), []]
    reference = segment(voxels, affine, plane, "world", in_mm, labels, [[], [], box])
    assert set(np.unique(reference)) == {0, 1, 2, 3}
    others = tuple(a for a in range(3) if a != axis)
    # Objects must have left the slices on which they are prompted.
    assert all(((reference == n).any(axis=others)).sum() > 2 for n in (1, 2, 3))
    for ornt in ORIENTATIONS if affine is OBLIQUE else ORIENTATIONS[::5]:
        stored = np.ascontiguousarray(nib.apply_orientation(voxels, ornt))
        lying = affine @ nib.orientations.inv_ornt_aff(ornt, voxels.shape)
        expected = nib.apply_orientation(reference, ornt)
        np.testing.assert_array_equal(segment(stored, lying, plane, "world", in_mm, labels, [[], [], box]), expected)
        if affine is OBLIQUE:
            moved = nib.affines.apply_affine(np.linalg.inv(lying), world)
            in_voxels = [moved[:2].tolist(), moved[2:].tolist(), []]
            held = nib.affines.apply_affine(np.linalg.inv(lying), region)
            edges = [*held.min(axis=0), *held.max(axis=0)]
            found = segment(stored, lying, plane, "voxel", in_voxels, labels, [[], [], edges])
            np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize("flip", [1, -1])
@pytest.mark.parametrize(("direction", "expected"), [("forward", [3, 4, 5]), ("backward", [1, 2, 3]), ("none", [3])])
def test_direction_and_slice_range_count_as_the_given_volume_does(
    flip: int, direction: str, expected: list[int]
) -> None:
    column = torch.full((1, 1, 5, 5, 8), 0.9)
    column[:, :, 0, 0] = 0.0
    image = MetaTensor(column, affine=torch.diag(torch.tensor([1.0, 1.0, flip, 1.0])))
    click = {"points": torch.tensor([[[[2.0, 2.0, 3.0]]]]), "point_labels": torch.ones(1, 1, 1, dtype=torch.long)}
    found = VolumeInferer(direction=direction, slice_range=(1, 5))(image, BlobSegmenter(), **click)
    assert found[0, 0].flatten(0, 1).any(dim=0).nonzero().flatten().tolist() == expected


def test_volumes_of_one_batch_may_be_stored_in_different_orders(voxels: np.ndarray) -> None:
    """Each has its own affine, axis and prompts, as a collated batch has."""
    items, expected = [], []
    for number in (3, 5, 6):  # axes that stay in place, flipped
        ornt = ORIENTATIONS[number]
        array = np.ascontiguousarray(nib.apply_orientation(voxels, ornt))
        affine = OBLIQUE @ nib.orientations.inv_ornt_aff(ornt, voxels.shape)
        click = nib.affines.apply_affine(np.linalg.inv(affine), nib.affines.apply_affine(OBLIQUE, [6.0, 9.0, 3.0]))
        image = MedSAMIntensity("mr")(MetaTensor(array[None], affine=torch.from_numpy(affine)))
        items.append({"image": image, "points": torch.from_numpy(click.round(3))[None, None]})
        expected.append(segment(array, affine, "axial", "voxel", [[click.tolist()]], [[1]], None))
    batch = list_data_collate(items)
    labels = torch.ones(3, 1, 1, dtype=torch.long)
    found = VolumeInferer()(batch["image"], RegionGrower(), batch["points"], labels, axis=torch.tensor([2, 2, 2]))
    np.testing.assert_array_equal(found[:, 0], np.stack(expected))
    assert all(labels.any() for labels in expected)
