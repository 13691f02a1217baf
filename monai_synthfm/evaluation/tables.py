# Copyright (c) monai_synthfm contributors
# Licensed under the Apache License, Version 2.0 (http://www.apache.org/licenses/LICENSE-2.0).
# SPDX-License-Identifier: Apache-2.0
"""
Layouts of the results: the paper's tables with our figures beside the published ones, and tables of our own.

The published figures are those of arXiv 2504.08177 in ``paper_tables.csv``, with structures named as our datasets name
them (the paper's "LV Endometrium" is ``left_ventricle``). The paper does not say which click pairs its columns stand
for; see :data:`monai_synthfm.prompts.PAPER_CLICK_PAIRS` for how they were inferred.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from importlib.resources import files

import pandas as pd

from monai_synthfm.evaluation.aggregation import interaction_scores, mean_over_structures, patient_means, summarise
from monai_synthfm.evaluation.results_table import VOLUME_COLUMNS
from monai_synthfm.evaluation.table_formats import or_dash, with_interval
from monai_synthfm.prompts import PAPER_CLICK_PAIRS

__all__ = [
    "INTERACTION_SCORES",
    "PAPER_PROMPTS",
    "comparison_table",
    "interaction_table",
    "paper_table",
    "published",
    "score_table",
    "shortfall_table",
]

PAPER_PROMPTS: tuple[str, ...] = tuple(f"{positive}p{negative}n" for positive, negative in PAPER_CLICK_PAIRS)
"""Prompts of the columns of the paper's tables, in their order."""

INTERACTION_SCORES: Mapping[str, str] = {
    "auc": "AUC of DSC, %",
    "last": "DSC at the last click, %",
    "nsd_auc": "AUC of NSD, %",
    "nsd_last": "NSD at the last click, %",
}
"""Captions of the scores of interactive runs, by their column in the table of interaction scores."""

_LAYOUTS: dict[int, list[str]] = {1: ["modality", "structure"], 2: ["modality"], 3: ["modality", "structure"]}
_COLUMNS = ["source", "model", "prompts"]
_PERCENT = 100
_IN_PERCENT = ("dsc", "nsd", *VOLUME_COLUMNS)
_PAPER_NAMES = {"prostate_or_uterus": "prostate"}
"""Structures that a dataset (AMOS) names otherwise than the paper."""


def published(number: int) -> pd.DataFrame:
    """
    Return the figures of a table of the paper: ``modality``, ``structure``, ``model``, ``prompts`` and ``dsc`` (0 to
    1).

    Args:
        number: 1 (CT, MR and ultrasound), 2 (ablation of the modules; its structure is ``mean``) or 3 (microscopy).

    Raises:
        ValueError: when the paper has no such table of scores.

    Example:
        >>> published(3).query("model == 'SynthFM' and structure == 'mitosis'").dsc.tolist()
        [0.7065, 0.7089, 0.6866, 0.6945]
    """
    if number not in _LAYOUTS:
        raise ValueError(f"number of the paper's table must be one of {list(_LAYOUTS)}, got {number!r}.")
    with (files("monai_synthfm.evaluation") / "paper_tables.csv").open() as file:
        table = pd.read_csv(file)
    table = table[table.table == number].reset_index(drop=True)
    prompts = table["column"].map(dict(enumerate(PAPER_PROMPTS, start=1)))
    return table.assign(prompts=prompts, dsc=(table.dsc / _PERCENT).round(4)).drop(columns=["table", "column"])


def paper_table(rows: pd.DataFrame, number: int) -> pd.DataFrame:
    """
    Lay out our figures beside the published ones as in a table of the paper.

    Args:
        rows: the table of rows.
        number: 1, 2 or 3, as for :func:`published`. For table 2 the models in the rows are the modules that were
            trained on, and a cell is the mean over the structures of a modality.

    Returns:
        DSC in percent, headline means (see :mod:`monai_synthfm.evaluation.aggregation`). Rows by modality and structure
        in the paper's order, then those that only we have; in table 1 each modality ends with the mean over the
        structures that have every figure. Columns by source (``ours``, ``published``), model and prompts. NaN where
        there is no figure.

    Raises:
        ValueError: when no row belongs to this table.
    """
    theirs = published(number).rename(columns={"dsc": "mean"}).assign(source="published")
    chosen = rows[rows.prompts.isin(theirs.prompts) & rows.modality.isin(theirs.modality)]
    if chosen.empty:
        raise ValueError(
            f"no row has a modality of {sorted(set(theirs.modality))} and prompts of {sorted(set(theirs.prompts))}, "
            f"as table {number} of the paper has."
        )
    ours = summarise(chosen.assign(structure=chosen.structure.replace(_PAPER_NAMES)))
    if number == 2:
        ours = mean_over_structures(ours)
    table = _spread(pd.concat([ours.assign(source="ours"), theirs], ignore_index=True), _LAYOUTS[number])
    return (_with_means(table) if number == 1 else table) * _PERCENT


