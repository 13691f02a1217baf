# Copyright (c) monai_synthfm contributors
# Licensed under the Apache License, Version 2.0 (http://www.apache.org/licenses/LICENSE-2.0).
# SPDX-License-Identifier: Apache-2.0
"""Prompts as people type them, checked against the volume they are meant for and turned into its voxels."""

from __future__ import annotations

import json
import math
from collections.abc import Collection, Sequence
from typing import Any

import numpy as np
import torch

from monai_synthfm.prompts import Prompts
from monai_synthfm.prompts.coordinates import DECIMALS, apply_affine, check_inside, map_boxes, to_voxels

__all__ = ["read_volume_prompts"]

# Prompts stay within the volume when they are rounded.
_MARGIN = 10.0**-DECIMALS


def read_volume_prompts(
    points: Any = None,
    point_labels: Any = None,
    boxes: Any = None,
    *,
    affine: np.ndarray,
    shape: Sequence[int],
    space: str = "voxel",
    masked: Collection[int] = (),
) -> Prompts:
    """
    Check clicks and boxes of N objects against a volume and convert them to its voxels.

    Args:
        points: for each object a list of clicks [x, y, z]; lists may differ in length, ``[]`` means that the object has
            no click.
        point_labels: for each object a list with 1 (positive) or 0 (negative) for each of its clicks.
        boxes: for each object [x0, y0, z0, x1, y1, z1], or ``[]`` or None when it has no box: two opposite corners, in
            any order, of a box along the axes of ``space``. They are inside the box. In an image that lies obliquely, a
            box in mm becomes the smallest box of voxels that holds it, as far as the volume reaches. All three
            arguments may also be JSON text, and they and what is in them arrays or tensors. In voxels of a volume whose
            third size is 1, clicks may be [x, y] and boxes [x0, y0, x1, y1].
        affine: voxel to RAS+ mm [4, 4].
        shape: the three sizes of the volume.
        space: what the coordinates are: ``voxel``, ``world`` (RAS+ mm) or ``lps`` (LPS+ mm).
        masked: numbers (1..N) of the objects that a mask prompts; the other arguments need not prompt these.

    Returns:
        float64 prompts of the N objects in voxels: ``points`` [N, K, 3] padded with label -1, ``point_labels`` [N, K]
        int64, ``boxes`` [N, 6] with rows of NaN.

    Raises:
        ValueError: when nothing is prompted, a shape, a label or a number is wrong, the arguments speak of different
            numbers of objects, or a prompt lies outside the volume.

    Example:
        >>> volume = {"affine": np.eye(4), "shape": (8, 8, 3)}
        >>> prompts = read_volume_prompts([[[4, 5, 1]], []], [[1], []], [[], [0, 0, 0, 3, 3, 2]], **volume)
        >>> prompts.num_objects, prompts.point_labels.tolist()
        (2, [[1], [-1]])
    """
    given = {
        name: _objects(name, value)
        for name, value in (("points", points), ("point_labels", point_labels), ("boxes", boxes))
        if value is not None
    }
    if not given and not masked:
        raise ValueError("nothing is prompted: give points with point_labels, boxes, or a mask.")
    if ("points" in given) != ("point_labels" in given):
        raise ValueError("points and point_labels must be given together.")
    counts = {name: len(entries) for name, entries in given.items()}
    if len(set(counts.values())) > 1:
        raise ValueError(f"all prompts must speak of the same objects, got {counts}.")
    count = max(counts.values(), default=max(masked, default=0))
    if max(masked, default=0) > count:
        raise ValueError(
            f"the mask shows object {max(masked)}, but the other prompts speak of {count} objects; {_values(masked)}."
        )
    nothing: list[Any] = [[]] * count
    flat = space == "voxel" and shape[2] == 1
    matrix = to_voxels(affine, space)
    found_points, found_labels = [], []
    for n, (clicks, labels) in enumerate(
        zip(given.get("points", nothing), given.get("point_labels", nothing), strict=True)
    ):
        found_points.append(_clicks(n, clicks, labels, flat))
        found_labels.append([int(label) for label in labels])
    found_boxes = np.array([_box(n, box, flat) for n, box in enumerate(given.get("boxes", nothing))], dtype=np.float64)

    longest = max(1, *map(len, found_labels))
    voxels, padded_labels = np.zeros((count, longest, 3)), np.full((count, longest), -1)
    for n, (coordinates, labels) in enumerate(zip(found_points, found_labels, strict=True)):
        if not labels and np.isnan(found_boxes[n]).all() and n + 1 not in masked:
            values = f"; {_values(masked)}" if masked else ""
            raise ValueError(f"object {n + 1} has neither a click, nor a box, nor a mask{values}.")
        voxels[n, : len(labels)], padded_labels[n, : len(labels)] = apply_affine(matrix, coordinates), labels
        for k, coordinate in enumerate(coordinates):
            _check_inside(f"click {k + 1} of object {n + 1}", coordinate, matrix, space, shape)
        for corner in found_boxes[n].reshape(2, 3):
            _check_inside(f"box of object {n + 1}", corner, matrix, space, shape)
    voxel_boxes = map_boxes(matrix, found_boxes)
    if space != "voxel" and count:
        # what holds an oblique box may reach out of the volume, though its corners do not
        ends = np.tile(np.asarray(shape, dtype=np.float64) - 0.5 - _MARGIN, 2)
        voxel_boxes = np.clip(voxel_boxes, -0.5 + _MARGIN, ends)
    return Prompts(torch.from_numpy(voxels), torch.from_numpy(padded_labels), torch.from_numpy(voxel_boxes))


