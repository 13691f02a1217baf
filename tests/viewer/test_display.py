# Copyright (c) monai_synthfm contributors
# Licensed under the Apache License, Version 2.0 (http://www.apache.org/licenses/LICENSE-2.0).
# SPDX-License-Identifier: Apache-2.0
"""Coarser grids: which voxels they show, where these lie, and which of them a change touches."""

from __future__ import annotations

import nibabel as nib
import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from monai_synthfm.viewer.display import DisplayGrid, display_nifti
from tests.bundles.stored_volumes import OBLIQUE

SHAPES = st.tuples(*[st.integers(1, 40)] * 3)


@settings(max_examples=60)
@given(SHAPES, st.integers(4, 50), st.integers(30, 70000))
def test_grids_fit_and_their_voxels_lie_where_they_are_taken_from(
    shape: tuple[int, int, int], side: int, voxels: int
) -> None:
    grid = DisplayGrid.fitting(shape, side, voxels)
    assert max(grid.sizes) <= side
    assert np.prod(grid.sizes) <= voxels
    numbers = np.arange(np.prod(shape), dtype=np.float32).reshape(shape)
    shown = nib.Nifti1Image.from_bytes(display_nifti(numbers, OBLIQUE, grid))
    taken = np.asarray(shown.dataobj)
    assert taken.shape == grid.sizes
    for corner in ((0, 0, 0), tuple(size - 1 for size in grid.sizes)):
        source = np.unravel_index(int(taken[corner]), shape)
        np.testing.assert_allclose(
            nib.affines.apply_affine(shown.affine, corner), nib.affines.apply_affine(OBLIQUE, source), atol=1e-3
        )


@settings(max_examples=60)
@given(SHAPES, st.integers(4, 50), st.data())
def test_boxes_of_a_grid_hold_what_a_change_touches(
    shape: tuple[int, int, int], side: int, data: st.DataObject
) -> None:
    grid = DisplayGrid.fitting(shape, side)
    ends = [sorted(data.draw(st.tuples(st.integers(0, n - 1), st.integers(0, n - 1)))) for n in shape]
    box = tuple(slice(low, high + 1) for low, high in ends)
    volume = np.zeros(shape, bool)
    volume[box] = True
    touched = volume[grid.steps]
    here = grid.box(box)
    expected = np.zeros(grid.sizes, bool)
    expected[here] = True
    np.testing.assert_array_equal(touched, expected)
    if touched.any():
        assert volume[grid.in_volume(here)].shape == tuple(part.stop - part.start for part in here)
        assert volume[grid.in_volume(here)].all()


def test_whole_numbers_are_sent_as_such() -> None:
    grid = DisplayGrid.fitting((4, 3, 2), 10)
    for values, expected in (([-1024, 3071], np.int16), ([0.5, 3], np.float32), ([0, 70000], np.float32)):
        voxels = np.resize(np.array(values, np.float32), (4, 3, 2))
        image = nib.Nifti1Image.from_bytes(display_nifti(voxels, OBLIQUE, grid))
        assert image.get_data_dtype() == expected
        np.testing.assert_array_equal(np.asarray(image.dataobj), voxels)
