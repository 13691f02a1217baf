# Copyright (c) monai_synthfm contributors
# Licensed under the Apache License, Version 2.0 (http://www.apache.org/licenses/LICENSE-2.0).
# SPDX-License-Identifier: Apache-2.0
"""Comparisons of models against scipy, brute force and hand-made cases."""

from __future__ import annotations

import math
import warnings
from itertools import combinations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from monai_synthfm.evaluation.results_table import make_rows
from monai_synthfm.evaluation.statistics import compare_models, holm
from tests.evaluation.made_rows import random_rows, row


def paired(a: list[float], b: list[float]) -> pd.DataFrame:
    """Rows of models a and b with one slice of each patient."""
    scores = {"a": a, "b": b}
    return make_rows(
        row(model=model, patient_id=f"p{n}", dsc=dsc) for model in scores for n, dsc in enumerate(scores[model])
    )


def closed_testing(p: list[float]) -> list[float]:
    """Holm's rule from its principle: the largest Bonferroni p of all sets of hypotheses that hold a hypothesis."""
    indices = range(len(p))
    subsets = [s for size in indices for s in combinations(indices, size + 1)]
    return [max(min(1.0, len(s) * min(p[j] for j in s)) for s in subsets if i in s) for i in indices]


@given(st.lists(st.floats(0, 1), min_size=1, max_size=6))
def test_holm_is_the_closed_test_of_bonferroni(p: list[float]) -> None:
    assert holm(p).tolist() == pytest.approx(closed_testing(p))


def test_holm_leaves_out_tests_that_were_not_made() -> None:
    adjusted = holm([0.01, math.nan, 0.04])
    assert adjusted[[0, 2]].tolist() == pytest.approx([0.02, 0.04])
    assert math.isnan(adjusted[1])


@pytest.mark.parametrize("p", [[0.5, 1.1], [-0.1], [[0.1]]])
def test_holm_refuses_what_is_no_p_value(p: list[float]) -> None:
    with pytest.raises(ValueError, match="p_values"):
        holm(p)


def test_tests_are_those_of_scipy_on_the_means_of_patients() -> None:
    rows = random_rows(models=("a", "b"), structures=(("ct", "liver"),), prompts=("1p0n",), patients=9, slices=4)
    means = rows.pivot_table(index="patient_id", columns="model", values="dsc")
    result = compare_models(rows, n_resamples=200).iloc[0]
    assert result.p_ttest == pytest.approx(stats.ttest_rel(means.a, means.b).pvalue)
    assert result.p_wilcoxon == pytest.approx(stats.wilcoxon(means.a - means.b).pvalue)
    assert result.difference == pytest.approx((means.a - means.b).mean())
    assert result["mean"] == pytest.approx(means.a.mean())
    assert result.win_rate == pytest.approx((means.a > means.b).mean())
    assert (result.n_patients, result.n_pairs, result.n_dropped, result.note) == (9, 36, 0, "")


def test_interval_is_near_that_of_students_t_for_normal_differences() -> None:
    rng = np.random.default_rng(3)
    b = rng.uniform(0.3, 0.5, 60)
    a = b + rng.normal(0.1, 0.05, 60)
    result = compare_models(paired(a.tolist(), b.tolist())).iloc[0]
    expected = stats.ttest_rel(a, b).confidence_interval(0.95)
    assert (result.ci_low, result.ci_high) == pytest.approx((expected.low, expected.high), abs=0.003)


def test_interval_draws_patients_and_not_slices() -> None:
    """Copies of slices tell nothing new, so the interval must not shrink."""
    levels = [0.1, -0.05, 0.2, 0.0, 0.15, 0.05, 0.1]

    def rows(slices: int) -> pd.DataFrame:
        return make_rows(
            row(model=model, patient_id=f"p{n}", slice_index=z, dsc=0.5 + (level if model == "a" else 0.0))
            for n, level in enumerate(levels)
            for z in range(slices)
            for model in ("a", "b")
        )

    few, many = (compare_models(rows(slices)).iloc[0] for slices in (1, 20))
    assert (few.ci_low, few.ci_high) == pytest.approx((many.ci_low, many.ci_high))
    assert few.p_ttest == pytest.approx(many.p_ttest)


def test_every_model_meets_every_other_once() -> None:
    rows = random_rows(models=("c", "a", "b"), structures=(("ct", "liver"),), prompts=("1p0n",))
    result = compare_models(rows, n_resamples=50)
    assert list(zip(result.model, result.other, strict=True)) == [("a", "b"), ("a", "c"), ("b", "c")]


