# Copyright (c) monai_synthfm contributors
# Licensed under the Apache License, Version 2.0 (http://www.apache.org/licenses/LICENSE-2.0).
# SPDX-License-Identifier: Apache-2.0
"""Between the voxels of a file, the slices that a network sees, and the labels that a user gets."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import nibabel as nib
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from monai.data import MetaTensor
from nibabel.orientations import apply_orientation, inv_ornt_aff
from scipy import ndimage
from scipy.spatial.transform import Rotation

from monai_synthfm.inferers.propagation.propagation import Propagation, SliceMasks
from monai_synthfm.inferers.session.interactions import ObjectPrompts
from monai_synthfm.inferers.session.volume import ObjectMasks, SessionVolume, SliceCrop
from monai_synthfm.prompts import Prompts
from monai_synthfm.prompts.slice_prompts import SlicePrompts
from monai_synthfm.transforms.medsam import MedSAMIntensity
from tests.bundles.stored_volumes import OBLIQUE, ORIENTATIONS
from tests.inferers.blob_segmenter import BlobSegmenter

SIZES = (4, 5, 6)
STORED = st.sampled_from(ORIENTATIONS)
AXES = st.integers(0, 2)
NO_BOX = torch.full((1, 6), torch.nan)


def session_volume(
    affine: np.ndarray, axis: int, sizes: tuple[int, ...] = SIZES, bright: Any = (0, 0, 0)
) -> SessionVolume:
    """A volume of ones with one bright voxel, or some."""
    voxels = torch.ones(1, *sizes)
    voxels[0][bright] = 200
    stored = MetaTensor(voxels, affine=torch.from_numpy(affine), meta={"original_affine": torch.from_numpy(affine)})
    arguments = (BlobSegmenter(), MedSAMIntensity("mr"), lambda *_: {}, torch.device("cpu"))
    return SessionVolume(stored, axis, *arguments)


def affine_of(orientation: np.ndarray) -> tuple[tuple[int, ...], np.ndarray]:
    """Sizes and affine of a volume stored another way."""
    turned = apply_orientation(np.zeros(SIZES), orientation).shape
    return turned, OBLIQUE @ inv_ornt_aff(orientation, SIZES)


class Recorder(Propagation):
    """Answers with given logits by slice, and remembers what it was asked."""

    def __init__(self, answers: Mapping[int, torch.Tensor]) -> None:
        self.answers, self.asked = answers, []

    def __call__(
        self, slices: Any, prompts: Mapping[int, SlicePrompts], direction: str, slice_range: range
    ) -> Iterator[SliceMasks]:
        self.asked.append((dict(prompts), direction, slice_range))
        yield from (SliceMasks(index, [0], logits[None]) for index, logits in self.answers.items())


@settings(max_examples=40)
@given(STORED, AXES, st.tuples(*[st.integers(0, min(SIZES) - 1)] * 3))
def test_a_voxel_is_the_same_pixel_to_clicks_masks_and_the_network(
    orientation: np.ndarray, axis: int, voxel: tuple[int, int, int]
) -> None:
    sizes, affine = affine_of(orientation)
    volume = session_volume(affine, axis, sizes, voxel)
    inside = np.zeros(sizes, bool)
    inside[voxel] = True
    said = ObjectPrompts(Prompts(torch.tensor([[voxel]]).double(), torch.ones(1, 1), NO_BOX), volume.cut(inside))
    slices = volume.slices
    ((index, here),) = slices.frame.turn_all(volume.prompted(said), slices.stored_size).items()
    x, y = here.prompts.points[0, 0].int().tolist()
    assert index == voxel[axis]
    assert here.masks[0].nonzero().tolist() == [[y, x]]
    assert slices.image(index)[0, 0].nonzero().tolist() == [[y, x]]


@settings(max_examples=30)
@given(STORED, AXES, st.integers(0, 2**31 - 1))
def test_a_mask_is_cut_into_stored_slices_and_empty_ones_are_left_out(
    orientation: np.ndarray, axis: int, seed: int
) -> None:
    sizes, affine = affine_of(orientation)
    inside = np.random.default_rng(seed).random(sizes) > 0.95
    found = session_volume(affine, axis, sizes).cut(inside)
    by_slice = np.moveaxis(inside, axis, 0)
    assert found.keys() == set(np.flatnonzero(by_slice.any(axis=(1, 2))).tolist())
    for index, mask in found.items():
        np.testing.assert_array_equal(mask, by_slice[index].T)


ROWS, COLUMNS = slice(1, 4), slice(0, 3)


def crops(logits: np.ndarray, axis: int) -> tuple[ObjectMasks, np.ndarray]:
    """An object on two of three slices, and its logits with 0 where it has none."""
    cut, kept = {}, np.zeros_like(logits)
    for index, (plane, place) in enumerate(zip(np.moveaxis(logits, axis, 0), np.moveaxis(kept, axis, 0), strict=True)):
        if index % 3:
            cut[index] = SliceCrop(ROWS, COLUMNS, torch.from_numpy(plane.T[ROWS, COLUMNS].copy()).half())
            place[COLUMNS, ROWS] = plane[COLUMNS, ROWS]
    return cut, kept


@settings(max_examples=30)
@given(STORED, AXES, st.integers(0, 2**31 - 1))
def test_labels_and_changed_boxes_are_those_of_the_file(orientation: np.ndarray, axis: int, seed: int) -> None:
    sizes, affine = affine_of(orientation)
    volume = session_volume(affine, axis, sizes)
    rng = np.random.default_rng(seed)
    before: dict[int, ObjectMasks] = {}
    seen = np.zeros(sizes, int)
    for numbers in ((7,), (7, 2), (2,), ()):
        # few values, so that objects often tie: then the lower number wins
        made = {n: crops(rng.integers(-2, 3, sizes).astype(np.float32), axis) for n in numbers}
        after = {n: cut for n, (cut, _) in made.items()}
        heights = [np.zeros(sizes), *(made[n][1] for n in sorted(numbers))]
        expected = np.array([0, *sorted(numbers)])[np.argmax(heights, axis=0)]
        changed = volume.show(before, after)
        differs = expected != seen
        assert changed == (ndimage.find_objects(differs.astype(int))[0] if differs.any() else None)
        np.testing.assert_array_equal(volume.labels(), expected)
        before, seen = after, expected


@pytest.fixture
def volume() -> SessionVolume:
    return session_volume(np.eye(4), axis=2, bright=(0, 0))  # a column, so that no slice is blank


def test_a_crop_is_pasted_where_it_was_cut(volume: SessionVolume) -> None:
    crop = SliceCrop(slice(2, 4), slice(1, 4), torch.tensor([[1.0, -1, 0], [2, 3, -4]]))
    assert volume.whole(crop).nonzero().tolist() == [[2, 1], [3, 1], [3, 2]]
    assert volume.whole(crop).shape == volume.slices.stored_size == (5, 4)


def test_what_is_found_is_kept_in_its_tightest_box(volume: SessionVolume) -> None:
    logits = torch.full((5, 4), -1.0)
    logits[1, 2], logits[3, 1] = 0.5, 2.0
    # pictures show the patient's left on the right and follow one another from above: the file counts against them
    recorder = Recorder({5: torch.zeros(5, 4), 2: logits.flip(0, 1)})
    found = volume.propagate(
        recorder, ObjectPrompts(Prompts(torch.ones(1, 1, 3), torch.ones(1, 1), NO_BOX), {}), "both"
    )
    assert found.keys() == {3}
    assert (found[3].rows, found[3].columns) == (slice(1, 4), slice(1, 3))
    assert torch.equal(found[3].logits, logits[1:4, 1:3])


def test_masks_reach_the_propagation_in_pixels_of_their_slices(volume: SessionVolume) -> None:
    mask = torch.zeros(5, 4, dtype=torch.bool)
    mask[4, 1] = True
    recorder = Recorder({})
    nothing = Prompts(torch.zeros(1, 0, 3), torch.zeros(1, 0), NO_BOX)
    volume.propagate(recorder, ObjectPrompts(nothing, {5: mask}), "forward")
    ((prompts, direction, slice_range),) = recorder.asked
    # pictures follow one another from above, the slices of the file from below
    assert list(prompts) == [0]
    assert torch.equal(prompts[0].masks[0], mask.flip(0, 1))
    assert (direction, slice_range) == ("backward", range(6))


def test_without_prompts_nothing_is_propagated(volume: SessionVolume) -> None:
    recorder = Recorder({0: torch.ones(5, 4)})
    padding = Prompts(torch.zeros(1, 1, 3), torch.full((1, 1), -1), NO_BOX)
    assert volume.propagate(recorder, ObjectPrompts(padding, {}), "both") == {}
    assert recorder.asked == []


def test_labels_given_away_are_a_copy(volume: SessionVolume) -> None:
    volume.labels().fill(3)
    assert not volume.labels().any()


@pytest.mark.parametrize("angle", range(0, 360, 15))
def test_labels_lie_where_they_were_drawn_in_volumes_whose_axes_are_ambiguous(angle: int) -> None:
    turned = Rotation.from_euler("xyz", (0, 45, angle), degrees=True).as_matrix()
    affine = nib.affines.from_matvec(turned.astype(np.float32).astype(np.float64), (1, 2, 3))
    inside = np.zeros(SIZES, bool)
    inside[1, 2:4, 3:6] = True
    volume = session_volume(affine, 2)
    drawn = {k: SliceCrop(slice(0, m.shape[0]), slice(0, m.shape[1]), m.half()) for k, m in volume.cut(inside).items()}
    changed = volume.show({}, {1: drawn})
    np.testing.assert_array_equal(volume.labels(), inside)
    assert changed == (slice(1, 2), slice(2, 4), slice(3, 6))
