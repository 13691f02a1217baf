# Copyright (c) monai_synthfm contributors
# Licensed under the Apache License, Version 2.0 (http://www.apache.org/licenses/LICENSE-2.0).
# SPDX-License-Identifier: Apache-2.0
"""One family of closed outlines, from discs and boxes to lobed organs, tubes and crescents."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from monai_synthfm.synthesis.params import Params

__all__ = ["OutlineParams", "trace_outline"]

OUTLINE_SAMPLES = 128
_STRAIGHT = 1e-6  # radians: a circle of such a small curvature has a centre too far away for the arithmetic


@dataclass(frozen=True)
class OutlineParams(Params):
    """A closed outline; lengths are fractions of the image's shorter side.

    Args:
        center: (x, y) of the middle, from the upper left corner of the image.
        radius: of the disc that has the same area.
        elongation: ratio of the axes, 1 or more.
        exponent: of the superellipse: 2 is an ellipse, more tends to a box, less to a rhombus.
        harmonics: (amplitude, phase in radians) of the waves of 2, 3, ... periods on the radius.
        bend: angle in radians that the long axis turns by from end to end.
        angle: of the long axis in radians.
        mirrored: whether left and right are exchanged.
    """

    center: tuple[float, float]
    radius: float
    elongation: float
    exponent: float
    harmonics: tuple[tuple[float, float], ...]
    bend: float
    angle: float
    mirrored: bool


def trace_outline(params: OutlineParams, samples: int = OUTLINE_SAMPLES) -> np.ndarray:
    r"""Return points along an outline.

    .. math:: (u, v)(t) = e^{\sum_k a_k \cos(k t + \varphi_k)} \, (|\cos t|^{2/n} \operatorname{sgn} \cos t, \;
        |\sin t|^{2/n} \operatorname{sgn} \sin t), \quad k = 2, 3, ...

    scaled to the area of the disc, stretched by (√e, 1/√e), bent along a circular arc and turned.

    Args:
        params: see ``OutlineParams``.
        samples: number of points.

    Returns:
        Points (x, y) ``[samples, 2]`` as fractions of the image's shorter side.

    Source: not given in the paper, which names Bezier curves only; our choice, a family in which organs of many
    kinds lie.

    Example:
        >>> disc = OutlineParams((0.5, 0.5), 0.25, 1.0, 2.0, (), 0.0, 0.0, False)
        >>> distances = np.hypot(*(trace_outline(disc) - 0.5).T)
        >>> bool(np.allclose(distances, 0.25, atol=1e-3))
        True
    """
    t = np.arange(samples) * (2.0 * np.pi / samples)
    wave = sum((a * np.cos(k * t + phase) for k, (a, phase) in enumerate(params.harmonics, start=2)), np.zeros(samples))
    power = 2.0 / params.exponent
    cosine, sine = np.cos(t), np.sin(t)
    points = np.exp(wave)[:, None] * np.stack(
        [np.sign(cosine) * np.abs(cosine) ** power, np.sign(sine) * np.abs(sine) ** power], axis=1
    )
    points -= points.mean(axis=0)
    x, y = points.T
    area = 0.5 * abs(np.sum(x * np.roll(y, -1) - y * np.roll(x, -1)))
    stretch = np.sqrt(params.elongation)
    points *= np.array([stretch, 1.0 / stretch]) * np.sqrt(np.pi / area)
    if abs(params.bend) > _STRAIGHT:
        points = _bend(points, params.bend)
    rotation = np.array([[np.cos(params.angle), -np.sin(params.angle)], [np.sin(params.angle), np.cos(params.angle)]])
    points = points @ rotation.T
    if params.mirrored:
        points[:, 0] *= -1.0
    outline: np.ndarray = points * params.radius + params.center
    return outline


def _bend(points: np.ndarray, angle: float) -> np.ndarray:
    """Wrap the long axis round a circle so that it turns by ``angle`` in all, at most as far as the inside allows."""
    half_length, half_width = np.abs(points).max(axis=0)
    curvature = np.sign(angle) * min(abs(angle) / (2.0 * half_length), 0.9 / half_width)
    reach = 1.0 / curvature - points[:, 1]
    bent = np.stack(
        [reach * np.sin(curvature * points[:, 0]), 1.0 / curvature - reach * np.cos(curvature * points[:, 0])], axis=1
    )
    return np.asarray(bent - (bent.max(axis=0) + bent.min(axis=0)) / 2.0)
