# Copyright (c) monai_synthfm contributors
# Licensed under the Apache License, Version 2.0 (http://www.apache.org/licenses/LICENSE-2.0).
# SPDX-License-Identifier: Apache-2.0
"""From the coordinates people have (voxels, or mm in RAS+ or LPS+) to voxels of an array, and back."""

from __future__ import annotations

import numpy as np

__all__ = ["SPACES", "apply_affine", "map_boxes", "to_voxels"]

SPACES = ("voxel", "world", "lps")
_LPS_TO_RAS = np.diag([-1.0, -1.0, 1.0, 1.0])


def apply_affine(matrix: np.ndarray, points: np.ndarray) -> np.ndarray:
    """
    Map points by a 4 x 4 matrix, ``p -> A p + t``; NaN stays NaN.

    Args:
        matrix: affine [4, 4].
        points: coordinates [..., 3].

    Example:
        >>> apply_affine(np.diag([2.0, 2.0, 5.0, 1.0]), np.array([[1.0, 0.0, 2.0]])).tolist()
        [[2.0, 0.0, 10.0]]
    """
    return np.asarray(points @ matrix[:3, :3].T + matrix[:3, 3])


def map_boxes(matrix: np.ndarray, boxes: np.ndarray) -> np.ndarray:
    """
    Map the two corners of boxes and sort them, so that the result is a box along the axes of the new frame.

    With an oblique matrix the two given corners, not the six faces, are what is kept.

    Args:
        matrix: affine [4, 4].
        boxes: corners [..., 6] as x0 y0 z0 x1 y1 z1; a row of NaN means "no box" and stays NaN.

    Example:
        >>> map_boxes(np.diag([-1.0, -1.0, 1.0, 1.0]), np.array([1.0, 2, 3, 4, 5, 6])).tolist()
        [-4.0, -5.0, 3.0, -1.0, -2.0, 6.0]
    """
    corners = apply_affine(matrix, boxes.reshape(*boxes.shape[:-1], 2, 3))
    return np.sort(corners, axis=-2).reshape(boxes.shape)


def to_voxels(affine: np.ndarray, space: str) -> np.ndarray:
    """
    Return the 4 x 4 matrix from ``space`` to voxels of the array that has ``affine``.

    Args:
        affine: voxel to RAS+ mm [4, 4], as NIfTI defines it.
        space: ``voxel`` (indexes of the array), ``world`` (mm, RAS+ as in NIfTI) or ``lps`` (mm, LPS+ as in DICOM).

    Raises:
        ValueError: when ``space`` is another word.

    Example:
        >>> apply_affine(to_voxels(np.diag([2.0, 2.0, 5.0, 1.0]), "lps"), np.array([-4.0, -2.0, 10.0])).tolist()
        [2.0, 1.0, 2.0]
    """
    if space not in SPACES:
        raise ValueError(f"space must be one of {', '.join(SPACES)}, got {space!r}.")
    if space == "voxel":
        return np.eye(4)
    to_voxel = np.linalg.inv(affine)
    return np.asarray(to_voxel @ _LPS_TO_RAS if space == "lps" else to_voxel)
