# Copyright (c) monai_synthfm contributors
# Licensed under the Apache License, Version 2.0 (http://www.apache.org/licenses/LICENSE-2.0).
# SPDX-License-Identifier: Apache-2.0
"""Parts of a mask that do not look like the rest of it."""

from __future__ import annotations

import numpy as np
from scipy import ndimage

from monai_synthfm.prompts.masks import depth, nearest_pixel

__all__ = ["unlike_part"]


def unlike_part(picture: np.ndarray, inside: np.ndarray, click: tuple[float, float]) -> np.ndarray | None:
    r"""
    Return the part of a mask in which a click lies if it does not look like the rest, as a sinus or another organ.

    With the mean grey level :math:`g_c` of the pixels of the mask M within half the depth of the click (at least one
    pixel) around it, it does not when

    .. math:: |g_c - \mathrm{median}_M(g)| > \mathrm{std}_M(g).

    The part is what of M is nearer to :math:`g_c` than to the median, as far as it is 8-connected with these pixels.

    Source: not given in the papers; our choice. Measurements are in ``docs/experiments.md``, section "The fifth stage,
    which ships".

    Args:
        picture: grey levels [H, W].
        inside: M, booleans [H, W].
        click: x, y in its pixels.

    Returns:
        booleans [H, W]; None where the click is not in the mask, or where it looks like the rest.

    Example:
        >>> inside = np.zeros((9, 9), bool)
        >>> inside[1:8, 1:8] = True
        >>> picture = np.where(inside, 0.8, 0.3)
        >>> picture[3:5, 3:6] = 0.3
        >>> int(unlike_part(picture, inside, (4, 4)).sum()), unlike_part(picture, inside, (2, 6))
        (13, None)
    """
    x, y = click
    room = depth(inside)[nearest_pixel(click, inside.shape)]
    if room == 0:
        return None
    rows, columns = np.indices(inside.shape)
    around = inside & (np.hypot(columns - x, rows - y) <= max(1.0, room / 2))
    if not around.any():
        return None
    here, usual = picture[around].mean(), np.median(picture[inside])
    if abs(here - usual) <= picture[inside].std():
        return None
    nearer = np.abs(picture - here) < np.abs(picture - usual)
    parts, _ = ndimage.label(inside & (nearer | around), structure=np.ones((3, 3)))
    return np.isin(parts, parts[around])
