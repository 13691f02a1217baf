# Copyright (c) monai_synthfm contributors
# Licensed under the Apache License, Version 2.0 (http://www.apache.org/licenses/LICENSE-2.0).
# SPDX-License-Identifier: Apache-2.0
"""Pictures of slices against MONAI's reoriented volumes, and the way back, in all 48 orientations, however oblique."""

from __future__ import annotations

import nibabel as nib
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from monai.data import MetaTensor
from monai.transforms import Orientation
from nibabel.orientations import apply_orientation, inv_ornt_aff
from scipy.spatial.transform import Rotation

from monai_synthfm.prompts import Prompts
from monai_synthfm.prompts.slice_prompts import SlicePrompts, prompts_by_slice
from monai_synthfm.prompts.volume_prompts import read_volume_prompts
from monai_synthfm.slices.planes import DISPLAY_AXCODES, PLANES, plane_of
from monai_synthfm.slices.slice_frame import SliceFrame
from tests.bundles.stored_volumes import OBLIQUE, ORIENTATIONS, SHEARED, STRAIGHT

SIZES = (4, 5, 6)
FRAMES = st.builds(SliceFrame, st.integers(0, 2), st.booleans(), st.tuples(st.booleans(), st.booleans()), st.booleans())
EIGHTHS = st.integers(-3, 43).map(lambda n: n / 8)


@st.composite
def stored_volumes(draw: st.DrawFn) -> tuple[np.ndarray, np.ndarray]:
    """A volume of different voxels and its affine: turned by any angles, sheared, and stored in any order."""
    orientation = draw(st.sampled_from(ORIENTATIONS))
    angles = draw(st.tuples(*[st.floats(-60, 60)] * 3))
    turn = nib.affines.from_matvec(Rotation.from_euler("xyz", angles, degrees=True).as_matrix())
    base = turn @ draw(st.sampled_from([STRAIGHT, SHEARED, OBLIQUE]))
    voxels = np.arange(float(np.prod(SIZES))).reshape(SIZES)
    return apply_orientation(voxels, orientation).copy(), base @ inv_ornt_aff(orientation, SIZES)


@settings(max_examples=120, deadline=None)
@given(stored_volumes(), st.integers(0, 2))
def test_pictures_are_the_slices_of_the_volume_that_monai_reorients(
    stored: tuple[np.ndarray, np.ndarray], axis: int
) -> None:
    voxels, affine = stored
    image = MetaTensor(torch.from_numpy(voxels)[None], affine=torch.from_numpy(affine))
    shown = Orientation(axcodes=DISPLAY_AXCODES, labels=None)(image)[0].numpy()
    across = PLANES.index(plane_of(affine, axis))
    frame = SliceFrame.of(affine, axis)
    order = range(voxels.shape[axis])
    for place, index in enumerate(reversed(order) if frame.reversed else order):
        picture = frame.turn(frame.stored(image.as_tensor(), index))[0]
        np.testing.assert_array_equal(picture, np.take(shown, place, axis=across).T)


@settings(max_examples=80, deadline=None)
@given(stored_volumes(), st.integers(0, 2), st.tuples(*[st.integers(0, min(SIZES) - 1)] * 3))
def test_a_click_a_box_and_a_mask_on_a_voxel_are_on_its_pixel(
    stored: tuple[np.ndarray, np.ndarray], axis: int, voxel: tuple[int, int, int]
) -> None:
    voxels, affine = stored
    frame = SliceFrame.of(affine, axis)
    masks = torch.zeros(voxels.shape, dtype=torch.uint8)
    masks[voxel] = 1
    place = torch.tensor(voxel, dtype=torch.float64)
    prompts = Prompts(place[None, None], torch.ones(1, 1), torch.cat([place, place])[None])
    height, width = frame.stored(masks, 0).shape
    ((index, here),) = frame.turn_all(prompts_by_slice(prompts, axis, masks), (height, width)).items()
    picture = frame.turn(frame.stored(torch.from_numpy(voxels), index))
    ((y, x),) = (picture == voxels[voxel]).nonzero().tolist()
    assert here.prompts.points.tolist() == [[[x, y]]]
    assert here.prompts.boxes.tolist() == [[x, y, x, y]]
    assert here.masks.nonzero().tolist() == [[0, y, x]]
    assert here.prompts.points.dtype == here.prompts.boxes.dtype == torch.float32


