# Copyright (c) monai_synthfm contributors
# Licensed under the Apache License, Version 2.0 (http://www.apache.org/licenses/LICENSE-2.0).
# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from itertools import product

import numpy as np
import pytest
import SimpleITK as sitk  # noqa: N813

from monai_synthfm.prompts.coordinates import apply_affine, map_boxes, to_voxels

AFFINE = np.array([[0.0, -2.0, 0.1, 5.0], [1.5, 0.0, 0.0, -7.0], [0.0, 0.3, 4.0, 3.0], [0.0, 0.0, 0.0, 1.0]])


def test_world_and_lps_agree_with_itk() -> None:
    # ITK keeps orthonormal directions only, so the affine here has no shear.
    affine = np.array([[0.0, -2.0, 0.0, 5.0], [1.5, 0.0, 0.0, -7.0], [0.0, 0.0, 4.0, 3.0], [0.0, 0.0, 0.0, 1.0]])
    lps = np.diag([-1.0, -1.0, 1.0, 1.0]) @ affine
    spacing = np.linalg.norm(lps[:3, :3], axis=0)
    image = sitk.Image(6, 7, 8, sitk.sitkUInt8)
    image.SetSpacing(spacing.tolist())
    image.SetDirection((lps[:3, :3] / spacing).ravel().tolist())
    image.SetOrigin(lps[:3, 3].tolist())
    index = (4, 2, 7)
    point = np.array(image.TransformIndexToPhysicalPoint(index))
    np.testing.assert_allclose(apply_affine(to_voxels(affine, "lps"), point), index, atol=1e-9)
    np.testing.assert_allclose(apply_affine(to_voxels(affine, "world"), point * [-1, -1, 1]), index, atol=1e-9)


def test_voxels_are_left_alone() -> None:
    np.testing.assert_array_equal(to_voxels(AFFINE, "voxel"), np.eye(4))


def test_missing_boxes_stay_missing_among_others() -> None:
    boxes = np.array([[np.nan] * 6, [0, 0, 0, 1, 2, 3]])
    mapped = map_boxes(AFFINE, boxes)
    assert np.isnan(mapped[0]).all()
    corners = np.array([AFFINE[:3, :3] @ corner + AFFINE[:3, 3] for corner in product((0, 1), (0, 2), (0, 3))])
    np.testing.assert_allclose(mapped[1], [*corners.min(0), *corners.max(0)])


def test_unknown_space_is_refused() -> None:
    with pytest.raises(ValueError, match="space must be one of voxel, world, lps, got 'ras'"):
        to_voxels(AFFINE, "ras")
