# Copyright (c) monai_synthfm contributors
# Licensed under the Apache License, Version 2.0 (http://www.apache.org/licenses/LICENSE-2.0).
# SPDX-License-Identifier: Apache-2.0
"""Random closed Bezier objects: the structure of SynthFM's shape-aware module."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from monai.data import MetaTensor

from monai_synthfm.synthesis.bezier import BezierShapesParams, EllipseParams, closed_bezier, draw_shapes
from monai_synthfm.synthesis.params import Params
from monai_synthfm.transforms.generator import (
    RandGenerator,
    RandLabelGeneratord,
    check_probability,
    check_range,
    draw_integer,
    draw_log_uniform,
)

__all__ = ["RandBezierShapes", "RandBezierShapesD", "RandBezierShapesDict", "RandBezierShapesd"]


class RandBezierShapes(RandGenerator):
    """Generate an instance label map of closed Bezier objects.

    Every object has its own number of control points, spread at irregular angles and radii round its centre; the curve
    is scaled to the drawn size, stretched, turned and placed. Large objects are drawn first, so that small ones
    (vessels, lesions) end up inside or beside organs.

    Source: SynthFM, section 3.1 (shape-aware module): random number of control points and shapes, phantom or black
    canvas. Every range and the rules of size, order and overlap are not given in the paper; our choice.

    Args:
        spatial_size: height and width in pixels.
        num_shapes: range of the number of objects.
        num_points: range of the number of control points of an object, at least 3.
        radius: range of the equivalent radius as a fraction of the image side, drawn log-uniformly.
        elongation: range of the ratio of an object's axes, at least 1, drawn log-uniformly.
        irregularity: range of the spread of the control points' radii and angles, 0 (round) to 1.
        phantom_prob: probability of an elliptic phantom under the objects.
        phantom_radius: range of the phantom's radii as fractions of width and height.
        behind_prob: probability that an object lies behind the earlier ones.
        overlap: range of the overlap allowed in an image, as a share of the smaller object's radius: 0 = apart, 2 = one
            inside the other. Objects are placed anew, a few times, while their circles overlap more.
        device: where the label map is put; polygons are filled on the CPU.

    Returns:
        ``__call__`` and ``replay`` return a MetaTensor ``[1, H, W]`` int64, 0 background, objects in drawing order from
        1 (a hidden one keeps its number).

    Raises:
        ValueError: when a range is not ordered or outside its limits, or ``spatial_size`` is not two numbers.

    Example:
        >>> shapes = RandBezierShapes((64, 64)).set_random_state(seed=1)
        >>> labels = shapes()
        >>> labels.shape, bool((shapes.replay(labels.meta["synthfm"]) == labels).all())
        (torch.Size([1, 64, 64]), True)
    """

    params_type = BezierShapesParams

    def __init__(
        self,
        spatial_size: Sequence[int],
        num_shapes: Sequence[int] = (2, 16),
        num_points: Sequence[int] = (4, 12),
        radius: Sequence[float] = (0.015, 0.4),
        elongation: Sequence[float] = (1.0, 3.0),
        irregularity: Sequence[float] = (0.2, 1.0),
        phantom_prob: float = 0.6,
        phantom_radius: Sequence[float] = (0.3, 0.5),
        behind_prob: float = 0.2,
        overlap: Sequence[float] = (0.0, 2.0),
        device: torch.device | str = "cpu",
    ) -> None:
        super().__init__(device)
        if len(spatial_size) != 2:
            raise ValueError(
                f"spatial_size must be (height, width), Bezier objects are drawn in 2D, got {spatial_size!r}."
            )
        self.spatial_size = (int(spatial_size[0]), int(spatial_size[1]))
        self.num_shapes = check_range("num_shapes", num_shapes, low=1)
        self.num_points = check_range("num_points", num_points, low=3)
        self.radius = check_range("radius", radius, low=1e-4, high=1.0)
        self.elongation = check_range("elongation", elongation, low=1.0)
        self.irregularity = check_range("irregularity", irregularity, low=0.0, high=1.0)
        self.phantom_prob = check_probability("phantom_prob", phantom_prob)
        self.phantom_radius = check_range("phantom_radius", phantom_radius, low=1e-4)
        self.behind_prob = check_probability("behind_prob", behind_prob)
        self.overlap = check_range("overlap", overlap, low=0.0)

    def randomize(self, spatial_size: Sequence[int] | None = None, phantom_prob: float | None = None) -> None:
        """Draw the objects, for a canvas of another size and with another probability of a phantom than the
        constructor's if these are given."""
        phantom_prob = self.phantom_prob if phantom_prob is None else check_probability("phantom_prob", phantom_prob)
        size = self.spatial_size if spatial_size is None else (int(spatial_size[0]), int(spatial_size[1]))
        phantom = self._draw_phantom() if self.R.rand() < phantom_prob else None
        radii = sorted(
            (draw_log_uniform(self.R, self.radius) for _ in range(draw_integer(self.R, self.num_shapes))), reverse=True
        )
        aspect = np.array([size[0], size[1]]) / min(size)
        overlap = self.R.uniform(*self.overlap)
        outlines: list[tuple[tuple[float, float], ...]] = []
        circles: list[tuple[np.ndarray, float]] = []
        for radius in radii:
            center = self._draw_center(radius, circles, phantom, overlap)
            circles.append((center, radius))
            # radius is a fraction of the shorter side; x runs along the width
            outline = center + self._draw_outline() * radius / aspect[::-1]
            outlines.append(tuple((float(x), float(y)) for x, y in outline))
        behind = tuple(bool(self.R.rand() < self.behind_prob) for _ in radii)
        self.params = BezierShapesParams(size, tuple(outlines), behind, phantom)

    def _draw_phantom(self) -> EllipseParams:
        radii = self.R.uniform(*self.phantom_radius, size=2)
        center = 0.5 + self.R.uniform(-0.5, 0.5, size=2) * np.maximum(0.0, 1.0 - 2.0 * radii)
        angle = float(self.R.uniform(-0.3, 0.3))
        return EllipseParams((float(center[0]), float(center[1])), (float(radii[0]), float(radii[1])), angle)

    def _draw_center(
        self, radius: float, circles: list[tuple[np.ndarray, float]], phantom: EllipseParams | None, overlap: float
    ) -> np.ndarray:
        for _ in range(8):
            angle, distance = self.R.uniform(0.0, 2.0 * np.pi), np.sqrt(self.R.rand())
            if phantom is None:
                center = self.R.uniform(0.0, 1.0, size=2)
            else:
                reach = distance * np.maximum(0.0, np.array(phantom.radii) - 0.7 * radius)
                center = np.array(phantom.center) + reach * np.array([np.cos(angle), np.sin(angle)])
            shared = [(radius + other - np.hypot(*(center - place))) / min(radius, other) for place, other in circles]
            if max(shared, default=0.0) <= overlap:
                break
        return center

    def _draw_outline(self) -> np.ndarray:
        """Control points of an object of equivalent radius 1 round the origin."""
        count = draw_integer(self.R, self.num_points)
        spread = self.R.uniform(*self.irregularity)
        angles = 2.0 * np.pi * (np.arange(count) + spread * self.R.uniform(-0.5, 0.5, size=count)) / count
        lengths = np.exp(spread * self.R.uniform(-1.5, 1.5, size=count))
        points = lengths[:, None] * np.stack([np.cos(angles), np.sin(angles)], axis=1)
        curve = closed_bezier(points)
        # the curve lies well inside its control polygon: scale by the area that it really encloses
        x, y = curve[:-1].T
        area = 0.5 * abs(np.sum(x * np.roll(y, -1) - y * np.roll(x, -1)))
        points = (points - curve[:-1].mean(axis=0)) * np.sqrt(np.pi / max(area, 1e-6))
        stretch = np.sqrt(draw_log_uniform(self.R, self.elongation))
        turn = self.R.uniform(0.0, np.pi)
        rotation = np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]])
        outline: np.ndarray = (points * [stretch, 1.0 / stretch]) @ rotation.T
        return outline

    def replay(self, params: Params | str | Mapping[str, Any]) -> MetaTensor:
        parsed = self.parse(params)
        return self.as_meta_tensor(draw_shapes(parsed)[0].to(self.device), parsed)


class RandBezierShapesd(RandLabelGeneratord):
    """Dictionary twin of :class:`RandBezierShapes`: adds a label map of closed Bezier objects to a dictionary, which
    may be empty.

    Args:
        keys: name of the label map.
        prob: probability that an item gets one, or gets another one in the place of its own.
        allow_missing_keys: without effect: the key is made, not read.
        kwargs: of :class:`RandBezierShapes`.

    Raises:
        ValueError: when ``keys`` are not one name.

    Example:
        >>> RandBezierShapesd("label", spatial_size=(32, 32))({})["label"].shape
        torch.Size([1, 32, 32])
    """

    generator_type = RandBezierShapes


RandBezierShapesD = RandBezierShapesDict = RandBezierShapesd
