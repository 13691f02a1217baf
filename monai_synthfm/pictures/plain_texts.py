# Copyright (c) monai_synthfm contributors
# Licensed under the Apache License, Version 2.0 (http://www.apache.org/licenses/LICENSE-2.0).
# SPDX-License-Identifier: Apache-2.0
"""Texts of figures that mean what they say."""

from __future__ import annotations

from matplotlib.figure import Figure
from matplotlib.text import Text

__all__ = ["as_written"]


def as_written(figure: Figure) -> Figure:
    r"""
    Let a figure show ``$`` and ``\`` in all its texts, which matplotlib would take for formulas.

    Names of objects, structures, cases and models are those of users; one such as ``a$\foo$`` is no formula, and the
    figure could not be drawn.

    Args:
        figure: with all its titles, legends and labels of axes.

    Returns:
        The same figure.

    Example:
        >>> figure = Figure()
        >>> title = figure.suptitle(r"a$\foo$")
        >>> _ = as_written(figure)
        >>> title.get_parse_math()
        False
    """
    for text in figure.findobj(Text):
        text.set_parse_math(False)
    return figure
