# Copyright (c) monai_synthfm contributors
# Licensed under the Apache License, Version 2.0 (http://www.apache.org/licenses/LICENSE-2.0).
# SPDX-License-Identifier: Apache-2.0
"""The noise library of SynthFM (paper 3.1): Gaussian, Poisson, speckle and Rician noise of an image.

The paper names the noise kinds and gives no parameter. No function clips: the physics ends where the caller's display
range begins. The generator must live on the image's device; the same seed there gives the same noise bit for bit.
"""

from __future__ import annotations

import math

import torch

from monai_synthfm.synthesis.textures import correlated_noise

__all__ = ["FULLY_DEVELOPED_STD", "SPECKLE_MODELS", "gaussian_noise", "poisson_noise", "rician_noise", "speckle_noise"]

FULLY_DEVELOPED_STD = math.sqrt(4 / math.pi - 1)  # standard deviation / mean of Rayleigh amplitudes, 0.5227
SPECKLE_MODELS = ("gaussian", "rayleigh")
_EXACT_POISSON_BELOW = 10.0  # photons


def gaussian_noise(image: torch.Tensor, std: float, *, generator: torch.Generator) -> torch.Tensor:
    """Add white Gaussian noise: I + n, n ~ N(0, std²), the noise of electronics.

    Args:
        image: floating-point tensor of any shape.
        std: standard deviation in units of the image's intensity, 0 or more.
        generator: on the image's device.

    Raises:
        TypeError: when the image is not floating point.
        ValueError: when ``std`` is negative.

    Example:
        >>> noisy = gaussian_noise(torch.full((1, 64, 64), 0.5), 0.1, generator=torch.Generator().manual_seed(0))
        >>> bool((noisy.std() - 0.1).abs() < 0.005)
        True
    """
    _check(image, std=std)
    return image + std * _normal_like(image, generator)


def rician_noise(image: torch.Tensor, std: float, *, generator: torch.Generator) -> torch.Tensor:
    """Make the noise of magnitude MR images: √((I + n₁)² + n₂²), n₁, n₂ ~ N(0, std²).

    Where I = 0 the result follows a Rayleigh distribution with mean std √(π/2); where I >> std it is nearly I + n₁.
    The second moment is I² + 2 std² everywhere.

    Source: H. Gudbjartsson and S. Patz, "The Rician distribution of noisy MRI data", MRM 1995.

    Args:
        image: floating-point tensor of any shape, 0 or more.
        std: standard deviation of the real and the imaginary channel in units of the image's intensity, 0 or more.
        generator: on the image's device.

    Raises:
        TypeError: when the image is not floating point.
        ValueError: when ``std`` is negative.

    Example:
        >>> noisy = rician_noise(torch.zeros(1, 64, 64), 0.1, generator=torch.Generator().manual_seed(0))
        >>> bool((noisy.mean() - 0.1253).abs() < 0.005)
        True
    """
    _check(image, std=std)
    return torch.hypot(image + std * _normal_like(image, generator), std * _normal_like(image, generator))


def poisson_noise(image: torch.Tensor, peak: float, *, generator: torch.Generator) -> torch.Tensor:
    """Count photons: Poisson(peak I) / peak, the quantum noise of X-rays and light.

    The mean is I, the variance I / peak. The paper calls it multiplicative: unlike additive noise it is zero where
    the signal is zero and grows with it (as its square root).

    Below 10 photons the counts are exact draws. From 10 on they are the normal draw z with its Cornish-Fisher terms
    for a Poisson variable, round(λ + s z + (z² - 1) / 6 + (z - z³) / 72s), s² = λ - 1/12 (rounding adds 1/12),
    several times faster and with the same mean and variance; the distribution function is off by less than 3e-4.

    Args:
        image: floating-point tensor of any shape; values below 0 send no photons.
        peak: number of photons at intensity 1, above 0. Less is noisier.
        generator: on the image's device.

    Raises:
        TypeError: when the image is not floating point.
        ValueError: when ``peak`` is not above 0.

    Example:
        >>> noisy = poisson_noise(torch.full((1, 64, 64), 0.5), 200, generator=torch.Generator().manual_seed(0))
        >>> bool((noisy.var() - 0.5 / 200).abs() < 0.0002)
        True
    """
    _check(image, peak=peak)
    if peak == 0:
        raise ValueError("peak must be above 0 photons, got 0.")
    rate = image.to(torch.promote_types(image.dtype, torch.float32)).clamp_min(0) * peak
    few = rate < _EXACT_POISSON_BELOW
    counts = torch.poisson(rate.where(few, 0), generator=generator)
    z = _normal_like(rate, generator)
    spread = (rate - 1 / 12).clamp_min_(1).sqrt_()
    skewness = (z / spread).mul_(-1 / 72).add_(1 / 6)
    many = torch.addcmul(rate, spread, z).addcmul_(z.square().sub_(1), skewness).round_().clamp_min_(0)
    counts = counts.where(few, many)
    return (counts / peak).to(image.dtype)


