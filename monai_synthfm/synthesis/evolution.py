# Copyright (c) monai_synthfm contributors
# Licensed under the Apache License, Version 2.0 (http://www.apache.org/licenses/LICENSE-2.0).
# SPDX-License-Identifier: Apache-2.0
"""Organs as masks that evolve from slice to slice: born, dilated, eroded, drifting and turning.

Discs add up under dilation and under erosion, so a mask dilated slice after slice is a level set of one distance map,
and so is its erosion later on. Two small distance maps per organ therefore give every slice of the recursion, with
rates far below a pixel a slice.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image, ImageDraw
from scipy import ndimage

from monai_synthfm.synthesis.bezier import bernstein_matrix, closed_bezier
from monai_synthfm.synthesis.params import Params

__all__ = ["EvolutionParams", "EvolvingField", "distance_fields", "evolution_maps", "growth_offsets"]

MAX_MAP_SIDE = 96  # pixels of a distance map: finer than the voxels of most organs, quick for the largest
SEED_SHARE = 0.2  # of the inradius: what is left of the outline for the organ to grow from
_MARGIN = 3.0  # pixels round the outline on its map
_FINER = 5  # odd, so that one pixel of the drawing lies in the middle of each of the map
_CHUNK = 8  # slices that share a box: an organ drifts and shrinks, so that small boxes hold less of nothing


@dataclass(frozen=True)
class EvolutionParams(Params):
    """An organ over the slices. In-plane lengths are fractions of the shorter side, slices are counted from 0.

    Args:
        outline: control points (x, y) of the closed Bezier curve that bounds the organ, round its centre.
        path: control points (x, y) of the Bezier curve on which the centre moves from the first to the last slice, as
            fractions of width and height.
        twist: angle in radians by which the organ turns from the first to the last slice.
        birth: slice in which it appears; below 0 it is there from the first slice.
        turn: slice where growth ends and erosion begins.
        end: slice up to which ``shrinkage`` counts; erosion goes on beyond.
        growth: mean growth per slice between birth and turn, as a distance.
        shrinkage: mean erosion per slice between turn and end, as a distance.
        roundness: 1 = constant rates; above, growth slows down towards the turn and erosion starts slowly.
        walls: thickness of its layers from the surface inwards; what they leave is its core.
        pliancy: share of the common warp that it follows, 0 = rigid.
        floor: number of the lowest region that it may cover.
        behind: whether it lies behind earlier organs rather than over them.
    """

    outline: tuple[tuple[float, float], ...]
    path: tuple[tuple[float, float], ...]
    twist: float
    birth: float
    turn: float
    end: float
    growth: float
    shrinkage: float
    roundness: float
    walls: tuple[float, ...]
    pliancy: float
    floor: int
    behind: bool


@dataclass(frozen=True)
class EvolvingField:
    """Signed distances in pixels, positive inside, on the faces between the slices of a box.

    Args:
        box: where the box lies in the volume, one slice for each axis.
        distances: ``[w, h, slices + 1]`` float32.
    """

    box: tuple[slice, slice, slice]
    distances: torch.Tensor


def growth_offsets(params: EvolutionParams, growth: float, slices: np.ndarray) -> np.ndarray:
    r"""How far the mask has been dilated (before the turn) or eroded (from it on) since birth or turn.

    .. math:: o(z) = G (1 - (1 - t)^p), \; t = (z - b) / (e - b) \qquad
        i(z) = s \, (z_1 - e) \, t^p, \; t = (z - e) / (z_1 - e)

    With p = 1 these are the constant rates of the recursion M(z + 1) = dilate(M(z), g), then erode(M(z), s).

    Args:
        params: see ``EvolutionParams``.
        growth: G, the whole growth from birth to turn.
        slices: positions ``[N]``, not before birth.

    Returns:
        Distances ``[N]``, 0 or more: dilation where ``slices < params.turn``, erosion elsewhere.

    Source: SynthFM-3D's masks evolve recursively with growth and shrinkage rates and a slice where erosion begins; the
    formula is not public, rates that change (p > 1) are our choice, since organs end round.

    Example:
        >>> organ = EvolutionParams((), (), 0.0, 0.0, 4.0, 8.0, 0.01, 0.02, 1.0, (), 1.0, 0, False)
        >>> [round(float(offset), 3) for offset in growth_offsets(organ, 0.04, np.arange(0, 8, 2))]
        [0.0, 0.02, 0.0, 0.04]
    """
    grown = np.clip((slices - params.birth) / max(params.turn - params.birth, 1e-6), 0.0, 1.0)
    length = max(params.end - params.turn, 1e-6)
    eroded = np.maximum(slices - params.turn, 0.0) / length
    return np.where(
        slices < params.turn,
        growth * (1.0 - (1.0 - grown) ** params.roundness),
        params.shrinkage * length * eroded**params.roundness,
    )


def evolution_maps(params: EvolutionParams, side: float) -> tuple[np.ndarray, np.ndarray, float, float]:
    """Distance maps of the mask at birth and of the mask at the turn, in the organ's own frame.

    The mask at birth is the outline eroded by the whole growth, at most to a seed of a fifth of its inradius.

    Args:
        params: see ``EvolutionParams``.
        side: shorter side of the slices in pixels.

    Returns:
        The two maps ``[n, n]`` (y, x) of signed distances in pixels, positive inside; half the side of the maps in
        pixels; and the whole growth in pixels.

    Example:
        >>> square = ((-0.2, -0.2), (0.2, -0.2), (0.2, 0.2), (-0.2, 0.2))
        >>> organ = EvolutionParams(square, (), 0.0, 0.0, 4.0, 8.0, 0.01, 0.02, 1.0, (), 1.0, 0, False)
        >>> birth, turn, half, growth = evolution_maps(organ, 100.0)
        >>> growth, bool((turn > birth).all())
        (4.0, True)
    """
    curve = closed_bezier(np.asarray(params.outline)) * side
    half = float(np.hypot(*curve.T).max()) + _MARGIN
    count = int(np.clip(np.ceil(2.0 * half), 16, MAX_MAP_SIDE))
    pixel = 2.0 * half / count
    # the pen fills whole pixels on the curve too: drawn finer, that is less than a fifth of a pixel of the map
    canvas = Image.new("L", (_FINER * count, _FINER * count))
    points = np.rint((curve + half) / pixel * _FINER - 0.5)
    ImageDraw.Draw(canvas).polygon([(int(x), int(y)) for x, y in points], fill=1)
    mask = np.asarray(canvas)[_FINER // 2 :: _FINER, _FINER // 2 :: _FINER] > 0
    depth = _signed_distance(mask) * pixel
    wanted = params.growth * (params.turn - params.birth) * side
    growth = float(np.clip(wanted, 0.0, max(0.0, (1.0 - SEED_SHARE) * depth.max())))
    at_birth = depth if growth == 0.0 else _signed_distance(depth > growth) * pixel
    at_turn = depth if growth == 0.0 else _signed_distance(at_birth + growth > 0.0) * pixel
    return at_birth, at_turn, half, growth


def distance_fields(
    params: EvolutionParams, spatial_size: tuple[int, int, int], warp: torch.Tensor, bulge: float, reach: float
) -> Iterator[EvolvingField]:
    """Signed distances of an organ's surface within its slices, on the faces between the slices.

    Args:
        params: see ``EvolutionParams``.
        spatial_size: width, height and number of slices of the volume.
        warp: in-plane displacement in pixels ``[2, W, H, slices + 1]`` on the faces; the device is the result's.
        bulge: largest displacement in ``warp`` in pixels.
        reach: width in pixels of the border to include round the organ.

    Yields:
        Fields in boxes of a few slices each that hold the organ with its border, from the first slice to the last.

    Example:
        >>> square = ((-0.2, -0.2), (0.2, -0.2), (0.2, 0.2), (-0.2, 0.2))
        >>> organ = EvolutionParams(square, ((0.5, 0.5),) * 2, 0.0, 2.0, 4.0, 6.0, 0.05, 0.1, 1.0, (), 1.0, 0, False)
        >>> [field] = distance_fields(organ, (32, 32, 8), torch.zeros(2, 32, 32, 9), bulge=0.0, reach=1.0)
        >>> field.box[2], tuple(field.distances.shape[2:])
        (slice(2, 6, None), (5,))
    """
    width, height, depth = spatial_size
    side = float(min(width, height))
    at_birth, at_turn, half, growth = evolution_maps(params, side)
    first = max(0, int(np.ceil(params.birth)))
    faces = np.maximum(np.arange(first, depth + 1) - 0.5, params.birth)
    growing = faces < params.turn
    offsets = growth_offsets(params, growth / side, faces) * side
    # how far the outline has been eroded, compared with its largest extent
    eroded = np.where(growing, growth - offsets, offsets)
    alive = growing | (offsets < at_turn.max() + reach)
    centers = bernstein_matrix(len(params.path) - 1, 2 * depth + 1)[2 * first :: 2] @ np.asarray(params.path)
    centers = centers * (width, height) - 0.5
    angles = params.twist * (faces + 0.5) / depth
    maps = [torch.as_tensor(m, dtype=torch.float32, device=warp.device)[None, None] for m in (at_birth, at_turn)]

    def along(values: np.ndarray) -> torch.Tensor:
        return torch.as_tensor(values, dtype=torch.float32, device=warp.device)

    for start in range(0, int(alive[:-1].sum()), _CHUNK):
        part = slice(start, min(start + _CHUNK, int(alive[:-1].sum())) + 1)
        margin = half - _MARGIN + reach + bulge * params.pliancy - eroded[part, None]
        low = np.clip(np.floor((centers[part] - margin).min(axis=0)), 0, (width, height)).astype(int)
        high = np.clip(np.ceil((centers[part] + margin).max(axis=0)) + 1, 0, (width, height)).astype(int)
        if (high <= low).any():
            continue
        box = (slice(low[0], high[0]), slice(low[1], high[1]), slice(first + part.start, first + part.stop - 1))
        shift = warp[:, box[0], box[1], box[2].start : box[2].stop + 1] * params.pliancy
        x = along(np.arange(low[0], high[0]))[:, None, None] - along(centers[part, 0]) + shift[0]
        y = along(np.arange(low[1], high[1]))[None, :, None] - along(centers[part, 1]) + shift[1]
        cosine, sine = along(np.cos(angles[part]) / half), along(np.sin(angles[part]) / half)
        grid = torch.stack([cosine * x + sine * y, cosine * y - sine * x], dim=-1)
        distances = torch.empty(grid.shape[:-1], device=warp.device)
        born = int(growing[part].sum())
        for where, values in zip((slice(0, born), slice(born, None)), maps, strict=True):
            local = grid[:, :, where].flatten(0, 1)[None]
            if local.numel():
                sampled = F.grid_sample(values, local, padding_mode="border", align_corners=False)
                distances[:, :, where] = sampled[0, 0].view(*grid.shape[:2], -1)
        yield EvolvingField(box, distances.add_(along(np.where(growing, offsets, -offsets)[part])))


def _signed_distance(mask: np.ndarray) -> np.ndarray:
    """Distance in pixels from the edge between the pixels of a mask and others, positive inside."""
    inside = ndimage.distance_transform_edt(mask) - 0.5
    outside = ndimage.distance_transform_edt(~mask) - 0.5
    return np.where(mask, inside, -outside)
