# Copyright (c) monai_synthfm contributors
# Licensed under the Apache License, Version 2.0 (http://www.apache.org/licenses/LICENSE-2.0).
# SPDX-License-Identifier: Apache-2.0
"""Dataset of NIfTI volumes with the prompts that say what to segment in them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from torch.utils.data import Dataset

from monai_synthfm.data.nifti import load_volume
from monai_synthfm.data.planes import display_axis, stored_axis
from monai_synthfm.data.slice_prompts import prompts_by_slice
from monai_synthfm.data.volume_prompts import read_volume_prompts

__all__ = ["PromptedVolumeDataset"]


class PromptedVolumeDataset(Dataset):
    """
    Volumes and their prompts, read and checked when asked for.

    An item is a dictionary with ``image`` (MetaTensor [1, X, Y, Z] as stored), ``points``, ``point_labels`` and
    ``boxes`` in its voxels (see :func:`read_volume_prompts`) and ``axis``, the axis of the display frame across which
    the volume is to be cut (see :func:`display_axis`). ``transform`` then works on it.

    Args:
        data: for each volume a dictionary with ``image`` (file) and ``points`` with ``point_labels``, ``boxes``, or
            all; optional are ``space`` (default ``voxel``) and ``plane`` (default ``auto``).
        transform: applied to each item.
        root: folder that relative file names start from.

    Raises:
        FileNotFoundError, ValueError: on reading an item, see :func:`load_volume` and :func:`read_volume_prompts`.
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
            raise ValueError("image: no file was given; name a .nii or .nii.gz file.")
        image = load_volume(self.root / case["image"])
        affine, shape = np.asarray(image.affine), tuple(image.shape[1:])
        prompts = read_volume_prompts(
            case.get("points"),
            case.get("point_labels"),
            case.get("boxes"),
            affine=affine,
            shape=shape,
            space=case.get("space", "voxel"),
        )
        axis = display_axis(case.get("plane", "auto"), affine, shape)
        prompts_by_slice(prompts, stored_axis(affine, axis))  # complains in terms of the file's own slices
        item = {
            "image": image,
            "points": prompts.points,
            "point_labels": prompts.point_labels,
            "boxes": prompts.boxes,
            "axis": axis,
        }
        return item if self.transform is None else self.transform(item)
