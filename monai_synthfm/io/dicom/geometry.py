# Copyright (c) monai_synthfm contributors
# Licensed under the Apache License, Version 2.0 (http://www.apache.org/licenses/LICENSE-2.0).
# SPDX-License-Identifier: Apache-2.0
"""Whether pictures with places make one regular volume, and where it lies."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from monai_synthfm.io.dicom.frames import Frame
from monai_synthfm.io.faults import FaultError
from monai_synthfm.prompts.coordinates import LPS_TO_RAS

__all__ = ["POSITION_TOLERANCE", "STEP_TOLERANCE", "Stack", "stack_frames"]

STEP_TOLERANCE = 0.1
"""Share of the step between slices by which a single one may differ."""
POSITION_TOLERANCE = 0.25
"""Voxels, along each axis, by which a slice may lie off the place that the volume has for it."""
_DIRECTION_TOLERANCE = 1e-3
_SPACING_TOLERANCE = 1e-3  # of the pixel size
_SAME_PLACE = 1e-3  # mm
_EXACT = 1e-6  # mm
_SHOWN = 4


@dataclass(frozen=True)
class Stack:
    """
    How pictures make a volume.

    Args:
        order: index of the picture for each slice.
        affine: from voxels (column, row, slice) to RAS+ mm [4, 4].
        has_spacing: whether mm are known.
        has_position: whether it is known where in the patient the volume lies; otherwise ``affine`` has its first
            voxel at 0 and its columns and rows to the left and to the back, as pictures are shown.
    """

    order: np.ndarray
    affine: np.ndarray
    has_spacing: bool = True
    has_position: bool = True


def stack_frames(frames: Sequence[Frame]) -> Stack:
    """
    Put pictures in order by where they lie, and check that they lie on a grid.

    All have one size, pixel size (to 0.1 %) and direction (to 0.001 of each cosine). Steps along the normal differ by
    10 % at most, and each position lies within a quarter of a voxel, along each axis, of a straight line of even steps.
    Slices that all shift in their plane by the same are the regular shear of a tilted gantry, and kept as such; the
    shear is 45 degrees at most (gantries tilt by 30).

    Args:
        frames: in any order.

    Returns:
        The order, and the affine whose even steps fit all positions best (least squares).

    Raises:
        FaultError: when they do not make one volume.
    """
    _check_alike(frames)
    first = frames[0]
    if first.position is None or first.direction is None:
        return _without_positions(frames)
    if first.spacing is None:
        raise FaultError("slice_geometry", first.file, "it has a position, but no pixel spacing (0028,0030)")
    direction = first.direction
    positions = np.array([frame.position for frame in frames])
    heights = positions @ direction[:, 2]
    order = np.argsort(heights, kind="stable")
    origin, step = positions[0], direction[:, 2] * first.thickness
    if len(frames) > 1:
        _check_steps(frames, order, heights[order])
        origin, step = _line(positions[order])
    affine = np.eye(4)
    affine[:3, :3] = np.stack([*(direction[:, :2] * first.spacing).T, step], axis=1)
    affine[:3, 3] = origin
    if len(frames) > 1:
        _check_grid(frames, order, positions[order], affine, direction)
    return Stack(order, LPS_TO_RAS @ affine, has_position=first.in_patient)


def _line(positions: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the start and the step of the even steps that fit positions [n, 3] best."""
    number = np.arange(len(positions))
    start, step = positions[0], (positions[-1] - positions[0]) / number[-1]
    if np.allclose(start + number[:, None] * step, positions, rtol=0, atol=_EXACT):
        return start, step  # free of the rounding of a fit
    fitted = np.polynomial.polynomial.polyfit(number, positions, 1)
    return fitted[0], fitted[1]


