# Copyright (c) monai_synthfm contributors
# Licensed under the Apache License, Version 2.0 (http://www.apache.org/licenses/LICENSE-2.0).
# SPDX-License-Identifier: Apache-2.0
"""Anatomies of volumes: nested solids with walls, painted with partial volume, still or moving."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch

from monai_synthfm.synthesis.params import Params
from monai_synthfm.synthesis.solid_grid import Box, MotionParams, SolidGrid, SolidPartParams, part_coverage
from monai_synthfm.synthesis.volume_structures import BlurParams, ClusterParams, WarpParams, paint_clusters

__all__ = ["VolumeAnatomyParams", "VolumeTissueParams", "anatomy_owners", "paint_anatomy"]

_SEEN_SHARE = 0.5


@dataclass(frozen=True)
class VolumeTissueParams(Params):
    """A mosaic of cells that touch each other, in a part and below the parts after it.

    Args:
        parent: number (1, 2, ...) of the part that is filled, 0 = the whole volume.
        clusters: the cells; each connected piece of a label is an instance.
    """

    parent: int
    clusters: ClusterParams


@dataclass(frozen=True)
class VolumeAnatomyParams(Params):
    """What ``paint_anatomy`` needs.

    Args:
        spatial_size: width, height and number of slices.
        step: thickness and distance of the slices as a fraction of the shorter side.
        parts: each after its parent, later over earlier ones.
        tissue: mosaic that fills one of them, or None.
        warp: displacement common to all parts, in pixels of a slice.
        blur: of all edges.
        motion: of the parts where the slices are moments, or None.
    """

    spatial_size: tuple[int, int, int]
    step: float
    parts: tuple[SolidPartParams, ...]
    tissue: VolumeTissueParams | None
    warp: WarpParams
    blur: BlurParams
    motion: MotionParams | None


def anatomy_owners(params: VolumeAnatomyParams) -> tuple[int, ...]:
    """Return for each region the instance that it belongs to, 0 = none.

    Regions are numbered as in :func:`monai_synthfm.synthesis.anatomy.draw_anatomy`: the ground, the insides of the P
    parts, their walls, and the cells of the tissue.
    """
    owners = [0, *(part.label for part in params.parts), *(part.wall_label for part in params.parts)]
    if params.tissue is not None:
        first = max(owners) + 1
        owners += range(first, first + params.tissue.clusters.label_map.num_labels)
    return tuple(owners)


def paint_anatomy(
    params: VolumeAnatomyParams, values: Sequence[float], device: torch.device | str = "cpu"
) -> tuple[torch.Tensor, torch.Tensor]:
    r"""Paint the parts in their order, each within its parent and with partial volume at its surface.

    .. math:: I \leftarrow I + \alpha_p \, \alpha_i \, (v_i - I)

    with α_i the share of a voxel that lies inside part i and α_p that of its parent.

    Args:
        params: see ``VolumeAnatomyParams``.
        values: intensity of every region.
        device: where to compute.

    Returns:
        Image ``[W, H, slices]`` float32 and the region that fills most of each voxel ``[W, H, slices]`` int16.

    Raises:
        ValueError: when there is not one value for each region.

    Source: not given in the paper; our choice, the anatomies of images in three dimensions.

    Example:
        >>> from monai_synthfm.synthesis.solids import BlobParams
        >>> ball = BlobParams((0.5, 0.5, 0.25), (0.3, 0.3, 0.2), (0.0, 0.0, 0.0), 2.0, 2.0, 0.0, 0.0)
        >>> part = SolidPartParams((ball,), 0, 0.2, None, 0.0, (0.0, 0), 1, 1)
        >>> still, sharp = WarpParams(0.0, (8.0, 8.0, 8.0), 0), BlurParams(0.0, 0.0, 0.0)
        >>> params = VolumeAnatomyParams((32, 32, 8), 1 / 16, (part,), None, still, sharp, None)
        >>> image, _ = paint_anatomy(params, (0, 1, 0))
        >>> [bool(image[16, 16, z] > 0.5) for z in range(8)]
        [False, True, True, True, True, True, True, False]
    """
    count = len(params.parts)
    expected = len(anatomy_owners(params))
    if len(values) != expected:
        raise ValueError(f"values must hold one intensity for each of the {expected} regions, got {len(values)}.")
    image = torch.full(params.spatial_size, float(values[0]), device=device)
    regions = torch.zeros(params.spatial_size, dtype=torch.int16, device=device)
    grid = SolidGrid(params.spatial_size, params.step, params.warp, params.motion, device)
    sigmas = torch.tensor(params.blur.of_slices(params.spatial_size[2]), dtype=torch.float32, device=device)
    shares: dict[int, tuple[Box, torch.Tensor]] = {}
    held = {part.parent for part in params.parts} | ({params.tissue.parent} if params.tissue else set())
    _paint_tissue(params, 0, image, regions, None, values)
    for number, part in enumerate(params.parts, start=1):
        field = grid.depths(part, shares.get(part.parent, (None, None))[0], 3.0 * float(sigmas.max()) + 1.0)
        if field is None or (part.parent and part.parent not in shares):
            continue
        box, outer, inner = field
        within = None
        if part.parent:
            around, parent_share = shares[part.parent]
            within = parent_share[
                tuple(slice(b.start - a.start, b.stop - a.start) for a, b in zip(around, box, strict=True))
            ]
        pixels, names = image[box], regions[box]
        for depths, region in ((outer, count + number if inner is not None else number), (inner, number)):
            if depths is not None:
                share = part_coverage(depths, sigmas[box[2]])
                if within is not None:
                    share.mul_(within)
                pixels.lerp_(pixels.new_tensor(float(values[region])), share)
                names.masked_fill_(share > _SEEN_SHARE, region)
        if number in held:
            shares[number] = box, share
            _paint_tissue(params, number, pixels, names, (box, share), values)
    return image, regions


def _paint_tissue(
    params: VolumeAnatomyParams,
    parent: int,
    pixels: torch.Tensor,
    names: torch.Tensor,
    inside: tuple[Box, torch.Tensor] | None,
    values: Sequence[float],
) -> None:
    tissue = params.tissue
    if tissue is None or tissue.parent != parent:
        return
    first = 2 * len(params.parts) + 1
    filling, cells = paint_clusters(tissue.clusters, (0.0, *values[first:]), params.blur, pixels.device)
    cells.add_(first - 1)
    if inside is None:
        pixels.copy_(filling)
        names.copy_(cells)
    else:
        box, share = inside
        pixels.lerp_(filling[box], share)
        torch.where(share > _SEEN_SHARE, cells[box], names, out=names)
