# Copyright (c) monai_synthfm contributors
# Licensed under the Apache License, Version 2.0 (http://www.apache.org/licenses/LICENSE-2.0).
# SPDX-License-Identifier: Apache-2.0
"""Closed Bezier objects, drawn as instances on a canvas with or without an elliptic phantom."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import torch
from PIL import Image, ImageDraw
from scipy.special import comb

from monai_synthfm.synthesis.params import Params

__all__ = ["BezierShapesParams", "EllipseParams", "bernstein_matrix", "closed_bezier", "draw_shapes", "ellipse_mask"]

CURVE_SAMPLES = 96


@dataclass(frozen=True)
class EllipseParams(Params):
    """An ellipse in units of the image: centre and radii as fractions of width and height, angle in radians."""

    center: tuple[float, float]
    radii: tuple[float, float]
    angle: float


@dataclass(frozen=True)
class BezierShapesParams(Params):
    """What ``draw_shapes`` needs.

    Args:
        spatial_size: height and width of the canvas in pixels.
        outlines: for each shape its control points (x, y), as fractions of width and height.
        behind: for each shape whether it lies behind the earlier ones rather than over them.
        phantom: a plain ellipse under all shapes, or None for a black canvas.
    """

    spatial_size: tuple[int, int]
    outlines: tuple[tuple[tuple[float, float], ...], ...]
    behind: tuple[bool, ...]
    phantom: EllipseParams | None


@lru_cache(maxsize=64)
def bernstein_matrix(degree: int, samples: int) -> np.ndarray:
    r"""Values of the Bernstein polynomials at equally spaced t in [0, 1].

    .. math:: b_k(t) = \binom{n}{k} (1 - t)^{n - k} t^k

    Args:
        degree: n, at least 1.
        samples: number of values of t.

    Returns:
        Matrix ``[samples, degree + 1]``; every row sums to 1.

    Source: SynthFM, section 3.1 (the Bernstein form of a Bezier curve).

    Example:
        >>> bernstein_matrix(2, 3).tolist()
        [[1.0, 0.0, 0.0], [0.25, 0.5, 0.25], [0.0, 0.0, 1.0]]
    """
    t = np.linspace(0.0, 1.0, samples)[:, None]
    k = np.arange(degree + 1)[None]
    matrix: np.ndarray = comb(degree, k) * (1.0 - t) ** (degree - k) * t**k
    matrix.setflags(write=False)
    return matrix


def closed_bezier(control_points: np.ndarray, samples: int = CURVE_SAMPLES) -> np.ndarray:
    r"""Evaluate the smoothly closed Bezier curve of some control points.

    .. math:: B(t) = \sum_{k=0}^{n} \binom{n}{k} (1 - t)^{n - k} t^k P_k, \qquad P_0 = P_n = (P_1 + P_{n-1}) / 2

    The shared end point lies in the middle of its neighbours, so the tangents agree there and the outline has no
    corner.

    Args:
        control_points: P_1 ... P_{n-1}, ``[K, 2]`` with K >= 3.
        samples: number of points along the curve, the last equal to the first.

    Returns:
        Outline ``[samples, 2]``.

    Source: SynthFM, section 3.1, for the curve; the closure is not given in the paper, our choice.

    Example:
        >>> outline = closed_bezier(np.array([[0.0, 0.0], [4.0, 0.0], [4.0, 4.0], [0.0, 4.0]]))
        >>> bool(np.allclose(outline[0], outline[-1]))
        True
    """
    points = np.asarray(control_points, dtype=np.float64)
    if points.ndim != 2 or points.shape[1] != 2 or len(points) < 3:
        raise ValueError(f"control_points must be [K >= 3, 2], got shape {points.shape}.")
    joint = (points[:1] + points[-1:]) / 2.0
    polygon = np.concatenate([joint, points, joint])
    return bernstein_matrix(len(polygon) - 1, samples) @ polygon


def ellipse_mask(ellipse: EllipseParams, spatial_size: tuple[int, int]) -> torch.Tensor:
    """Fill an ellipse.

    Returns:
        Mask ``[H, W]`` bool, true where ((u / r_u)^2 + (v / r_v)^2 <= 1) in the ellipse's own axes.

    Example:
        >>> ellipse_mask(EllipseParams((0.5, 0.5), (0.25, 0.25), 0.0), (8, 8)).sum().item()
        12
    """
    height, width = spatial_size
    y = (torch.arange(height, dtype=torch.float32) + 0.5)[:, None] - ellipse.center[1] * height
    x = (torch.arange(width, dtype=torch.float32) + 0.5)[None] - ellipse.center[0] * width
    cosine, sine = float(np.cos(ellipse.angle)), float(np.sin(ellipse.angle))
    u = (cosine * x + sine * y) / (ellipse.radii[0] * width)
    v = (cosine * y - sine * x) / (ellipse.radii[1] * height)
    return u * u + v * v <= 1.0


def draw_shapes(params: BezierShapesParams) -> tuple[torch.Tensor, torch.Tensor]:
    """Draw the shapes of one sample: the pixels inside each outline, by the even-odd rule, and those on it.

    Args:
        params: shapes in drawing order. Shape i gets the label i + 1; hidden shapes keep their number.

    Returns:
        Instance labels ``[H, W]`` int64 and the phantom's mask ``[H, W]`` bool, both on the CPU, where polygons are
        filled.

    Source: SynthFM, section 3.1 (shape-aware module); drawing order and overlap are not given in the paper, our choice.

    Example:
        >>> square = ((0.2, 0.2), (0.8, 0.2), (0.8, 0.8), (0.2, 0.8))
        >>> labels, phantom = draw_shapes(BezierShapesParams((32, 32), (square,), (False,), None))
        >>> labels.unique().tolist(), bool(phantom.any())
        ([0, 1], False)
    """
    height, width = params.spatial_size
    canvas = Image.new("I", (width, height), 0)
    pen = ImageDraw.Draw(canvas)
    over = [index for index, hidden in enumerate(params.behind) if not hidden]
    behind = [index for index, hidden in enumerate(params.behind) if hidden]
    for index in behind[::-1] + over:
        outline = closed_bezier(np.asarray(params.outlines[index])) * (width, height) - 0.5
        # rounded here because the pen would cut the fractions off, which moves objects by half a pixel
        pen.polygon([(int(x), int(y)) for x, y in np.rint(outline)], fill=index + 1)
    labels = torch.from_numpy(np.array(canvas, dtype=np.int64))
    if params.phantom is None:
        return labels, torch.zeros(params.spatial_size, dtype=torch.bool)
    return labels, ellipse_mask(params.phantom, params.spatial_size)
