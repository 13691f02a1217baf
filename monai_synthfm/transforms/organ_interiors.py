# Copyright (c) monai_synthfm contributors
# Licensed under the Apache License, Version 2.0 (http://www.apache.org/licenses/LICENSE-2.0).
# SPDX-License-Identifier: Apache-2.0
"""
What makes one organ of several greys: sub-classes, a core, vessels that branch from the hilum, a sinus.

Lengths are shares of the image's side, places (x, y) are, too. Each function draws from ``random``, which the transform
holds, and returns parameters to be rendered. Not given in the paper; our choice.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from monai_synthfm.synthesis.label_maps import LabelMapParams
from monai_synthfm.synthesis.outlines import OutlineParams, trace_outline
from monai_synthfm.transforms.generator import draw_integer, draw_log_uniform, draw_seed

__all__ = ["draw_classes", "draw_core", "draw_hilum", "draw_sinus", "draw_vessels"]

_FINEST = 1.0 / 64.0  # of the image: a cell of the sub-classes
_THINNEST = 0.004  # of the image: a vessel's width, a pixel of 256


def draw_classes(
    random: np.random.RandomState, organ: OutlineParams, size: Sequence[int], num_classes: int
) -> LabelMapParams:
    """Draw patches of sub-classes, from a quarter of the organ's radius to one and a half of it.

    Args:
        random: to draw from.
        organ: whose inside they are.
        size: (H, W) of the image in pixels.
        num_classes: number of sub-classes.
    """
    cell = max(_FINEST, organ.radius * draw_log_uniform(random, (0.25, 1.5)))
    return LabelMapParams(
        spatial_size=(int(size[0]), int(size[1])),
        num_labels=num_classes,
        noise_scales=(cell, min(1.0, 2.0 * cell)),
        warp_scales=(cell,),
        warp_std=float(random.uniform(0.0, 0.5)) * cell,
        grid_size=128,
        seed=draw_seed(random),
    )


def draw_core(random: np.random.RandomState, organ: OutlineParams) -> OutlineParams:
    """Draw the inside below a rind, as marrow in bone or medulla in a kidney.

    Args:
        random: to draw from.
        organ: whose outline, 0.45 to 0.88 times as large, it is.
    """
    return OutlineParams(
        center=organ.center,
        radius=organ.radius * float(random.uniform(0.45, 0.88)),
        elongation=organ.elongation,
        exponent=organ.exponent,
        harmonics=tuple((0.7 * height, phase) for height, phase in organ.harmonics),
        bend=organ.bend,
        angle=organ.angle,
        mirrored=organ.mirrored,
    )


def draw_hilum(random: np.random.RandomState, organ: OutlineParams) -> np.ndarray:
    """Draw a point (x, y) of the outline, at which vessels come in.

    Args:
        random: to draw from.
        organ: on whose outline it lies.
    """
    points = trace_outline(organ)
    point: np.ndarray = points[random.randint(len(points))]
    return point


def draw_sinus(random: np.random.RandomState, organ: OutlineParams, hilum: np.ndarray) -> list[OutlineParams]:
    """Draw a notch of other tissue that reaches from the hilum into the organ, and perhaps one more part within it.

    Args:
        random: to draw from.
        organ: into which it reaches.
        hilum: (x, y) of :func:`draw_hilum`.
    """
    inwards = np.asarray(organ.center) - hilum
    angle = float(np.arctan2(inwards[1], inwards[0]) + random.normal(0.0, 0.3))
    radius = organ.radius * float(random.uniform(0.2, 0.45))
    waves = tuple((float(random.normal(0.0, 0.2 / k)), float(random.uniform(0.0, 2.0 * np.pi))) for k in range(2, 7))
    parts = []
    for size in (1.0, float(random.uniform(0.3, 0.6)))[: draw_integer(random, (1, 2))]:
        center = hilum + inwards * float(random.uniform(0.15, 0.55))
        elongation = draw_log_uniform(random, (1.0, 2.5))
        parts.append(_outline(center, size * radius, elongation, 2.0, angle, waves=waves))
    return parts


def draw_vessels(random: np.random.RandomState, organ: OutlineParams, hilum: np.ndarray) -> list[OutlineParams]:
    """Draw tubes that branch inwards from the hilum, none or up to three levels of them, and cross-sections of others.

    Args:
        random: to draw from.
        organ: through which they run; the widest take 0.04 to 0.16 of its radius.
        hilum: (x, y) of :func:`draw_hilum`.
    """
    width = max(_THINNEST, organ.radius * draw_log_uniform(random, (0.04, 0.16)))
    inwards = np.asarray(organ.center) - hilum
    way = float(np.arctan2(inwards[1], inwards[0]))
    open_ends = [(hilum - 0.1 * inwards, way + float(random.normal(0.0, 0.3)), width)]
    parts = []
    for _ in range(draw_integer(random, (0, 3))):
        following = []
        for start, angle, thickness in open_ends:
            length = organ.radius * float(random.uniform(0.4, 0.9))
            end = start + length * np.array([np.cos(angle), np.sin(angle)])
            parts.append(_tube(start, end, thickness, float(random.normal(0.0, 0.4))))
            for turn in (-1.0, 1.0):
                thinner = max(_THINNEST, thickness * float(random.uniform(0.55, 0.9)))
                following.append((end, angle + turn * float(random.uniform(0.2, 0.9)), thinner))
        open_ends = following
    for _ in range(round(draw_log_uniform(random, (1.0, 25.0)))):
        angle, distance = random.uniform(0.0, 2.0 * np.pi), organ.radius * np.sqrt(random.rand() * organ.elongation)
        center = np.asarray(organ.center) + distance * np.array([np.cos(angle), np.sin(angle)])
        thickness = max(_THINNEST, width * float(random.uniform(0.4, 1.0)))
        elongation = draw_log_uniform(random, (1.0, 6.0))
        radius = 0.5 * thickness * np.sqrt(elongation)
        parts.append(_outline(center, float(radius), elongation, 2.0, float(random.uniform(0.0, np.pi))))
    return parts


def _tube(start: np.ndarray, end: np.ndarray, width: float, bend: float) -> OutlineParams:
    x, y = end - start
    length = float(np.hypot(x, y)) + width
    radius = 0.5 * float(np.sqrt(length * width))
    return _outline((start + end) / 2.0, radius, length / width, 3.0, float(np.arctan2(y, x)), bend)


def _outline(
    center: np.ndarray,
    radius: float,
    elongation: float,
    exponent: float,
    angle: float,
    bend: float = 0.0,
    waves: tuple[tuple[float, float], ...] = (),
) -> OutlineParams:
    x, y = center
    return OutlineParams((float(x), float(y)), radius, elongation, exponent, waves, bend, angle, False)
