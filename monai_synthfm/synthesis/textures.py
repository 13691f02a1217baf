# Copyright (c) monai_synthfm contributors
# Licensed under the Apache License, Version 2.0 (http://www.apache.org/licenses/LICENSE-2.0).
# SPDX-License-Identifier: Apache-2.0
"""Random textures: Perlin gradient noise, its fractal sum, and white noise correlated by a Gaussian.

Every texture is a small random lattice carried to the pixels by one small matrix per axis. Perlin noise is separable
in this sense too (see :func:`perlin_noise`), so that matrix products do all the work: exact, the same code in 2D and
3D, and fast on a CPU and on a GPU.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import partial

import torch
from monai.utils import ensure_tuple_rep

from monai_synthfm.synthesis.draws import draw_normal, draw_uniform

__all__ = ["MIN_CELL", "correlated_noise", "fractal_noise", "perlin_noise"]

MIN_CELL = 2.0  # pixels: of smaller Perlin cells the pixels would see white noise, or only the zeros
_GAUSS_REACH = 4.0  # standard deviations: where the Gaussian kernel ends
_BLOCK = 64  # lattice cells: keeps the matrices of a fine lattice small, and a coarse one in a single product


def perlin_noise(
    spatial_size: Sequence[int],
    scale: float | Sequence[float],
    *,
    generator: torch.Generator,
    phase: float | Sequence[float] = 0.0,
    device: torch.device | str | None = None,
) -> torch.Tensor:
    r"""Draw Perlin's gradient noise: smooth, band-limited, zero at every lattice point.

    With u = x / scale + phase, the lattice points j, unit gradients g_j of random direction and the quintic fade
    f(t) = 6t⁵ - 15t⁴ + 10t³::

        n(x) = Σ_j  w(u - j) g_j · (u - j),    w(d) = Π_a max(1 - f(|d_a|), 0)

    Since w is a product over the axes, the sum is a chain of matrix products along them. The mean is 0, the variance
    over all positions is 2^D B A^(D-1) with A = ∫ (1-f)² = 0.3918 and B = ∫ (1-f)² t² = 0.0297 over [0, 1] (0.0465 in
    2D, 0.0365 in 3D), and ``|n| <= √D / 2``.

    Source: K. Perlin, "Improving noise", SIGGRAPH 2002 (fade). The SynthFM paper (3.1) names Perlin noise and gives
    no parameter.

    Args:
        spatial_size: size in pixels of each of the D axes, D >= 1.
        scale: side of a lattice cell in pixels, at least 2; one number, or one per axis. Need not divide the size.
        generator: source of the gradients.
        phase: position of pixel 0 in its cell in [0, 1) cells, 0 being a lattice point; one number, or one per axis.
        device: of the result, the generator's if None.

    Returns:
        float32 tensor ``[*spatial_size]``.

    Raises:
        ValueError: when ``scale`` is below 2 pixels, ``phase`` outside [0, 1), or a size not positive.

    Example:
        >>> noise = perlin_noise((64, 96), scale=16, generator=torch.Generator().manual_seed(0))
        >>> noise.shape, bool(noise[::16, ::16].abs().max() < 1e-6)
        (torch.Size([64, 96]), True)
    """
    size = _checked_size(spatial_size)
    cells = ensure_tuple_rep(scale, len(size))
    if not min(cells) >= MIN_CELL:
        raise ValueError(f"scale must be at least {MIN_CELL:g} pixels, got {scale}.")
    offsets = ensure_tuple_rep(phase, len(size))
    if not 0 <= min(offsets) <= max(offsets) < 1:
        raise ValueError(f"phase must be in [0, 1) cells, got {phase}.")
    axes = list(zip(size, cells, offsets, strict=True))
    nodes = [int((n - 1) / cell) + 3 for n, cell in zip(size, cells, strict=True)]
    gradients = draw_normal((len(size), *nodes), generator, device)
    gradients *= gradients.square().sum(dim=0).clamp_min_(torch.finfo(gradients.dtype).tiny).rsqrt_()

    value, slopes = torch.zeros_like(gradients[0]), list(gradients)
    for n, cell, offset in axes:
        value = _spread([value, slopes[0]], n, cell, offset, reach=1.0, kernel=_perlin_weights)
        slopes = [_spread([slope], n, cell, offset, reach=1.0, kernel=_perlin_weights) for slope in slopes[1:]]
    return value


def fractal_noise(
    spatial_size: Sequence[int],
    scale: float | Sequence[float],
    *,
    octaves: int = 4,
    persistence: float = 0.5,
    lacunarity: float = 2.0,
    generator: torch.Generator,
    device: torch.device | str | None = None,
) -> torch.Tensor:
    r"""Draw fractal noise: octaves of Perlin noise of ever smaller cells and amplitudes, standardised.

    With n_k independent Perlin noises of cell scale / lacunarity^k, each at a random phase,

        s(x) = Σ_{k < octaves} persistence^k n_k(x),    result = (s - mean(s)) / std(s).

    The random phases keep the zeros of the octaves from falling on the same pixels. Octaves whose cell would be below
    2 pixels on any axis are left out, since pixels cannot show them. persistence = lacunarity^(-H) gives an amplitude
    spectrum of slope -(H + D/2) over the octaves' band.

    Source: the SynthFM paper (3.1) names Perlin noise; number and weights of the octaves are not given in the paper,
    our choice.

    Args:
        spatial_size: size in pixels of each of the D axes.
        scale: side of the largest lattice cell in pixels, at least 2; one number, or one per axis.
        octaves: number of octaves, at least 1.
        persistence: ratio of the amplitudes of an octave and the one before, in (0, 1].
        lacunarity: ratio of the cell of an octave and the next, above 1.
        generator: source of the gradients and phases.
        device: of the result, the generator's if None.

    Returns:
        float32 tensor ``[*spatial_size]`` of mean 0 and standard deviation 1 (all zeros for a single pixel).

    Raises:
        ValueError: when an argument is outside its range.

    Example:
        >>> texture = fractal_noise((8, 64, 64), scale=(4, 32, 32), generator=torch.Generator().manual_seed(0))
        >>> texture.shape, round(texture.std(correction=0).item(), 4)
        (torch.Size([8, 64, 64]), 1.0)
    """
    if octaves < 1:
        raise ValueError(f"octaves must be at least 1, got {octaves}.")
    if not 0 < persistence <= 1:
        raise ValueError(f"persistence must be in (0, 1], got {persistence}.")
    if lacunarity <= 1:
        raise ValueError(f"lacunarity must be above 1, got {lacunarity}.")
    size = _checked_size(spatial_size)
    cells = torch.tensor(ensure_tuple_rep(scale, len(size)), dtype=torch.float64)
    total = torch.zeros(size, device=generator.device if device is None else device)
    for octave in range(octaves):
        shrunk = (cells / lacunarity**octave).tolist()
        if octave > 0 and min(shrunk) < MIN_CELL:
            break
        phase = draw_uniform((len(size),), generator).tolist()
        noise = perlin_noise(size, shrunk, generator=generator, phase=phase, device=device)
        total += noise.mul_(persistence**octave)
    total -= total.mean()
    return total.div_(total.square().mean().sqrt().clamp_min(torch.finfo(total.dtype).tiny))


def correlated_noise(
    spatial_size: Sequence[int],
    sigma: float | Sequence[float],
    *,
    generator: torch.Generator,
    device: torch.device | str | None = None,
) -> torch.Tensor:
    r"""Draw Gaussian noise of variance 1 whose neighbours are correlated by a Gaussian kernel.

    White noise z_j on a lattice of spacing h = max(1, σ) pixels is blurred along each axis by rows of unit length,

        n(x) = Σ_j Π_a K_a(x_a, j_a) z_j,    K(x, j) ∝ exp(-(x - hj)² / 2σ²),    Σ_j K(x, j)² = 1,

    so the variance is exactly 1 at every pixel, up to the border. For σ >= 1 the correlation at distance r is
    exp(-r² / 4σ²), as of white noise on the pixels blurred by σ (the spacing h = σ errs by less than 1e-3), and it
    falls to 1/e at r = 2σ.

    Source: not given in the paper; the usual model of a band-limited system's noise and of speckle size.

    Args:
        spatial_size: size in pixels of each of the D axes.
        sigma: standard deviation of the kernel in pixels, 0 or more; one number, or one per axis. 0 is white noise.
        generator: source of the white noise.
        device: of the result, the generator's if None.

    Returns:
        float32 tensor ``[*spatial_size]``.

    Raises:
        ValueError: when ``sigma`` is negative.

    Example:
        >>> noise = correlated_noise((128, 128), sigma=2.0, generator=torch.Generator().manual_seed(0))
        >>> lag_one = (noise[:, 1:] * noise[:, :-1]).mean() / noise.square().mean()
        >>> bool((lag_one - 0.939).abs() < 0.02)  # exp(-1 / 16)
        True
    """
    size = _checked_size(spatial_size)
    sigmas = ensure_tuple_rep(sigma, len(size))
    if not min(sigmas) >= 0:
        raise ValueError(f"sigma must be 0 or more, got {sigma}.")
    if max(sigmas) == 0:
        return draw_normal(size, generator, device)
    cells = [max(1.0, s) for s in sigmas]
    margins = [int(_GAUSS_REACH * s / cell) + 1 for s, cell in zip(sigmas, cells, strict=True)]
    nodes = [int((n - 1) / cell) + 2 + 2 * m for n, cell, m in zip(size, cells, margins, strict=True)]
    field = draw_normal(nodes, generator, device)
    for n, s, cell, m in zip(size, sigmas, cells, margins, strict=True):
        width = max(s / cell, 1e-3)  # the kernel of an axis with sigma 0 is one pixel, not 0 / 0
        field = _spread([field], n, cell, float(m), reach=_GAUSS_REACH * width, kernel=partial(_gauss_weights, width))
    return field


def _spread(
    fields: list[torch.Tensor],
    n: int,
    cell: float,
    phase: float,
    *,
    reach: float,
    kernel: Callable[[torch.Tensor], list[torch.Tensor]],
) -> torch.Tensor:
    """Carry the first axis of lattice fields to n pixels, Σ_f Σ_j kernel_f(x / cell + phase - j) field_f[j].

    That axis moves last, so D calls treat the D axes in order. ``kernel`` gives at least as many weights as there are
    fields, in their order. The pixels go in blocks, each with the few lattice points in ``reach`` cells
    of it, which keeps the matrices small when the lattice is fine.
    """
    device = fields[0].device
    rest = fields[0].shape[1:]
    result = torch.empty(rest.numel(), n, device=device)
    block = int(_BLOCK * cell)
    for start in range(0, n, block):
        stop = min(start + block, n)
        first = max(math.floor(start / cell + phase - reach), 0)
        last = min(math.ceil((stop - 1) / cell + phase + reach) + 1, fields[0].shape[0])
        position = torch.arange(start, stop, device=device) / cell + phase
        weights = kernel(position[:, None] - torch.arange(first, last, device=device))
        near = [field[first:last].reshape(last - first, -1) for field in fields]
        lattice = near[0] if len(near) == 1 else torch.cat(near)
        torch.mm(lattice.T, torch.cat(weights[: len(fields)], dim=1).T, out=result[:, start:stop])
    return result.view(*rest, n)


def _perlin_weights(distance: torch.Tensor) -> list[torch.Tensor]:
    """Weights of a value and of a slope at a signed distance in cells."""
    t = distance.abs().clamp(max=1)
    weight = 1 - t**3 * (t * (6 * t - 15) + 10)
    return [weight, weight * distance]


def _gauss_weights(width: float, distance: torch.Tensor) -> list[torch.Tensor]:
    """Gaussian kernel of ``width`` cells with rows of unit length."""
    t = distance.abs() / width
    weight = torch.exp(-0.5 * t.square()).masked_fill(t > _GAUSS_REACH, 0)
    return [weight / weight.norm(dim=1, keepdim=True)]


def _checked_size(spatial_size: Sequence[int]) -> tuple[int, ...]:
    size = tuple(int(n) for n in spatial_size)
    if not size or min(size) < 1:
        raise ValueError(f"spatial_size must be one or more positive numbers, got {spatial_size}.")
    return size