def _check_alike(frames: Sequence[Frame]) -> None:
    first = frames[0]
    for frame in frames[1:]:
        if frame.size != first.size:
            raise FaultError("shape_mismatch", frame.file, f"slice of {frame.size} pixels, others {first.size}")
        if (frame.position is None) != (first.position is None):
            raise FaultError("slice_geometry", frame.file, "some slices have a position and others have none")
        if not _close(frame.direction, first.direction, _DIRECTION_TOLERANCE):
            message = "its orientation differs from that of other slices, as in scouts and in several stacks at once"
            raise FaultError("slice_geometry", frame.file, message)
        if not _close(frame.spacing, first.spacing, _SPACING_TOLERANCE * min(first.spacing or (1.0,))):
            message = f"pixels of {frame.spacing} mm, those of others are {first.spacing} mm"
            raise FaultError("slice_geometry", frame.file, message)


def _close(one: Any, other: Any, tolerance: float) -> bool:
    """Compare numbers, any of which may be missing."""
    return one is other or (one is not None and other is not None and np.allclose(one, other, rtol=0, atol=tolerance))


def _without_positions(frames: Sequence[Frame]) -> Stack:
    """Stack the pictures of one file as they come: a single one, or a sequence in time."""
    first = frames[0]
    if len({frame.file for frame in frames}) > 1:
        raise FaultError(
            "slice_geometry",
            first.file,
            f"it has no position (0020,0032) and orientation (0020,0037), nor have the {len(frames) - 1} others of its "
            "series, which cannot be put in order; give one of the files",
        )
    columns, rows = first.spacing or (1.0, 1.0)
    affine = LPS_TO_RAS @ np.diag([columns, rows, first.thickness, 1.0])
    return Stack(np.arange(len(frames)), affine, first.spacing is not None, has_position=False)


def _check_steps(frames: Sequence[Frame], order: np.ndarray, heights: np.ndarray) -> None:
    steps = np.diff(heights)
    places = 1 + int(np.count_nonzero(steps > _SAME_PLACE))
    if len(frames) >= 1.5 * places:
        raise FaultError("several_volumes", frames[0].file, _several(frames, places))
    step = float(np.median(steps))
    if step <= 0 or np.abs(steps - step).max() > STEP_TOLERANCE * step:
        worst = int(np.abs(steps - step).argmax())
        raise FaultError(
            "slice_gap",
            frames[int(order[worst + 1])].file,
            f"{steps[worst]:.4g} mm after its neighbour, others {step:.4g} mm: a slice is missing or there twice",
        )


def _several(frames: Sequence[Frame], places: int) -> str:
    told = ""
    for name in dict.fromkeys(name for frame in frames for name in frame.tells):
        values = list(dict.fromkeys(frame.tells.get(name, "none") for frame in frames))
        if len(values) > 1:
            told = f", which differ in {name} ({', '.join(values[:_SHOWN])}{', ...' if len(values) > _SHOWN else ''})"
            break
    return (
        f"{len(frames)} slices at {places} place{'s' * (places > 1)}{told}: several volumes (echoes, phases, diffusion "
        "weights, times) in one series; convert it with dcm2niix and give one volume, or put the files of one into a "
        "folder of their own"
    )


def _check_grid(
    frames: Sequence[Frame], order: np.ndarray, positions: np.ndarray, affine: np.ndarray, direction: np.ndarray
) -> None:
    step = affine[:3, 2]
    across, height = step @ direction[:, :2], step @ direction[:, 2]
    if np.linalg.norm(across) > height:
        raise FaultError(
            "slice_geometry",
            frames[int(order[1])].file,
            f"it lies {np.linalg.norm(across):.4g} mm beside its neighbour and {height:.4g} mm above: not one volume",
        )
    beside = positions - (affine[:3, 3] + np.arange(len(positions))[:, None] * step)
    voxels = np.abs(np.linalg.solve(affine[:3, :3], beside.T)).max(axis=0)
    worst = int(voxels.argmax())
    if voxels[worst] > POSITION_TOLERANCE:
        raise FaultError(
            "slice_geometry",
            frames[int(order[worst])].file,
            f"it lies {np.linalg.norm(beside[worst]):.3g} mm ({voxels[worst]:.2g} voxels) off the even stack of all, "
            f"{POSITION_TOLERANCE} voxels at most are expected: slices that are shifted make no volume",
        )
