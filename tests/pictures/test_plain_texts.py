# Copyright (c) monai_synthfm contributors
# Licensed under the Apache License, Version 2.0 (http://www.apache.org/licenses/LICENSE-2.0).
# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import io

import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from monai_synthfm.pictures.plain_texts import as_written


def labelled(text: str) -> Figure:
    """A figure with a text in each place that has one."""
    figure = Figure()
    FigureCanvasAgg(figure)
    ax = figure.subplots()
    ax.plot([0, 1], [0, 1], label=text)
    ax.set_title(text)
    ax.set_xlabel(text)
    ax.set_yticks([0, 1], [text, text])
    figure.legend(loc="upper center")
    return figure


def drawn(figure: Figure) -> np.ndarray:
    figure.canvas.draw()
    return np.asarray(figure.canvas.buffer_rgba()).copy()


def test_a_formula_that_is_none_is_drawn() -> None:
    with pytest.raises(ValueError, match="foo"):
        labelled(r"a$\foo$").savefig(io.BytesIO())
    as_written(labelled(r"a$\foo$")).savefig(io.BytesIO())


def test_signs_of_formulas_are_shown_as_they_are_written() -> None:
    assert not np.array_equal(drawn(as_written(labelled("$a$"))), drawn(labelled("$a$")))
    np.testing.assert_array_equal(drawn(as_written(labelled("$a"))), drawn(labelled("$a")))
