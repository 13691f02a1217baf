# Copyright (c) monai_synthfm contributors
# Licensed under the Apache License, Version 2.0 (http://www.apache.org/licenses/LICENSE-2.0).
# SPDX-License-Identifier: Apache-2.0
"""The frame in which slices are shown, to a network and to people alike, and the plane in which a volume is cut.

In the display frame voxel axes point to the patient's left, posterior and inferior (axis codes ``LPI``). Leaving out
any one axis gives the slice as radiologists see it, width first: axial with the patient's right on the left and
anterior on top, coronal with right on the left and superior on top, sagittal with anterior on the left and superior on
top.
"""

from __future__ import annotations

from collections.abc import Sequence

import nibabel as nib
import numpy as np

__all__ = [
    "DISPLAY_AXCODES",
    "EDGES",
    "PLANES",
    "display_axis",
    "plane_of",
    "slicing_axis",
    "stored_axis",
]

DISPLAY_AXCODES = "LPI"
PLANES = ("sagittal", "coronal", "axial")
"""Planes by the axis of the display frame that they leave out."""
EDGES = ("RL", "AP", "SI")
"""What lies at the low and at the high end of each axis of the display frame."""

_ANISOTROPIC = 1.5


def stored_axis(affine: np.ndarray, axis: int) -> int:
    """Return the axis of the array with this ``affine`` that lies closest to ``axis`` of the display frame."""
    return int(np.flatnonzero(nib.io_orientation(affine)[:, 0] == axis)[0])


def plane_of(affine: np.ndarray, axis: int) -> str:
    """
    Return the plane, out of :data:`PLANES`, of slices across ``axis`` of the array with this ``affine``.

    Example:
        >>> plane_of(np.eye(4), 2), plane_of(np.eye(4)[[2, 1, 0, 3]], 2)
        ('axial', 'sagittal')
    """
    return PLANES[int(nib.io_orientation(affine)[axis, 0])]


def slicing_axis(axis: str | int, affine: np.ndarray, shape: Sequence[int]) -> int:
    """
    Choose the axis of a stored array across which it is cut into slices, as people say it.

    Args:
        axis: ``axial``, ``coronal``, ``sagittal`` or ``auto``, see :func:`display_axis`; or 0, 1 or 2, the axis itself.
        affine: voxel to RAS+ mm [4, 4] of the volume in any orientation.
        shape: its three sizes.

    Returns:
        0, 1 or 2.

    Raises:
        ValueError: when ``axis`` is none of these, or when slices would be only one voxel wide.

    Example:
        >>> slicing_axis(1, np.eye(4), (8, 8, 8)), slicing_axis("coronal", np.eye(4), (8, 8, 8))
        (1, 1)
    """
    plane = axis
    axis = int(axis) if axis in ("0", "1", "2") else axis
    if not isinstance(axis, (str, bool)) and axis in (0, 1, 2):
        plane = plane_of(affine, axis)
    if plane not in (*PLANES, "auto"):
        raise ValueError(f"axis must be one of auto, axial, coronal, sagittal, 0, 1, 2, got {axis!r}.")
    return stored_axis(affine, display_axis(str(plane), affine, shape))


def display_axis(plane: str, affine: np.ndarray, shape: Sequence[int]) -> int:
    """
    Choose the axis of the display frame across which a volume is cut into slices.

    ``auto`` takes the plane in which the volume was acquired: across the axis of size 1 if there is just one, else
    across the axis whose voxel spacing is over 1.5 times that of both others, else axial.

    Args:
        plane: ``axial``, ``coronal``, ``sagittal`` or ``auto``.
        affine: voxel to RAS+ mm [4, 4] of the volume in any orientation.
        shape: its three sizes.

    Returns:
        0 (sagittal), 1 (coronal) or 2 (axial).

    Raises:
        ValueError: when ``plane`` is another word, or when its slices would be only one voxel wide.

    Example:
        >>> display_axis("auto", np.diag([3.0, 1, 1, 1]), (20, 256, 256)), display_axis("auto", np.eye(4), (64, 64, 64))
        (0, 2)
    """
    if plane not in (*PLANES, "auto"):
        raise ValueError(f"plane must be one of auto, {', '.join(PLANES)}, got {plane!r}.")
    order = [stored_axis(affine, axis) for axis in range(3)]
    sizes = np.asarray(shape)[order]
    if plane == "auto":
        spacing = np.linalg.norm(affine[:3, :3], axis=0)[order]
        if np.count_nonzero(sizes == 1) == 1:
            return int(np.argmin(sizes))
        widest = int(np.argmax(spacing))
        clearly = spacing[widest] > _ANISOTROPIC * np.delete(spacing, widest).max()
        plane = PLANES[widest] if clearly else "axial"
    axis = PLANES.index(plane)
    if (np.delete(sizes, axis) == 1).any():
        raise ValueError(f"plane {plane}: slices of a volume of shape {tuple(shape)} would be only one voxel wide.")
    return axis
