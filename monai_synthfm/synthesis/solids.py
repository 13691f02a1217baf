# Copyright (c) monai_synthfm contributors
# Licensed under the Apache License, Version 2.0 (http://www.apache.org/licenses/LICENSE-2.0).
# SPDX-License-Identifier: Apache-2.0
"""Solids as implicit functions: bodies that bend and taper, and tubes that branch, known by their depth at any point.

Points and lengths are fractions of the shorter side of a slice, in all three directions, so that solids keep their form
whatever the distance of the slices.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from scipy.spatial.transform import Rotation

from monai_synthfm.synthesis.params import Params

__all__ = ["BlobParams", "TreeParams", "depth_of", "join_depths", "solid_bounds"]

FAR = -1.0  # depth of points beyond the boxes in which the links of a tree are looked at
_LEAST_SCALE = 0.15  # of a tapered cross-section: thinner ones would be needles
_TINY = 1e-6


@dataclass(frozen=True)
class BlobParams(Params):
    """A superellipsoid that bends and tapers along its third axis.

    Args:
        center: (x, y, z).
        axes: half lengths.
        angles: rotations round z, y, x in radians that turn its axes to those of the volume.
        exponent: of the superellipse in its cross-section, above 1: 2 = ellipse, more = box.
        cap: exponent, above 1, along the third axis: 2 ends round, more ends late and quickly, less ends in a tip.
        bend: sideways shift of both ends along the first axis, in half lengths of that axis.
        taper: relative change of the cross-section from the middle to the ends.
    """

    center: tuple[float, float, float]
    axes: tuple[float, float, float]
    angles: tuple[float, float, float]
    exponent: float
    cap: float
    bend: float
    taper: float


@dataclass(frozen=True)
class TreeParams(Params):
    """Round tubes between nodes: vessels, ducts, loops of bowel, ribs.

    Args:
        nodes: (x, y, z, radius).
        links: pairs of nodes that a tube connects.
    """

    nodes: tuple[tuple[float, float, float, float], ...]
    links: tuple[tuple[int, int], ...]


def solid_bounds(solid: BlobParams | TreeParams) -> np.ndarray:
    """Return the corners ``[2, 3]`` of a box that holds a solid.

    Example:
        >>> solid_bounds(TreeParams(((0.0, 0.0, 0.0, 0.5), (1.0, 0.0, 0.0, 0.25)), ((0, 1),))).tolist()
        [[-0.5, -0.5, -0.5], [1.25, 0.5, 0.5]]
    """
    if isinstance(solid, TreeParams):
        nodes = np.asarray(solid.nodes)
        return np.stack([(nodes[:, :3] - nodes[:, 3:]).min(axis=0), (nodes[:, :3] + nodes[:, 3:]).max(axis=0)])
    widest = 1.0 + abs(solid.taper)
    axes = _rotation(solid) * solid.axes
    # how far a ball of one norm reaches is the dual norm; the bend shifts its ends along the first axis
    u, v, w = np.abs(axes.T) * [[widest], [widest], [1.0]]
    across, along = (exponent / (exponent - 1.0) for exponent in (solid.exponent, solid.cap))
    reach = ((u**across + v**across) ** (along / across) + w**along) ** (1.0 / along)
    shift = solid.bend * axes[:, 0]
    return np.asarray(solid.center) + np.stack([np.minimum(shift, 0.0) - reach, np.maximum(shift, 0.0) + reach])


def depth_of(solid: BlobParams | TreeParams, points: torch.Tensor, reach: float) -> torch.Tensor:
    r"""Depth of points below the surface of a solid, negative outside.

    For a blob, in its own axes and units, with w the third coordinate and s = 1 + t w,

    .. math:: \rho = \big( ((|u - b w^2| / s)^n + (|v| / s)^n)^{m/n} + |w|^m \big)^{1/m}, \qquad
        d = (1 - \rho) \, \rho \, / \sqrt{\textstyle\sum_i (q_i / a_i)^2},

    which is the distance to first order where n = m = 2. For a tube between nodes a and b it is the radius at the
    nearest point of its axis less the distance to it, and for a tree the largest of its tubes.

    Args:
        solid: see ``BlobParams`` and ``TreeParams``.
        points: ``[3, *spatial]`` (x, y, z), on a grid whose points lie close to straight lines along its axes.
        reach: depths below ``-reach`` need not be right; they are as far below.

    Returns:
        Depths ``[*spatial]``.

    Source: not given in the paper; our choice. First-order distance of implicit surfaces: G. Taubin, "Distance
    approximations for rasterizing implicit curves", 1994.

    Example:
        >>> ball = BlobParams((0.5, 0.5, 0.5), (0.2, 0.2, 0.2), (0.0, 0.0, 0.0), 2.0, 2.0, 0.0, 0.0)
        >>> points = torch.tensor([[0.6], [0.5], [0.5]])
        >>> round(float(depth_of(ball, points, 1.0)), 3)
        0.1
    """
    return _tree_depth(solid, points, reach) if isinstance(solid, TreeParams) else _blob_depth(solid, points)


def join_depths(depths: Sequence[torch.Tensor], blend: float) -> torch.Tensor:
    """Unite solids whose seams are rounded over a length ``blend``.

    Example:
        >>> join_depths([torch.tensor([0.0, 0.5]), torch.tensor([0.0, -0.5])], 0.1).tolist()
        [0.02500000037252903, 0.5]
    """
    whole = depths[0]
    for depth in depths[1:]:
        share = ((depth - whole) * (0.5 / blend) + 0.5).clamp_(0.0, 1.0)
        whole = torch.lerp(whole, depth, share).add_(share * (1.0 - share), alpha=blend)
    return whole


def _rotation(blob: BlobParams) -> np.ndarray:
    """Columns are the blob's axes."""
    return np.asarray(Rotation.from_euler("ZYX", blob.angles).as_matrix())