@settings(max_examples=100, deadline=None)
@given(FRAMES, st.lists(st.tuples(EIGHTHS, EIGHTHS), min_size=2, max_size=4), st.tuples(*[st.integers(1, 6)] * 2))
def test_what_is_turned_comes_back_bit_for_bit(
    frame: SliceFrame, places: list[tuple[float, float]], size: tuple[int, int]
) -> None:
    height, width = size
    corners = torch.tensor([[*np.min(places, axis=0), *np.max(places, axis=0)], [torch.nan] * 4]).float()
    points = torch.tensor([places, places])
    prompts = Prompts(points, torch.ones(points.shape[:2]), corners)
    masks = torch.rand(2, height, width, generator=torch.Generator().manual_seed(0)) > 0.5
    turned = frame.turn_all({3: SlicePrompts([4, 7], prompts, masks)}, size)[3]
    assert turned.masks.shape == (2, *((width, height) if frame.transposed else (height, width)))
    (back,) = frame.inverse.turn_all({3: turned}, tuple(turned.masks.shape[1:])).values()
    assert back.objects == [4, 7]
    assert torch.equal(back.masks, masks)
    assert torch.equal(back.prompts.points, points)
    torch.testing.assert_close(back.prompts.boxes, corners, rtol=0, atol=0, equal_nan=True)


@pytest.mark.parametrize("angle", range(0, 360, 15))
def test_a_volume_turned_by_45_degrees_has_a_frame_for_each_of_its_axes(angle: int) -> None:
    turned = Rotation.from_euler("xyz", (0, 45, angle), degrees=True).as_matrix().astype(np.float32)
    affine = nib.affines.from_matvec(turned.astype(np.float64), (1, 2, 3))
    image = MetaTensor(torch.arange(120.0).reshape(1, *SIZES), affine=torch.from_numpy(affine))
    shown = Orientation(axcodes=DISPLAY_AXCODES, labels=None)(image)[0].numpy()
    assert sorted(plane_of(affine, axis) for axis in range(3)) == sorted(PLANES)
    for axis in range(3):
        frame = SliceFrame.of(affine, axis)
        first = frame.turn(frame.stored(image.as_tensor()[0], SIZES[axis] - 1 if frame.reversed else 0))
        np.testing.assert_array_equal(first, np.take(shown, 0, axis=PLANES.index(plane_of(affine, axis))).T)


@given(
    st.one_of(
        st.integers(0, 8).map(lambda k: k + 0.5),
        st.integers(0, 8).map(lambda k: k + 0.5 + 1e-9),
        st.floats(-0.499, 9.499),
    ),
    st.integers(0, 2),
)
def test_what_lies_half_way_between_two_slices_is_on_the_lower_one(coordinate: float, axis: int) -> None:
    place = [5.0, 6.0, 7.0]
    place[axis] = coordinate
    end = list(place)
    end[axis] = min(coordinate + 1, 9.499)
    prompts = read_volume_prompts([[place]], [[1]], [[*place, *end]], affine=np.eye(4), shape=(10, 10, 10))
    clicks = prompts_by_slice(Prompts(prompts.points, prompts.point_labels), axis)
    expected = int(np.ceil(round(coordinate, 3) - 0.5))
    assert list(clicks) == [expected]
    assert list(prompts_by_slice(Prompts(boxes=prompts.boxes), axis)) == list(
        range(expected, int(np.ceil(round(end[axis], 3) - 0.5)) + 1)
    )


def test_axes_in_one_plane_are_refused() -> None:
    with pytest.raises(ValueError, match="the axes of the volume do not span a space"):
        SliceFrame.of(np.diag([1.0, 1.0, 0.0, 1.0]), 2)
