# Copyright (c) monai_synthfm contributors
# Licensed under the Apache License, Version 2.0 (http://www.apache.org/licenses/LICENSE-2.0).
# SPDX-License-Identifier: Apache-2.0
"""Reading label maps that users give: whole numbers, whatever their type."""

from __future__ import annotations

import numpy as np
import torch
from monai.config import NdarrayOrTensor
from monai.utils import convert_to_numpy, convert_to_tensor

__all__ = ["whole_labels"]

_SHOWN = 6  # values in a message


def whole_labels(name: str, labels: NdarrayOrTensor) -> torch.Tensor:
    """Return a label map as int64 after checking that it holds whole numbers from 0.

    Args:
        name: of the argument, for messages.
        labels: of any shape and type, with 0 for the background.

    Raises:
        ValueError: when the map is empty, or holds fractions, NaN or negative numbers, with some of the values.

    Example:
        >>> whole_labels("label", torch.tensor([0.0, 0.5, 1.0]))
        Traceback (most recent call last):
        ...
        ValueError: label must hold whole numbers, 0 for background and 1..K for instances, got 0, 0.5, 1; ...
    """
    # compared in the type given: torch does not compare its unsigned types with others
    plain: torch.Tensor = convert_to_tensor(labels, track_meta=False)
    if plain.numel() == 0:
        raise ValueError(f"{name} of shape {tuple(plain.shape)} has no pixel.")
    whole = plain.to(torch.int64)
    if bool((whole.to(plain.dtype) != plain).any()) or int(whole.min()) < 0:
        values = np.unique(convert_to_numpy(plain)).tolist()
        shown = ", ".join(f"{value:g}" for value in values[:_SHOWN])
        more = f" and {len(values) - _SHOWN} other values" if len(values) > _SHOWN else ""
        raise ValueError(
            f"{name} must hold whole numbers, 0 for background and 1..K for instances, got {shown}{more}; "
            f"multiply a scaled label map back, and resample label maps with the nearest voxel."
        )
    return whole
