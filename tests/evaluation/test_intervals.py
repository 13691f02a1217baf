# Copyright (c) monai_synthfm contributors
# Licensed under the Apache License, Version 2.0 (http://www.apache.org/licenses/LICENSE-2.0).
# SPDX-License-Identifier: Apache-2.0
"""Intervals of means over structures against a bootstrap written out patient by patient."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy.stats import bootstrap

from monai_synthfm.evaluation.intervals import interval_table, mean_intervals


def table(scores: dict[str, list[float]], model: str = "a") -> pd.DataFrame:
    """Rows of one modality: for each structure the scores of patients 0, 1, ..., NaN where one does not have it."""
    rows = [
        {
            "model": model,
            "modality": "ct",
            "structure": structure,
            "prompts": "box",
            "dataset": "d",
            "patient_id": str(p),
        }
        | {"dsc": score}
        for structure, values in scores.items()
        for p, score in enumerate(values)
        if not np.isnan(score)
    ]
    return pd.DataFrame(rows)


def test_one_structure_is_the_usual_bootstrap_of_the_mean():
    values = np.random.default_rng(0).uniform(size=30)
    found = mean_intervals(table({"liver": list(values)})).iloc[0]
    expected = bootstrap((values,), np.mean, method="percentile", random_state=1).confidence_interval
    assert found["mean"] == pytest.approx(values.mean())
    assert found.ci_low == pytest.approx(expected.low, abs=0.01)
    assert found.ci_high == pytest.approx(expected.high, abs=0.01)
    assert found.n_patients == 30


def test_patients_are_drawn_with_all_their_structures():
    nan = np.nan
    scores = {"liver": [0.9, 0.8, 0.7, nan, 0.6], "aorta": [0.2, nan, 0.4, 0.5, nan]}
    found = mean_intervals(table(scores), n_resamples=20000).iloc[0]
    assert found["mean"] == pytest.approx((0.75 + 1.1 / 3) / 2)
    matrix, generator, drawn = np.array(list(scores.values())), np.random.default_rng(7), []
    for _ in range(4000):
        sample = matrix[:, generator.integers(5, size=5)]
        drawn.append(np.mean([row[~np.isnan(row)].mean() for row in sample if (~np.isnan(row)).any()]))
    assert found.ci_low == pytest.approx(np.quantile(drawn, 0.025), abs=0.02)
    assert found.ci_high == pytest.approx(np.quantile(drawn, 0.975), abs=0.02)


def test_models_share_their_draws():
    scores = {"liver": list(np.random.default_rng(3).uniform(0.2, 0.6, size=12))}
    better = {"liver": [score + 0.1 for score in scores["liver"]]}
    one, other = mean_intervals(pd.concat([table(scores), table(better, "b")])).itertuples()
    assert other.ci_low - one.ci_low == pytest.approx(0.1)
    assert other.ci_high - one.ci_high == pytest.approx(0.1)


@pytest.mark.parametrize("patients", [1, 2, 4])
def test_few_patients_have_a_mean_and_no_interval(patients: int):
    found = mean_intervals(table({"liver": [0.5] * patients})).iloc[0]
    assert np.isnan(found.ci_low)
    assert np.isnan(found.ci_high)
    assert found["mean"] == 0.5


def test_the_layout_has_a_row_for_each_model_and_percent():
    both = pd.concat([table({"liver": [0.5] * 5}), table({"liver": [0.5] * 4}, "b")])
    laid = interval_table(mean_intervals(both))
    assert laid.loc[("ct", 5, "a"), "box"] == "50.0 [50.0, 50.0]"
    assert laid.loc[("ct", 4, "b"), "box"] == "50.0 [\N{EN DASH}]"