def _values(masked: Collection[int]) -> str:
    """Say how the values of a mask are understood."""
    shown = ", ".join(map(str, sorted(masked)[:5])) + (", ..." if len(masked) > 5 else "")
    last = max(masked)
    return f"the mask holds 0 and {shown}, where value n is object n, so that {last} is object {last}: count from 1"


def _objects(name: str, value: Any) -> list[Any]:
    if isinstance(value, str):
        try:
            value = json.loads(value)
        except json.JSONDecodeError as error:
            raise ValueError(f"{name}: {value!r} is not a JSON list ({error}).") from error
    value = _plain(value)
    if not isinstance(value, (list, tuple)) or not value:
        raise ValueError(f"{name} must be a list with one entry for each object, got {value!r}.")
    return list(value)


def _plain(value: Any) -> Any:
    """Turn arrays, tensors and their scalars into numbers and lists of them, at any depth."""
    if hasattr(value, "tolist"):
        return value.tolist()
    return [_plain(item) for item in value] if isinstance(value, (list, tuple)) else value


def _clicks(n: int, clicks: Any, labels: Any, flat: bool) -> np.ndarray:
    if not isinstance(clicks, (list, tuple)) or any(not isinstance(click, (list, tuple)) for click in clicks):
        raise ValueError(f"points of object {n + 1} must be a list of clicks [x, y, z], got {clicks!r}.")
    if not isinstance(labels, (list, tuple)) or len(labels) != len(clicks):
        raise ValueError(
            f"point_labels of object {n + 1} must be a list of {len(clicks)} labels, as many as clicks, got {labels!r}."
        )
    if any(isinstance(label, bool) or label not in (0, 1) for label in labels):
        raise ValueError(f"point_labels of object {n + 1} must be 1 (positive) or 0 (negative), got {labels!r}.")
    for click in clicks:
        if not _are_numbers(click) or len(click) not in ((2, 3) if flat else (3,)):
            raise ValueError(f"points of object {n + 1}: a click must be finite numbers [x, y, z], got {click!r}.")
    return np.array([[*click, 0][:3] for click in clicks], dtype=np.float64).reshape(-1, 3)


def _box(n: int, box: Any, flat: bool) -> list[float]:
    if box is None or (isinstance(box, (list, tuple)) and not box):
        return [math.nan] * 6
    if not isinstance(box, (list, tuple)) or not _are_numbers(box) or len(box) not in ((4, 6) if flat else (6,)):
        raise ValueError(
            f"boxes: the box of object {n + 1} must be finite numbers [x0, y0, z0, x1, y1, z1], got {box!r}."
        )
    return list(box) if len(box) == 6 else [*box[:2], 0.0, *box[2:], 0.0]


def _are_numbers(values: Sequence[Any]) -> bool:
    return all(isinstance(v, (int, float)) and not isinstance(v, bool) and math.isfinite(v) for v in values)


def _check_inside(what: str, given: np.ndarray, matrix: np.ndarray, space: str, shape: Sequence[int]) -> None:
    said = "" if space == "voxel" else f"{space} {given.tolist()}"
    check_inside(what, apply_affine(matrix, given), shape, _MARGIN, said)
