# Copyright (c) monai_synthfm contributors
# Licensed under the Apache License, Version 2.0 (http://www.apache.org/licenses/LICENSE-2.0).
# SPDX-License-Identifier: Apache-2.0
"""Figures of a report: what is drawn, not how it looks."""

from __future__ import annotations

import base64
import io
from typing import Literal
from xml.etree import ElementTree

import numpy as np
import pytest
import torch
from matplotlib.collections import PathCollection
from matplotlib.contour import ContourSet
from matplotlib.figure import Figure
from PIL import Image

from monai_synthfm.evaluation.figures import (
    Example,
    box_plots,
    click_curves,
    data_uri,
    draw_examples,
    pick_examples,
)
from monai_synthfm.evaluation.results_table import make_rows
from monai_synthfm.prompts import Prompts
from tests.evaluation.made_rows import random_rows, row


def example(**changes: object) -> Example:
    target, prediction = np.zeros((30, 40), bool), np.zeros((30, 40), bool)
    target[:12, 5:20], prediction[4:16, 8:24] = True, True
    prompts = Prompts(
        points=torch.tensor([[[10.0, 6.0], [30.0, 20.0], [0.0, 0.0]]]),
        point_labels=torch.tensor([[1, 0, -1]]),
        boxes=torch.tensor([[5.0, 0.0, 19.0, 11.0]]),
    )
    fields = {"image": np.full((30, 40), 0.5), "target": target, "prediction": prediction, "prompts": prompts}
    return Example(**{**fields, **changes})  # type: ignore[arg-type]


def decoded(uri: str) -> tuple[str, bytes]:
    mime, data = uri.removeprefix("data:").split(";base64,")
    return mime, base64.b64decode(data, validate=True)


def test_boxes_are_those_of_the_means_of_patients() -> None:
    rows = random_rows(models=("a", "b"), structures=(("ct", "liver"), ("ct", "spleen")), patients=5)
    panels = box_plots(rows).axes
    assert [ax.get_title() for ax in panels] == ["1p0n", "1p2n"]
    assert [label.get_text() for label in panels[0].get_yticklabels()] == ["liver", "spleen"]
    means = rows.groupby(["prompts", "structure", "model", "patient_id"]).dsc.mean()
    for ax in panels:
        assert len(ax.patches) == 4
        dots = [np.sort(line.get_xdata()) for line in ax.lines if line.get_marker() == "."]
        # From top to bottom: structures, and models within them.
        tops = [line.get_ydata().mean() for line in ax.lines if line.get_marker() == "."]
        expected = [np.sort(part) for _, part in means[ax.get_title()].groupby(["structure", "model"])]
        np.testing.assert_allclose([dots[n] for n in np.argsort(tops)], expected)
        assert ax.yaxis_inverted()


def test_click_curves_are_means_over_patients() -> None:
    names = [f"interactive-{k:02d}" for k in (1, 2, 3)]
    rows = random_rows(models=("a", "b"), prompts=("1p0n", *names), patients=4)
    axes = click_curves(rows).axes
    assert [ax.get_title() for ax in axes] == ["ct, interactive", "mr, interactive"]
    line = axes[0].lines[0]
    assert line.get_xdata().tolist() == [1, 2, 3]
    part = rows[(rows.model == "a") & (rows.modality == "ct")]
    expected = [part[part.prompts == name].groupby("patient_id").dsc.mean().mean() for name in names]
    assert line.get_ydata().tolist() == pytest.approx(expected)


def test_nothing_to_draw_is_said() -> None:
    with pytest.raises(ValueError, match="no rows"):
        box_plots(make_rows([]))
    with pytest.raises(ValueError, match="no interactive rows"):
        click_curves(make_rows([row()]))


@pytest.mark.parametrize(
    ("count", "expected"),
    [
        (1, {"worst": 0}),
        (2, {"worst": 0, "best": 1}),
        (3, {"worst": 0, "median": 1, "best": 2}),
        (8, {"worst": 0, "median": 4, "best": 7}),
    ],
)
def test_worst_median_and_best_are_picked_by_rank(count: int, expected: dict[str, int]) -> None:
    dice = np.random.default_rng(count).permutation(count) / 10
    rows = make_rows(row(slice_index=n, dsc=float(d)) for n, d in enumerate(dice))
    picked = pick_examples(rows)
    assert dict(zip(picked["rank"], picked.dsc, strict=True)) == {rank: place / 10 for rank, place in expected.items()}


def test_each_model_and_modality_has_its_own_examples() -> None:
    picked = pick_examples(random_rows(models=("a", "b")))
    assert len(picked) == 2 * 2 * 3
    assert pick_examples(make_rows([])).empty


def test_clicks_and_boxes_lie_where_the_prompts_are() -> None:
    (ax,) = draw_examples([("worst", example())]).axes
    clicks = [c.get_offsets().tolist() for c in ax.collections if isinstance(c, PathCollection)]
    assert clicks == [[[10.0, 6.0]], [[30.0, 20.0]]]
    (box,) = ax.patches
    assert box.get_bbox().extents.tolist() == [4.5, -0.5, 19.5, 11.5]
    assert ax.get_title() == "worst"


def test_outlines_run_around_masks_even_on_the_edge_of_the_image() -> None:
    (ax,) = draw_examples([("", example())]).axes
    target, prediction = (c.get_paths()[0].vertices for c in ax.collections if isinstance(c, ContourSet))
    assert (target.min(axis=0).tolist(), target.max(axis=0).tolist()) == ([4.5, -0.5], [19.5, 11.5])
    assert (prediction.min(axis=0).tolist(), prediction.max(axis=0).tolist()) == ([7.5, 3.5], [23.5, 15.5])


def test_an_empty_prediction_and_no_prompts_are_drawn_without_error() -> None:
    figure = draw_examples([("", example(prediction=np.zeros((30, 40), bool), prompts=Prompts()))])
    assert decoded(data_uri(figure, "png"))[1]


@pytest.mark.parametrize("kind", ["png", "svg"])
def test_names_of_cases_and_structures_are_no_formulas(kind: Literal["png", "svg"]) -> None:
    assert decoded(data_uri(draw_examples([(r"a$\foo$", example())]), kind))[1]
    rows = random_rows().assign(structure=r"$\foo$")
    assert decoded(data_uri(box_plots(rows), kind))[1]


def test_pictures_are_whole_and_the_same_bytes_each_time() -> None:
    def figure() -> Figure:
        return draw_examples([("worst", example()), ("best", example())])

    mime, png = decoded(data_uri(figure(), "png"))
    assert mime == "image/png"
    width, height = Image.open(io.BytesIO(png)).size
    assert width > height > 100
    mime, svg = decoded(data_uri(figure(), "svg"))
    assert mime == "image/svg+xml"
    assert ElementTree.fromstring(svg).tag.endswith("svg")
    assert data_uri(figure(), "svg") == data_uri(figure(), "svg")
    assert data_uri(figure(), "png") == data_uri(figure(), "png")
