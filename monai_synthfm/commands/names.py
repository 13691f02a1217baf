# Copyright (c) monai_synthfm contributors
# Licensed under the Apache License, Version 2.0 (http://www.apache.org/licenses/LICENSE-2.0).
# SPDX-License-Identifier: Apache-2.0
"""What is said of a name that does not exist."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from difflib import get_close_matches

from monai_synthfm.commands.references import SEPARATOR

__all__ = ["no_such_option"]


def no_such_option(name: str, known: Iterable[str], above: Sequence[str] = (), otherwise: str = "") -> ValueError:
    """
    Return the error of an option that does not exist, with the nearest one that does.

    Args:
        name: as it was typed, such as ``network_def::image_sise``.
        known: what there is in the place of its part that is wrong.
        above: the parts that precede this one.
        otherwise: what is said when nothing is near.

    Example:
        >>> no_such_option("a::sise", ["size", "zoom"], ["a"])
        ValueError("there is no option 'a::sise'; did you mean 'a::size'?")
        >>> no_such_option("a", ["size"])
        ValueError("there is no option 'a'.")
    """
    part = name.replace("#", SEPARATOR).split(SEPARATOR)[len(above)]
    nearest = get_close_matches(part, sorted(known), 1, 0.6)
    hint = (
        f"; did you mean {SEPARATOR.join([*above, *nearest])!r}?" if nearest else f"; {otherwise}" if otherwise else "."
    )
    return ValueError(f"there is no option {name!r}{hint}")
