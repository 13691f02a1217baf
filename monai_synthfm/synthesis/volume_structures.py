# Copyright (c) monai_synthfm contributors
# Licensed under the Apache License, Version 2.0 (http://www.apache.org/licenses/LICENSE-2.0).
# SPDX-License-Identifier: Apache-2.0
"""Tissue of a volume: a body in layers, clusters in it and evolving organs, painted with partial volume."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch

from monai_synthfm.synthesis.boundaries import erode_labels
from monai_synthfm.synthesis.draws import seeded_generator
from monai_synthfm.synthesis.evolution import EvolutionParams, distance_fields
from monai_synthfm.synthesis.label_maps import LabelMapParams, synthmorph_labels
from monai_synthfm.synthesis.params import Params
from monai_synthfm.synthesis.partial_volume import gaussian_blur, slice_coverage
from monai_synthfm.synthesis.textures import correlated_noise

__all__ = [
    "BlurParams",
    "ClusterParams",
    "VolumeStructureParams",
    "WarpParams",
    "draw_warp",
    "paint_clusters",
    "paint_structure",
    "region_layout",
]


@dataclass(frozen=True)
class ClusterParams(Params):
    """SynthMorph clusters in three dimensions.

    Args:
        label_map: of ``subslices`` times as many slices as the volume; their mean is a slice.
        iterations: how often each cluster is eroded, 0 = it touches its neighbours.
        subslices: number of sub-slices that a slice averages, odd, so that one lies in its middle.
    """

    label_map: LabelMapParams
    iterations: tuple[int, ...]
    subslices: int


@dataclass(frozen=True)
class WarpParams(Params):
    """A smooth in-plane displacement common to all organs, which changes their outlines from slice to slice.

    Args:
        std: standard deviation in pixels.
        sigma: correlation length along each axis in voxels.
        seed: seed of the displacement.
    """

    std: float
    sigma: tuple[float, float, float]
    seed: int


@dataclass(frozen=True)
class BlurParams(Params):
    """In-plane blur ``σ(z) = σ_0 + κ |z - z_0|``, in pixels: sharpest in the slice of focus."""

    sigma: float
    slope: float
    focus: float

    def of_slices(self, count: int) -> list[float]:
        """Return the standard deviation of every slice."""
        return [self.sigma + self.slope * abs(index - self.focus) for index in range(count)]


@dataclass(frozen=True)
class VolumeStructureParams(Params):
    """What ``paint_structure`` needs.

    Args:
        spatial_size: width, height and number of slices.
        body: layers and cavity that hold the rest, or None for tissue that fills the volume.
        clusters: what fills the cavity, or None.
        organs: in drawing order.
        warp: of body and organs.
        blur: of all edges.
    """

    spatial_size: tuple[int, int, int]
    body: EvolutionParams | None
    clusters: ClusterParams | None
    organs: tuple[EvolutionParams, ...]
    warp: WarpParams
    blur: BlurParams


def region_layout(params: VolumeStructureParams) -> tuple[int, tuple[int, ...]]:
    """Number the regions of a structure.

    Region 0 is the ground; the body's layers and cavity follow from outside to inside, the gap between clusters, the
    clusters, and the layers and the core of every organ.

    Returns:
        The number of the cavity (0 without a body), and for each region the instance it belongs to: 0 for ground, body
        and gap, then one for each cluster and each organ.

    Example:
        >>> organ = EvolutionParams((), (), 0.0, 0.0, 4.0, 8.0, 0.01, 0.02, 1.0, (0.01,), 1.0, 0, False)
        >>> warp, blur = WarpParams(0.0, (8.0, 8.0, 8.0), 0), BlurParams(0.0, 0.0, 0.0)
        >>> region_layout(VolumeStructureParams((8, 8, 8), organ, None, (organ, organ), warp, blur))
        (2, (0, 0, 0, 1, 1, 2, 2))
    """
    cavity = 0 if params.body is None else len(params.body.walls) + 1
    instances = [0] * (cavity + 1)
    if params.clusters is not None:
        instances += [0, *range(1, params.clusters.label_map.num_labels + 1)]
    for organ in params.organs:
        instances += [max(instances) + 1] * (len(organ.walls) + 1)
    return cavity, tuple(instances)


def paint_structure(
    params: VolumeStructureParams, values: Sequence[float], device: torch.device | str = "cpu"
) -> tuple[torch.Tensor, torch.Tensor]:
    r"""Paint regions with their intensities, one after the other, each by the share of the voxels that it fills.

    .. math:: I \leftarrow (1 - \alpha_r) I + \alpha_r a_r

    Args:
        params: see ``VolumeStructureParams``.
        values: a_r of every region in the order of ``region_layout``.
        device: where to compute; erosion of clusters runs on the CPU.

    Returns:
        Image ``[W, H, slices]`` float32 and the region that fills most of each voxel ``[W, H, slices]`` int16.

    Source: SynthFM-3D: per-label intensity scales times masks blurred at each slice depth; formulas are not public.
    The body and compositing organs over one another are our choice.
    """
    cavity, instances = region_layout(params)
    if len(values) != len(instances):
        raise ValueError(f"values must hold one intensity for each of the {len(instances)} regions, got {len(values)}.")
    filling = None
    if params.clusters is not None:  # first, since nothing else needs as much memory
        filling = paint_clusters(params.clusters, values[cavity + 1 :], params.blur, device)
    image = torch.full(params.spatial_size, float(values[0]), device=device)
    regions = torch.zeros(params.spatial_size, dtype=torch.int16, device=device)
    width, height, depth = params.spatial_size
    warp = draw_warp(params.warp, (width, height, depth + 1), 2, device)
    bulge = max(abs(float(bound)) for bound in warp.aminmax())
    sigmas = torch.tensor(params.blur.of_slices(params.spatial_size[2]), dtype=torch.float32, device=device)
    if params.body is not None:
        _paint_organ(image, regions, params.body, 1, 0, values, warp, bulge, sigmas)
    number = cavity + 1
    if params.clusters is not None and filling is not None:
        tissue, labels = filling
        inside = regions == cavity
        image = torch.where(inside, tissue, image)
        regions = torch.where(inside, labels.add_(number), regions)
        number += params.clusters.label_map.num_labels + 1
        del filling, tissue, labels, inside
    first_organ = number
    for organ in params.organs:
        _paint_organ(image, regions, organ, number, first_organ, values, warp, bulge, sigmas)
        number += len(organ.walls) + 1
    return image, regions


def draw_warp(
    params: WarpParams, size: Sequence[int], components: int, device: torch.device | str = "cpu"
) -> torch.Tensor:
    """Return a displacement ``[components, *size]`` of nodes in the units of its standard deviation."""
    generator = seeded_generator(params.seed)
    warp = torch.empty(components, *size, device=device)
    for component in warp:
        noise = correlated_noise(component.shape, params.sigma, generator=generator, device=device)
        torch.mul(noise, params.std, out=component)
    return warp


def _paint_organ(
    image: torch.Tensor,
    regions: torch.Tensor,
    organ: EvolutionParams,
    number: int,
    first_organ: int,
    values: Sequence[float],
    warp: torch.Tensor,
    bulge: float,
    sigmas: torch.Tensor,
) -> None:
    width, height, depth = image.shape
    reach = 3.0 * float(sigmas.max()) + 1.0
    for field in distance_fields(organ, (width, height, depth), warp, bulge, reach):
        pixels, labels = image[field.box], regions[field.box]
        allowed = labels >= organ.floor
        if organ.behind:
            allowed &= labels < first_organ
        distances = field.distances
        for layer, wall in enumerate((0.0, *organ.walls)):
            distances = distances - wall * min(width, height)
            share = slice_coverage(distances, sigmas[field.box[2]]).mul_(allowed)
            pixels.lerp_(pixels.new_tensor(values[number + layer]), share)
            labels.masked_fill_(share > 0.5, number + layer)


def paint_clusters(
    params: ClusterParams, values: Sequence[float], blur: BlurParams, device: torch.device | str
) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the mean over the sub-slices of each slice, and the clusters (0 = gap) in its middle sub-slice."""
    labels = synthmorph_labels(params.label_map, device, dtype=torch.int16)
    labels.add_(1)
    if any(params.iterations):
        labels.mul_(erode_labels(labels - 1, params.iterations))
    table = torch.tensor(values[: params.label_map.num_labels + 1], dtype=torch.float32, device=device)
    width, height, depth = labels.shape
    tissue = torch.zeros(width, height, depth // params.subslices, device=device)
    for start in range(params.subslices):
        part = labels[:, :, start :: params.subslices]
        tissue.add_(table.index_select(0, part.flatten().int()).view(tissue.shape), alpha=1.0 / params.subslices)
    labels = labels[:, :, params.subslices // 2 :: params.subslices].contiguous()
    return gaussian_blur(tissue, blur.of_slices(tissue.shape[2]), axes=(0, 1)), labels