def speckle_noise(
    image: torch.Tensor,
    std: float,
    *,
    generator: torch.Generator,
    correlation: float = 0.0,
    model: str = "gaussian",
) -> torch.Tensor:
    r"""Multiply by a random field of mean 1: I (1 + std n), the noise of ultrasound and other coherent imaging.

    - ``gaussian``: n ~ N(0, 1), the common textbook speckle.
    - ``rayleigh``: n = (A - 1) / c with A = √(n₁² + n₂²) / √(π/2), the amplitude of many interfering echoes scaled to
      mean 1, and c = √(4/π - 1) = 0.5227 its standard deviation. std = c is fully developed speckle, I A; less is
      speckle reduced by compounding.

    n, n₁, n₂ are white, or correlated by a Gaussian kernel of ``correlation`` pixels with their variance kept
    (:func:`~monai_synthfm.synthesis.textures.correlated_noise`), since real speckle has the size of the imaging
    system's point spread.

    Source: the paper names speckle only; Rayleigh model from C. B. Burckhardt, "Speckle in ultrasound B-mode scans",
        1978.

    Args:
        image: floating-point tensor ``[C, *spatial]``; each channel gets its own noise.
        std: standard deviation of the factor, 0 or more, at most 0.5227 for ``rayleigh`` (a factor is never negative
            there).
        generator: on the image's device.
        correlation: standard deviation in pixels of the kernel that correlates the Gaussian fields. 0 is white.
        model: ``gaussian`` or ``rayleigh``.

    Raises:
        TypeError: when the image is not floating point.
        ValueError: when ``std``, ``correlation`` or ``model`` is outside its range.

    Example:
        >>> generator = torch.Generator().manual_seed(0)
        >>> noisy = speckle_noise(torch.ones(1, 64, 64), 0.2, generator=generator, correlation=1.0)
        >>> bool((noisy.std() - 0.2).abs() < 0.02)
        True
    """
    _check(image, std=std, correlation=correlation)
    if model not in SPECKLE_MODELS:
        raise ValueError(f"model must be one of {', '.join(SPECKLE_MODELS)}, got {model!r}.")
    if model == "gaussian":
        field = _correlated_like(image, correlation, generator)
    else:
        if std > FULLY_DEVELOPED_STD + 1e-9:
            raise ValueError(f"std must be at most {FULLY_DEVELOPED_STD:.4f} for rayleigh speckle, got {std}.")
        amplitude = torch.hypot(
            _correlated_like(image, correlation, generator), _correlated_like(image, correlation, generator)
        )
        field = (amplitude / math.sqrt(math.pi / 2) - 1) / FULLY_DEVELOPED_STD
    return image * (1 + std * field)


def _normal_like(image: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
    return torch.randn(image.shape, dtype=image.dtype, device=image.device, generator=generator)


def _correlated_like(image: torch.Tensor, correlation: float, generator: torch.Generator) -> torch.Tensor:
    channels = [correlated_noise(image.shape[1:], correlation, generator=generator) for _ in range(image.shape[0])]
    return torch.stack(channels).to(image.dtype)


def _check(image: torch.Tensor, **strengths: float) -> None:
    if not image.is_floating_point():
        raise TypeError(f"image must be floating point, got {image.dtype}.")
    for name, value in strengths.items():
        if not 0 <= value < math.inf:
            raise ValueError(f"{name} must be a finite number of 0 or more, got {value}.")
