# Copyright (c) monai_synthfm contributors
# Licensed under the Apache License, Version 2.0 (http://www.apache.org/licenses/LICENSE-2.0).
# SPDX-License-Identifier: Apache-2.0
"""Rendering step by step against numpy and scipy: painting, textures, blur, noise, window, and their order."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy import ndimage

from monai_synthfm.synthesis.appearance import (
    NOISES,
    TEXTURES,
    AppearanceParams,
    NoiseParams,
    TextureParams,
    render_regions,
)
from monai_synthfm.synthesis.boundaries import CanvasParams, fill_canvas
from monai_synthfm.synthesis.noise import gaussian_noise, speckle_noise
from monai_synthfm.synthesis.textures import correlated_noise, fractal_noise


def blocks(side: int = 96) -> torch.Tensor:
    """Three regions, of which the second has an edge in the middle of the image."""
    regions = torch.zeros(side, side + 8, dtype=torch.long)
    regions[side // 4 : side // 2] = 1
    regions[side // 2 :, side // 3 :] = 2
    return regions


def window(image: np.ndarray) -> np.ndarray:
    """The 0.5 to 99.5 percentiles of all pixels become 0 to 1."""
    low, high = np.quantile(image, [0.005, 0.995])
    return np.clip((image - low) / (high - low), 0.0, 1.0)


def seeded(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def plain(**changes: object) -> AppearanceParams:
    return AppearanceParams(**{"base": (0.2, 0.5, 0.8), "textures": (), "blur": 0.0, "noises": (), **changes})


def test_regions_are_painted_and_stretched() -> None:
    expected = window(np.array([0.2, 0.5, 0.8])[blocks().numpy()])
    np.testing.assert_allclose(render_regions(blocks(), plain()).numpy(), expected, atol=1e-6)


@pytest.mark.parametrize("sigma", [0.05, 0.3, 1.0, 2.7])
def test_blur_is_a_gaussian_that_continues_the_edge_pixels(sigma: float) -> None:
    painted = np.array([0.2, 0.5, 0.8])[blocks().numpy()]
    expected = window(ndimage.gaussian_filter(painted, sigma, mode="nearest", truncate=3.0))
    np.testing.assert_allclose(render_regions(blocks(), plain(blur=sigma)).numpy(), expected, atol=1e-4)


def test_blur_works_in_three_dimensions() -> None:
    regions = torch.zeros(12, 10, 14, dtype=torch.long)
    regions[4:8, 3:7, 5:9] = 1
    expected = window(ndimage.gaussian_filter(regions.double().numpy(), 1.2, mode="nearest", truncate=3.0))
    rendered = render_regions(regions, plain(base=(0.0, 1.0), blur=1.2))
    np.testing.assert_allclose(rendered.numpy(), expected, atol=1e-5)


def test_blur_leaves_a_constant_image_alone() -> None:
    image = render_regions(torch.zeros(20, 20, dtype=torch.long), plain(base=(0.3,), blur=2.0))
    np.testing.assert_allclose(image.numpy(), 0.3, atol=1e-6)


@pytest.mark.parametrize(("kind", "function"), [("perlin", fractal_noise), ("grain", correlated_noise)])
def test_textures_are_added_with_the_amplitude_of_each_region(kind: str, function: object) -> None:
    texture = TextureParams(kind, 6.0, (0.0, 0.05, 0.1), seed=5)
    field = function(tuple(blocks().shape), 6.0, generator=seeded(5)).double().numpy()  # type: ignore[operator]
    painted = np.array([0.2, 0.5, 0.8])[blocks().numpy()]
    expected = window(painted + field * np.array([0.0, 0.05, 0.1])[blocks().numpy()])
    np.testing.assert_allclose(render_regions(blocks(), plain(textures=(texture,))).numpy(), expected, atol=1e-5)


def test_blur_comes_before_noise_and_noises_come_in_their_order() -> None:
    noises = (NoiseParams("gaussian", 0.05, 1.0, 3), NoiseParams("speckle", 0.1, 2.0, 4))
    painted = torch.from_numpy(
        ndimage.gaussian_filter(np.array([0.2, 0.5, 0.8])[blocks().numpy()], 1.5, mode="nearest")
    )
    first = gaussian_noise(painted.float()[None], 0.05, generator=seeded(3)).clamp_min(0.0)
    second = speckle_noise(first, 0.1, correlation=2.0, generator=seeded(4))[0]
    rendered = render_regions(blocks(), plain(blur=1.5, noises=noises)).numpy()
    np.testing.assert_allclose(rendered, window(second.double().numpy()), atol=2e-3)
    turned = render_regions(blocks(), plain(blur=1.5, noises=noises[::-1])).numpy()
    assert np.abs(turned - rendered).max() > 0.01


@pytest.mark.parametrize("kind", NOISES)
def test_strength_is_the_standard_deviation_at_intensity_one(kind: str) -> None:
    image = torch.ones(1, 256, 256)
    noisy = NOISES[kind](image, 0.04, 4.0, seeded(0))
    assert noisy.std().item() == pytest.approx(0.04, rel=0.1)
    assert noisy.mean().item() == pytest.approx(1.0, abs=0.01)


@pytest.mark.parametrize("kind", TEXTURES)
def test_textures_have_mean_zero_and_variance_one(kind: str) -> None:
    field = TEXTURES[kind]((256, 256), 4.0, generator=seeded(0))
    assert field.mean().item() == pytest.approx(0.0, abs=0.1)
    assert field.std().item() == pytest.approx(1.0, rel=0.1)


def test_a_canvas_fills_regions_above_zero() -> None:
    canvas = CanvasParams(0.4, 0.5, 0.05, (0.0, 1.0), 0.1, seed=2)
    expected = window(fill_canvas(blocks() > 0, canvas).double().numpy())
    np.testing.assert_allclose(render_regions(blocks(), plain(base=canvas)).numpy(), expected, atol=1e-5)


def test_window_of_a_large_image_uses_a_sample_of_its_pixels() -> None:
    regions = torch.arange(600 * 600).view(600, 600) % 500
    values = tuple(np.linspace(0.0, 1.0, 500) ** 2)
    expected = window(np.array(values)[regions.numpy()])
    np.testing.assert_allclose(render_regions(regions, plain(base=values)).numpy(), expected, atol=0.01)


def test_the_result_lies_in_the_unit_interval_and_only_the_seeds_decide() -> None:
    params = plain(
        blur=1.0,
        textures=(TextureParams("grain", 2.0, (0.5, 0.5, 0.5), 1),),
        noises=tuple(NoiseParams(kind, 0.3, 4.0, seed) for seed, kind in enumerate(NOISES)),
    )
    first = render_regions(blocks(), params)
    torch.manual_seed(1)
    state = torch.random.get_rng_state()
    assert torch.equal(first, render_regions(blocks(), params))
    assert torch.equal(state, torch.random.get_rng_state())
    assert first.dtype == torch.float32
    assert first.min() >= 0.0
    assert first.max() <= 1.0
