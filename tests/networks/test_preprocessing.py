# Copyright (c) monai_synthfm contributors
# Licensed under the Apache License, Version 2.0 (http://www.apache.org/licenses/LICENSE-2.0).
# SPDX-License-Identifier: Apache-2.0
"""Square inputs against segment-anything's and MedSAM's own recipes."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from segment_anything.utils.transforms import ResizeLongestSide
from torch.nn import functional as F

from monai_synthfm.networks.contrast_channels import contrast_channels
from monai_synthfm.networks.preprocessing import longest_side_size, medsam_input, sam_input

MEAN, STD = torch.full((3, 1, 1), 100.0), torch.full((3, 1, 1), 50.0)


@given(st.integers(8, 5000), st.integers(8, 5000), st.sampled_from([256, 512, 1024]))
def test_longest_side_equals_upstream(height: int, width: int, longest: int) -> None:
    expected = ResizeLongestSide.get_preprocess_shape(height, width, longest)
    assert longest_side_size((height, width), longest) == tuple(max(side, 1) for side in expected)


def test_padding_is_zero_after_normalisation() -> None:
    square, size = sam_input(torch.ones(1, 1, 32, 64), 64, MEAN, STD)
    assert size == (32, 64)
    torch.testing.assert_close(square[:, :, :32], torch.full((1, 3, 32, 64), (255 - 100) / 50))
    assert not square[:, :, 32:].any()


def test_resizing_is_close_to_pillows() -> None:
    smooth = np.add.outer(np.sin(np.arange(200) / 20), np.cos(np.arange(300) / 25))
    image = np.uint8(255 * (smooth - smooth.min()) / np.ptp(smooth))
    expected = ResizeLongestSide(96).apply_image(np.stack([image] * 3, axis=-1))
    square, size = sam_input(torch.from_numpy(image)[None, None] / 255, 96, torch.zeros(3, 1, 1), torch.ones(3, 1, 1))
    assert size == expected.shape[:2] == (64, 96)
    np.testing.assert_allclose(square[0, :, :64].permute(1, 2, 0), expected, atol=1.0)


@pytest.mark.parametrize("channels", [1, 3])
def test_medsam_squashes_to_a_square_and_stretches_each_image(channels: int) -> None:
    skimage = pytest.importorskip("skimage.transform")
    y, x = np.mgrid[:50, :80] / 40
    images = np.stack([0.3 + 0.1 * np.sin(3 * y + 2 * x), 0.5 + 0.4 * np.cos(2 * y - x)]).astype(np.float32)
    square, size = medsam_input(torch.from_numpy(images)[:, None].expand(-1, channels, -1, -1), 64)
    assert size == (64, 64)
    assert square.shape == (2, 3, 64, 64)
    for image, found in zip(images, square, strict=True):
        expected = skimage.resize(image, (64, 64), order=3, mode="reflect", anti_aliasing=False)
        expected = (expected - expected.min()) / (expected.max() - expected.min())
        np.testing.assert_allclose(found[1], expected, atol=0.02)
        assert (found.min(), found.max()) == (0.0, 1.0)


def test_medsam_does_not_stretch_a_blank_image() -> None:
    assert medsam_input(torch.full((1, 1, 8, 8), 0.4), 16)[0].max() < 1e-4


def test_contrast_is_that_of_the_resized_image_without_its_padding() -> None:
    image = torch.rand(2, 1, 20, 40)
    resized = F.interpolate(image, (24, 48), mode="bilinear", align_corners=False, antialias=True)
    found, size = sam_input(image, 48, MEAN, STD, contrast=True)
    assert size == (24, 48)
    torch.testing.assert_close(found[:, :, :24], (255.0 * contrast_channels(resized) - MEAN) / STD)
    assert not found[:, :, 24:].any()
