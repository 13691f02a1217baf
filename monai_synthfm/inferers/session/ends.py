# Copyright (c) monai_synthfm contributors
# Licensed under the Apache License, Version 2.0 (http://www.apache.org/licenses/LICENSE-2.0).
# SPDX-License-Identifier: Apache-2.0
"""When a negative click on a carried slice says that the object is not there at all."""

from __future__ import annotations

import torch

from monai_synthfm.prompts.masks import depth, nearest_pixel
from monai_synthfm.prompts.unlike_parts import unlike_part

__all__ = ["DEEP", "is_deep"]

DEEP = 0.85
"""Share of the largest depth of a mask from which on a negative click speaks of all of it."""


def is_deep(mask: torch.Tensor, clicks: torch.Tensor, picture: torch.Tensor | None = None) -> bool:
    r"""
    Return whether one of some clicks lies about as deep in a mask as it gets, :math:`d(p) \ge 0.85 \max_q d(q)`.

    d is the distance to what is not the mask. Where an object was carried past its end all of its mask is wrong, and a
    user clicks in the middle; where it leaked the click lies in the leak. A click on what does not look like the rest
    of the mask (:func:`~monai_synthfm.prompts.unlike_parts.unlike_part`), such as the sinus of a kidney, speaks of that
    alone.

    Source: not given in the papers; our choice. Measurements are in ``docs/experiments.md``, section "The fifth stage,
    which ships".

    Args:
        mask: booleans [H, W], not empty.
        clicks: [K, 2] as x, y in its pixels.
        picture: the slice [C, H, W]; None = nothing is known of how it looks.

    Example:
        >>> mask = torch.zeros(7, 9, dtype=torch.bool)
        >>> mask[1:6, 1:8] = True
        >>> is_deep(mask, torch.tensor([[4.0, 3.0]])), is_deep(mask, torch.tensor([[2.0, 3.0]]))
        (True, False)
    """
    inside = mask.cpu().numpy()
    room = depth(inside)
    deep = [(x, y) for x, y in clicks.tolist() if room[nearest_pixel((x, y), inside.shape)] >= DEEP * room.max()]
    if picture is None:
        return bool(deep)
    grey = picture.mean(dim=0).cpu().numpy()
    return any(unlike_part(grey, inside, click) is None for click in deep)
