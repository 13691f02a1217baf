# Copyright (c) monai_synthfm contributors
# Licensed under the Apache License, Version 2.0 (http://www.apache.org/licenses/LICENSE-2.0).
# SPDX-License-Identifier: Apache-2.0
"""Pictures of segmented slices: contours, clicks and boxes over the image."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.patches import Patch, Rectangle
from matplotlib.patheffects import AbstractPathEffect, withStroke

from monai_synthfm.pictures.colours import Colour, object_colour
from monai_synthfm.pictures.plain_texts import as_written
from monai_synthfm.prompts import Prompts
from monai_synthfm.prompts.slice_prompts import SlicePrompts

__all__ = ["OverlayPanel", "draw_outline", "draw_overlay", "draw_prompts"]

_PANEL_INCHES = 4.0
_LEGEND_COLUMNS = 2
"""Of the legend, for each column of panels."""


@dataclass(frozen=True)
class OverlayPanel:
    """
    What is drawn of one slice.

    Args:
        image: grey values [H, W] in [0, 1].
        labels: label map [H, W], 0 background, n the n-th object.
        prompts: the prompts on the slice, if any.
        title: text above the panel.
        edges: what lies left, right, above and below, a letter each; nothing when that is not known.
        aspect: height of a pixel over its width in mm.
    """

    image: np.ndarray
    labels: np.ndarray
    prompts: SlicePrompts
    title: str
    edges: str
    aspect: float = 1.0


def draw_overlay(panels: Sequence[OverlayPanel], legend: Mapping[int, str] | None = None) -> Figure:
    """
    Draw slices side by side: outlines of objects, positive clicks as discs, negative ones as crosses, boxes dashed,
    masks that were given dotted.

    Args:
        panels: one for each slice.
        legend: texts below the panels by the labels of their objects, each beside its colour.

    Returns:
        A figure that draws without a display; ``savefig`` writes it.
    """
    columns = math.ceil(math.sqrt(len(panels)))
    rows = math.ceil(len(panels) / columns)
    figure = Figure(figsize=(_PANEL_INCHES * columns, _PANEL_INCHES * rows), layout="constrained", facecolor="black")
    FigureCanvasAgg(figure)
    axes = figure.subplots(rows, columns, squeeze=False).flatten()
    for ax in axes:
        ax.set_axis_off()
    for ax, panel in zip(axes, panels, strict=False):
        _draw_panel(ax, panel)
    if legend:
        patches = [Patch(color=object_colour(label - 1), label=text) for label, text in legend.items()]
        figure.legend(
            handles=patches,
            loc="outside lower center",
            ncols=min(len(patches), _LEGEND_COLUMNS * columns),
            labelcolor="white",
            frameon=False,
            fontsize=10,
        )
    return as_written(figure)


def _draw_panel(ax: Axes, panel: OverlayPanel) -> None:
    ax.imshow(panel.image, cmap="gray", vmin=0, vmax=1, aspect=panel.aspect, interpolation="nearest")
    ax.set_title(panel.title, color="white", fontsize=10)
    sides = ((0.02, 0.5, "left", "center"), (0.98, 0.5, "right", "center"))
    ends = ((0.5, 0.98, "center", "top"), (0.5, 0.02, "center", "bottom"))
    for letter, (x, y, ha, va) in zip(panel.edges, (*sides, *ends) if panel.edges else (), strict=True):
        text = ax.text(
            x, y, letter, ha=ha, va=va, transform=ax.transAxes, color="white", fontsize=11, fontweight="bold"
        )
        text.set(path_effects=_dark_edge(3.0), zorder=4)
    for number in np.unique(panel.labels[panel.labels > 0]):
        draw_outline(ax, panel.labels == number, object_colour(int(number) - 1))
    for row, n in enumerate(panel.prompts.objects):
        colour = object_colour(n)
        draw_prompts(ax, panel.prompts.prompts, row, colour, colour)
        if panel.prompts.masks is not None:
            draw_outline(ax, np.asarray(panel.prompts.masks[row].cpu()), colour, "dotted")
    ax.set_xlim(-0.5, panel.image.shape[1] - 0.5)
    ax.set_ylim(panel.image.shape[0] - 0.5, -0.5)


def _dark_edge(width: float) -> list[AbstractPathEffect]:
    """What keeps light lines and letters visible on bone and on air alike."""
    return [withStroke(linewidth=width, foreground="black")]


def draw_outline(ax: Axes, mask: np.ndarray, colour: Colour, style: str = "solid") -> None:
    """Draw the outline of a mask ``[H, W]``; an empty one has none."""
    if mask.any():
        # A frame of zeros closes the outline of an object that touches the border.
        rows, columns = (np.arange(-1, size + 1) for size in mask.shape)
        outline = np.pad(mask.astype(float), 1)
        drawn = ax.contour(columns, rows, outline, levels=[0.5], colors=[colour], linewidths=1.2, linestyles=style)
        drawn.set_path_effects(_dark_edge(2.4))


def draw_prompts(ax: Axes, prompts: Prompts, row: int, positive: Colour, negative: Colour) -> None:
    """Draw the prompts of object ``row``: positive clicks as discs, negative ones as crosses, the box dashed."""
    if prompts.points is not None and prompts.point_labels is not None:
        for label, marker, colour in ((1, "o", positive), (0, "X", negative)):
            x, y = prompts.points[row][prompts.point_labels[row] == label].T.tolist()
            ax.scatter(x, y, marker=marker, s=40, color=[colour], edgecolors="white", linewidths=1, zorder=3)
    if prompts.boxes is not None and prompts.has_box[row]:
        x0, y0, x1, y1 = prompts.boxes[row].tolist()
        # Corners are pixels inside the box, so its outline lies half a pixel further out.
        frame = Rectangle(
            (x0 - 0.5, y0 - 0.5), x1 - x0 + 1, y1 - y0 + 1, fill=False, edgecolor=positive, linestyle="--"
        )
        ax.add_patch(frame)
