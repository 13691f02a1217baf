# Copyright (c) monai_synthfm contributors
# Licensed under the Apache License, Version 2.0 (http://www.apache.org/licenses/LICENSE-2.0).
# SPDX-License-Identifier: Apache-2.0
"""Dataset of volumes with the prompts that say what to segment in them."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from monai.data import MetaTensor
from torch.utils.data import Dataset

from monai_synthfm.io.volume_files import check_space, load_image, load_mask
from monai_synthfm.prompts.volume_prompts import read_volume_prompts
from monai_synthfm.slices.planes import slicing_axis

__all__ = ["PromptedVolumeDataset"]


class PromptedVolumeDataset(Dataset):
    """
    Volumes and their prompts, read and checked when asked for.

    An item is a dictionary with

    - ``image``, MetaTensor [1, X, Y, Z] as stored;
    - ``points``, ``point_labels`` and ``boxes`` in its voxels (see :func:`read_volume_prompts`);
    - ``masks``, MetaTensor [1, X, Y, Z] of object numbers, 0 everywhere when no mask is given;
    - ``axis``, across which the volume is to be cut (see :func:`slicing_axis`);
    - ``slice_range`` [2], the first and the last slice that may be segmented;
    - ``modality``, where it is given.

    ``transform`` then works on it.

    Args:
        data: for each volume a dictionary with ``image`` (file, or folder of a DICOM series, see :func:`load_image`)
            and one or more of ``points`` with ``point_labels``, ``boxes``, and ``mask`` (NIfTI file, see
            :func:`load_mask`); optional are ``series`` (which one, in a folder with several), ``space`` (default
            ``voxel``), ``axis`` (default ``auto``), ``slice_range`` (first and last slice of the file; default all) and
            ``modality`` (see :class:`~monai_synthfm.transforms.MedSAMIntensityd`).
        transform: applied to each item.
        root: folder that relative file names start from.

    Raises:
        FileNotFoundError, ValueError: on reading an item, when a file, a prompt or a range is not as expected.
    """

    def __init__(
        self,
        data: Sequence[Mapping[str, Any]],
        transform: Callable[[dict[str, Any]], Any] | None = None,
        root: str | Path = ".",
    ) -> None:
        self.data = data
        self.transform = transform
        self.root = Path(root)

    def __len__(self) -> int:
        return len(self.data)

    def __getitem__(self, index: int) -> Any:
        case = self.data[index]
        if not case.get("image"):
            raise ValueError("image: no file was given; name a .nii or .nii.gz file, or the folder of a DICOM series.")
        image = load_image(self.root / case["image"], case.get("series"))
        space = case.get("space", "voxel")
        check_space(image, space)
        affine, shape = np.asarray(image.affine), tuple(image.shape[1:])
        mask = load_mask(self.root / case["mask"], image) if case.get("mask") else np.zeros(shape, np.uint8)
        prompts = read_volume_prompts(
            case.get("points"),
            case.get("point_labels"),
            case.get("boxes"),
            affine=affine,
            shape=shape,
            space=space,
            masked=np.unique(mask[mask > 0]).tolist(),
        )
        axis = slicing_axis(case.get("axis", "auto"), affine, shape)
        item = {
            "image": image,
            "points": prompts.points,
            "point_labels": prompts.point_labels,
            "boxes": prompts.boxes,
            "masks": MetaTensor(torch.from_numpy(mask)[None], affine=image.affine.clone()),
            "axis": axis,
            "slice_range": torch.tensor(_checked_range(case.get("slice_range"), shape[axis])),
            **({"modality": case["modality"]} if case.get("modality") else {}),
        }
        return item if self.transform is None else self.transform(item)


def _checked_range(given: Any, size: int) -> tuple[int, int]:
    if given is None:
        return 0, size - 1
    try:
        pair = json.loads(given) if isinstance(given, str) else given
    except json.JSONDecodeError:
        pair = None
    whole = isinstance(pair, (list, tuple)) and len(pair) == 2 and all(type(value) is int for value in pair)
    if not whole or not 0 <= pair[0] <= pair[1] < size:
        raise ValueError(f"slice_range must be [first, last] within slices 0 to {size - 1}, got {given!r}.")
    return pair[0], pair[1]
