# Copyright (c) monai_synthfm contributors
# Licensed under the Apache License, Version 2.0 (http://www.apache.org/licenses/LICENSE-2.0).
# SPDX-License-Identifier: Apache-2.0
"""Figures of a report: box plots by structure, Dice over clicks, and a gallery of worst, median and best masks."""

from __future__ import annotations

import base64
import io
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import matplotlib
import numpy as np
import pandas as pd
from matplotlib import colormaps
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from monai_synthfm.evaluation.aggregation import patient_means, split_clicks
from monai_synthfm.evaluation.results_table import IDENTITY
from monai_synthfm.pictures.overlay import draw_outline, draw_prompts
from monai_synthfm.pictures.plain_texts import as_written
from monai_synthfm.prompts import Prompts

__all__ = [
    "Example",
    "ExampleLoader",
    "add_legend",
    "box_plots",
    "click_curves",
    "data_uri",
    "draw_examples",
    "model_colour",
    "new_figure",
    "pick_examples",
]

_TARGET, _PREDICTION = "#2ca02c", "#ff7f0e"
_POSITIVE, _NEGATIVE = "#1f77ff", "#e00000"


@dataclass(frozen=True)
class Example:
    """
    What is drawn of one row.

    Args:
        image: grey values [H, W] or colours [H, W, 3] in [0, 1].
        target: mask [H, W].
        prediction: mask [H, W].
        prompts: of this one object (N = 1, no batch), in pixels of the image.
        aspect: height of a pixel over its width in mm.
        others: further views of the same row, drawn below.
    """

    image: np.ndarray
    target: np.ndarray
    prediction: np.ndarray
    prompts: Prompts
    aspect: float = 1.0
    others: Sequence[Example] = ()


ExampleLoader = Callable[[Mapping[str, Any]], Example]
"""Makes the example of a row, given as a mapping with the columns of the table of rows."""


def box_plots(rows: pd.DataFrame, value: str = "dsc") -> Figure:
    """
    Draw the spread of the means of patients: a panel for each kind of prompts, a box for each structure and model.

    Boxes span the quartiles, whiskers reach up to 1.5 times their distance further; every patient is a dot.

    Args:
        rows: rows of one modality.
        value: column of the score.

    Raises:
        ValueError: when there are no rows.
    """
    if rows.empty:
        raise ValueError("there are no rows to draw.")
    means = patient_means(rows, [value])
    structures, models, prompts = (sorted(means[name].unique()) for name in ("structure", "model", "prompts"))
    group = len(models) + 1
    figure = new_figure(1.5 + 2.1 * len(prompts), 1.2 + 0.16 * group * len(structures))
    panels = figure.subplots(1, len(prompts), squeeze=False, sharex=True, sharey=True)[0]
    for ax, name in zip(panels, prompts, strict=True):
        for rank, model in enumerate(models):
            part = means[(means.prompts == name) & (means.model == model)]
            for place, structure in enumerate(structures):
                scores = part.loc[part.structure == structure, value].dropna().to_numpy()
                if len(scores):
                    _draw_box(ax, scores, group * place + rank, model_colour(rank))
        ax.set_title(name, fontsize=9)
        ax.set_xlabel(value.upper(), fontsize=8)
        ax.tick_params(labelsize=8)
        ax.grid(axis="x", alpha=0.3)
    if value in ("dsc", "nsd"):
        panels[0].set_xlim(-0.03, 1.03)
    centres = [group * place + (len(models) - 1) / 2 for place in range(len(structures))]
    panels[0].set_yticks(centres, [name.replace("_", " ") for name in structures])
    # The first structure stands on top.
    panels[0].set_ylim(group * len(structures) - 1, -1)
    add_legend(figure, [Patch(facecolor=model_colour(rank), label=model) for rank, model in enumerate(models)])
    return figure


def click_curves(rows: pd.DataFrame) -> Figure:
    """
    Draw Dice over the clicks of interactive runs: a panel for each modality and series, a line for each model.

    Lines are means over patients, bands their quartiles.

    Args:
        rows: the table of rows; those of other prompts are ignored.

    Raises:
        ValueError: when there are no interactive rows.
    """
    table = split_clicks(rows)
    if table.empty:
        raise ValueError("there are no interactive rows to draw.")
    means = patient_means(table, ["dsc"], ["modality", "series", "click"])
    panels = sorted(set(zip(means.modality, means.series, strict=True)))
    models = sorted(means.model.unique())
    figure = new_figure(max(4.5, 3.4 * len(panels)), 3.6)
    axes = figure.subplots(1, len(panels), squeeze=False, sharey=True)[0]
    for ax, (modality, series) in zip(axes, panels, strict=True):
        here = means[(means.modality == modality) & (means.series == series)]
        for rank, model in enumerate(models):
            spread = here[here.model == model].groupby("click").dsc.describe()
            ax.plot(spread.index, spread["mean"], marker="o", markersize=3, color=model_colour(rank))
            ax.fill_between(
                spread.index, spread["25%"], spread["75%"], color=model_colour(rank), alpha=0.15, linewidth=0
            )
        ax.set_title(f"{modality}, {series}", fontsize=9)
        ax.set_xlabel("click", fontsize=8)
        ax.xaxis.get_major_locator().set_params(integer=True)
        ax.set_ylim(-0.03, 1.03)
        ax.grid(alpha=0.3)
    axes[0].set_ylabel("DSC", fontsize=8)
    add_legend(
        figure, [Line2D([], [], color=model_colour(rank), marker="o", label=model) for rank, model in enumerate(models)]
    )
    return figure


