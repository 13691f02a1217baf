# Copyright (c) monai_synthfm contributors
# Licensed under the Apache License, Version 2.0 (http://www.apache.org/licenses/LICENSE-2.0).
# SPDX-License-Identifier: Apache-2.0
"""From the coordinates people have (voxels, or mm in RAS+ or LPS+) to voxels of an array, and back."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

__all__ = ["DECIMALS", "SPACES", "apply_affine", "box_corners", "check_inside", "map_boxes", "to_voxels"]

SPACES = ("voxel", "world", "lps")
DECIMALS = 3
"""Of a voxel that are told apart: so the floating error of an affine moves no prompt to the next slice, and no mask."""
LPS_TO_RAS = np.diag([-1.0, -1.0, 1.0, 1.0])


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
    Map boxes along the axes of one frame to the smallest boxes along those of another that hold them.

    All eight corners are mapped. Between frames whose axes are parallel this keeps a box as it is; turned by an oblique
    matrix it grows.

    Args:
        matrix: affine [4, 4].
        boxes: corners [..., 6] as x0 y0 z0 x1 y1 z1; a row of NaN means "no box" and stays NaN.

    Example:
        >>> map_boxes(np.diag([-1.0, -1.0, 1.0, 1.0]), np.array([1.0, 2, 3, 4, 5, 6])).tolist()
        [-4.0, -5.0, 3.0, -1.0, -2.0, 6.0]
    """
    corners = apply_affine(matrix, box_corners(boxes))
    return np.concatenate([corners.min(axis=-2), corners.max(axis=-2)], axis=-1)


def box_corners(boxes: np.ndarray) -> np.ndarray:
    """
    Return the eight corners of boxes.

    Args:
        boxes: [..., 6] as x0 y0 z0 x1 y1 z1.

    Returns:
        [..., 8, 3].

    Example:
        >>> box_corners(np.array([0, 0, 0, 1, 2, 0])).tolist()[::2]
        [[0, 0, 0], [0, 2, 0], [1, 0, 0], [1, 2, 0]]
    """
    ends = np.asarray(boxes).reshape(*np.shape(boxes)[:-1], 2, 3)
    which = np.array([*np.ndindex(2, 2, 2)])
    return ends[..., which, np.arange(3)]


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
    return np.asarray(to_voxel @ LPS_TO_RAS if space == "lps" else to_voxel)


def check_inside(what: str, voxel: np.ndarray, shape: Sequence[int], margin: float = 0.0, given: str = "") -> None:
    """
    Check that a place lies in a volume, whose voxels reach half a voxel around their centres; NaN lies nowhere.

    Args:
        what: the prompt, for the message.
        voxel: its coordinates [3].
        shape: the three sizes of the volume.
        margin: how far inside it must lie, in voxels.
        given: how the place was given, when not in voxels.

    Raises:
        ValueError: when it lies outside.

    Example:
        >>> check_inside("click 1 of object 1", np.array([0, 0, 3.6]), (4, 4, 4))
        Traceback (most recent call last):
        ValueError: click 1 of object 1 lies outside the volume of 4 x 4 x 4 voxels: voxel [0.0, 0.0, 3.6].
    """
    voxel = np.asarray(voxel, dtype=np.float64)
    if ((voxel < -0.5 + margin) | (voxel > np.asarray(shape) - 0.5 - margin)).any():
        where = f"{given} = voxel {voxel.round(1).tolist()}" if given else f"voxel {voxel.tolist()}"
        raise ValueError(f"{what} lies outside the volume of {' x '.join(map(str, shape))} voxels: {where}.")
