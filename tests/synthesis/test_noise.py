# Copyright (c) monai_synthfm contributors
# Licensed under the Apache License, Version 2.0 (http://www.apache.org/licenses/LICENSE-2.0).
# SPDX-License-Identifier: Apache-2.0
"""Noise models against their theory: moments, distributions, correlations."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest
import torch
from scipy import stats

from monai_synthfm.synthesis.noise import (
    FULLY_DEVELOPED_STD,
    gaussian_noise,
    poisson_noise,
    rician_noise,
    speckle_noise,
)

SIZE = (1, 400, 400)
NOISES: dict[str, Callable[[torch.Tensor, torch.Generator], torch.Tensor]] = {
    "gaussian": lambda image, generator: gaussian_noise(image, 0.1, generator=generator),
    "poisson": lambda image, generator: poisson_noise(image, 30.0, generator=generator),
    "rician": lambda image, generator: rician_noise(image, 0.1, generator=generator),
    "speckle": lambda image, generator: speckle_noise(image, 0.1, generator=generator),
    "correlated": lambda image, generator: speckle_noise(image, 0.1, correlation=1.5, generator=generator),
    "rayleigh": lambda image, generator: speckle_noise(image, 0.3, model="rayleigh", generator=generator),
}
EVERY_NOISE = pytest.mark.parametrize("noise", NOISES.values(), ids=NOISES.keys())


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def sample(values: torch.Tensor) -> np.ndarray:
    """A few thousand values: enough for a test of the distribution, few enough to be fast."""
    return values.flatten()[::31].double().numpy()


def test_gaussian_noise_is_normal_around_the_image() -> None:
    noisy = gaussian_noise(torch.full(SIZE, 0.4), 0.07, generator=seeded())
    assert stats.kstest(sample(noisy), stats.norm(0.4, 0.07).cdf).pvalue > 0.01


def test_rician_background_is_rayleigh() -> None:
    noisy = rician_noise(torch.zeros(SIZE), 0.05, generator=seeded())
    assert stats.kstest(sample(noisy), stats.rayleigh(scale=0.05).cdf).pvalue > 0.01


def test_rician_signal_follows_the_rice_distribution() -> None:
    noisy = rician_noise(torch.full(SIZE, 0.1), 0.05, generator=seeded())
    assert stats.kstest(sample(noisy), stats.rice(b=0.1 / 0.05, scale=0.05).cdf).pvalue > 0.01
    assert noisy.double().square().mean().item() == pytest.approx(0.1**2 + 2 * 0.05**2, rel=0.01)


@pytest.mark.parametrize("photons", [0.3, 4.0, 9.9, 10.1, 25.0, 400.0])
def test_poisson_counts_follow_the_poisson_distribution(photons: float) -> None:
    peak = 500.0
    counts = poisson_noise(torch.full((1, 1000, 1000), photons / peak), peak, generator=seeded(1)).double() * peak
    values = counts.round()
    assert (counts - values).abs().max() < 1e-3
    assert values.min() >= 0
    assert values.mean().item() == pytest.approx(photons, abs=5 * math.sqrt(photons / 1e6))
    assert (values.var() / values.mean()).item() == pytest.approx(1, abs=0.01)  # index of dispersion
    levels = np.arange(int(values.max()) + 1)
    found = np.cumsum(np.bincount(values.flatten().long().numpy())) / 1e6
    # 1.63 / sqrt(n) is the 1 % limit of the Kolmogorov statistic, 3e-4 the documented error of the approximation
    assert np.abs(found - stats.poisson.cdf(levels, photons)).max() < 1.63e-3 + 3e-4


def test_poisson_variance_grows_with_the_signal_and_is_zero_without_one() -> None:
    image = torch.tensor([0.0, 0.25, 1.0, -0.5]).view(1, 4, 1).expand(1, 4, 40000)
    noisy = poisson_noise(image, 80.0, generator=seeded()).double()
    assert torch.equal(noisy[0, 0], torch.zeros(40000, dtype=torch.float64))
    assert torch.equal(noisy[0, 3], torch.zeros(40000, dtype=torch.float64))
    assert noisy[0, 1].var().item() == pytest.approx(0.25 / 80, rel=0.04)
    assert noisy[0, 2].var().item() == pytest.approx(1.0 / 80, rel=0.04)


def test_speckle_scales_with_the_signal() -> None:
    image = torch.tensor([0.0, 0.2, 0.8]).view(1, 3, 1).expand(1, 3, 40000)
    noisy = speckle_noise(image, 0.15, generator=seeded()).double()
    assert noisy[0].mean(dim=1).tolist() == pytest.approx([0, 0.2, 0.8], abs=0.003)
    assert noisy[0].std(dim=1).tolist() == pytest.approx([0, 0.03, 0.12], rel=0.02)


@pytest.mark.parametrize("model", ["gaussian", "rayleigh"])
@pytest.mark.parametrize("correlation", [0.0, 0.6, 2.0])
def test_speckle_keeps_its_strength_whatever_the_correlation(model: str, correlation: float) -> None:
    factor = speckle_noise(
        torch.ones(1, 800, 800), 0.3, correlation=correlation, model=model, generator=seeded(2)
    ).double()
    assert factor.mean().item() == pytest.approx(1, abs=0.01)
    assert factor.std().item() == pytest.approx(0.3, rel=0.03)


def test_correlated_speckle_has_the_correlation_length_asked() -> None:
    sigma = 2.5
    factor = speckle_noise(torch.ones(1, 800, 800), 0.2, correlation=sigma, generator=seeded(3)).double()[0] - 1
    found = (factor[:, 5:] * factor[:, :-5]).mean() / factor.square().mean()
    assert found.item() == pytest.approx(math.exp(-1), abs=0.04)  # 1/e at twice the kernel's standard deviation


def test_fully_developed_speckle_is_rayleigh_with_mean_one() -> None:
    factor = speckle_noise(torch.ones(SIZE), FULLY_DEVELOPED_STD, model="rayleigh", generator=seeded(4))
    assert factor.min() > -1e-6
    assert stats.kstest(sample(factor), stats.rayleigh(scale=math.sqrt(2 / math.pi)).cdf).pvalue > 0.01


def test_each_channel_gets_its_own_speckle() -> None:
    factor = speckle_noise(torch.ones(2, 100, 100), 0.2, correlation=1.0, generator=seeded()).double() - 1
    assert abs((factor[0] * factor[1]).mean() / 0.04) < 0.1


@EVERY_NOISE
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
@pytest.mark.parametrize("shape", [(1, 12, 9), (2, 5, 6, 7)])
def test_shape_and_dtype_are_kept_and_the_image_is_left_alone(
    noise: Callable[[torch.Tensor, torch.Generator], torch.Tensor], dtype: torch.dtype, shape: tuple[int, ...]
) -> None:
    image = torch.full(shape, 0.5, dtype=dtype)
    noisy = noise(image, seeded())
    assert (noisy.shape, noisy.dtype) == (image.shape, dtype)
    assert torch.isfinite(noisy).all()
    assert not torch.equal(noisy, image)
    assert torch.equal(image, torch.full(shape, 0.5, dtype=dtype))


@EVERY_NOISE
def test_the_same_seed_gives_the_same_noise_and_another_seed_another(
    noise: Callable[[torch.Tensor, torch.Generator], torch.Tensor],
) -> None:
    image = torch.rand(1, 30, 20, generator=seeded(9))
    assert torch.equal(noise(image, seeded(5)), noise(image, seeded(5)))
    assert not torch.equal(noise(image, seeded(5)), noise(image, seeded(6)))


@pytest.mark.parametrize(
    "noise",
    [
        lambda image: gaussian_noise(image, 0.0, generator=seeded()),
        lambda image: rician_noise(image, 0.0, generator=seeded()),
        lambda image: speckle_noise(image, 0.0, generator=seeded()),
    ],
)
def test_noise_of_strength_zero_is_the_image(noise: Callable[[torch.Tensor], torch.Tensor]) -> None:
    image = torch.rand(1, 16, 16, generator=seeded(1))
    assert torch.equal(noise(image), image)


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda x: gaussian_noise(x, -0.1, generator=seeded()), ValueError, "std must be a finite number of 0 or more"),
        (lambda x: rician_noise(x, math.nan, generator=seeded()), ValueError, "std must be a finite number"),
        (lambda x: poisson_noise(x, 0.0, generator=seeded()), ValueError, "peak must be above 0"),
        (lambda x: speckle_noise(x, 0.6, model="rayleigh", generator=seeded()), ValueError, "at most 0.5227"),
        (lambda x: speckle_noise(x, 0.1, correlation=-1, generator=seeded()), ValueError, "correlation must be"),
        (
            lambda x: speckle_noise(x, 0.1, model="gamma", generator=seeded()),
            ValueError,
            "gaussian, rayleigh, got 'gamma'",
        ),
        (lambda x: gaussian_noise(x.long(), 0.1, generator=seeded()), TypeError, "floating point, got torch.int64"),
    ],
)
def test_arguments_out_of_range_are_named(
    call: Callable[[torch.Tensor], torch.Tensor], error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        call(torch.ones(1, 4, 4))