def score_table(
    rows: pd.DataFrame, value: str = "dsc", unit: str = "patient", by: Sequence[str] = ("modality", "structure")
) -> pd.DataFrame:
    """
    Lay out our means of a score, with the number of patients behind each row.

    Args:
        rows: the table of rows.
        value: column of the score; DSC of any kind, NSD and over-propagation become percent.
        unit: as for :func:`~monai_synthfm.evaluation.aggregation.summarise`.
        by: columns that make a row. Without ``structure`` among them, a cell is the mean over structures.

    Returns:
        Rows by ``by`` and ``patients``; columns by model and prompts.

    Raises:
        ValueError: when there are no rows.
    """
    if rows.empty:
        raise ValueError("there are no rows to make a table of.")
    means = summarise(rows, value, list(dict.fromkeys([*by, "structure", "prompts"])), unit)
    if "structure" not in by:
        means = mean_over_structures(means, [*by, "prompts"])
    patients = rows.drop_duplicates([*by, "dataset", "patient_id"]).groupby(list(by)).size().rename("patients")
    means = means.merge(patients.reset_index(), on=list(by))
    table = _spread(means.assign(source="ours"), [*by, "patients"]).droplevel("source", axis=1)
    return table * _PERCENT if value in _IN_PERCENT else table


def interaction_table(rows: pd.DataFrame, by: Sequence[str] = ("modality",)) -> pd.DataFrame:
    """
    Lay out what interactive runs come to: means over patients of NoC, failures, and AUC and last value of DSC and NSD.

    Args:
        rows: the table of rows; those of other prompts are ignored.
        by: columns that make a row, besides the model and the series of clicks.

    Returns:
        Rows by ``by``, series and model. Failures and scores are in percent. Without interactive rows, an empty
        table.
    """
    scores = interaction_scores(rows)
    if scores.empty:
        return pd.DataFrame()
    values = {
        "noc80": "NoC@80",
        "failed80": "not reached 80, %",
        "noc90": "NoC@90",
        "failed90": "not reached 90, %",
        **INTERACTION_SCORES,
    }
    means = patient_means(scores, list(values), [*by, "series"])
    table = means.groupby([*by, "series", "model"])[list(values)].mean()
    table[["failed80", "failed90", *INTERACTION_SCORES]] *= _PERCENT
    return table.rename(columns=values)


def comparison_table(comparisons: pd.DataFrame) -> pd.DataFrame:
    """
    Lay out comparisons of models for reading: differences in percent with their interval, p-values with three digits.

    Args:
        comparisons: from :func:`~monai_synthfm.evaluation.statistics.compare_models`, of DSC or NSD.
    """
    if comparisons.empty:
        return pd.DataFrame()
    first = list(comparisons.columns[: comparisons.columns.get_loc("n_patients")])
    table = comparisons[first].copy()
    table["patients"] = comparisons.n_patients
    table["dropped pairs"] = comparisons.n_dropped
    percent = comparisons[["difference", "ci_low", "ci_high"]] * _PERCENT
    table["difference [95 % CI]"] = [with_interval(d, low, high, "+.2f") for d, low, high in percent.to_numpy()]
    table["win rate, %"] = [or_dash(rate, ".0f") for rate in comparisons.win_rate * _PERCENT]
    names = {"p_ttest": "p t-test", "p_wilcoxon": "p Wilcoxon"}
    for column, name in names.items():
        table[name] = [or_dash(p, ".3g") for p in comparisons[column]]
        table[f"{name}, Holm"] = [or_dash(p, ".3g") for p in comparisons[f"{column}_holm"]]
    return table.assign(note=comparisons.note)


def shortfall_table(rows: pd.DataFrame, margin: float = 0.03) -> pd.DataFrame:
    """
    Count the structures for which a model's mean DSC lies more than a margin below that of the best other model.

    Args:
        rows: the table of rows.
        margin: difference of DSC, 0 to 1.

    Returns:
        Rows by modality and model, a column for each of the prompts; a cell reads "2 of 9" where 9 structures have a
        figure of this model and of another one. With fewer than two models, an empty table.
    """
    means = summarise(rows).pivot(index=["modality", "structure", "prompts"], columns="model", values="mean")
    means = means[means.notna().sum(axis=1) > 1]
    if means.empty:
        return pd.DataFrame()
    best_other = pd.DataFrame({model: means.drop(columns=model).max(axis=1) for model in means}).rename_axis(
        columns="model"
    )
    short = (means < best_other - margin).where(means.notna()).stack().groupby(["modality", "model", "prompts"])
    texts = short.sum().astype(int).astype(str) + " of " + short.count().astype(str)
    return texts.unstack("prompts").fillna("")


def _spread(means: pd.DataFrame, index: list[str]) -> pd.DataFrame:
    """Spread means over columns; rows and columns in the order of the paper, what it does not have behind, by name."""
    paper = pd.concat([published(number) for number in _LAYOUTS])

    def rank(labels: pd.Index) -> pd.Index:
        known = list(PAPER_PROMPTS if labels.name == "prompts" else paper.get(labels.name, pd.Series()).unique())
        places = {name: (known.index(name) if name in known else len(known), name) for name in labels}
        order = {name: n for n, name in enumerate(sorted(places, key=places.__getitem__))}
        return labels.map(order)

    table = means.pivot(index=index, columns=_COLUMNS, values="mean")
    return table.sort_index(axis=0, key=rank).sort_index(axis=1, key=rank)


def _with_means(table: pd.DataFrame) -> pd.DataFrame:
    """Add to each modality the mean over the structures that have every figure, if there are any."""
    parts = []
    for modality, part in table.groupby(level="modality", sort=False):
        parts.append(part)
        complete = part.dropna()
        if len(complete):
            place = pd.MultiIndex.from_tuples([(modality, "mean")], names=table.index.names)
            parts.append(pd.DataFrame([complete.mean()], index=place, columns=table.columns))
    return pd.concat(parts)
