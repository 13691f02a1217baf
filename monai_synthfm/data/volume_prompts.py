# Copyright (c) monai_synthfm contributors
# Licensed under the Apache License, Version 2.0 (http://www.apache.org/licenses/LICENSE-2.0).
# SPDX-License-Identifier: Apache-2.0
"""Prompts as people type them, checked against the volume they are meant for and turned into its voxels."""

from __future__ import annotations

import json
import math
from collections.abc import Hashable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from monai.transforms import Transform

from monai_synthfm.data.coordinates import apply_affine, map_boxes, to_voxels
from monai_synthfm.prompts import Prompts

__all__ = ["MapPromptsToImaged", "read_volume_prompts"]

_DECIMALS = 3
_TOLERANCE = 10.0**-_DECIMALS


def read_volume_prompts(
    points: Any = None,
    point_labels: Any = None,
    boxes: Any = None,
    *,
    affine: np.ndarray,
    shape: Sequence[int],
    space: str = "voxel",
) -> Prompts:
    """
    Check clicks and boxes of N objects against a volume and convert them to its voxels.

    Args:
        points: for each object a list of clicks [x, y, z]; lists may differ in length, ``[]`` means that the object has no click.
        point_labels: for each object a list with 1 (positive) or 0 (negative) for each of its clicks.
        boxes: for each object [x0, y0, z0, x1, y1, z1], or ``[]`` or None when it has no box. Corners may come in any order and belong to the box.
            All three may also be JSON text. In a volume of one stored slice clicks may be [x, y] and boxes [x0, y0, x1, y1] when ``space`` is ``voxel``.
        affine: voxel to RAS+ mm [4, 4].
        shape: the three sizes of the volume.
        space: what the coordinates are: ``voxel``, ``world`` (RAS+ mm) or ``lps`` (LPS+ mm).

    Returns:
        float64 prompts of the N objects in voxels: ``points`` [N, K, 3] padded with label -1, ``point_labels`` [N, K] int64, ``boxes`` [N, 6] with rows of NaN.

    Raises:
        ValueError: when nothing is prompted, a shape, a label or a number is wrong, the arguments speak of different numbers of objects, or a prompt lies outside.

    Example:
        >>> prompts = read_volume_prompts([[[4, 5, 1]], []], [[1], []], [[], [0, 0, 0, 3, 3, 2]], affine=np.eye(4), shape=(8, 8, 3))
        >>> prompts.num_objects, prompts.point_labels.tolist()
        (2, [[1], [-1]])
    """
    clicks, labels, corners = (
        _objects(name, value) for name, value in (("points", points), ("point_labels", point_labels), ("boxes", boxes))
    )
    if clicks is None and labels is None and corners is None:
        raise ValueError("nothing is prompted: give points with point_labels, or boxes.")
    if (clicks is None) != (labels is None):
        raise ValueError("points and point_labels must be given together.")
    count = len(clicks if clicks is not None else corners or [])
    counts = {"points": clicks, "point_labels": labels, "boxes": corners}
    found = {name: len(value) for name, value in counts.items() if value is not None}
    if len(set(found.values())) > 1:
        raise ValueError(f"all prompts must speak of the same objects, got {found}.")
    flat = space == "voxel" and shape[2] == 1
    clicks, labels, corners = clicks or [[]] * count, labels or [[]] * count, corners or [[]] * count
    matrix = to_voxels(affine, space)
    rows = [_clicks(n, clicks[n], labels[n], flat) for n in range(count)]
    boxes_array = np.array([_box(n, corners[n], flat) for n in range(count)]).reshape(count, 6)
    longest = max(1, *(len(signs) for _, signs in rows))
    points_array, labels_array = np.zeros((count, longest, 3)), np.full((count, longest), -1)
    for n, (coordinates, signs) in enumerate(rows):
        if not signs and np.isnan(boxes_array[n]).all():
            raise ValueError(f"object {n + 1} has neither a click nor a box.")
        points_array[n, : len(signs)] = apply_affine(matrix, coordinates)
        labels_array[n, : len(signs)] = signs
    voxel_boxes = map_boxes(matrix, boxes_array)
    for n, (coordinates, signs) in enumerate(rows):
        for k in range(len(signs)):
            _check_inside(f"click {k + 1} of object {n + 1}", coordinates[k], points_array[n, k], space, shape)
        for corner, voxel in zip(
            boxes_array[n].reshape(2, 3), apply_affine(matrix, boxes_array[n].reshape(2, 3)), strict=True
        ):
            _check_inside(f"box of object {n + 1}", corner, voxel, space, shape)
    return Prompts(torch.from_numpy(points_array), torch.from_numpy(labels_array), torch.from_numpy(voxel_boxes))


