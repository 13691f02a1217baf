# Copyright (c) monai_synthfm contributors
# Licensed under the Apache License, Version 2.0 (http://www.apache.org/licenses/LICENSE-2.0).
# SPDX-License-Identifier: Apache-2.0
"""Prompts that follow their image through spatial transforms."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from typing import Any

import numpy as np
import torch
from monai.transforms import Transform
from monai.utils import convert_to_numpy

from monai_synthfm.prompts.coordinates import apply_affine, map_boxes

__all__ = ["MapPromptsToImaged"]

_DECIMALS = 3


class MapPromptsToImaged(Transform):
    """
    Let prompts follow an image that was reoriented or resampled: ``p -> inv(affine) original_affine p``.

    Coordinates are rounded to a thousandth of a voxel, so that the floating error of an affine can move neither a click
    to the next slice nor a mask.

    Args:
        refer_key: key of the image, a MetaTensor whose ``meta["original_affine"]`` belongs to the array that ``points``
            and ``boxes`` were given in; an item may lack either of them.

    Example:
        >>> from monai.data import MetaTensor
        >>> meta = {"original_affine": torch.eye(4)}
        >>> image = MetaTensor(torch.zeros(1, 4, 4, 4), affine=torch.diag(torch.tensor([2.0, 2, 2, 1])), meta=meta)
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
            if data.get(key) is not None:
                moved = move(matrix, convert_to_numpy(data[key], dtype=np.float64))
                mapped[key] = torch.from_numpy(moved.round(_DECIMALS)).float()
        return mapped
