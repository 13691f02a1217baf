# Copyright (c) monai_synthfm contributors
# Licensed under the Apache License, Version 2.0 (http://www.apache.org/licenses/LICENSE-2.0).
# SPDX-License-Identifier: Apache-2.0
"""Parts of an anatomy on a coarse grid in space or time, enlarged to the pixels of slices."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F

from monai_synthfm.synthesis.draws import seeded_generator
from monai_synthfm.synthesis.params import Params
from monai_synthfm.synthesis.partial_volume import slice_coverage
from monai_synthfm.synthesis.solids import BlobParams, TreeParams, depth_of, join_depths, solid_bounds
from monai_synthfm.synthesis.textures import correlated_noise
from monai_synthfm.synthesis.volume_structures import WarpParams, draw_warp

__all__ = ["Box", "MotionParams", "MottleParams", "SolidGrid", "SolidPartParams", "part_coverage"]

Box = tuple[slice, slice, slice]
_NODES = 64  # of the grid on the shorter side of a slice on which smooth solids are computed
_NODES_PER_RADIUS = 2.5  # thin solids need a finer grid
_THIN = 0.75  # of the thickness of a slice: smaller radii need a face in its middle, or would fall between two
_HALVES = 2


@dataclass(frozen=True)
class MottleParams(Params):
    """Patches where a smooth noise exceeds a threshold: what differs within an organ.

    Args:
        scale: correlation length of the noise as a fraction of the side.
        threshold: in standard deviations.
        seed: of the noise.
    """

    scale: float
    threshold: float
    seed: int


@dataclass(frozen=True)
class SolidPartParams(Params):
    """One part of an anatomy; lengths are fractions of the shorter side.

    Args:
        solids: united to one surface; or patches that fill the parent.
        parent: number (1, 2, ...) of the earlier part that it does not leave, 0 = the whole volume.
        radius: smallest that its grid must show.
        waves: (size, correlation length, seed) of the bumps on its surface, or None.
        wall: thickness of the wall, 0 = none.
        gaps: how much of the wall is missing, 0 = nothing, and the seed of the gaps.
        label: instance that it belongs to, 0 = background.
        wall_label: instance that its wall belongs to.
        like: number of the earlier part of the same tissue, 0 = of its own.
    """

    solids: tuple[BlobParams | TreeParams | MottleParams, ...]
    parent: int
    radius: float
    waves: tuple[float, float, int] | None
    wall: float
    gaps: tuple[float, int]
    label: int
    wall_label: int
    like: int = 0


@dataclass(frozen=True)
class MotionParams(Params):
    """A heart that beats in front of a probe that hardly moves: the slices are one place at one time after another.

    Args:
        center: (x, y) that walls move to and from.
        spread: standard deviation of the region that moves.
        strength: largest relative change of the distance from the centre.
        period: of the beat in slices.
        phase: in radians.
        sway: how far the plane, at z = 0, moves through the anatomy to either side.
    """

    center: tuple[float, float]
    spread: float
    strength: float
    period: float
    phase: float
    sway: float


class SolidGrid:
    """A coarse grid on the faces between slices, moved and warped, on which solids are computed.

    Args:
        spatial_size: width, height and number of slices.
        step: thickness of a slice as a fraction of the shorter side.
        warp: displacement in pixels of a slice.
        motion: of walls where the slices are moments, or None.
        device: where to compute.
    """

    def __init__(
        self,
        spatial_size: tuple[int, int, int],
        step: float,
        warp: WarpParams,
        motion: MotionParams | None,
        device: torch.device | str = "cpu",
    ) -> None:
        width, height, depth = self.size = spatial_size
        self.side = min(width, height)
        self.step = step
        self.stride = 2 ** max(0, int(np.log2(max(1.0, self.side / _NODES))))
        x, y = (
            (torch.arange(-(-(size - 1) // self.stride) + 1, device=device) * self.stride + 0.5) / self.side
            for size in (width, height)
        )
        faces = torch.arange(_HALVES * depth + 1, device=device, dtype=torch.float32) / _HALVES
        angle = torch.zeros_like(faces) if motion is None else faces * (2.0 * np.pi / motion.period) + motion.phase
        z = faces * step if motion is None else motion.sway * torch.sin(angle / 2.0)
        still = torch.stack(torch.meshgrid(x, y, z, indexing="ij"))
        points = still.clone()
        if motion is not None:
            away = [still[axis] - motion.center[axis] for axis in (0, 1)]
            near = torch.exp((away[0].square() + away[1].square()) * (-0.5 / motion.spread**2))
            for axis in (0, 1):
                points[axis] += away[axis] * near * (motion.strength * torch.sin(angle))
        if warp.std > 0.0:
            along_x, along_y, through = warp.sigma
            sigma = (along_x / self.stride, along_y / self.stride, _HALVES * through)
            points += draw_warp(WarpParams(warp.std / self.side, sigma, warp.seed), still.shape[1:], 3, device)
        self.points = points
        self.bulge = [float(shift) for shift in (points - still).abs().amax(dim=(1, 2, 3))]
        self.z = (float(z.min()), float(z.max())) if motion is not None else None

    def is_thin(self, part: SolidPartParams) -> bool:
        """Return whether a part could hide between two faces, so that it has depths on the middles of slices too."""
        return part.radius < _THIN * self.step

    def depths(
        self, part: SolidPartParams, around: Box | None, reach: float
    ) -> tuple[Box, torch.Tensor, torch.Tensor | None] | None:
        """Depths of a part below its surface.

        Args:
            part: see ``SolidPartParams``.
            around: box that the part does not leave, or None.
            reach: width in pixels of the border to include round the part.

        Returns:
            The part's box, its depths in pixels ``[w, h, faces]`` on the faces of the box's slices (thin parts: on the
            middles of the slices too), and the depths of what its wall leaves, or None without a wall. None when the
            part lies outside the volume.
        """
        box = self._box(part, around, reach)
        if box is None:
            return None
        nodes = tuple(slice(b.start // self.stride, -(-(b.stop - 1) // self.stride) + 1) for b in box[:2])
        faces = slice(_HALVES * box[2].start, _HALVES * box[2].stop + 1, 1 if self.is_thin(part) else _HALVES)
        points = self.points[:, nodes[0], nodes[1], faces]
        finer = 1
        while finer < self.stride and self.stride / finer > part.radius * self.side / _NODES_PER_RADIUS:
            finer *= 2
        if finer > 1:
            points = torch.stack([_enlarge(component, finer) for component in points])
        stride = self.stride // finer
        # right at least on the next face outside, from which depths are interpolated
        far = max((reach + 2 * stride) / self.side, self.step * faces.step / _HALVES)
        depths = [
            self._mottle(solid, points, stride, faces.step)
            if isinstance(solid, MottleParams)
            else depth_of(solid, points, far)
            for solid in part.solids
        ]
        depth = join_depths(depths, 0.5 * part.radius)
        if part.waves is not None:
            size, scale, seed = part.waves
            depth = depth.add_(self._noise(scale, seed, depth, stride, faces.step), alpha=size)
        inner = None
        if part.wall > 0.0:
            missing, seed = part.gaps
            wall = torch.full_like(depth, part.wall)
            if missing > 0.0:
                noise = self._noise(max(2.0 * part.wall, 0.5 * part.radius), seed, depth, stride, faces.step)
                wall.mul_((1.0 + 2.0 * (noise + 1.5 - 3.0 * missing)).clamp_(0.0, 1.0))
            inner = depth - wall
        start = [b.start - n.start * self.stride for b, n in zip(box[:2], nodes, strict=True)]
        cut = tuple(slice(s, s + b.stop - b.start) for s, b in zip(start, box[:2], strict=True))
        outer = _enlarge(depth, stride)[cut].mul_(self.side)
        return box, outer, None if inner is None else _enlarge(inner, stride)[cut].mul_(self.side)

    def _box(self, part: SolidPartParams, around: Box | None, reach: float) -> Box | None:
        limits = around or (slice(0, self.size[0]), slice(0, self.size[1]), slice(0, self.size[2]))
        solids = [solid for solid in part.solids if not isinstance(solid, MottleParams)]
        if not solids:
            return limits
        bounds = np.stack([solid_bounds(solid) for solid in solids])
        swell = (2.0 * part.waves[0] if part.waves else 0.0) + 0.15 * part.radius
        low, high = bounds[:, 0].min(axis=0) - swell - self.bulge, bounds[:, 1].max(axis=0) + swell + self.bulge
        box = []
        for axis in (0, 1):
            first = int(np.floor(np.clip(low[axis] * self.side - reach, -1, 1e6)))
            last = int(np.ceil(np.clip(high[axis] * self.side + reach, -1, 1e6)))
            box.append(slice(max(first, limits[axis].start), min(last, limits[axis].stop)))
        if self.z is None:
            first, last = (np.clip(bound[2] / self.step, -1, 1e6) for bound in (low, high))
            box.append(slice(max(int(first), limits[2].start), min(int(last) + 1, limits[2].stop)))
        else:
            seen = low[2] <= self.z[1] and high[2] >= self.z[0]
            box.append(limits[2] if seen else slice(0, 0))
        return None if any(b.stop <= b.start for b in box) else (box[0], box[1], box[2])

    def _mottle(self, mottle: MottleParams, points: torch.Tensor, stride: int, apart: int) -> torch.Tensor:
        noise = self._noise(mottle.scale, mottle.seed, points[0], stride, apart)
        # the slope of such a noise is 1 / (√2 scale) in each direction
        return noise.sub_(mottle.threshold).mul_(2.0**0.5 * mottle.scale)

    def _noise(self, scale: float, seed: int, like: torch.Tensor, stride: int, apart: int) -> torch.Tensor:
        """Noise on nodes ``stride`` pixels apart and on faces ``apart`` halves of a slice apart; frozen in time."""
        across = scale * self.side / stride
        through = _HALVES / apart * scale / self.step if self.z is None else 4.0 * like.shape[2]
        generator = seeded_generator(seed)
        return correlated_noise(like.shape, (across, across, through), generator=generator, device=like.device)


def _enlarge(field: torch.Tensor, factor: int) -> torch.Tensor:
    """Linear interpolation between the nodes ``[w, h, faces]`` of a grid; faces lie next to each other in memory."""
    if factor == 1:
        return field
    size = [(nodes - 1) * factor + 1 for nodes in field.shape[:2]]
    stacked = field.permute(2, 0, 1)[None]
    return F.interpolate(stacked, size, mode="bilinear", align_corners=True)[0].permute(1, 2, 0)


def part_coverage(depths: torch.Tensor, sigmas: torch.Tensor) -> torch.Tensor:
    """Share of each voxel inside a surface.

    Args:
        depths: in pixels ``[w, h, faces]``, on the faces of S slices or on their middles too.
        sigmas: blur of each slice in pixels ``[S]``.

    Returns:
        Shares ``[w, h, S]`` in [0, 1].

    Example:
        >>> part_coverage(torch.tensor([[[-4.0, 4.0, -4.0]]]), torch.zeros(1)).item()
        0.5
    """
    if depths.shape[2] == len(sigmas) + 1:
        return slice_coverage(depths, sigmas)
    shares = slice_coverage(depths, sigmas.repeat_interleave(_HALVES))
    return shares.unflatten(2, (len(sigmas), _HALVES)).mean(dim=3)
