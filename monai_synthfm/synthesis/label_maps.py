# Copyright (c) monai_synthfm contributors
# Licensed under the Apache License, Version 2.0 (http://www.apache.org/licenses/LICENSE-2.0).
# SPDX-License-Identifier: Apache-2.0
"""Label maps of SynthMorph: the arg max over smooth noise images, each warped by its own smooth field."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from neurite.nn.functional import fractal_noise
from voxelmorph.nn.functional import spatial_transform

from monai_synthfm.synthesis.draws import seeded_generator
from monai_synthfm.synthesis.params import Params
from monai_synthfm.utils.one_thread import one_thread

__all__ = ["LabelMapParams", "synthmorph_labels"]


@dataclass(frozen=True)
class LabelMapParams(Params):
    """What ``synthmorph_labels`` needs.

    Args:
        spatial_size: size of the label map, two or three numbers.
        num_labels: J, the number of competing noise images.
        noise_scales: cell sizes of the noise, as fractions of the image side.
        warp_scales: cell sizes of the warps, as fractions of the image side.
        warp_std: standard deviation of the displacement, as a fraction of the image side.
        grid_size: side of the grid on which noise is drawn and warped before it is enlarged; at most 32 cells of the
            smallest scale are of any use.
        seed: seed of the noise.
    """

    spatial_size: tuple[int, ...]
    num_labels: int
    noise_scales: tuple[float, ...]
    warp_scales: tuple[float, ...]
    warp_std: float
    grid_size: int
    seed: int


@one_thread()
def synthmorph_labels(
    params: LabelMapParams, device: torch.device | str = "cpu", *, dtype: torch.dtype = torch.int64
) -> torch.Tensor:
    r"""Draw a SynthMorph label map.

    .. math:: L(x) = \arg\max_j \, N_j(x + u_j(x)), \quad j = 1..J

    with N_j and every component of u_j sums of Gaussian noise images enlarged linearly from coarse grids. Because both
    are linear between the nodes of those grids, they are drawn and warped on a moderate grid and enlarged once; only
    the arg max needs the full size.

    Args:
        params: see ``LabelMapParams``.
        device: where to compute.
        dtype: integers that hold J - 1; small ones save memory.

    Returns:
        Labels ``[*spatial_size]`` of ``dtype`` with values 0 ... J - 1.

    Source: SynthFM, section 3.1 (boundary-aware module) names SynthMorph; scales follow the SynthMorph authors' own 2D
    demonstration. Drawing on a smaller grid is our choice.

    Example:
        >>> labels = synthmorph_labels(LabelMapParams((64, 64), 10, (0.125, 0.25), (0.0625, 0.25), 0.06, 64, seed=1))
        >>> tuple(labels.shape), bool(labels.max() < 10)
        ((64, 64), True)
    """
    generator = seeded_generator(params.seed)
    longest = max(params.spatial_size)
    grid = [max(2, round(params.grid_size * size / longest)) for size in params.spatial_size]
    grid = [min(size, full) for size, full in zip(grid, params.spatial_size, strict=True)]
    side = max(grid)
    # noise enlarged from a coarse grid is constant beyond its outermost nodes: draw half a cell more on each side and
    # cut it off
    margin = math.ceil(side * max(params.noise_scales + params.warp_scales) / 2.0)
    field = [size + 2 * margin for size in grid]

    def noise(channels: int, scales: tuple[float, ...]) -> torch.Tensor:
        return fractal_noise(
            shape=(params.num_labels, channels, *field),
            scales=[max(1.0, scale * side) for scale in scales],
            weights=[1.0] * len(scales),
            method="upsample",
            standardize=False,
            generator=generator,
        ).to(device)

    images = noise(1, params.noise_scales)
    # a sum of several unit-variance octaves, scaled so that warp_std is the displacement's own deviation
    warps = noise(len(grid), params.warp_scales) * (params.warp_std * side / len(params.warp_scales) ** 0.5)
    warped = spatial_transform(images, warps, padding_mode="reflection")[:, 0]
    warped = warped[(slice(None), *(slice(margin, margin + size) for size in grid))]
    if tuple(grid) == tuple(params.spatial_size):
        return warped.argmax(dim=0).to(dtype)
    return _arg_max_enlarged(warped, params.spatial_size).to(dtype)


def _arg_max_enlarged(images: torch.Tensor, spatial_size: tuple[int, ...]) -> torch.Tensor:
    """Enlarge images one at a time and keep the running arg max, which needs the memory of one image instead of all."""
    mode = "bilinear" if len(spatial_size) == 2 else "trilinear"
    best = torch.full(spatial_size, -torch.inf, device=images.device)
    labels = torch.zeros(spatial_size, dtype=torch.uint8, device=images.device)  # a byte per label, at most 255
    for index, image in enumerate(images):
        enlarged = F.interpolate(image[None, None], size=spatial_size, mode=mode, align_corners=False)[0, 0]
        labels.masked_fill_(enlarged > best, index)
        torch.maximum(best, enlarged, out=best)
        del enlarged  # before the next one takes its place
    return labels