def pick_examples(rows: pd.DataFrame, by: Sequence[str] = ("model", "modality"), value: str = "dsc") -> pd.DataFrame:
    """
    Pick the worst, the median and the best row of each group.

    With n rows from worst to best, the median is the row n // 2; ties are broken by the order of identities. Groups of
    one or two rows give that many, the worst first.

    Returns:
        Rows with a column ``rank``: ``worst``, ``median`` or ``best``.
    """
    picked = []
    for _, part in rows[rows[value].notna()].groupby(list(by), observed=True):
        ordered = part.sort_values([value, *IDENTITY], ignore_index=True)
        # Later entries win: one row is the worst, two are the worst and the best.
        places = {len(ordered) // 2: "median", len(ordered) - 1: "best", 0: "worst"}
        chosen = ordered.iloc[sorted(places)]
        picked.append(chosen.assign(rank=[places[place] for place in sorted(places)]))
    return pd.concat(picked, ignore_index=True) if picked else rows.head(0).assign(rank="")


def draw_examples(examples: Sequence[tuple[str, Example]]) -> Figure:
    """
    Draw examples in a row: target green, prediction orange dashed, positive clicks as discs, negative ones as crosses.

    Args:
        examples: titles and what is to be drawn under them; further views of an example stand below it.
    """
    columns = [(title, (example, *example.others)) for title, example in examples]
    rows = max(len(views) for _, views in columns)
    heights = [
        min(max(view.image.shape[0] * view.aspect / view.image.shape[1] for view in views), 2.0)
        for views in ([views[row] for _, views in columns if row < len(views)] for row in range(rows))
    ]
    figure = new_figure(3.2 * len(columns), 3.2 * sum(heights) + 0.7)
    panels = figure.subplots(rows, len(columns), squeeze=False, height_ratios=heights)
    for column, (title, views) in zip(panels.T, columns, strict=True):
        column[0].set_title(title, fontsize=8)
        for ax in column:
            ax.set_axis_off()
        for ax, view in zip(column, views, strict=False):
            _draw_view(ax, view)
    return figure


def _draw_view(ax: Axes, view: Example) -> None:
    ax.imshow(view.image, cmap="gray", vmin=0, vmax=1, aspect=view.aspect, interpolation="nearest")
    for mask, colour, style in ((view.target, _TARGET, "solid"), (view.prediction, _PREDICTION, "dashed")):
        draw_outline(ax, mask, colour, style)
    draw_prompts(ax, view.prompts, 0, _POSITIVE, _NEGATIVE)
    ax.set_xlim(-0.5, view.image.shape[1] - 0.5)
    ax.set_ylim(view.image.shape[0] - 0.5, -0.5)


def data_uri(figure: Figure, kind: Literal["svg", "png"] = "svg") -> str:
    """Return a figure as an address that holds the picture itself; the same figure gives the same text."""
    buffer = io.BytesIO()
    metadata = {"Date": None} if kind == "svg" else {"Software": None}
    with matplotlib.rc_context({"svg.hashsalt": "monai_synthfm"}):
        as_written(figure).savefig(buffer, format=kind, dpi=110, metadata=metadata)
    mime = "image/svg+xml" if kind == "svg" else "image/png"
    return f"data:{mime};base64,{base64.b64encode(buffer.getvalue()).decode()}"


def new_figure(width: float, height: float) -> Figure:
    """Make a figure of this size in inches that needs no display."""
    figure = Figure(figsize=(width, height), layout="constrained")
    FigureCanvasAgg(figure)
    return figure


def add_legend(figure: Figure, handles: Sequence[Artist]) -> None:
    """Name what is drawn above all panels."""
    figure.legend(handles=handles, loc="outside upper center", ncols=min(len(handles), 4), fontsize=8, frameon=False)


def model_colour(rank: int) -> tuple[float, float, float, float]:
    """Return the colour of the model that comes ``rank``-th by name."""
    return colormaps["tab10"](rank % 10)


def _draw_box(ax: Axes, scores: np.ndarray, place: float, colour: tuple[float, float, float, float]) -> None:
    ax.boxplot(
        [scores],
        positions=[place],
        widths=0.75,
        orientation="horizontal",
        showfliers=False,
        patch_artist=True,
        boxprops={"facecolor": (*colour[:3], 0.45), "edgecolor": colour},
        medianprops={"color": "black"},
        manage_ticks=False,
    )
    # Dots fan out in the order of the scores, so that equal ones stay apart without a draw.
    fan = np.linspace(-0.2, 0.2, len(scores)) if len(scores) > 1 else np.zeros(1)
    ax.plot(np.sort(scores), place + fan, ".", color="black", markersize=2.5, alpha=0.6)
