# Copyright (c) monai_synthfm contributors
# Licensed under the Apache License, Version 2.0 (http://www.apache.org/licenses/LICENSE-2.0).
# SPDX-License-Identifier: Apache-2.0
"""From regions to an image: intensities or canvas, textures inside regions, soft edges, noise."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch

from monai_synthfm.synthesis.boundaries import CanvasParams, fill_canvas
from monai_synthfm.synthesis.draws import seeded_generator
from monai_synthfm.synthesis.intensities import paint_regions
from monai_synthfm.synthesis.noise import gaussian_noise, poisson_noise, rician_noise, speckle_noise
from monai_synthfm.synthesis.params import Params
from monai_synthfm.synthesis.partial_volume import gaussian_blur
from monai_synthfm.synthesis.textures import correlated_noise, fractal_noise
from monai_synthfm.synthesis.window import stretch_quantiles
from monai_synthfm.utils.one_thread import one_thread

__all__ = ["NOISES", "TEXTURES", "AppearanceParams", "NoiseParams", "TextureParams", "render_regions"]

TEXTURES: dict[str, Callable[..., torch.Tensor]] = {
    "perlin": fractal_noise,
    "grain": correlated_noise,
}
NOISES: dict[str, Callable[..., torch.Tensor]] = {
    "gaussian": lambda image, strength, _, generator: gaussian_noise(image, strength, generator=generator),
    "poisson": lambda image, strength, _, generator: poisson_noise(image, 1.0 / strength**2, generator=generator),
    "perlin": lambda image, strength, scale, generator: (
        image + strength * fractal_noise(image.shape[1:], scale, generator=generator, device=image.device)
    ),
    "speckle": lambda image, strength, scale, generator: speckle_noise(
        image, strength, correlation=scale, generator=generator
    ),
    "rician": lambda image, strength, _, generator: rician_noise(image, strength, generator=generator),
}


@dataclass(frozen=True)
class TextureParams(Params):
    """A zero-mean, unit-variance texture added to regions.

    Args:
        kind: a name of ``TEXTURES``.
        scale: cell size (perlin) or correlation length (grain) in pixels.
        amplitudes: for each region the standard deviation that it gets, 0 = none.
        seed: seed of the texture.
    """

    kind: str
    scale: float
    amplitudes: tuple[float, ...]
    seed: int


@dataclass(frozen=True)
class NoiseParams(Params):
    """Noise over the whole image.

    Args:
        kind: a name of ``NOISES``.
        strength: standard deviation at intensity 1.
        scale: cell size (perlin) or correlation length (speckle) in pixels; the other kinds do not use it.
        seed: seed of the noise.
    """

    kind: str
    strength: float
    scale: float
    seed: int


@dataclass(frozen=True)
class AppearanceParams(Params):
    """What ``render_regions`` needs.

    Args:
        base: the intensity of every region, or the canvas that fills regions above 0.
        textures: added inside regions, in this order.
        blur: standard deviation in pixels of the Gaussian that softens edges, 0 = none.
        noises: applied to the whole image, in this order.
    """

    base: tuple[float, ...] | CanvasParams
    textures: tuple[TextureParams, ...]
    blur: float
    noises: tuple[NoiseParams, ...]


@one_thread()
def render_regions(regions: torch.Tensor, params: AppearanceParams) -> torch.Tensor:
    r"""Make an image of a map of regions.

    .. math:: I = W \big( (\eta_m \circ \dots \circ \eta_1) ( G_\sigma * (B + \sum_t a_t T_t) ) \big)

    with B the regions' intensities or canvas, a_t the amplitude that the region of each pixel has for texture T_t, η
    the noises, and W the window that real images get too before they are segmented: the 0.5 and 99.5 percentiles become
    0 and 1.

    Args:
        regions: region numbers ``[*spatial]`` int, 0 ... R - 1, in two or three dimensions.
        params: see ``AppearanceParams``.

    Returns:
        Image ``[*spatial]`` float32 in [0, 1], on the device of ``regions``.

    Source: SynthFM, section 3.1 (noise library, blur); the order is not given in the paper, our choice: noise comes
    last because detectors add it last. The window is the one of MedSAM's preprocessing, which the paper applies to real
    images.

    Example:
        >>> image = render_regions(torch.tensor([[0, 1, 2]] * 100), AppearanceParams((0.1, 0.2, 0.3), (), 0.0, ()))
        >>> [round(value, 3) for value in image[0].tolist()]
        [0.0, 0.5, 1.0]
    """
    if isinstance(params.base, CanvasParams):
        image = fill_canvas(regions > 0, params.base)
    else:
        image = paint_regions(regions, params.base)
    for texture in params.textures:
        generator = seeded_generator(texture.seed)
        field = TEXTURES[texture.kind](tuple(image.shape), texture.scale, generator=generator, device=image.device)
        image = image + field * paint_regions(regions, texture.amplitudes)
    if params.blur > 0.0:
        image = gaussian_blur(image, (params.blur,), axes=range(image.ndim))
    for noise in params.noises:
        generator = seeded_generator(noise.seed)
        image = NOISES[noise.kind](image.clamp_min(0.0)[None], noise.strength, noise.scale, generator=generator)[0]
    return stretch_quantiles(image)
