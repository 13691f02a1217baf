# Copyright (c) monai_synthfm contributors
# Licensed under the Apache License, Version 2.0 (http://www.apache.org/licenses/LICENSE-2.0).
# SPDX-License-Identifier: Apache-2.0
"""Ellipses through outlines: how a drawn circumference becomes a mask, even where the image cuts it off."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from scipy import ndimage

__all__ = ["Ellipse", "fit_ellipse", "outline_points"]


@dataclass(frozen=True)
class Ellipse:
    """
    An ellipse in pixel coordinates, where a whole number is the centre of a pixel.

    Args:
        x: centre, in columns.
        y: centre, in rows.
        a: larger semi-axis in pixels.
        b: smaller semi-axis in pixels.
        angle: of the larger axis, in radians from the column axis towards the row axis.

    Example:
        >>> round(Ellipse(0, 0, 10, 10, 0).circumference(), 3)
        62.832
        >>> int(Ellipse(10, 8, 3, 2, 0).mask((20, 20)).sum())
        19
    """

    x: float
    y: float
    a: float
    b: float
    angle: float

    def circumference(self) -> float:
        """Return the length of the outline in pixels, by Ramanujan's first approximation."""
        return math.pi * (3 * (self.a + self.b) - math.sqrt((3 * self.a + self.b) * (self.a + 3 * self.b)))

    def mask(self, shape: tuple[int, int], margin: float = 0.0) -> np.ndarray:
        """
        Return the pixels [H, W] whose centres lie inside.

        Args:
            shape: H and W.
            margin: added to both semi-axes; half a pixel takes in the pixels that the outline itself goes through.
        """
        rows, columns = np.ogrid[: shape[0], : shape[1]]
        return self.level(columns, rows, margin) <= 1

    def level(self, x: np.ndarray, y: np.ndarray, margin: float = 0.0) -> np.ndarray:
        """Return the squared distances of points from the centre, where 1 is on the outline, see :meth:`mask`."""
        cos, sin = math.cos(self.angle), math.sin(self.angle)
        along = (x - self.x) * cos + (y - self.y) * sin
        across = (y - self.y) * cos - (x - self.x) * sin
        return (along / (self.a + margin)) ** 2 + (across / (self.b + margin)) ** 2


def outline_points(marked: np.ndarray) -> np.ndarray:
    """
    Return the (x, y) of the pixels of an outline [N, 2], which may be drawn as a line or as a filled region.

    Where a region is cut off by the edge of the image, the edge is no part of its outline.

    Args:
        marked: booleans [H, W].
    """
    inner = ndimage.binary_erosion(marked, border_value=1)
    return np.argwhere(marked & ~inner)[:, ::-1]


def fit_ellipse(points: np.ndarray) -> Ellipse:
    """
    Fit an ellipse to points by direct least squares.

    Minimises the algebraic distance :math:`\\sum (A x^2 + B xy + C y^2 + D x + E y + F)^2` under
    :math:`4AC - B^2 = 1`, which only ellipses meet. Source: Halir and Flusser, "Numerically stable direct least squares
    fitting of ellipses", 1998. scikit-image's ``EllipseModel`` does the same, but up to 0.26 fails with NumPy 2.5, and
    takes axes on a diagonal for one another.

    Args:
        points: (x, y) [N, 2], at least 5.

    Raises:
        ValueError: when there are fewer than 5 points, or they do not lie along an ellipse (a line, for example).

    Example:
        >>> turn = np.linspace(0, 2 * np.pi, 40)
        >>> found = fit_ellipse(np.stack([30 + 9 * np.cos(turn), 20 + 4 * np.sin(turn)], axis=1))
        >>> [round(value, 3) for value in (found.x, found.y, found.a, found.b)]
        [30.0, 20.0, 9.0, 4.0]
    """
    points = np.asarray(points, dtype=np.float64)
    if len(points) < 5:
        raise ValueError(f"expected at least 5 points of an ellipse, found {len(points)}.")
    middle = points.mean(axis=0)
    if np.linalg.matrix_rank(points - middle) < 2:
        raise ValueError("the points do not lie along an ellipse.")
    scale = points.std()
    conic = _fitted_conic((points - middle) / scale)
    if conic is None:
        raise ValueError("the points do not lie along an ellipse.")
    # (p - c)^T Q (p - c) = l on the outline, and the eigenvectors of Q / l are its axes
    form = np.array([[conic[0], conic[1] / 2], [conic[1] / 2, conic[2]]])
    centre = np.linalg.solve(form, -conic[3:5] / 2)
    level = centre @ form @ centre - conic[5]
    curvatures, axes = np.linalg.eigh(form / level)
    if not (np.isfinite(curvatures).all() and curvatures.min() > 0):
        raise ValueError("the points do not lie along an ellipse.")
    x, y = middle + scale * centre
    a, b = scale / np.sqrt(curvatures)
    return Ellipse(float(x), float(y), float(a), float(b), math.atan2(axes[1, 0], axes[0, 0]) % math.pi)


def _fitted_conic(points: np.ndarray) -> np.ndarray | None:
    """Return A to F of the ellipse through points about the origin, None where only other conics fit."""
    x, y = points.T
    squares, rest = np.stack([x * x, x * y, y * y], axis=1), np.stack([x, y, np.ones_like(x)], axis=1)
    of_rest = -np.linalg.solve(rest.T @ rest, rest.T @ squares)
    scatter = squares.T @ (squares + rest @ of_rest)
    # NumPy before 2.5 gives real numbers where it can
    found = np.linalg.eig(np.stack([scatter[2] / 2, -scatter[1], scatter[0] / 2]))[1].real
    inside = 4 * found[0] * found[2] - found[1] ** 2
    if not inside.max() > 0:
        return None
    best = found[:, inside.argmax()]
    return np.concatenate([best, of_rest @ best])
