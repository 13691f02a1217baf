# Copyright (c) monai_synthfm contributors
# Licensed under the Apache License, Version 2.0 (http://www.apache.org/licenses/LICENSE-2.0).
# SPDX-License-Identifier: Apache-2.0
"""The machine-readable account of one segmentation: what was asked, what did it, what came out."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from scipy import ndimage

from monai_synthfm.inferers.answer_sizes import OfferedSizes
from monai_synthfm.networks.weights.files import find_weights
from monai_synthfm.prompts import Prompts
from monai_synthfm.prompts.coordinates import DECIMALS, apply_affine
from monai_synthfm.utils.hashes import sha256_of

__all__ = ["describe_alternatives", "describe_objects", "describe_weights", "plain", "size_text"]

_SHORT_ML = 0.1


def describe_objects(
    prompts: Prompts,
    affine: np.ndarray,
    labels: np.ndarray,
    axis: int,
    in_mm: bool = True,
    blank: Collection[int] = (),
) -> list[dict]:
    """
    List the objects of one volume with their prompts, in voxels of the file and in RAS+ mm, their size and extent.

    Boxes lie along the axes of the file; in mm their two opposite corners are given.

    Args:
        prompts: ``points`` [N, K, 3], ``point_labels`` [N, K] and ``boxes`` [N, 6] in voxels of the file.
        affine: from voxels of the file to RAS+ mm [4, 4].
        labels: label map [X, Y, Z] of the file, 0 background, n the n-th object.
        axis: the axis of the file across which it was cut.
        in_mm: whether the file says where it lies; otherwise what would be in mm is None.
        blank: slices of the file across that axis which show nothing; an object that ends at some lists them as
            ``ends_at_blank``.
    """
    counts = np.bincount(labels[labels > 0], minlength=prompts.num_objects + 1)
    voxel_mm3 = abs(np.linalg.det(affine[:3, :3]))
    extents = ndimage.find_objects(labels, max_label=prompts.num_objects)
    objects = []
    for n in range(prompts.num_objects):
        found: dict[str, Any] = {"label": n + 1, "voxels": int(counts[n + 1])}
        found["mm3"] = round(found["voxels"] * voxel_mm3, DECIMALS) if in_mm else None
        if (extent := extents[n]) is not None:
            first, last = extent[axis].start, extent[axis].stop - 1
            found["slices"] = [first, last]
            if ends := [index for index in (first - 1, last + 1) if index in blank]:
                found["ends_at_blank"] = ends
        if prompts.points is not None and prompts.point_labels is not None:
            given = prompts.point_labels[n] >= 0
            voxels = np.asarray(prompts.points[n][given].cpu(), dtype=np.float64)
            world = apply_affine(affine, voxels)
            found["points"] = [
                {"label": label, "voxel": _rounded(v), "world": _rounded(w) if in_mm else None}
                for label, v, w in zip(prompts.point_labels[n][given].tolist(), voxels, world, strict=True)
            ]
        if prompts.boxes is not None and prompts.has_box[n]:
            box = np.asarray(prompts.boxes[n].cpu(), dtype=np.float64)
            corners = apply_affine(affine, box.reshape(2, 3)).ravel()
            found["box"] = {"voxel": _rounded(box), "world": _rounded(corners) if in_mm else None}
        objects.append(found)
    return objects


def size_text(mm3: float | None, voxels: int) -> str:
    """
    Write how large an object is, in ml where that is known.

    Example:
        >>> size_text(129897.0, 4811), size_text(7.3, 14), size_text(None, 1)
        ('129.9 ml', '0.0073 ml', '1 voxel')
    """
    if mm3 is None:
        return f"{voxels} voxel{'' if voxels == 1 else 's'}"
    ml = mm3 / 1000
    return f"{ml:.1f} ml" if ml == 0 or ml >= _SHORT_ML else f"{ml:.2g} ml"


def describe_alternatives(
    offered: Sequence[OfferedSizes], affine: np.ndarray, axis: int, in_mm: bool = True
) -> dict[int, dict[str, Any]]:
    """
    Describe the areas of the network's alternatives, by index of the object.

    Args:
        offered: of the prompted objects of one volume.
        affine: from voxels of the file to RAS+ mm [4, 4].
        axis: the axis of the file across which it was cut.
        in_mm: whether the file says how large its pixels are; otherwise areas in mm2 are None.

    Example:
        >>> describe_alternatives([OfferedSizes(0, (3, 8, 9), 8, 2)], np.diag([2.0, 1, 5, 1]), axis=2)[0]
        {'pixels': [3, 8, 9], 'mm2': [6.0, 16.0, 18.0], 'single': {'pixels': 8, 'mm2': 16.0}, 'chosen': 2}
    """
    first, second = (affine[:3, other] for other in range(3) if other != axis)
    pixel_mm2 = float(np.linalg.norm(np.cross(first, second)))

    def mm2(pixels: int) -> float:
        return round(pixels * pixel_mm2, DECIMALS)

    described: dict[int, dict[str, Any]] = {}
    for sizes in offered:
        areas = [mm2(pixels) for pixels in sizes.pixels] if in_mm else None
        described[sizes.object] = {"pixels": list(sizes.pixels), "mm2": areas}
        if sizes.single is not None:
            single = {"pixels": sizes.single, "mm2": mm2(sizes.single) if in_mm else None}
            described[sizes.object] |= {"single": single, "chosen": sizes.chosen}
    return described


def describe_weights(weights: Sequence[str | Path | None]) -> list[dict[str, str]]:
    """Name the files of weights that were loaded, with their SHA-256; None stands for "no file" and is left out."""
    paths = [find_weights(given) for given in weights if given is not None]
    return [{"file": str(path), "sha256": sha256_of(path)} for path in paths]


def plain(value: Any) -> Any:
    """
    Turn tensors and arrays within nested dictionaries and lists into what JSON knows.

    Example:
        >>> plain({"window": torch.tensor([-160.0, 240.0]), "modality": "ct"})
        {'window': [-160.0, 240.0], 'modality': 'ct'}
    """
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(item) for item in value]
    if isinstance(value, (torch.Tensor, np.ndarray, np.generic)):
        return value.tolist()
    return value


def _rounded(values: np.ndarray) -> list[float]:
    # Adding 0 turns -0.0 into 0.0.
    return [float(value) for value in np.round(values, DECIMALS) + 0.0]
