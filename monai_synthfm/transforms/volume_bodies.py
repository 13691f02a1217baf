# Copyright (c) monai_synthfm contributors
# Licensed under the Apache License, Version 2.0 (http://www.apache.org/licenses/LICENSE-2.0).
# SPDX-License-Identifier: Apache-2.0
"""Random bodies: skin, fat and muscle round a cavity, with a column and ribs, long bones or a skull."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from monai_synthfm.synthesis.solids import BlobParams, TreeParams, solid_bounds
from monai_synthfm.transforms.generator import draw_integer, draw_log_uniform
from monai_synthfm.transforms.solids import draw_chain, draw_direction, move_solid, tube_along
from monai_synthfm.transforms.volume_parts import PartList
from monai_synthfm.transforms.volume_presets import LayerRange, TissueRange

__all__ = ["Frame", "draw_body"]


@dataclass(frozen=True)
class Frame:
    """What organs lie in: number of the part, centre and half size in the slices."""

    part: int
    center: np.ndarray
    half: np.ndarray


def draw_body(parts: PartList, extent: np.ndarray, bones_prob: float) -> Frame:
    """Add a trunk, or a smaller body like a limb or a head, and what holds it up.

    Args:
        parts: to add to.
        extent: of the slices as multiples of their shorter side.
        bones_prob: probability of bones where there is no skull.

    Returns:
        The cavity, in which organs lie.
    """
    small = parts.random.rand() < 0.3
    radius = float(parts.random.uniform(0.2, 0.36) if small else parts.random.uniform(0.36, 0.5))
    wide = np.sqrt(draw_log_uniform(parts.random, (0.85, 1.3) if small else (1.0, 1.7)))
    half = np.minimum(radius * np.array([wide, 1.0 / wide]), 0.56 * extent)
    middle = extent / 2.0 + parts.random.normal(0.0, 0.02, size=2)
    length = draw_log_uniform(parts.random, (0.8, 6.0))
    body = BlobParams(
        center=(float(middle[0]), float(middle[1]), 0.0),
        axes=(float(half[0]), float(half[1]), length),
        angles=(float(parts.random.normal(0.0, 0.08)), 0.0, 0.0),
        exponent=float(parts.random.uniform(2.0, 3.2)),
        cap=float(parts.random.uniform(2.0, 6.0)),
        bend=float(parts.random.normal(0.0, 0.1)),
        taper=float(parts.random.normal(0.0, 0.15)),
    )
    ends = parts.random.rand() < 0.04
    z = parts.random.uniform(0.2, 0.9) * parts.depth + length * (1.0 if parts.random.rand() < 0.5 else -1.0)
    z = z if ends else parts.depth / 2.0 + parts.random.uniform(-0.5, 0.5) * max(0.0, length - parts.depth)
    body = move_solid(body, (0.0, 0.0, float(z)))
    fat, muscle = parts.preset.layers[-2:]
    waves = parts.draw_waves(float(half.min()), float(parts.random.uniform(0.0, 0.04)))
    thickness = fat.thickness if parts.random.rand() < 0.7 else (0.04, 0.12)
    number = parts.add((body,), 0, float(half.min()), _layer(muscle, fat), wall=thickness, waves=waves)
    inner = draw_log_uniform(parts.random, (0.62, 0.9))
    cavity = replace(body, axes=(inner * body.axes[0], inner * body.axes[1], length))
    skull = small and parts.random.rand() < 0.5
    bone = parts.preset.tissues[-1]
    kind = replace(bone, core=parts.preset.cavity)
    parts.add((cavity,), number, inner * float(half.min()), kind, wall=(0.012, 0.04) if skull else None, waves=waves)
    frame = Frame(number + 1, middle, inner * half)
    if parts.random.rand() < bones_prob and not skull:
        (_draw_long_bones if small else _draw_column)(parts, number, frame)
        if not small and parts.random.rand() < 0.4:
            _draw_ribs(parts, number, frame)
    return frame


def _draw_long_bones(parts: PartList, body: int, frame: Frame) -> None:
    for _ in range(draw_integer(parts.random, (1, 2))):
        x, y = frame.center + parts.random.uniform(-0.6, 0.6, size=2) * frame.half
        radius = float(parts.random.uniform(0.12, 0.3) * frame.half.min())
        shaft = draw_chain(
            parts.random, (x, y, parts.depth / 2.0), draw_direction(parts.random, 8.0), 3.0, radius, 0.05
        )
        wall = (0.15 * radius, 0.5 * radius)
        parts.add(parts.place((shaft,), 0.3), body, radius, parts.preset.tissues[-1], parts.new(), wall=wall)


def _draw_column(parts: PartList, body: int, frame: Frame) -> None:
    """Vertebrae with their processes, discs between them, and the canal behind."""
    bone = parts.preset.tissues[-1]
    width = float(frame.half.mean() * parts.random.uniform(0.16, 0.26))
    height = float(width * parts.random.uniform(1.1, 1.9))
    x = frame.center[0] + parts.random.normal(0.0, 0.01)
    y = frame.center[1] + frame.half[1] * parts.random.uniform(0.6, 0.95)
    slope, phase = parts.random.normal(0.0, 0.15), parts.random.rand()
    lengths = np.array([-0.2, parts.depth + 0.2])
    disc = tube_along(np.stack([np.full(2, x), y + slope * lengths, lengths], axis=1), (0.9 * width,) * 2)
    parts.add((disc,), body, width, parts.preset.tissues[0])
    like = 0
    for k in range(int(np.ceil(parts.depth / height)) + 2):
        z = (k - phase) * height
        back = y + slope * z
        vertebra = BlobParams(
            center=(float(x), float(back), float(z)),
            axes=(width, width * float(parts.random.uniform(0.7, 0.9)), 0.43 * height),
            angles=(0.0, 0.0, float(parts.random.normal(0.0, 0.08))),
            exponent=2.4,
            cap=float(parts.random.uniform(4.0, 8.0)),
            bend=0.0,
            taper=0.0,
        )
        thin = 0.22 * width
        ends = [(0.75, 0.6, 0.0), (0.7, 1.35, 0.0), (0.0, 1.9, 0.1), (0.0, 2.9, 0.45), (1.5, 1.4, 0.0)]
        points = [(x + side * width * u, back + width * v, z + height * w) for side in (1, -1) for u, v, w in ends]
        links = tuple((a + s, b + s) for s in (0, 5) for a, b in ((0, 1), (1, 2), (2, 3), (1, 4)))
        arch = TreeParams(tuple((float(a), float(b), float(c), thin) for a, b, c in points), links)
        waves = parts.draw_waves(width, 0.06)
        number = parts.add(
            (vertebra, arch),
            body,
            thin,
            bone,
            parts.new(),
            wall=(0.05 * width, 0.2 * width),
            waves=waves,
            like=like,
        )
        like = like or number
    canal = move_solid(disc, (0.0, 1.25 * width, 0.0))
    canal = replace(canal, nodes=tuple((*node[:3], 0.42 * width) for node in canal.nodes))
    parts.add((canal,), body, 0.42 * width, parts.preset.tissues[0], parts.new())


def _draw_ribs(parts: PartList, body: int, frame: Frame) -> None:
    bone = parts.preset.tissues[-1]
    distance, fall = float(parts.random.uniform(0.09, 0.16)), float(parts.random.uniform(0.15, 0.4))
    radius, phase = float(parts.random.uniform(0.009, 0.016)), parts.random.rand()
    around = np.linspace(0.42 * np.pi, -0.3 * np.pi, 9)
    like = 0
    for k in range(int((parts.depth + fall) / distance) + 2):
        z = (k - phase) * distance - fall
        for side in (1.0, -1.0):
            points = np.stack(
                [
                    frame.center[0] + side * 1.04 * frame.half[0] * np.cos(around),
                    frame.center[1] + 1.04 * frame.half[1] * np.sin(around),
                    z + fall * np.linspace(0.0, 1.0, len(around)),
                ],
                axis=1,
            )
            rib = tube_along(points, radius * np.exp(parts.random.normal(0.0, 0.1, size=len(around))))
            low, high = solid_bounds(rib)[:, 2]
            if high > 0.0 and low < parts.depth:
                wall = (0.2 * radius, 0.5 * radius)
                number = parts.add((rib,), body, radius, bone, parts.new(), wall=wall, like=like)
                like = like or number


def _layer(inside: LayerRange, outside: LayerRange) -> TissueRange:
    return TissueRange(1.0, inside.intensity, wall=outside.intensity)
