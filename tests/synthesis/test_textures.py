# Copyright (c) monai_synthfm contributors
# Licensed under the Apache License, Version 2.0 (http://www.apache.org/licenses/LICENSE-2.0).
# SPDX-License-Identifier: Apache-2.0
"""Textures against their definitions: Perlin's corner sum, its variance, spectra, correlations."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from monai_synthfm.synthesis.textures import correlated_noise, fractal_noise, perlin_noise


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def perlin_by_corners(gradients: np.ndarray, position: np.ndarray) -> float:
    """Perlin's own recipe for one point: interpolate the ramps of the corners of its cell with the quintic fade."""
    cell = np.floor(position).astype(int)
    total = 0.0
    for corner in itertools.product((0, 1), repeat=len(position)):
        offset = position - cell - corner
        faded = [6 * abs(t) ** 5 - 15 * abs(t) ** 4 + 10 * abs(t) ** 3 for t in offset]
        total += math.prod(1 - f for f in faded) * float(gradients[(slice(None), *(cell + corner))] @ offset)
    return total


@pytest.mark.parametrize(
    ("size", "scale", "phase"),
    [
        ((40, 33), (7.3, 4.0), (0.0, 0.0)),
        ((200, 9), (2.0, 5.5), (0.25, 0.9)),
        ((12, 9, 10), (4.0, 3.1, 6.0), (0.0, 0.5, 0.1)),
    ],
)
def test_perlin_equals_the_sum_over_cell_corners(
    size: tuple[int, ...], scale: tuple[float, ...], phase: tuple[float, ...]
) -> None:
    noise = perlin_noise(size, scale, phase=phase, generator=seeded(3))
    nodes = [int((n - 1) / s) + 3 for n, s in zip(size, scale, strict=True)]
    gradients = torch.randn(len(size), *nodes, generator=seeded(3)).double().numpy()
    gradients /= np.linalg.norm(gradients, axis=0)
    for pixel in np.random.default_rng(0).integers(0, size, size=(60, len(size))):
        expected = perlin_by_corners(gradients, pixel / np.array(scale) + np.array(phase))
        assert noise[tuple(pixel)].item() == pytest.approx(expected, abs=2e-4)


@pytest.mark.parametrize(("size", "every"), [((64, 48), 8), ((128, 128), 2), ((16, 24, 32), 4)])
def test_perlin_is_zero_at_lattice_points_and_not_between(size: tuple[int, ...], every: int) -> None:
    noise = perlin_noise(size, every, generator=seeded())
    nodes = noise[(slice(None, None, every),) * len(size)]
    assert nodes.abs().max() < 1e-6
    assert noise.abs().max() > 0.1


@pytest.mark.parametrize(("size", "variance"), [((1024, 1024), 0.0465), ((96, 96, 96), 0.0365)])
def test_perlin_has_the_mean_variance_and_bound_of_theory(size: tuple[int, ...], variance: float) -> None:
    scale = 8.3  # not a divisor, so that positions inside the cell are evenly used
    noise = perlin_noise(size, scale, generator=seeded(1)).double()
    assert abs(noise.mean()) < 0.005
    assert noise.var().item() == pytest.approx(variance, rel=0.03)
    assert noise.abs().max() <= math.sqrt(len(size)) / 2 + 1e-6


def test_perlin_is_smooth_across_cell_borders() -> None:
    noise = perlin_noise((600, 600), 100, generator=seeded(2)).double()
    second_difference = noise[2:] - 2 * noise[1:-1] + noise[:-2]
    # |n''| is of order 10 per cell squared; a jump in slope at a border would be of order 1 per pixel
    assert second_difference.abs().max() < 20 / 100**2


def test_perlin_has_no_preferred_axis() -> None:
    noise = perlin_noise((1024, 1024), 8, generator=seeded(4)).double()
    down, right = noise.diff(dim=0).square().mean(), noise.diff(dim=1).square().mean()
    assert (down / right).item() == pytest.approx(1, abs=0.03)