def test_the_family_of_holm_is_the_whole_table() -> None:
    result = compare_models(random_rows(models=("a", "b", "c"), patients=8), n_resamples=50)
    assert len(result) == 3 * 2 * 2
    for name in ("ttest", "wilcoxon"):
        assert result[f"p_{name}_holm"].tolist() == pytest.approx(holm(result[f"p_{name}"]).tolist())
        assert (result[f"p_{name}_holm"] >= result[f"p_{name}"]).all()


def test_pairs_of_which_one_is_missing_are_dropped_and_counted() -> None:
    rows = paired([0.5, 0.6, 0.7, 0.9], [0.4, 0.4, 0.4, 0.1])
    result = compare_models(rows[~((rows.model == "b") & (rows.patient_id == "p3"))], n_resamples=50).iloc[0]
    assert (result.n_patients, result.n_pairs, result.n_dropped) == (3, 3, 1)
    assert result.difference == pytest.approx(0.2)


def test_other_clicks_make_no_pair() -> None:
    rows = make_rows([row(model="a", seed=0), row(model="b", seed=1)])
    result = compare_models(rows).iloc[0]
    assert (result.n_pairs, result.n_dropped, result.note) == (0, 2, "no patient in common")
    assert math.isnan(result.p_ttest)


@pytest.mark.parametrize(
    ("a", "b", "p_ttest", "p_wilcoxon", "note"),
    [
        ([0.5], [0.4], math.nan, math.nan, "fewer than 5 patients: no test"),
        ([0.3, 0.4, 0.5, 0.7], [0.3, 0.4, 0.5, 0.1], math.nan, math.nan, "fewer than 5 patients: no test"),
        ([0.3, 0.4, 0.5, 0.6, 0.7], [0.3, 0.4, 0.5, 0.6, 0.7], 1.0, 1.0, "no difference in any patient"),
        ([0.3, 0.4, 0.5, 0.6, 0.7], [0.2, 0.3, 0.4, 0.5, 0.6], math.nan, 0.0625, "same difference in all patients"),
        ([0.3, 0.4, 0.5, 0.6, 0.7], [0.2, 0.3, 0.1, 0.1, 0.2], None, 0.0625, "Wilcoxon cannot reach 0.05 with 5"),
    ],
)
def test_what_cannot_be_tested_says_why_without_warnings(
    a: list[float], b: list[float], p_ttest: float | None, p_wilcoxon: float, note: str
) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        result = compare_models(paired(a, b), n_resamples=200).iloc[0]
    assert result.note.startswith(note)
    assert p_ttest is None or result.p_ttest == pytest.approx(p_ttest, nan_ok=True)
    assert result.p_wilcoxon == pytest.approx(p_wilcoxon, nan_ok=True)


def test_an_interval_needs_five_patients_and_the_difference_one() -> None:
    a, b = [0.5, 0.9, 0.6, 0.8, 0.7], [0.4] * 5
    four, five = (compare_models(paired(a[:count], b[:count])).iloc[0] for count in (4, 5))
    assert math.isnan(four.ci_low)
    assert math.isnan(four.ci_high)
    assert four.difference == pytest.approx(0.3)
    assert 0.1 - 1e-9 <= five.ci_low < 0.3 < five.ci_high <= 0.5 + 1e-9


def test_equal_scores_that_differ_by_round_off_are_ties() -> None:
    rows = paired([0.1 + 0.2, 0.4, 0.7, 0.5, 0.3, 0.8, 0.6], [0.3, 0.3, 0.2, 0.4, 0.1, 0.5, 0.2])
    d = [0.1, 0.5, 0.1, 0.2, 0.3, 0.4]
    result = compare_models(rows, n_resamples=50).iloc[0]
    assert result.p_wilcoxon == pytest.approx(stats.wilcoxon([0.0, *d]).pvalue)
    assert result.win_rate == pytest.approx(6.5 / 7)


def test_a_comparison_does_not_change_when_others_are_added() -> None:
    rows = random_rows(models=("a", "b"), patients=6)
    alone = compare_models(rows[rows.structure == "spleen"], n_resamples=100)
    among = compare_models(rows, n_resamples=100)
    columns = [name for name in alone if "holm" not in name]
    pd.testing.assert_frame_equal(
        alone[columns], among.loc[among.structure == "spleen", columns].reset_index(drop=True)
    )


def test_one_model_has_nothing_to_be_compared_with() -> None:
    assert compare_models(random_rows(models=("a",))).empty
