# Copyright (c) monai_synthfm contributors
# Licensed under the Apache License, Version 2.0 (http://www.apache.org/licenses/LICENSE-2.0).
# SPDX-License-Identifier: Apache-2.0
"""Views of a volume for the gallery, and curves of Dice over the distance from the prompted slice."""

from __future__ import annotations

from dataclasses import replace
from itertools import product

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from monai_synthfm.data.case_volumes import CaseVolume
from monai_synthfm.evaluation.figures import Example, add_legend, model_colour, new_figure
from monai_synthfm.evaluation.volume_plan import PlannedPrompt
from monai_synthfm.prompts import Prompts

__all__ = ["distance_curves", "volume_example"]


def distance_curves(curve: pd.DataFrame, unit: str) -> Figure:
    """
    Draw Dice over the distance from the prompted slice: a panel for each modality and prompts, a line for each model.

    Bands are the intervals over patients.

    Args:
        curve: from :func:`~monai_synthfm.evaluation.slice_profiles.distance_curve`, not empty.
        unit: of the distances.
    """
    modalities, prompts, models = (sorted(curve[name].unique()) for name in ("modality", "prompts", "model"))
    steps = sorted(curve.reach.unique())
    figure = new_figure(max(4.5, 2.6 * len(prompts)), 0.8 + 2.2 * len(modalities))
    panels = figure.subplots(len(modalities), len(prompts), squeeze=False, sharex=True, sharey=True)
    for (row, modality), (column, name) in product(enumerate(modalities), enumerate(prompts)):
        ax, here = panels[row, column], curve[(curve.modality == modality) & (curve.prompts == name)]
        for rank, model in enumerate(models):
            line = here[here.model == model].sort_values("reach")
            places = line.reach.map(steps.index).to_numpy(int)
            ax.plot(places, line["mean"], marker="o", markersize=3, color=model_colour(rank))
            ax.fill_between(places, line.ci_low, line.ci_high, color=model_colour(rank), alpha=0.15, linewidth=0)
        ax.set_title(f"{modality}, {name}", fontsize=8)
        ax.tick_params(labelsize=7)
        ax.grid(alpha=0.3)
    panels[0, 0].set_ylim(-0.03, 1.03)
    panels[0, 0].set_xticks(range(len(steps)), [f"{step:g}" for step in steps])
    for ax in panels[-1]:
        ax.set_xlabel(f"up to ... {unit} away", fontsize=8)
    for ax in panels[:, 0]:
        ax.set_ylabel("DSC", fontsize=8)
    lines = [Line2D([], [], color=model_colour(rank), marker="o", label=model) for rank, model in enumerate(models)]
    add_legend(figure, lines)
    return figure


def volume_example(volume: CaseVolume, target: np.ndarray, prediction: np.ndarray, prompt: PlannedPrompt) -> Example:
    """
    Cut views out of a volume with a target and its prediction.

    Of a volume: the prompted slice, then the planes across the other two axes where the target is largest, turned as
    radiologists see them. Of a sequence: the prompted frame, then the first and the last that show the target.

    Args:
        volume: with the image.
        target: booleans [X, Y, Z], not empty.
        prediction: booleans [X, Y, Z].
        prompt: on one slice.

    Example:
        >>> volume = CaseVolume({}, np.zeros((1, 20, 30, 8), np.float32), axis=2, spacing=(1.0, 1.0, 4.0))
        >>> target = np.zeros((20, 30, 8), bool)
        >>> target[5:9, 5:9, 2:6] = True
        >>> example = volume_example(volume, target, target, PlannedPrompt(3, Prompts()))
        >>> [(view.image.shape, view.aspect) for view in (example, *example.others)]
        [((30, 20), 1.0), ((8, 30), 4.0), ((8, 20), 4.0)]
    """
    axis = volume.axis
    if volume.is_sequence:
        shown = np.flatnonzero(target.any(axis=(0, 1))).tolist()
        places = [(axis, prompt.index), (axis, shown[0]), (axis, shown[-1])]
    else:
        areas = {a: target.sum(axis=tuple(b for b in range(3) if b != a)) for a in range(3) if a != axis}
        places = [(axis, prompt.index), *((a, int(area.argmax())) for a, area in areas.items())]
    examples = []
    for across, index in places:
        picture, true, found = (_view(v, axis, across, index) for v in (volume.image, target[None], prediction[None]))
        width, height = (a for a in range(3) if a != across)
        aspect = volume.spacing[height] / volume.spacing[width] if volume.spacing else 1.0
        grey_or_colour = picture[0] if len(picture) == 1 else np.moveaxis(picture, 0, -1)
        examples.append(Example(grey_or_colour, true[0], found[0], Prompts(), aspect))
    return replace(examples[0], prompts=prompt.prompts, others=examples[1:])


def _view(values: np.ndarray, axis: int, across: int, index: int) -> np.ndarray:
    """Cut a plane [C, H, W] out of values [C, X, Y, Z] whose slices across ``axis`` are turned for display."""
    plane = np.take(values, index, axis=across + 1)
    if across != axis:
        # Slices stand in RAS+ order, but what comes last is shown on top or on the left.
        rest = [a for a in range(3) if a != across]
        plane = np.flip(plane, rest.index(axis) + 1)
    return np.swapaxes(plane, -1, -2)
