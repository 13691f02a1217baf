# Copyright (c) monai_synthfm contributors
# Licensed under the Apache License, Version 2.0 (http://www.apache.org/licenses/LICENSE-2.0).
# SPDX-License-Identifier: Apache-2.0
"""What a scanner does to an image of tissue: shading, echoes and shadows, field of view, display window."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F

from monai_synthfm.synthesis.draws import seeded_generator
from monai_synthfm.synthesis.params import Params
from monai_synthfm.synthesis.textures import MIN_CELL, correlated_noise, fractal_noise
from monai_synthfm.synthesis.window import stretch_quantiles

__all__ = ["AcquisitionParams", "FieldOfViewParams", "UltrasoundParams", "acquire", "field_of_view"]


@dataclass(frozen=True)
class FieldOfViewParams(Params):
    """Where the image shows anything; lengths are fractions of the image's shorter side.

    Args:
        kind: ``disc`` (of a CT reconstruction) or ``fan`` (of a curved ultrasound probe).
        center: (x, y) of the disc, or of the apex from which the fan's beams spread.
        radii: (smallest, largest) distance from the centre.
        angles: (first, last) angle of the fan in radians from straight down, positive to the right; unused for a disc.
        outside: value outside the field.
    """

    kind: str
    center: tuple[float, float]
    radii: tuple[float, float]
    angles: tuple[float, float]
    outside: float


@dataclass(frozen=True)
class UltrasoundParams(Params):
    """Echoes of a probe whose beams leave one apex; lengths are fractions of the image's shorter side.

    Args:
        apex: (x, y) that the beams come from, far above the image for a straight probe.
        speckle: strength of the Rayleigh speckle, 0 to 1 (fully developed).
        grain: size of a speckle (along, across the beam) in pixels.
        shadows: (beam angle, half width in radians, distance from the apex where it begins, factor behind it).
        attenuation: exponent of the decay of echoes with depth over the image, negative where gain overcompensates.
        contrast: exponent that turns tissue intensities into echo amplitudes.
        dynamic_range: in decibels, what log compression shows between black and white.
        seed: of the speckle.
    """

    apex: tuple[float, float]
    speckle: float
    grain: tuple[float, float]
    shadows: tuple[tuple[float, float, float, float], ...]
    attenuation: float
    contrast: float
    dynamic_range: float
    seed: int


@dataclass(frozen=True)
class AcquisitionParams(Params):
    """What ``acquire`` needs; it works in this order.

    Args:
        shading: (strength, cell size in pixels, seed) of a smooth factor exp(strength n), the bias field of coils.
        ultrasound: echoes instead of tissue, or None.
        window: (low, high) quantiles of the image that become 0 and 1; what lies beyond saturates.
        gamma: exponent of the display curve.
        field: of view, or None for the whole image.
        levels: intensities that become 0 and 1 instead of those at the quantiles, as in a fixed window of CT; or None.
    """

    shading: tuple[float, float, int] | None
    ultrasound: UltrasoundParams | None
    window: tuple[float, float]
    gamma: float
    field: FieldOfViewParams | None
    levels: tuple[float, float] | None = None


def acquire(image: torch.Tensor, params: AcquisitionParams, slice_distance: float = 1.0) -> torch.Tensor:
    r"""Turn an image of tissue into what a scanner displays of it.

    .. math:: I' = \operatorname{window}(\operatorname{echo}(I \, e^{s n}))^\gamma \text{ inside the field of view}

    Slices of a volume share scanner, shading, gain and window, but each has speckle of its own.

    Args:
        image: ``[H, W]``, or slices ``[S, H, W]``, float32, 0 or more.
        params: see ``AcquisitionParams``.
        slice_distance: distance of the slices in pixels.

    Returns:
        Image of the same shape, float32 in [0, 1].

    Source: not given in the paper; our choice. Ultrasound: log-compressed Rayleigh amplitudes (C. B. Burckhardt,
    "Speckle in ultrasound B-mode scans", 1978).

    Example:
        >>> plain = AcquisitionParams(None, None, (0.0, 1.0), 1.0, None)
        >>> [round(value, 3) for value in acquire(torch.tensor([[0.2, 0.3, 0.4]]), plain)[0].tolist()]
        [0.0, 0.5, 1.0]
    """
    if params.shading is not None:
        strength, scale, seed = params.shading
        cells = (max(MIN_CELL, scale / slice_distance), scale, scale)[-image.ndim :]
        shading = fractal_noise(image.shape, cells, octaves=1, generator=seeded_generator(seed), device=image.device)
        image = image * (strength * shading).exp()
    if params.ultrasound is not None:
        image = _echo(image, params.ultrasound)
    visible = None if params.field is None else field_of_view(params.field, image.shape[-2:], image.device)
    if params.levels is not None:
        low, high = params.levels
        image = ((image - low) / (high - low)).clamp(0.0, 1.0)
    else:
        image = stretch_quantiles(image, params.window, None if visible is None else image[..., visible])
    image = image**params.gamma
    if params.field is not None and visible is not None:
        image = image.where(visible, params.field.outside)
    return image


def field_of_view(params: FieldOfViewParams, size: torch.Size, device: torch.device) -> torch.Tensor:
    """Return where the image shows anything, booleans ``[H, W]``."""
    distance, angle = _beams(params.center, size, device)
    visible = (distance >= params.radii[0]) & (distance <= params.radii[1])
    if params.kind == "fan":
        visible &= (angle >= params.angles[0]) & (angle <= params.angles[1])
    return visible


def _echo(image: torch.Tensor, params: UltrasoundParams) -> torch.Tensor:
    distance, angle = _beams(params.apex, image.shape[-2:], image.device)
    nearest = distance.amin()
    gain = (-params.attenuation * (distance - nearest)).exp()
    for beam, half_width, depth, factor in params.shadows:
        across = torch.sigmoid((half_width - (angle - beam).abs()) * (8.0 / half_width))
        behind = torch.sigmoid((distance - depth) * 60.0)
        gain = gain * (1.0 - (1.0 - factor) * across * behind)
    image = image.clamp_min(0.0) ** params.contrast * gain
    if params.speckle > 0.0:
        image = image * _speckle(image, distance, angle, params)
    decibels = 20.0 * torch.log10((image / image.amax().clamp_min(1e-6)).clamp_min(1e-6))
    return (1.0 + decibels / params.dynamic_range).clamp_min(0.0)


def _speckle(
    image: torch.Tensor, distance: torch.Tensor, angle: torch.Tensor, params: UltrasoundParams
) -> torch.Tensor:
    """Rayleigh amplitudes of mean 1, correlated along and across the beams and carried from there to the pixels."""
    side = min(image.shape[-2:])
    low, high = distance.amin(), distance.amax()
    left, right = angle.amin(), angle.amax()
    depth = max(2, math.ceil(float(high - low) * side))
    # as many beams as pixels across the image at its middle depth, so that speckles widen with depth as real ones do
    beams = max(2, math.ceil(float(right - left) * float(low + high) / 2.0 * side))
    generator = seeded_generator(params.seed)
    grid = torch.stack(
        [2.0 * (angle - left) / (right - left) - 1.0, 2.0 * (distance - low) / (high - low) - 1.0], dim=-1
    )
    field = torch.empty_like(image)
    for plane in field.view(-1, *grid.shape[:2]):
        waves = [
            correlated_noise((depth, beams), params.grain, generator=generator, device=image.device) for _ in range(2)
        ]
        amplitude = torch.hypot(*waves) / math.sqrt(math.pi / 2.0)
        plane.copy_(F.grid_sample(amplitude[None, None], grid[None], align_corners=True)[0, 0])
    return (1.0 + params.speckle * (field - 1.0)).clamp_min(0.02)


def _beams(apex: tuple[float, float], size: torch.Size, device: torch.device) -> tuple[torch.Tensor, torch.Tensor]:
    """Distance of every pixel from the apex, and its angle from straight down."""
    side = min(size)
    y = (torch.arange(size[0], device=device) + 0.5)[:, None] / side - apex[1]
    x = (torch.arange(size[1], device=device) + 0.5)[None] / side - apex[0]
    return torch.hypot(x, y), torch.atan2(x.expand(size), y.expand(size))
