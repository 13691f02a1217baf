# Copyright (c) monai_synthfm contributors
# Licensed under the Apache License, Version 2.0 (http://www.apache.org/licenses/LICENSE-2.0).
# SPDX-License-Identifier: Apache-2.0
"""Partial volume against brute force: masks on a fine grid, blurred, and averaged over pixels and sub-slices."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy import ndimage

from monai_synthfm.synthesis.partial_volume import gaussian_blur, slice_coverage


def cone(radius: float, slope: float, size: int, position: np.ndarray, fine: int = 1) -> np.ndarray:
    """Signed distance in pixels from a cone's surface, in the plane of each of some slices."""
    axis = (np.arange(size * fine) + 0.5) / fine - 0.5 - (size - 1) / 2
    return radius + slope * position - np.hypot(axis[:, None], axis[None])[..., None]


@pytest.mark.parametrize(("slope", "sigma"), [(0.0, 0.0), (1.5, 0.0), (-4.0, 0.0), (2.0, 0.8), (0.3, 1.5)])
def test_coverage_is_the_mean_of_a_finely_sampled_mask(slope: float, sigma: float) -> None:
    size, depth, fine, subslices = 40, 3, 10, 20
    faces = np.arange(depth + 1) - 0.5
    found = slice_coverage(torch.from_numpy(cone(12.0, slope, size, faces)), torch.full((depth,), sigma))
    for index in range(depth):
        inner = index - 0.5 + (np.arange(subslices) + 0.5) / subslices
        mask = (cone(12.0, slope, size, inner, fine) > 0).astype(float).mean(axis=2)
        blurred = ndimage.gaussian_filter(mask, sigma * fine, mode="nearest") if sigma else mask
        expected = blurred.reshape(size, fine, size, fine).mean(axis=(1, 3))
        difference = np.abs(found[:, :, index].numpy() - expected)
        assert difference.max() < 0.11  # a uniform kernel in place of the pixel and the Gaussian
        assert difference.mean() < 0.015


@given(
    st.floats(-8, 8, width=32),
    st.floats(-8, 8, width=32),
    st.floats(0, 2, width=32),
)
def test_coverage_agrees_with_numerical_integration(before: float, after: float, sigma: float) -> None:
    found = float(slice_coverage(torch.tensor([before, after]), torch.tensor([sigma])))
    positions = np.linspace(before, after, 20001) / np.sqrt(1 + 12 * sigma**2)
    assert found == pytest.approx(float(np.clip(positions + 0.5, 0, 1).mean()), abs=2e-3)


def test_every_slice_is_blurred_by_its_own_gaussian() -> None:
    volume = torch.from_numpy(np.random.RandomState(0).rand(20, 24, 3).astype(np.float32))
    sigmas = (0.0, 0.7, 1.6)
    blurred = gaussian_blur(volume, sigmas, axes=(0, 1))
    for index, sigma in enumerate(sigmas):
        plain = volume[:, :, index].numpy()
        expected = ndimage.gaussian_filter(plain, sigma, mode="nearest", radius=5) if sigma else plain
        np.testing.assert_allclose(blurred[:, :, index].numpy(), expected, atol=1e-5)


def test_without_blur_the_volume_is_left_alone() -> None:
    volume = torch.rand(4, 4, 2)
    assert gaussian_blur(volume, (0.0, 0.1), axes=(0, 1)) is volume
