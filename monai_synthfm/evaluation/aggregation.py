# Copyright (c) monai_synthfm contributors
# Licensed under the Apache License, Version 2.0 (http://www.apache.org/licenses/LICENSE-2.0).
# SPDX-License-Identifier: Apache-2.0
"""
Means of the table of rows: by slice, by patient and by stacked volume, and what an interactive run comes to.

The headline is the mean over the slices of a patient, then over patients (not given in the paper; our choice): slices
of one patient are alike, and a patient with many of them must not outweigh the others. A mean over structures comes
last.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from scipy.integrate import trapezoid

from monai_synthfm.evaluation.results_table import IDENTITY, volume_rows

__all__ = [
    "CELL",
    "FEWEST_PATIENTS",
    "INTERACTIVE",
    "PATIENT",
    "data_counts",
    "interaction_scores",
    "mean_over_structures",
    "patient_means",
    "pooled",
    "split_clicks",
    "summarise",
    "volume_dice",
]

CELL: tuple[str, ...] = ("modality", "structure", "prompts")
"""Columns that make a cell of the paper's Table 1, for each model."""

PATIENT: tuple[str, ...] = ("dataset", "patient_id")
"""Columns that tell patients apart; ids are unique within a dataset only."""

FEWEST_PATIENTS = 5
"""
Of fewer patients there are neither intervals nor tests: resampling 4 gives 35 different samples, and no two-sided rank
test of 4 pairs has a p below 0.125 (our choice).
"""

INTERACTIVE = r"^(?P<series>.+)-(?P<click>\d+)$"
"""Prompts of an interactive run: the name of the run's rule and the number of the click, such as ``interactive-05``."""


def patient_means(table: pd.DataFrame, values: Sequence[str] = ("dsc",), by: Sequence[str] = CELL) -> pd.DataFrame:
    """
    Take the mean over everything there is of a patient in a cell; NaN is left out.

    Args:
        table: rows, volumes or interaction scores.
        values: columns to take means of.
        by: columns that make a cell, besides the model.

    Returns:
        A table with ``model``, ``by``, ``dataset``, ``patient_id`` and ``values``.
    """
    keys = list(dict.fromkeys(["model", *by, *PATIENT]))
    return table.groupby(keys, as_index=False, observed=True)[list(values)].mean()


def volume_dice(rows: pd.DataFrame) -> pd.DataFrame:
    """
    Stack the slices of each volume, as if the masks were one 3D mask: ``DSC = 2 sum |P n T| / (sum |P| + sum |T|)``.

    Single objects of a structure are joined, since their numbers do not go on from slice to slice; pictures are left
    out. The sums run over the slices that were evaluated.

    Returns:
        A table with a row for each (model, dataset, patient, case, modality, structure, prompts, seed) and its ``dsc``.
    """
    keys = [name for name in IDENTITY if name not in ("slice_index", "instance")]
    areas = ["intersection", "area_target", "area_pred"]
    table = rows[rows.slice_index >= 0].groupby(keys, as_index=False, observed=True)[areas].sum()
    total = table.area_target + table.area_pred
    # Both empty is a full score, as on a slice.
    table["dsc"] = np.where(total > 0, 2 * table.intersection / total.where(total > 0, 1), 1.0)
    return table[[*keys, "dsc"]]


def summarise(rows: pd.DataFrame, value: str = "dsc", by: Sequence[str] = CELL, unit: str = "patient") -> pd.DataFrame:
    """
    Take the mean of a score in each cell of each model.

    Args:
        rows: the table of rows.
        value: column of the score; only ``dsc`` has the unit ``volume``.
        by: columns that make a cell, besides the model.
        unit: ``patient``, mean over patients of the means over their slices; ``slice``, over all rows; ``volume``,
            over stacked volumes.

    Returns:
        A table with ``model``, ``by``, ``mean`` and ``sd`` over the units, ``n`` units, ``n_patients``, ``n_masks``
        (rows with the score) and ``n_dropped`` (rows without).

    Raises:
        ValueError: when the unit is unknown, or ``volume`` is asked for another score.
    """
    if unit not in ("patient", "slice", "volume"):
        raise ValueError(f"unit must be 'patient', 'slice' or 'volume', got {unit!r}.")
    if unit == "volume" and value != "dsc":
        raise ValueError(f"only dsc can be computed for stacked volumes, got {value!r}.")
    keys = ["model", *by]
    units = rows
    if unit == "patient":
        units = patient_means(rows, [value], by)
    elif unit == "volume":
        units = volume_dice(rows)
    means = units.groupby(keys, observed=True)[value].agg(mean="mean", sd="std", n="count")
    counted = rows.assign(
        patient=rows.dataset.str.cat(rows.patient_id, sep="\n").where(rows[value].notna()),
        scored=rows[value].notna(),
        lost=rows[value].isna(),
    ).groupby(keys, observed=True)
    counts = counted.agg(n_patients=("patient", "nunique"), n_masks=("scored", "sum"), n_dropped=("lost", "sum"))
    return means.join(counts).reset_index()


