# Copyright (c) monai_synthfm contributors
# Licensed under the Apache License, Version 2.0 (http://www.apache.org/licenses/LICENSE-2.0).
# SPDX-License-Identifier: Apache-2.0
"""
Tests between models on the same patients, prompted with the same clicks.

The paper uses Student's paired t-test and names neither its unit nor its level. The unit here is the patient (not
given in the paper; our choice): with slices as units, which are alike within a patient, every difference would look
significant. Every model is compared with every other, since testing against "the best of the others" only would
choose after looking.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from itertools import combinations
from typing import Any
from zlib import crc32

import numpy as np
import pandas as pd
from scipy.stats import bootstrap, ttest_rel, wilcoxon

from monai_synthfm.evaluation.aggregation import CELL, FEWEST_PATIENTS, PATIENT
from monai_synthfm.evaluation.results_table import IDENTITY

__all__ = ["LOWER_IS_BETTER", "compare_models", "compare_scores", "holm"]

LOWER_IS_BETTER = frozenset({"hd95", "over_propagation"})
"""Scores of which less is better."""

_DECIMALS = 9
_FEWEST_FOR_WILCOXON = 6
_ITEM = [name for name in IDENTITY if name != "model"]
_NO_TEST: dict[str, float] = dict.fromkeys(("ci_low", "ci_high", "p_ttest", "p_wilcoxon"), math.nan)


def holm(p_values: Sequence[float] | np.ndarray) -> np.ndarray:
    """
    Adjust the p-values of a family of tests by Holm's step-down rule.

    With p sorted upwards, ``adjusted_i = max over j <= i of min(1, (m - j + 1) p_j)``, m the number of tests. NaN, a
    test that could not be made, stays NaN and is not counted in m.

    Args:
        p_values: p-values [m], 0 to 1 or NaN.

    Raises:
        ValueError: when a value is not as above.

    Example:
        >>> holm([0.01, 0.04, 0.03]).round(3).tolist()
        [0.03, 0.06, 0.06]
    """
    p = np.asarray(p_values, dtype=float)
    if p.ndim != 1 or ((p < 0) | (p > 1)).any():
        raise ValueError(f"p_values must be numbers from 0 to 1 or NaN, got {p_values!r}.")
    adjusted = np.full_like(p, np.nan)
    order = np.argsort(p, kind="stable")[: np.count_nonzero(~np.isnan(p))]
    factors = np.arange(len(order), 0, -1)
    adjusted[order] = np.minimum(np.maximum.accumulate(factors * p[order]), 1.0)
    return adjusted


def compare_models(
    rows: pd.DataFrame,
    value: str = "dsc",
    by: Sequence[str] = CELL,
    confidence: float = 0.95,
    n_resamples: int = 9999,
    seed: int = 0,
) -> pd.DataFrame:
    """
    Compare every two models in every cell, on the means of the patients that both have.

    A pair is one mask prompted with the same clicks (all of a row's identity but the model); pairs of which one is
    missing or NaN are dropped and counted. Differences of a patient are taken between the means over its pairs.

    Args:
        rows: the table of rows; all rows in it make the family of tests that Holm's rule adjusts for.
        value: column of the score.
        by: columns that make a cell, besides the model.
        confidence: of the bootstrap interval of the mean difference, which draws patients (BCa).
        n_resamples: number of bootstrap draws.
        seed: of the draws; every comparison has its own stream, so that adding rows does not change others.

    Returns:
        A table with ``model``, ``other``, ``by``, ``n_patients``, ``n_pairs``, ``n_dropped``, ``mean``, ``other_mean``,
        ``difference`` (model minus other), ``ci_low``, ``ci_high``, ``win_rate`` (share of patients where the model
        is better; ties count half), ``p_ttest``, ``p_wilcoxon``, ``p_ttest_holm``, ``p_wilcoxon_holm`` and ``note``,
        which states why a test is missing or not informative. Intervals and p-values of fewer patients than
        :data:`~monai_synthfm.evaluation.aggregation.FEWEST_PATIENTS` are NaN.
    """
    comparisons: list[dict[str, Any]] = []
    for cell, part in rows.groupby(list(by), observed=True):
        for model, other in combinations(sorted(part.model.unique()), 2):
            where = {"model": model, "other": other, **dict(zip(by, cell, strict=True))}
            stream = np.random.SeedSequence([seed, crc32("\n".join(map(str, where.values())).encode())])
            pairs, dropped = _pairs(part, value, model, other)
            patients = pairs.groupby(list(PATIENT), observed=True)[["model", "other"]].mean()
            a, b = patients["model"].to_numpy(), patients["other"].to_numpy()
            counts = {"n_patients": len(a), "n_pairs": len(pairs), "n_dropped": dropped}
            tests = _compare(a, b, confidence, n_resamples, np.random.default_rng(stream))
            if value in LOWER_IS_BETTER:
                tests["win_rate"] = 1.0 - tests["win_rate"]
            comparisons.append({**where, **counts, **tests})
    table = pd.DataFrame(comparisons)
    for test in ("ttest", "wilcoxon"):
        if len(table):
            table.insert(table.columns.get_loc("note"), f"p_{test}_holm", holm(table[f"p_{test}"].to_numpy()))
    return table


def compare_scores(
    rows: pd.DataFrame, values: Mapping[str, str], by: Sequence[str] = ("modality", "prompts")
) -> pd.DataFrame:
    """
    Compare every two models in several scores; all comparisons together are the family that Holm's rule adjusts for.

    Args:
        rows: the table of rows, or of interaction scores with ``prompts``.
        values: captions by column of the score.
        by: columns that make a cell, besides the model.

    Returns:
        As :func:`compare_models`, with the caption in a first column ``score``.
    """
    parts = [(caption, compare_models(rows[rows[value].notna()], value, by)) for value, caption in values.items()]
    filled = [part.assign(score=caption) for caption, part in parts if len(part)]
    if not filled:
        return pd.DataFrame()
    table = pd.concat(filled, ignore_index=True)
    for test in ("ttest", "wilcoxon"):
        table[f"p_{test}_holm"] = holm(table[f"p_{test}"].to_numpy())
    return table[["score", *table.columns.drop("score")]]


def _pairs(part: pd.DataFrame, value: str, model: str, other: str) -> tuple[pd.DataFrame, int]:
    """Return the pairs with columns ``model`` and ``other``, and the number of pairs dropped."""
    scores = [part[part.model == name].set_index(_ITEM)[value] for name in (model, other)]
    both = pd.concat(scores, axis=1, keys=["model", "other"])
    pairs = both.dropna()
    return pairs, len(both) - len(pairs)


def _compare(
    a: np.ndarray, b: np.ndarray, confidence: float, n_resamples: int, rng: np.random.Generator
) -> dict[str, Any]:
    """Compare the means of patients of two models."""
    if not len(a):
        nothing = dict.fromkeys(("mean", "other_mean", "difference", "win_rate"), math.nan)
        return {**nothing, **_NO_TEST, "note": "no patient in common"}
    # Round-off would otherwise break ties and turn equal scores into differences.
    d = np.round(a - b, _DECIMALS)
    result = {
        "mean": float(a.mean()),
        "other_mean": float(b.mean()),
        "difference": float(d.mean()),
        "ci_low": float(d.mean()),
        "ci_high": float(d.mean()),
        "win_rate": float(np.mean((d > 0) + 0.5 * (d == 0))),
    }
    if len(a) < FEWEST_PATIENTS:
        return {**result, **_NO_TEST, "note": f"fewer than {FEWEST_PATIENTS} patients: no test"}
    note = f"Wilcoxon cannot reach 0.05 with {len(a)} patients" if len(a) < _FEWEST_FOR_WILCOXON else ""
    if not d.any():
        return {**result, "p_ttest": 1.0, "p_wilcoxon": 1.0, "note": "no difference in any patient"}
    p_wilcoxon = float(wilcoxon(d).pvalue)
    if np.ptp(d) == 0:
        # t = mean / 0: scipy returns a p of round-off.
        note = "; ".join(filter(None, ["same difference in all patients: no t-test", note]))
        return {**result, "p_ttest": math.nan, "p_wilcoxon": p_wilcoxon, "note": note}
    interval = bootstrap(
        (a, b),
        lambda x, y, axis: np.mean(x - y, axis=axis),
        paired=True,
        vectorized=True,
        confidence_level=confidence,
        n_resamples=n_resamples,
        method="BCa",
        random_state=rng,
    ).confidence_interval
    return {
        **result,
        "ci_low": float(interval.low),
        "ci_high": float(interval.high),
        "p_ttest": float(ttest_rel(a, b).pvalue),
        "p_wilcoxon": p_wilcoxon,
        "note": note,
    }