class MapPromptsToImaged(Transform):
    """
    Let prompts follow an image that was reoriented or resampled: ``p -> inv(affine) original_affine p``.

    Coordinates are rounded to a thousandth of a voxel, so that the floating error of an affine can move neither a click to the next slice nor a mask.

    Args:
        refer_key: key of the image, a MetaTensor whose ``meta["original_affine"]`` belongs to the array that ``points`` and ``boxes`` were given in.

    Example:
        >>> from monai.data import MetaTensor
        >>> image = MetaTensor(torch.zeros(1, 4, 4, 4), affine=torch.diag(torch.tensor([2.0, 2, 2, 1])), meta={"original_affine": torch.eye(4)})
        >>> prompts = {"points": torch.tensor([[[2.0, 4, 6]]]), "boxes": torch.full((1, 6), torch.nan)}
        >>> MapPromptsToImaged()({"image": image, **prompts})["points"].tolist()
        [[[1.0, 2.0, 3.0]]]
    """

    def __init__(self, refer_key: Hashable = "image") -> None:
        self.refer_key = refer_key

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        image = data[self.refer_key]
        matrix = np.linalg.inv(np.asarray(image.affine)) @ np.asarray(image.meta["original_affine"])
        mapped = dict(data)
        for key, move in (("points", apply_affine), ("boxes", map_boxes)):
            moved = move(matrix, np.asarray(data[key], dtype=np.float64))
            mapped[key] = torch.from_numpy(moved.round(_DECIMALS)).float()
        return mapped


def _objects(name: str, value: Any) -> list[Any] | None:
    if isinstance(value, str):
        try:
            value = json.loads(value)
        except json.JSONDecodeError as error:
            raise ValueError(f"{name}: {value!r} is not a JSON list ({error}).") from error
    if hasattr(value, "tolist"):
        value = value.tolist()
    if value is None:
        return None
    if not isinstance(value, (list, tuple)) or not value:
        raise ValueError(f"{name} must be a list with one entry for each object, got {value!r}.")
    return list(value)


def _clicks(n: int, clicks: Any, labels: Any, flat: bool) -> tuple[np.ndarray, list[int]]:
    if not isinstance(clicks, (list, tuple)) or any(not isinstance(click, (list, tuple)) for click in clicks):
        raise ValueError(f"points of object {n + 1} must be a list of clicks [x, y, z], got {clicks!r}.")
    if not isinstance(labels, (list, tuple)) or len(labels) != len(clicks):
        raise ValueError(
            f"point_labels of object {n + 1} must be a list of {len(clicks)} labels, one for each click, got {labels!r}."
        )
    if any(isinstance(label, bool) or label not in (0, 1) for label in labels):
        raise ValueError(f"point_labels of object {n + 1} must be 1 (positive) or 0 (negative), got {labels!r}.")
    rows = []
    for click in clicks:
        if not _are_numbers(click) or len(click) not in ((2, 3) if flat else (3,)):
            raise ValueError(
                f"points of object {n + 1}: a click must be three finite numbers [x, y, z], got {click!r}."
            )
        rows.append([*click, 0.0][:3])
    return np.array(rows, dtype=np.float64).reshape(-1, 3), [int(label) for label in labels]


def _box(n: int, box: Any, flat: bool) -> list[float]:
    if box is None or (isinstance(box, (list, tuple)) and not box):
        return [math.nan] * 6
    if not isinstance(box, (list, tuple)) or not _are_numbers(box) or len(box) not in ((4, 6) if flat else (6,)):
        raise ValueError(
            f"boxes: the box of object {n + 1} must be six finite numbers [x0, y0, z0, x1, y1, z1], got {box!r}."
        )
    return list(box) if len(box) == 6 else [*box[:2], 0.0, *box[2:], 0.0]


def _are_numbers(values: Sequence[Any]) -> bool:
    return all(isinstance(v, (int, float)) and not isinstance(v, bool) and math.isfinite(v) for v in values)


def _check_inside(what: str, given: np.ndarray, voxel: np.ndarray, space: str, shape: Sequence[int]) -> None:
    outside = (voxel < -0.5 + _TOLERANCE) | (voxel > np.asarray(shape) - 0.5 - _TOLERANCE)
    if outside.any():
        where = f"{space} {given.tolist()}" + ("" if space == "voxel" else f" = voxel {voxel.round(1).tolist()}")
        raise ValueError(f"{what} lies outside the volume of {' x '.join(map(str, shape))} voxels: {where}.")
