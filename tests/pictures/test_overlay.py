# Copyright (c) monai_synthfm contributors
# Licensed under the Apache License, Version 2.0 (http://www.apache.org/licenses/LICENSE-2.0).
# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import numpy as np
import pytest
import torch

from monai_synthfm.pictures.overlay import OverlayPanel, draw_overlay
from monai_synthfm.prompts import Prompts
from monai_synthfm.prompts.slice_prompts import SlicePrompts


def panel(**changes: object) -> OverlayPanel:
    labels = np.zeros((30, 40), int)
    labels[10:20, 5:25] = 2
    prompts = Prompts(
        points=torch.tensor([[[12.0, 15.0], [30.0, 3.0]]]),
        point_labels=torch.tensor([[1, 0]]),
        boxes=torch.tensor([[5.0, 10.0, 24.0, 19.0]]),
    )
    values = {"image": np.full((30, 40), 0.5), "labels": labels, "prompts": SlicePrompts([1], prompts)}
    return OverlayPanel(**{**values, "title": "axial, k = 3", "edges": "RLAP", **changes})  # type: ignore[arg-type]


def rendered(shown: OverlayPanel) -> np.ndarray:
    """The pixels [H, W, 3] of a figure."""
    canvas = draw_overlay([shown]).canvas
    canvas.draw()
    return np.asarray(canvas.buffer_rgba())[..., :3].astype(int)


def test_clicks_contours_and_boxes_are_drawn_where_they_are() -> None:
    figure = draw_overlay([panel()])
    ax = figure.axes[0]
    contour, positive, negative = ax.collections
    np.testing.assert_allclose(positive.get_offsets(), [[12, 15]])
    np.testing.assert_allclose(negative.get_offsets(), [[30, 3]])
    outline = contour.get_paths()[0].vertices
    np.testing.assert_allclose([*outline.min(0), *outline.max(0)], [4.5, 9.5, 24.5, 19.5])
    assert ax.patches[0].get_bbox().bounds == (4.5, 9.5, 20, 10)
    assert {text.get_text() for text in ax.texts} == set("RLAP")
    assert ax.get_ylim() == (29.5, -0.5)  # first row on top
    assert ax.get_title() == "axial, k = 3"


def test_anisotropic_pixels_are_drawn_with_their_shape() -> None:
    assert draw_overlay([panel(aspect=3.0)]).axes[0].get_aspect() == 3.0


@pytest.mark.parametrize("count", [1, 2, 5])
def test_there_is_a_panel_for_each_slice(count: int) -> None:
    figure = draw_overlay([panel()] * count)
    assert sum(bool(ax.images) for ax in figure.axes) == count


def test_the_legend_names_objects_beside_the_colour_of_their_outline() -> None:
    figure = draw_overlay([panel()], {1: "liver: 1.5 ml", 2: "object 2: 0.3 ml"})
    (legend,) = figure.legends
    assert [text.get_text() for text in legend.get_texts()] == ["liver: 1.5 ml", "object 2: 0.3 ml"]
    outline, *_ = figure.axes[0].collections
    first, second = (patch.get_facecolor() for patch in legend.get_patches())
    assert tuple(outline.get_edgecolor()[0]) == second != first
    assert not draw_overlay([panel()]).legends


def test_names_of_objects_and_titles_are_no_formulas() -> None:
    figure = draw_overlay([panel(title=r"$\foo$")], {1: r"a$\foo$: 1.5 ml", 2: "_$x$_"})
    figure.canvas.draw()
    assert [text.get_text() for text in figure.legends[0].get_texts()] == [r"a$\foo$: 1.5 ml", "_$x$_"]


@pytest.mark.parametrize("grey", [0.0, 0.5, 1.0])
def test_letters_stand_out_from_any_grey(grey: float) -> None:
    plain, lettered = (rendered(panel(image=np.full((30, 40), grey), edges=edges)) for edges in ("", "RLSI"))
    ink = lettered[(plain != lettered).any(axis=-1)].mean(axis=-1)
    assert ink.max() > 250
    assert np.ptp(ink) > 200 or grey == 0.0


def test_sides_that_are_not_known_are_not_drawn() -> None:
    assert not [*draw_overlay([panel(edges="")]).axes[0].texts]
