# Copyright (c) monai_synthfm contributors
# Licensed under the Apache License, Version 2.0 (http://www.apache.org/licenses/LICENSE-2.0).
# SPDX-License-Identifier: Apache-2.0
"""The noise library of SynthFM (paper 3.1): Gaussian, Poisson, speckle and Rician noise of an image.

The paper names the noise kinds and gives no parameter. No function clips: the physics ends where the caller's display
range begins. The generator draws on its own device, whatever the image's: from a CPU generator the same seed gives the
same noise on every device, up to rounding.
"""

from __future__ import annotations

import math

import torch

from monai_synthfm.synthesis.draws import draw_normal
from monai_synthfm.synthesis.textures import correlated_noise

__all__ = ["FULLY_DEVELOPED_STD", "SPECKLE_MODELS", "gaussian_noise", "poisson_noise", "rician_noise", "speckle_noise"]

FULLY_DEVELOPED_STD = math.sqrt(4 / math.pi - 1)  # standard deviation / mean of Rayleigh amplitudes, 0.5227
SPECKLE_MODELS = ("gaussian", "rayleigh")
_EXACT_POISSON_BELOW = 10.0  # photons
_MOST_PHOTONS = 64
_NEVER = 1e-9  # probability of a count that the sum of single-precision probabilities cannot tell from none


def gaussian_noise(image: torch.Tensor, std: float, *, generator: torch.Generator) -> torch.Tensor:
    """Add white Gaussian noise: I + n, n ~ N(0, std²), the noise of electronics.

    Args:
        image: floating-point tensor of any shape.
        std: standard deviation in units of the image's intensity, 0 or more.
        generator: draws on its own device.

    Raises:
        TypeError: when the image is not floating point.
        ValueError: when ``std`` is negative.

    Example:
        >>> noisy = gaussian_noise(torch.full((1, 64, 64), 0.5), 0.1, generator=torch.Generator().manual_seed(0))
        >>> bool((noisy.std() - 0.1).abs() < 0.005)
        True
    """
    _check(image, std=std)
    return _normal_like(image, generator).mul_(std).add_(image)


def rician_noise(image: torch.Tensor, std: float, *, generator: torch.Generator) -> torch.Tensor:
    """Make the noise of magnitude MR images: √((I + n₁)² + n₂²), n₁, n₂ ~ N(0, std²).

    Where I = 0 the result follows a Rayleigh distribution with mean std √(π/2); where I >> std it is nearly I + n₁.
    The second moment is I² + 2 std² everywhere.

    Source: H. Gudbjartsson and S. Patz, "The Rician distribution of noisy MRI data", MRM 1995.

    Args:
        image: floating-point tensor of any shape, 0 or more.
        std: standard deviation of the real and the imaginary channel in units of the image's intensity, 0 or more.
        generator: draws on its own device.

    Raises:
        TypeError: when the image is not floating point.
        ValueError: when ``std`` is negative.

    Example:
        >>> noisy = rician_noise(torch.zeros(1, 64, 64), 0.1, generator=torch.Generator().manual_seed(0))
        >>> bool((noisy.mean() - 0.1253).abs() < 0.005)
        True
    """
    _check(image, std=std)
    real = _normal_like(image, generator).mul_(std).add_(image)
    return real.hypot_(_normal_like(image, generator).mul_(std))


def poisson_noise(image: torch.Tensor, peak: float, *, generator: torch.Generator) -> torch.Tensor:
    """Count photons: Poisson(peak I) / peak, the quantum noise of X-rays and light.

    The mean is I, the variance I / peak. The paper calls it multiplicative: unlike additive noise it is zero where
    the signal is zero and grows with it (as its square root).

    Every pixel takes one normal number z. Below 10 photons the count is exact, the smallest k with P(N <= k) >= Φ(z).
    From 10 on it is z with its Cornish-Fisher terms for a Poisson variable, round(λ + s z + (z² - 1) / 6 +
    (z - z³) / 72s), s² = λ - 1/12 (rounding adds 1/12), several times faster and with the same mean and variance; the
    distribution function is off by less than 3e-4. Another device's rounding can so move single pixels by one photon,
    never the pixels after them.

    Args:
        image: floating-point tensor of any shape; values below 0 send no photons.
        peak: number of photons at intensity 1, above 0. Less is noisier.
        generator: draws on its own device.

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
    z = _normal_like(rate, generator)
    spread = (rate - 1 / 12).clamp_min_(1).sqrt_()
    skewness = (z / spread).mul_(-1 / 72).add_(1 / 6)
    counts = torch.addcmul(rate, spread, z).addcmul_(z.square().sub_(1), skewness).round_().clamp_min_(0)
    few = rate < _EXACT_POISSON_BELOW
    counts[few] = _poisson_quantile(rate[few], torch.special.ndtr(z[few]))
    return counts.div_(peak).to(image.dtype)


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
        generator: draws on its own device.
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
        field = _correlated_like(image, correlation, generator)
        field.hypot_(_correlated_like(image, correlation, generator))
        field.div_(math.sqrt(math.pi / 2)).sub_(1).div_(FULLY_DEVELOPED_STD)
    return field.mul_(std).add_(1).mul_(image)


def _poisson_quantile(rate: torch.Tensor, probability: torch.Tensor) -> torch.Tensor:
    """Smallest counts whose distribution function reaches a probability, for rates of a few photons."""
    count = torch.zeros_like(rate)
    term = torch.exp(-rate)
    missing = probability - term
    for k in range(1, _MOST_PHOTONS + 1):
        short = (missing > 0) & (term > _NEVER)
        if not short.any():
            break
        count += short
        term.mul_(rate).div_(k)
        missing.sub_(term)
    return count


def _normal_like(image: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
    return draw_normal(image.shape, generator, image.device, image.dtype)


def _correlated_like(image: torch.Tensor, correlation: float, generator: torch.Generator) -> torch.Tensor:
    field = torch.empty_like(image)
    for channel in field:
        channel.copy_(correlated_noise(image.shape[1:], correlation, generator=generator, device=image.device))
    return field


def _check(image: torch.Tensor, **strengths: float) -> None:
    if not image.is_floating_point():
        raise TypeError(f"image must be floating point, got {image.dtype}.")
    for name, value in strengths.items():
        if not 0 <= value < math.inf:
            raise ValueError(f"{name} must be a finite number of 0 or more, got {value}.")
