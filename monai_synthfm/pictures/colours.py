# Copyright (c) monai_synthfm contributors
# Licensed under the Apache License, Version 2.0 (http://www.apache.org/licenses/LICENSE-2.0).
# SPDX-License-Identifier: Apache-2.0
"""Colours of objects that stand out from grey images."""

from __future__ import annotations

from colorsys import hsv_to_rgb

__all__ = ["Colour", "object_colour"]

Colour = str | tuple[float, ...]

_FIRST = (
    *("#4da3ff", "#ff8c1a", "#3ddc4b", "#ff4d4d", "#ffe119"),
    *("#c77dff", "#00e5e5", "#ff77c8", "#b5e61d", "#d2a679"),
)
_GOLDEN = 0.618033988749895


def object_colour(n: int) -> Colour:
    """
    Return the colour of an object, none of them grey: one of ten by name of hue, then golden steps around the circle
    of hues, so that no two are the same.

    Args:
        n: index of the object, from 0.

    Example:
        >>> object_colour(0), len({object_colour(n) for n in range(300)})
        ('#4da3ff', 300)
    """
    if n < len(_FIRST):
        return _FIRST[n]
    return hsv_to_rgb(n * _GOLDEN % 1.0, 0.45 + 0.4 * (n % 2), 1.0)
