# Copyright (c) monai_synthfm contributors
# Licensed under the Apache License, Version 2.0 (http://www.apache.org/licenses/LICENSE-2.0).
# SPDX-License-Identifier: Apache-2.0
"""Random solids: organs that bend and taper, tubes, vessel trees, loops and arches, and where they go."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TypeVar

import numpy as np
from scipy.spatial.transform import Rotation

from monai_synthfm.synthesis.solids import BlobParams, TreeParams
from monai_synthfm.transforms.generator import draw_integer, draw_log_uniform

__all__ = [
    "draw_arch",
    "draw_blob",
    "draw_chain",
    "draw_direction",
    "draw_tree",
    "mirror_solid",
    "move_solid",
    "tube_along",
]

_THINNEST = 0.004  # of a vessel's radius: about a pixel of a slice of 256
Solid = TypeVar("Solid", bound=BlobParams | TreeParams)


def draw_direction(random: np.random.RandomState, upright: float = 0.0) -> np.ndarray:
    """A unit vector; ``upright`` above 0 favours directions along the slices' axis."""
    vector = random.normal(size=3)
    vector[2] += np.sign(vector[2]) * upright
    return np.asarray(vector / np.linalg.norm(vector))


def draw_blob(
    random: np.random.RandomState, center: Sequence[float], radius: float, elongation: float = 0.3
) -> BlobParams:
    """An organ of the volume of a ball of ``radius``; ``elongation`` is the deviation of the logarithm of its axes."""
    logarithms = np.sort(random.normal(0.0, elongation, size=3))
    axes = radius * np.exp(logarithms - logarithms.mean())
    angles = Rotation.random(random_state=random).as_euler("ZYX")
    slender = axes[2] / axes[0]  # the third axis is the longest, along which it bends
    return BlobParams(
        center=_point(center),
        axes=_point(axes),
        angles=_point(angles),
        exponent=float(random.uniform(1.8, 2.6) if random.rand() < 0.75 else random.uniform(2.6, 5.0)),
        cap=draw_log_uniform(random, (1.4, 5.0)),
        bend=float(random.normal(0.0, 0.45) * min(slender, 3.0)) if random.rand() < 0.6 else 0.0,
        taper=float(random.uniform(-0.7, 0.7)) if random.rand() < 0.6 else 0.0,
    )


def tube_along(points: np.ndarray, radii: Sequence[float] | np.ndarray) -> TreeParams:
    """One tube through points ``[N, 3]``."""
    nodes = tuple((*_point(point), float(radius)) for point, radius in zip(points, radii, strict=True))
    return TreeParams(nodes, tuple((k, k + 1) for k in range(len(nodes) - 1)))


def draw_chain(
    random: np.random.RandomState,
    start: Sequence[float],
    direction: np.ndarray,
    length: float,
    radius: float,
    wander: float,
    nodes: int = 7,
) -> TreeParams:
    """A tube whose direction wanders by about ``wander`` radians from node to node: vessels little, bowel much."""
    points, radii = [np.asarray(start, dtype=float)], [radius]
    for _ in range(nodes - 1):
        direction = direction + random.normal(0.0, wander, size=3)
        direction = direction / np.linalg.norm(direction)
        points.append(points[-1] + direction * (length / (nodes - 1)))
        radii.append(max(_THINNEST, radius * float(np.exp(random.normal(0.0, 0.15)))))
    middle = np.stack(points)
    return tube_along(middle + (np.asarray(start) - middle.mean(axis=0)), radii)


def draw_arch(random: np.random.RandomState, center: Sequence[float], radius: float) -> TreeParams:
    """A part of a ring in a plane that is nearer to the slices' axis than to the slices: two legs in some slices that
    meet in others."""
    along, across = draw_direction(random, upright=1.0), draw_direction(random)
    across = across - along * (across @ along)
    across /= np.linalg.norm(across)
    angles = np.linspace(0.0, random.uniform(2.2, 5.0), 9) - np.pi / 2.0
    flat = random.uniform(0.7, 1.4)
    ring = radius * (np.sin(angles)[:, None] * along * flat + np.cos(angles)[:, None] * across / flat)
    thickness = radius * random.uniform(0.25, 0.55) * np.linspace(1.0, random.uniform(0.5, 1.0), len(angles))
    return tube_along(np.asarray(center) + ring - ring.mean(axis=0), thickness)


def draw_tree(
    random: np.random.RandomState, root: Sequence[float], direction: np.ndarray, length: float, radius: float
) -> TreeParams:
    """A vessel that gives off branches, two or three times, each thinner than what it leaves."""
    nodes: list[tuple[float, float, float, float]] = [(*_point(root), radius)]
    links: list[tuple[int, int]] = []
    open_ends = [(0, direction, length, radius)]
    for _ in range(draw_integer(random, (2, 3))):
        following = []
        for begin, way, reach, width in open_ends:
            last = begin
            for _ in range(2):
                way = way + random.normal(0.0, 0.3, size=3)
                way = way / np.linalg.norm(way)
                width = max(_THINNEST, 0.93 * width)
                nodes.append((*_point(np.asarray(nodes[last][:3]) + way * reach / 2.0), width))
                links.append((last, len(nodes) - 1))
                last = len(nodes) - 1
            for _ in range(2):
                aside = way + random.normal(0.0, 0.6, size=3)
                thinner = max(_THINNEST, width * float(random.uniform(0.6, 0.9)))
                following.append(
                    (last, aside / np.linalg.norm(aside), reach * float(random.uniform(0.6, 0.9)), thinner)
                )
        open_ends = following
    return TreeParams(tuple(nodes), tuple(links))


def move_solid(solid: Solid, shift: Sequence[float]) -> Solid:
    """Return a solid elsewhere."""
    if isinstance(solid, TreeParams):
        return replace(solid, nodes=tuple((*_point(np.add(node[:3], shift)), node[3]) for node in solid.nodes))
    return replace(solid, center=_point(np.add(solid.center, shift)))


def mirror_solid(solid: Solid, x: float) -> Solid:
    """Return the mirror image of a solid in the plane at ``x``."""
    if isinstance(solid, TreeParams):
        return replace(solid, nodes=tuple((2.0 * x - node[0], *node[1:]) for node in solid.nodes))
    axes = Rotation.from_euler("ZYX", solid.angles).as_matrix()
    axes[0] *= -1.0
    axes[:, 1] *= -1.0  # a rotation again: the second axis has no direction
    center = (2.0 * x - solid.center[0], *solid.center[1:])
    return replace(solid, center=center, angles=_point(Rotation.from_matrix(axes).as_euler("ZYX")))


def _point(values: Sequence[float] | np.ndarray) -> tuple[float, float, float]:
    x, y, z = (float(value) for value in values)
    return x, y, z
