# Copyright (c) monai_synthfm contributors
# Licensed under the Apache License, Version 2.0 (http://www.apache.org/licenses/LICENSE-2.0).
# SPDX-License-Identifier: Apache-2.0
"""The way back to the file against MONAI's own inverse, voxel for voxel."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from monai.data import MetaTensor
from monai.transforms import Compose, Invertd, Orientationd
from nibabel.orientations import apply_orientation, inv_ornt_aff
from scipy.spatial.transform import Rotation

from monai_synthfm.data.file_frame import ToFileFramed
from tests.bundles.stored_volumes import OBLIQUE, ORIENTATIONS

SIZES = (4, 5, 6)
SHOWN = Compose([Orientationd(keys="image", axcodes="LPI", labels=None)])


def stored(affine: np.ndarray, sizes: tuple[int, ...]) -> MetaTensor:
    voxels = torch.arange(float(np.prod(sizes))).reshape(1, *sizes)
    return MetaTensor(voxels, affine=torch.from_numpy(affine), meta={"original_affine": torch.from_numpy(affine)})


@settings(max_examples=60)
@given(orientation=st.sampled_from(ORIENTATIONS), count=st.integers(1, 3), kind=st.sampled_from(["float16", "uint8"]))
def test_it_gives_what_monai_inverts_in_the_memory_of_what_it_is_given(
    orientation: np.ndarray, count: int, kind: str
) -> None:
    sizes = apply_orientation(np.zeros(SIZES), orientation).shape
    item = SHOWN({"image": stored(OBLIQUE @ inv_ornt_aff(orientation, SIZES), sizes)})
    repeated = item["image"].as_tensor().repeat(count, 1, 1, 1).to(getattr(torch, kind))
    pred = MetaTensor(repeated, affine=item["image"].affine)
    pred += torch.arange(count)[:, None, None, None].to(pred.dtype)
    expected = Invertd("pred", SHOWN, orig_keys="image")({**item, "pred": pred.clone()})["pred"]
    found = ToFileFramed("pred")({**item, "pred": pred})["pred"]
    assert torch.equal(found.as_tensor(), expected.as_tensor())
    assert torch.equal(found[0].float().as_tensor(), stored(np.eye(4), sizes)[0].as_tensor())
    np.testing.assert_allclose(found.affine, expected.affine)
    assert found.untyped_storage().data_ptr() == pred.untyped_storage().data_ptr()


@pytest.mark.parametrize("angle", range(0, 360, 15))
def test_volumes_turned_by_45_degrees_come_back_too(angle: int) -> None:
    turned = np.eye(4)
    turned[:3, :3] = Rotation.from_euler("xyz", (0, 45, angle), degrees=True).as_matrix()
    item = SHOWN({"image": stored(turned.astype(np.float32).astype(np.float64), SIZES)})
    found = ToFileFramed("pred")({**item, "pred": item["image"].clone()})["pred"]
    assert torch.equal(found.as_tensor(), stored(turned, SIZES).as_tensor())
