# Copyright (c) monai_synthfm contributors
# Licensed under the Apache License, Version 2.0 (http://www.apache.org/licenses/LICENSE-2.0).
# SPDX-License-Identifier: Apache-2.0
"""Confidence intervals of the means over structures, from resampled patients."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from monai_synthfm.evaluation.aggregation import FEWEST_PATIENTS, PATIENT, patient_means
from monai_synthfm.evaluation.table_formats import with_interval

__all__ = ["interval_columns", "interval_table", "interval_texts", "mean_intervals"]


def mean_intervals(
    rows: pd.DataFrame,
    value: str = "dsc",
    by: Sequence[str] = ("modality", "prompts"),
    confidence: float = 0.95,
    n_resamples: int = 9999,
    seed: int = 0,
) -> pd.DataFrame:
    r"""
    Give each mean over structures the percentile interval of a bootstrap over patients.

    .. math:: m^* = \frac{1}{|S^*|} \sum_{s \in S^*} \frac{\sum_p w_p x_{ps}}{\sum_p w_p}

    with x_ps the mean of patient p in structure s where the patient has it, w_p how often the patient was drawn, and
    S* the structures that the drawn patients have. A patient is drawn with all its structures, which are alike.

    Args:
        rows: the table of rows.
        value: column of the score.
        by: columns that make a cell, besides the model.
        confidence: 0 to 1.
        n_resamples: number of bootstrap samples.
        seed: of the bootstrap; the same patients are drawn for every model and all prompts.

    Returns:
        A table with ``model``, ``by``, ``mean``, ``ci_low`` and ``ci_high`` (NaN with fewer than
        :data:`~monai_synthfm.evaluation.aggregation.FEWEST_PATIENTS`), and ``n_patients``.

    Source: the paper gives no intervals; our choice.
    """
    means = patient_means(rows, [value], list(dict.fromkeys([*by, "structure"])))
    found = []
    for cell, part in means.groupby(["model", *by], observed=True):
        scores = part.pivot(index=list(PATIENT), columns="structure", values=value).sort_index().to_numpy()
        present = ~np.isnan(scores)
        patients = len(scores)
        draws = np.random.default_rng(seed).multinomial(patients, np.full(patients, 1 / patients), size=n_resamples)
        weights = draws @ present.astype(float)
        with np.errstate(invalid="ignore"):
            drawn = np.nanmean((draws @ np.where(present, scores, 0.0)) / weights, axis=1)
        tails = [(1 - confidence) / 2, (1 + confidence) / 2]
        low, high = np.quantile(drawn, tails) if patients >= FEWEST_PATIENTS else (np.nan, np.nan)
        found.append((*cell, np.nanmean(scores, axis=0).mean(), low, high, patients))
    return pd.DataFrame(found, columns=["model", *by, "mean", "ci_low", "ci_high", "n_patients"])


def interval_table(intervals: pd.DataFrame) -> pd.DataFrame:
    """
    Lay out intervals of DSC in percent for reading: a row for each modality and model, a column for each prompt.

    Args:
        intervals: from :func:`mean_intervals`.
    """
    index = ["modality", "n_patients", "model"]
    table = intervals.assign(text=interval_texts(intervals)).pivot(index=index, columns="prompts", values="text")
    return table.rename_axis(index={"n_patients": "patients"}).fillna("")


def interval_columns(
    rows: pd.DataFrame, values: Mapping[str, str], by: Sequence[str] = ("modality", "prompts")
) -> pd.DataFrame:
    """
    Lay out several scores side by side, each in percent with its interval: a row for each cell and model.

    Args:
        rows: the table of rows, or of interaction scores.
        values: captions by column of the score.
        by: columns that make a cell, besides the model.

    Returns:
        Rows by ``by`` and ``model``; columns ``patients`` (with any of the scores) and the captions.
    """
    columns = {}
    for value, caption in values.items():
        found = mean_intervals(rows[rows[value].notna()], value, by)
        columns[caption] = found.assign(text=interval_texts(found)).set_index([*by, "model"]).text
    patients = rows.drop_duplicates([*by, "model", *PATIENT]).groupby([*by, "model"], observed=True).size()
    return pd.DataFrame({"patients": patients, **columns}).fillna("")


def interval_texts(intervals: pd.DataFrame) -> list[str]:
    """Write means with their intervals in percent, such as ``65.2 [61.0, 70.3]``."""
    percent = intervals[["mean", "ci_low", "ci_high"]] * 100
    return [with_interval(mean, low, high, ".1f") for mean, low, high in percent.to_numpy(dtype=float)]