def mean_over_structures(summary: pd.DataFrame, by: Sequence[str] = ("modality", "prompts")) -> pd.DataFrame:
    """
    Take the mean over structures of a summary, each structure with one vote.

    Returns:
        A table with ``model``, ``by``, ``mean`` and ``n_structures``.
    """
    return summary.groupby(["model", *by], observed=True)["mean"].agg(mean="mean", n_structures="count").reset_index()


def split_clicks(rows: pd.DataFrame) -> pd.DataFrame:
    """
    Keep the rows of interactive runs, with ``series`` and ``click`` (int) taken from ``prompts``.

    Example:
        >>> split_clicks(pd.DataFrame({"prompts": ["1p0n", "interactive-05"]}))[["series", "click"]].values.tolist()
        [['interactive', 5]]
    """
    parts = rows.prompts.str.extract(INTERACTIVE)
    chosen = parts.click.notna()
    return rows[chosen].assign(series=parts.series[chosen], click=parts.click[chosen].astype("int64"))


def pooled(table: pd.DataFrame) -> pd.DataFrame:
    """
    Add all rows once more with modality ``all``, where a structure is one of one modality, if there are several.

    Example:
        >>> rows = pd.DataFrame({"modality": ["ct", "mr"], "structure": ["liver", "liver"]})
        >>> pooled(rows).structure.tolist()
        ['liver', 'liver', 'ct liver', 'mr liver']
    """
    if table.empty or table.modality.nunique() < 2:
        return table
    again = table.assign(modality="all", structure=table.modality.str.cat(table.structure, sep=" "))
    return pd.concat([table, again], ignore_index=True)


def interaction_scores(rows: pd.DataFrame, thresholds: Sequence[float] = (0.8, 0.9)) -> pd.DataFrame:
    """
    Score interactive runs: number of clicks to a Dice, and the area under the curve of Dice over clicks.

    ``NoC@t`` is the first click with a DSC of t or more, and the last click where none has it (RITM's convention),
    counted in ``failed``. ``AUC = trapezoid(score over clicks) / (last - first click)`` lies in [0, 1]; with one click
    it is the score. A box, which is click 0, is left out of it as in the CVPR 2025 challenge, whose AUC over 5 clicks
    is not divided and is 4 times this one.

    Args:
        rows: the table of rows; those of other prompts are ignored.
        thresholds: DSC to be reached, 0 to 1.

    Returns:
        A table with a row for each mask: its identity with ``series`` instead of ``prompts``, ``noc80`` and
        ``failed80`` for each threshold, ``auc`` and ``last`` (DSC at the last click), and ``nsd_auc`` and ``nsd_last``,
        NaN where the spacing is not known.

    Raises:
        ValueError: when a mask lacks one of the clicks of its series.
    """
    table = split_clicks(rows)
    keys = ["series" if name == "prompts" else name for name in IDENTITY]
    scores = []
    for series, part in table.groupby("series", observed=True):
        curves = part.pivot(index=keys, columns="click", values="dsc").sort_index(axis=1)
        clicks = curves.columns.to_numpy()
        if curves.isna().any(axis=None) or not (np.diff(clicks) == 1).all():
            lacking = int(curves.isna().any(axis=1).sum())
            raise ValueError(
                f"prompts {series}-*: every mask needs every click; found clicks {clicks.tolist()}, "
                f"and {lacking} masks without some of them."
            )
        dice = curves.to_numpy()
        surface = part.pivot(index=keys, columns="click", values="nsd").loc[curves.index, clicks].to_numpy()
        score = curves.index.to_frame(index=False)
        for threshold in thresholds:
            reached = dice >= threshold
            score[f"noc{100 * threshold:g}"] = np.where(reached.any(axis=1), clicks[reached.argmax(axis=1)], clicks[-1])
            score[f"failed{100 * threshold:g}"] = ~reached.any(axis=1)
        by_click = slice(1, None) if clicks[0] == 0 and len(clicks) > 1 else slice(None)
        for name, values in (("", dice), ("nsd_", surface)):
            score[f"{name}auc"] = _mean_height(values[:, by_click])
            score[f"{name}last"] = values[:, -1]
        scores.append(score)
    return pd.concat(scores, ignore_index=True) if scores else pd.DataFrame(columns=keys)


def _mean_height(curves: np.ndarray) -> np.ndarray:
    """Area under curves [masks, clicks] by the trapezoid rule, over their width."""
    width = curves.shape[1] - 1
    return np.asarray(trapezoid(curves, axis=1) / width if width else curves[:, 0])


def data_counts(rows: pd.DataFrame) -> pd.DataFrame:
    """
    Count patients, cases, slices and structures of each dataset, modality and split.

    When all rows are of whole volumes, the slices are called ``prompted slices``.
    """
    keys = ["dataset", "modality", "split"]
    what = "prompted slices" if volume_rows(rows).all() else "slices"
    slices = rows.drop_duplicates([*keys, "case_id", "slice_index"]).groupby(keys, observed=True).size()
    counts = rows.groupby(keys, observed=True).agg(
        patients=("patient_id", "nunique"), cases=("case_id", "nunique"), structures=("structure", "nunique")
    )
    return counts.assign(**{what: slices})[["patients", "cases", what, "structures"]].reset_index()
