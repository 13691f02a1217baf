# Copyright (c) monai_synthfm contributors
# Licensed under the Apache License, Version 2.0 (http://www.apache.org/licenses/LICENSE-2.0).
# SPDX-License-Identifier: Apache-2.0
"""Tests of reading volumes, compared with nibabel's own reorientation."""

from __future__ import annotations

from itertools import permutations, product
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from monai_synthfm.io.canonical_volumes import (
    canonical_volume,
    nifti_spacing,
    read_nifti,
    read_nifti_labels,
    spacing_in_ras,
    whole_labels,
)
from monai_synthfm.io.faults import FaultError

AXES = [np.array(order) for order in permutations(range(3))]
SIGNS = [np.array(signs) for signs in product((-1.0, 1.0), repeat=3)]


@given(st.sampled_from(AXES), st.sampled_from(SIGNS), st.tuples(*[st.floats(0.3, 9)] * 3), st.floats(-0.3, 0.3))
@settings(max_examples=60)
def test_any_orientation_ends_as_nibabel_would_have_it(
    order: np.ndarray, signs: np.ndarray, spacing: tuple[float, float, float], tilt: float
) -> None:
    turn = np.array([[np.cos(tilt), -np.sin(tilt), 0], [np.sin(tilt), np.cos(tilt), 0], [0, 0, 1]])
    affine = np.eye(4)
    affine[:3, :3] = (turn * signs)[:, order] * spacing
    affine[:3, 3] = [10, -20, 30]
    voxels = np.arange(24.0, dtype=np.float32).reshape(2, 3, 4)
    found = canonical_volume(voxels, affine, "x.nii")
    expected = nib.as_closest_canonical(nib.Nifti1Image(voxels, affine))
    np.testing.assert_array_equal(found[0].numpy(), expected.get_fdata())
    np.testing.assert_allclose(found.affine.numpy(), expected.affine, atol=1e-5)
    direction = affine[:3, :3] / spacing
    np.testing.assert_allclose(spacing_in_ras(spacing, direction.ravel()), found.pixdim, atol=1e-5)


def test_header_alone_gives_the_spacing_of_the_loaded_volume(tmp_path: Path) -> None:
    affine = np.zeros((4, 4))
    affine[0, 2], affine[1, 0], affine[2, 1], affine[3, 3] = -3, 1, 2, 1
    nib.save(nib.Nifti1Image(np.arange(24, dtype=np.int16).reshape(2, 3, 4), affine), tmp_path / "a.nii.gz")
    assert nifti_spacing(tmp_path / "a.nii.gz") == read_nifti(tmp_path / "a.nii.gz").pixdim.tolist() == [3, 1, 2]
    assert nifti_spacing(tmp_path / "a.nii.gz", as_stored=True) == [1, 2, 3]


@pytest.mark.parametrize("dtype", [np.uint8, np.int16, np.uint16, np.float32, np.float64])
def test_labels_of_all_stored_types_become_int16(tmp_path: Path, dtype: type) -> None:
    values = np.arange(24).reshape(2, 3, 4).astype(dtype)
    nib.save(nib.Nifti1Image(values, np.eye(4)), tmp_path / "a.nii")
    found = read_nifti_labels(tmp_path / "a.nii").numpy()
    assert found.dtype == np.int16
    np.testing.assert_array_equal(found[0], values)


@pytest.mark.parametrize("value", [0.5, np.nan, np.inf, -1, 40000])
def test_labels_that_are_none_are_refused(value: float) -> None:
    with pytest.raises(FaultError, match="unexpected_label"):
        whole_labels(np.array([0.0, value]), "mask.nii")


def test_trailing_axes_of_one_are_dropped_and_others_refused(tmp_path: Path) -> None:
    nib.save(nib.Nifti1Image(np.ones((2, 3, 4, 1), np.uint8), np.eye(4)), tmp_path / "a.nii")
    assert read_nifti_labels(tmp_path / "a.nii").shape == (1, 2, 3, 4)
    for shape in ((2, 3), (2, 3, 4, 2)):
        nib.save(nib.Nifti1Image(np.ones(shape, np.uint8), np.eye(4)), tmp_path / "b.nii")
        with pytest.raises(FaultError, match="expected 3 dimensions"):
            read_nifti_labels(tmp_path / "b.nii")
