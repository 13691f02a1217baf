# Copyright (c) monai_synthfm contributors
# Licensed under the Apache License, Version 2.0 (http://www.apache.org/licenses/LICENSE-2.0).
# SPDX-License-Identifier: Apache-2.0
"""The way back from the frame in which a volume is shown to that of its file, without a second copy."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from typing import Any

import nibabel as nib
import numpy as np
import torch
from monai.config import KeysCollection
from monai.data import MetaTensor
from monai.transforms import MapTransform
from monai.utils import convert_to_tensor

from monai_synthfm.utils.switches import reads_switches

__all__ = ["ToFileFramed"]


@reads_switches
class ToFileFramed(MapTransform):
    """
    Turn what was found in a reoriented image back to the axes of its file.

    What ``Invertd`` of an ``Orientationd`` gives, but in the memory of the given tensors, which are changed: logits of
    many objects are large, and are held once.

    Args:
        keys: of tensors [N, X, Y, Z] on the voxels of the image.
        image_key: of the image, a MetaTensor whose ``meta["original_affine"]`` is that of the file.
        allow_missing_keys: leave out keys that an item does not have.

    Example:
        >>> affine = torch.diag(torch.tensor([-1.0, 1.0, 1.0, 1.0]))
        >>> image = MetaTensor(torch.zeros(1, 3, 1, 1), affine=affine, meta={"original_affine": torch.eye(4)})
        >>> back = ToFileFramed("pred")({"image": image, "pred": torch.arange(3.0).reshape(1, 3, 1, 1)})
        >>> back["pred"].flatten().tolist()
        [2.0, 1.0, 0.0]
    """

    def __init__(self, keys: KeysCollection, image_key: str = "image", allow_missing_keys: bool = False) -> None:
        super().__init__(keys, allow_missing_keys)
        self.image_key = image_key

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """Return the item with its tensors turned."""
        item = dict(data)
        image = item[self.image_key]
        affine = np.asarray(image.meta["original_affine"], dtype=np.float64)
        # rounded: the axes are ambiguous in a volume turned by 45 degrees, but not how one frame lies in the other
        axes = nib.orientations.io_orientation((np.linalg.inv(affine) @ np.asarray(image.affine)).round())
        flipped = [a for a in range(3) if axes[a, 1] < 0]
        order = np.argsort(axes[:, 0]).tolist()
        for key in self.key_iterator(item):
            values: torch.Tensor = convert_to_tensor(item[key], track_meta=False)
            for value in values if flipped else ():
                value.copy_(value.flip(flipped))
            meta = {name: entry for name, entry in image.meta.items() if name != "affine"}
            turned = values.permute(0, *(a + 1 for a in order))
            item[key] = MetaTensor(turned, affine=torch.from_numpy(affine), meta=meta)
        return item
