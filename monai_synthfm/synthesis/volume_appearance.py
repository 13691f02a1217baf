# Copyright (c) monai_synthfm contributors
# Licensed under the Apache License, Version 2.0 (http://www.apache.org/licenses/LICENSE-2.0).
# SPDX-License-Identifier: Apache-2.0
"""From tissue to a scan: multi-scale textures, bias field, noise, field of view and window."""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from monai.transforms import RandBiasField
from monai.utils import convert_to_tensor

from monai_synthfm.synthesis.acquisition import AcquisitionParams, FieldOfViewParams, acquire, field_of_view
from monai_synthfm.synthesis.appearance import NOISES, NoiseParams
from monai_synthfm.synthesis.draws import seeded_generator
from monai_synthfm.synthesis.intensities import paint_regions
from monai_synthfm.synthesis.params import Params
from monai_synthfm.synthesis.textures import correlated_noise
from monai_synthfm.synthesis.window import stretch_quantiles

__all__ = [
    "BiasParams",
    "TextureLayerParams",
    "VolumeAppearanceParams",
    "render_volume",
    "scan_slices",
    "texture_tissue",
    "visible_pixels",
]

_SHADING_NODES = 32  # along each axis


@dataclass(frozen=True)
class TextureLayerParams(Params):
    """One scale of the Gaussian texture.

    Args:
        sigma: correlation length along each axis in voxels.
        weights: of every region, relative to its intensity; the sign may differ from region to region.
        seed: seed of the texture.
    """

    sigma: tuple[float, float, float]
    weights: tuple[float, ...]
    seed: int


@dataclass(frozen=True)
class BiasParams(Params):
    """MONAI's polynomial bias field: largest coefficient, degree and the seed of the coefficients."""

    strength: float
    degree: int
    seed: int


@dataclass(frozen=True)
class VolumeAppearanceParams(Params):
    """What ``render_volume`` needs; the values are those of the regions, the rest is applied in this order.

    Args:
        values: intensity of every region.
        textures: layers of the texture, from coarse to fine.
        bias: smooth shading, or None.
        noises: one after the other.
        field: of view that every slice shows, or None for all of it.
        windowed: whether the 0.5 and 99.5 percentiles become 0 and 1; otherwise intensities are cut at 0 and 1, as in
            the fixed window of CT.
    """

    values: tuple[float, ...]
    textures: tuple[TextureLayerParams, ...]
    bias: BiasParams | None
    noises: tuple[NoiseParams, ...]
    field: FieldOfViewParams | None
    windowed: bool


def render_volume(tissue: torch.Tensor, regions: torch.Tensor, params: VolumeAppearanceParams) -> torch.Tensor:
    r"""Make a scan of painted tissue.

    .. math:: I = W\Big( (\eta_m \circ \dots \circ \eta_1)
        \big( e^B \, A \, (1 + \sum_k w_{k,r} T_k) \big) \Big), \qquad T_k = G_{s_k} * n_k

    with A the tissue, T_k unit-variance white noise n_k correlated by a Gaussian of the scale s_k, w the weights of a
    voxel's region, B the bias field, η the noises and W the window, inside the field of view.

    Args:
        tissue: painted intensities ``[W, H, slices]`` float32.
        regions: of every voxel ``[W, H, slices]`` int.
        params: see ``VolumeAppearanceParams``.

    Returns:
        Image ``[W, H, slices]`` float32 in [0, 1].

    Source: SynthFM-3D: layered multi-scale Gaussian textures times per-label intensity scales, perturbed by Gaussian
    noise; formulas are not public. Bias field, Rician noise, speckle, field of view and window are our choice.

    Example:
        >>> tissue, regions = torch.linspace(-0.5, 1.5, 8).view(2, 2, 2), torch.zeros(2, 2, 2, dtype=torch.int16)
        >>> image = render_volume(tissue, regions, VolumeAppearanceParams((0.0,), (), None, (), None, False))
        >>> float(image.min()), float(image.max())
        (0.0, 1.0)
    """
    image = texture_tissue(tissue, regions, params)
    for noise in params.noises:
        generator = seeded_generator(noise.seed)
        image = image.clamp_min(0.0)
        image = NOISES[noise.kind](image[None], noise.strength, noise.scale, generator=generator)[0]
    visible = visible_pixels(params.field, image.shape, image.device)
    if params.windowed:
        image = stretch_quantiles(image, seen=None if params.field is None else image[visible])
    else:
        image = image.clamp(0.0, 1.0)
    return image if params.field is None else image.where(visible[..., None], params.field.outside)