def radial_power(field: torch.Tensor) -> tuple[np.ndarray, np.ndarray]:
    """Mean power per integer radius of the 2D spectrum: (cycles per image, power)."""
    n = field.shape[0]
    window = np.hanning(n)[:, None] * np.hanning(n)
    power = np.abs(np.fft.fft2(field.numpy() * window)) ** 2
    frequency = np.fft.fftfreq(n, 1 / n)
    radius = np.hypot(frequency[:, None], frequency).round().astype(int).ravel()
    return np.arange(n // 2), (np.bincount(radius, power.ravel()) / np.bincount(radius))[: n // 2]


def test_perlin_power_lies_in_the_band_around_one_cycle_per_two_cells() -> None:
    radius, power = radial_power(perlin_noise((512, 512), 16, generator=seeded(5)))
    energy = power * radius
    in_band = (radius > 512 / 16 / 4) & (radius < 512 / 16 * 1.5)
    assert energy[in_band].sum() > 0.9 * energy.sum()
    assert energy[radius > 512 / 4].sum() < 1e-3 * energy.sum()


@pytest.mark.parametrize("persistence", [0.35, 0.5, 0.8])
def test_fractal_spectrum_falls_with_the_slope_that_persistence_sets(persistence: float) -> None:
    powers = []
    for seed in range(4):
        radius, power = radial_power(
            fractal_noise((512, 512), 64, octaves=6, persistence=persistence, generator=seeded(seed))
        )
        powers.append(power)
    band = (radius >= 6) & (radius <= 96)
    log_radius, log_power = np.log2(radius[band]), np.log2(np.mean(powers, axis=0)[band])
    slope = np.polyfit(log_radius, log_power, 1, w=1 / np.sqrt(radius[band]))[0]
    assert slope == pytest.approx(
        2 * math.log2(persistence) - 2, abs=0.35
    )  # power: -2 (H + D / 2), H = -log2(persistence)


@pytest.mark.parametrize("size", [(300, 200), (24, 40, 30)])
def test_fractal_is_standardised(size: tuple[int, ...]) -> None:
    texture = fractal_noise(size, 16.5, generator=seeded()).double()
    assert texture.shape == size
    assert abs(texture.mean()) < 1e-6
    assert texture.var(correction=0).item() == pytest.approx(1, abs=1e-5)


def test_fractal_of_one_octave_is_a_perlin_noise_up_to_offset_and_factor() -> None:
    texture = fractal_noise((80, 60), 12, octaves=1, generator=seeded(6)).double()
    generator = seeded(6)
    phase = torch.rand(2, generator=generator).tolist()
    noise = perlin_noise((80, 60), 12, phase=phase, generator=generator).double()
    assert torch.allclose(texture, (noise - noise.mean()) / noise.std(correction=0), atol=1e-5)


def test_fractal_leaves_out_octaves_that_pixels_cannot_show() -> None:
    kept, asked = (fractal_noise((64, 64), 8, octaves=octaves, generator=seeded()) for octaves in (3, 9))
    assert torch.equal(kept, asked)
    assert not torch.equal(kept, fractal_noise((64, 64), 8, octaves=2, generator=seeded()))


def test_fractal_of_one_pixel_is_zero_and_finite() -> None:
    assert fractal_noise((1, 1), 8, generator=seeded()).item() == 0


@pytest.mark.parametrize("sigma", [1.0, 1.7, 4.0])
def test_correlated_noise_has_the_correlation_of_blurred_white_noise(sigma: float) -> None:
    noise = correlated_noise((1024, 1024), sigma, generator=seeded(7)).double()
    for lag in range(1, int(3 * sigma) + 1):
        expected = math.exp(-(lag**2) / (4 * sigma**2))
        assert (noise[lag:] * noise[:-lag]).mean().item() == pytest.approx(expected, abs=0.03)
        assert (noise[:, lag:] * noise[:, :-lag]).mean().item() == pytest.approx(expected, abs=0.03)
    diagonal = (noise[1:, 1:] * noise[:-1, :-1]).mean().item()
    assert diagonal == pytest.approx(math.exp(-2 / (4 * sigma**2)), abs=0.03)


@pytest.mark.parametrize("sigma", [0.0, 0.4, 1.0, 2.6, (0.0, 3.0)])
def test_correlated_noise_has_variance_one_at_every_pixel_border_included(sigma: float | tuple[float, float]) -> None:
    draws = torch.stack([correlated_noise((20, 17), sigma, generator=seeded(seed)) for seed in range(4000)]).double()
    variance = draws.square().mean(dim=0)
    assert (variance - 1).abs().max() < 5 * math.sqrt(2 / 4000)
    assert variance.mean().item() == pytest.approx(1, abs=0.02)


def test_correlated_noise_in_3d_is_correlated_only_along_the_axes_asked() -> None:
    noise = correlated_noise((40, 80, 80), (0.0, 2.0, 0.5), generator=seeded()).double()
    assert abs((noise[1:] * noise[:-1]).mean()) < 0.02
    assert (noise[:, 1:] * noise[:, :-1]).mean().item() == pytest.approx(math.exp(-1 / 16), abs=0.03)


def test_correlated_noise_is_normal() -> None:
    sample = correlated_noise((640, 640), 2.0, generator=seeded(8))[::16, ::16].flatten()  # 8 sigma apart: independent
    assert stats.kstest(sample.numpy(), "norm").pvalue > 0.01


DRAWS: list[Callable[[tuple[int, ...], torch.Generator], torch.Tensor]] = [
    lambda size, generator: perlin_noise(size, 5.5, generator=generator),
    lambda size, generator: fractal_noise(size, 9, generator=generator),
    lambda size, generator: correlated_noise(size, 1.5, generator=generator),
]


@pytest.mark.parametrize("draw", DRAWS, ids=["perlin", "fractal", "correlated"])
@settings(max_examples=25)
@given(size=st.lists(st.integers(1, 30), min_size=1, max_size=3), seed=st.integers(0, 2**31 - 2))
def test_textures_of_any_size_are_finite_and_follow_from_the_seed(
    draw: Callable[[tuple[int, ...], torch.Generator], torch.Tensor], size: list[int], seed: int
) -> None:
    first, again, other = (draw(tuple(size), seeded(s)) for s in (seed, seed, seed + 1))
    assert first.shape == tuple(size)
    assert first.dtype == torch.float32
    assert torch.isfinite(first).all()
    assert torch.equal(first, again)
    assert first.numel() < 100 or not torch.equal(first, other)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: perlin_noise((8, 8), 1.5, generator=seeded()), "scale must be at least 2 pixels, got 1.5"),
        (lambda: perlin_noise((8, 8), float("nan"), generator=seeded()), "scale must be"),
        (lambda: perlin_noise((8, 8), 4, phase=1.0, generator=seeded()), r"phase must be in \[0, 1\) cells, got 1.0"),
        (lambda: perlin_noise((8, 0), 4, generator=seeded()), "spatial_size must be"),
        (lambda: fractal_noise((8, 8), 4, octaves=0, generator=seeded()), "octaves must be at least 1, got 0"),
        (lambda: fractal_noise((8, 8), 4, persistence=0, generator=seeded()), "persistence must be in"),
        (lambda: fractal_noise((8, 8), 4, lacunarity=1, generator=seeded()), "lacunarity must be above 1, got 1"),
        (lambda: correlated_noise((8, 8), -1, generator=seeded()), "sigma must be 0 or more, got -1"),
    ],
)
def test_arguments_out_of_range_are_named(call: Callable[[], torch.Tensor], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        call()
