# Copyright (c) monai_synthfm contributors
# Licensed under the Apache License, Version 2.0 (http://www.apache.org/licenses/LICENSE-2.0).
# SPDX-License-Identifier: Apache-2.0
"""Channels of contrast against numpy's histograms and scipy's Gaussian averages."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from scipy import ndimage
from skimage import exposure

from monai_synthfm.networks.contrast_channels import contrast_channels, equalized, local_contrast

SIZES = st.tuples(st.integers(1, 20), st.integers(1, 20))
IMAGES = arrays.arrays(np.float32, SIZES, elements=st.floats(0, 1, width=32))


def smooth_image(height: int, width: int, seed: int = 0) -> np.ndarray:
    noise = ndimage.gaussian_filter(np.random.default_rng(seed).normal(size=(height, width)), 6)
    return ((noise - noise.min()) / np.ptp(noise)).astype(np.float32)


def as_batch(*images: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(np.stack(images))[:, None]


def test_without_a_limit_the_histogram_is_equalised_as_by_scikit_image() -> None:
    image = smooth_image(120, 90) ** 3
    expected = exposure.equalize_hist(image, nbins=256)
    np.testing.assert_allclose(equalized(as_batch(image), clip=256.0)[0, 0], expected, atol=0.01)


@given(IMAGES, st.floats(1.5, 20))
def test_equalising_keeps_the_order_of_grey_values_and_the_range(image: np.ndarray, clip: float) -> None:
    found = equalized(as_batch(image), clip)[0, 0].numpy()
    order = np.argsort(image, axis=None)
    assert (np.diff(found.ravel()[order]) >= -1e-6).all()
    assert found.min() >= 0.0
    assert found.max() <= 1.0


@given(IMAGES)
def test_a_limit_of_one_leaves_the_image_as_it_is(image: np.ndarray) -> None:
    np.testing.assert_allclose(equalized(as_batch(image), clip=1.0)[0, 0], image, atol=1e-5)


def test_the_limit_is_the_largest_gain_of_contrast() -> None:
    image = np.linspace(0.0, 1.0, 10000, dtype=np.float32).reshape(100, 100)
    image[10:90] = np.linspace(0.49, 0.51, 100)  # most of the image within five grey levels
    most = np.s_[10:90]
    limited, free = (equalized(as_batch(image), clip)[0, 0].numpy()[most] for clip in (8.0, 256.0))
    assert np.ptp(limited) <= 8.0 * np.ptp(image[most]) * 1.1
    assert np.ptp(limited) > 5.0 * np.ptp(image[most])
    assert np.ptp(free) > 0.7


@pytest.mark.parametrize("size", [(40, 60), (300, 200)])
def test_local_contrast_is_the_step_over_scipys_gaussian_averages(size: tuple[int, int]) -> None:
    image = smooth_image(*size, seed=1).astype(np.float64)
    sigma = 0.08 * max(size)
    mean = ndimage.gaussian_filter(image, sigma, mode="nearest")
    spread = np.sqrt(np.maximum(ndimage.gaussian_filter(image**2, sigma, mode="nearest") - mean**2, 0.0))
    expected = np.clip(0.5 + 0.25 * (image - mean) / (spread + 0.02), 0.0, 1.0)
    found = local_contrast(as_batch(image.astype(np.float32)))[0, 0].numpy()
    assert np.abs(found - expected).mean() < 0.01
    assert np.abs(found - expected).max() < 0.1


def test_channels_are_those_of_each_image_alone_and_colours_are_averaged() -> None:
    first, second = smooth_image(30, 40), smooth_image(30, 40, seed=2) / 2
    both = contrast_channels(as_batch(first, second))
    for image, channels in zip((first, second), both, strict=True):
        alone = contrast_channels(as_batch(image))[0]
        torch.testing.assert_close(channels, alone, atol=1e-4, rtol=0)
        np.testing.assert_array_equal(channels[0], image)
    colours = torch.from_numpy(np.stack([first, second, second])[None])
    torch.testing.assert_close(contrast_channels(colours), contrast_channels(colours.mean(dim=1, keepdim=True)))


def test_channels_of_images_of_one_value_are_finite() -> None:
    for value in (0.0, 0.4, 1.0):
        channels = contrast_channels(torch.full((1, 1, 1, 7), value))
        assert channels.isfinite().all()
        assert (channels[0, 2] - 0.5).abs().max() < 1e-4


def test_low_precision_changes_nothing_but_the_rounding_of_the_result() -> None:
    tissue = 0.9 + 0.01 * torch.randn(1, 1, 200, 200, generator=torch.Generator().manual_seed(0))
    image = torch.zeros(1, 1, 300, 300)
    image[..., 50:250, 50:250] = tissue.clamp(max=1.0)
    expected = contrast_channels(image)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        torch.testing.assert_close(contrast_channels(image), expected)
    half = contrast_channels(image.half())
    assert half.dtype == torch.float16
    torch.testing.assert_close(half.float(), contrast_channels(image.half().float()), atol=1e-3, rtol=0)


def test_a_strip_of_an_image_keeps_the_reach_of_the_whole() -> None:
    stripes = 0.5 + 0.3 * torch.sin(torch.arange(512) / 40).expand(1, 1, 512, 512)
    whole, strip = local_contrast(stripes), local_contrast(stripes[..., :24, :])
    torch.testing.assert_close(strip, whole[..., :24, :], atol=1e-3, rtol=0)


@pytest.mark.parametrize("value", [torch.nan, torch.inf])
def test_values_that_are_not_finite_are_refused(value: float) -> None:
    with pytest.raises(ValueError, match="finite values only"):
        contrast_channels(torch.tensor([[[[0.5, value]]]]))