def scan_slices(
    tissue: torch.Tensor,
    regions: torch.Tensor,
    params: VolumeAppearanceParams,
    acquisition: AcquisitionParams,
    slice_distance: float,
) -> torch.Tensor:
    """Make a scan of painted tissue slice by slice: they share scanner and shading, but neither noise nor speckle.

    Args:
        tissue: painted intensities ``[W, H, slices]`` float32.
        regions: of every voxel ``[W, H, slices]`` int.
        params: textures, bias field and noises.
        acquisition: what the scanner displays.
        slice_distance: in pixels.

    Returns:
        Image ``[W, H, slices]`` float32 in [0, 1].

    Source: not given in the paper; our choice.

    Example:
        >>> tissue, regions = torch.rand(6, 5, 3), torch.zeros(6, 5, 3, dtype=torch.int16)
        >>> appearance = VolumeAppearanceParams((0.0,), (), None, (), None, False)
        >>> scan_slices(tissue, regions, appearance, AcquisitionParams(None, None, (0.0, 1.0), 1.0, None), 4.0).shape
        torch.Size([6, 5, 3])
    """
    stack = texture_tissue(tissue, regions, params).permute(2, 1, 0).contiguous()
    for noise in params.noises:
        generator = seeded_generator(noise.seed)
        # slices as channels, each of which gets noise of its own
        stack = NOISES[noise.kind](stack.clamp_min_(0.0), noise.strength, noise.scale, generator=generator)
    return acquire(stack, acquisition, slice_distance).permute(2, 1, 0).contiguous()


def texture_tissue(tissue: torch.Tensor, regions: torch.Tensor, params: VolumeAppearanceParams) -> torch.Tensor:
    """Return tissue times its textures and the bias field, the first steps of :func:`render_volume`."""
    image = tissue
    if params.textures:
        texture = torch.ones_like(image)
        for layer in params.textures:
            generator = seeded_generator(layer.seed)
            field = correlated_noise(image.shape, layer.sigma, generator=generator, device=image.device)
            texture.addcmul_(field, paint_regions(regions, layer.weights))
            del field
        image = texture.clamp_min_(0.0).mul_(image)
    if params.bias is not None:
        image = _shading(params.bias, image).mul_(image)
    return image


def visible_pixels(
    field: FieldOfViewParams | None, size: torch.Size, device: torch.device | str = "cpu"
) -> torch.Tensor:
    """Return where slices show anything.

    Args:
        field: of view, or None for the whole slice.
        size: width and height, and anything after them.
        device: of the result.

    Returns:
        Mask ``[W, H]`` bool.

    Example:
        >>> fan = FieldOfViewParams("fan", (0.5, 0.0), (0.1, 0.9), (-0.5, 0.5), 0.0)
        >>> seen = visible_pixels(fan, torch.Size((64, 48, 8)))
        >>> bool(seen[32, 30]), bool(seen[2, 5])
        (True, False)
    """
    if field is None:
        return torch.ones(size[:2], dtype=torch.bool, device=device)
    return field_of_view(field, torch.Size((size[1], size[0])), torch.device(device)).T


def _shading(params: BiasParams, image: torch.Tensor) -> torch.Tensor:
    """MONAI's field on a coarse grid, enlarged: polynomials of low degree need no more, and float64 no more memory."""
    strength = (-params.strength, params.strength)
    field = RandBiasField(params.degree, strength, prob=1.0).set_random_state(seed=params.seed)
    nodes = torch.ones(1, *(min(size, _SHADING_NODES) for size in image.shape))
    coarse = convert_to_tensor(field(nodes), track_meta=False)
    enlarged = F.interpolate(coarse[None].to(image), image.shape, mode="trilinear", align_corners=True)
    return enlarged[0, 0]