def _blob_depth(blob: BlobParams, points: torch.Tensor) -> torch.Tensor:
    axes = np.asarray(blob.axes)
    to_local = (_rotation(blob) / axes).T
    offset = to_local @ np.asarray(blob.center)
    u, v, w = (
        (points[0] * float(row[0]))
        .add_(points[1], alpha=float(row[1]))
        .add_(points[2], alpha=float(row[2]))
        .sub_(shift)
        for row, shift in zip(to_local, offset.tolist(), strict=True)
    )
    if blob.bend:
        u = u.addcmul_(w, w, value=-blob.bend)
    if blob.taper:
        scale = (1.0 + blob.taper * w.clamp(-1.5, 1.5)).clamp_min_(_LEAST_SCALE)
        u, v = u.div_(scale), v.div_(scale)
    slope = (u / float(axes[0])).square_() + (v / float(axes[1])).square_() + (w / float(axes[2])).square_()
    u, v, w = u.abs_(), v.abs_(), w.abs_()
    across = (
        u.square_().add_(v.square_()) if blob.exponent == 2.0 else u.pow_(blob.exponent).add_(v.pow_(blob.exponent))
    )
    rho = across.pow_(blob.cap / blob.exponent).add_(w.pow_(blob.cap)).pow_(1.0 / blob.cap)
    return (1.0 - rho).mul_(rho.add_(_TINY)).mul_(slope.add_(_TINY).rsqrt_())


def _tree_depth(tree: TreeParams, points: torch.Tensor, reach: float) -> torch.Tensor:
    depth = torch.full(points.shape[1:], FAR, dtype=points.dtype, device=points.device)
    # where the grid's lines lie; a fold of the grid would need a wider border than the one that reach gives
    lines = [
        (points[axis].amin(dim=others), points[axis].amax(dim=others)) for axis, others in enumerate(_others(points))
    ]
    for first, second in tree.links:
        start, end = np.asarray(tree.nodes[first]), np.asarray(tree.nodes[second])
        radius = max(start[3], end[3]) + reach
        box = []
        for axis, (low, high) in enumerate(lines):
            near = (high >= min(start[axis], end[axis]) - radius) & (low <= max(start[axis], end[axis]) + radius)
            inside = near.nonzero()
            box.append(slice(int(inside[0]), int(inside[-1]) + 1) if len(inside) else slice(0, 0))
        where = tuple(box)
        part = depth[where]
        if part.numel():
            torch.maximum(part, _tube_depth(points[(slice(None), *where)], start, end), out=part)
    return depth


def _others(points: torch.Tensor) -> list[tuple[int, ...]]:
    count = points.ndim - 1
    return [tuple(other for other in range(count) if other != axis) for axis in range(count)]


def _tube_depth(points: torch.Tensor, start: np.ndarray, end: np.ndarray) -> torch.Tensor:
    line = end - start
    square = float((line[:3] ** 2).sum())
    x, y, z = (points[axis] - float(start[axis]) for axis in range(3))
    along = (x * float(line[0])).add_(y, alpha=float(line[1])).add_(z, alpha=float(line[2]))
    along = along.div_(max(square, _TINY**2)).clamp_(0.0, 1.0)
    distance = (x.sub_(along, alpha=float(line[0])).square_()).add_(y.sub_(along, alpha=float(line[1])).square_())
    distance = distance.add_(z.sub_(along, alpha=float(line[2])).square_()).sqrt_()
    return along.mul_(float(line[3])).add_(float(start[3])).sub_(distance)
