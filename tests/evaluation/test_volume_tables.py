# Copyright (c) monai_synthfm contributors
# Licensed under the Apache License, Version 2.0 (http://www.apache.org/licenses/LICENSE-2.0).
# SPDX-License-Identifier: Apache-2.0
"""Tables of whole volumes against means taken by hand."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from monai_synthfm.evaluation.results_table import VOLUME_COLUMNS, make_rows
from monai_synthfm.evaluation.statistics import holm
from monai_synthfm.evaluation.volume_tables import FAILURES, volume_tables
from tests.evaluation.made_rows import row


@pytest.fixture(scope="module")
def rows() -> pd.DataFrame:
    """Two models, five patients with CT and six with MR of a liver, and one spleen; everything prompted by its box."""
    rng = np.random.default_rng(0)
    places = [("ct", "liver", p) for p in "abfgh"] + [("mr", "liver", p) for p in "cdeijk"] + [("mr", "spleen", "c")]
    return make_rows(
        row(
            model=model,
            modality=modality,
            structure=structure,
            patient_id=patient,
            prompts="box@largest/both",
            dsc=float(rng.uniform()),
            **{name: float(rng.uniform()) for name in VOLUME_COLUMNS},
        )
        for model in ("masks", "memory")
        for modality, structure, patient in places
    )


def test_failures_stand_side_by_side_for_each_model_and_prompt(rows: pd.DataFrame) -> None:
    _, table, _ = volume_tables(rows)["volume_failures"]
    assert list(table.columns) == ["patients", *FAILURES.values()]
    assert table.patients.to_dict() == {
        (modality, "box@largest/both", model): count
        for modality, count in (("all", 11), ("ct", 5), ("mr", 6))
        for model in ("masks", "memory")
    }
    part = rows[rows.model == "memory"]
    for value, caption in FAILURES.items():
        by_structure = part.groupby(["modality", "structure"])[value].mean()
        text = table.loc[("all", "box@largest/both", "memory"), caption]
        assert text.startswith(f"{100 * by_structure.mean():.1f} [")
        assert table.loc[("mr", "box@largest/both", "memory"), caption].startswith(
            f"{100 * by_structure.mr.mean():.1f}"
        )


def test_tests_of_all_scores_are_one_family(rows: pd.DataFrame) -> None:
    _, tests, _ = volume_tables(rows)["volume_tests"]
    assert tests.score.tolist() == [caption for caption in FAILURES.values() for _ in range(3)]
    adjusted = holm(tests["p t-test"].astype(float))
    np.testing.assert_allclose(tests["p t-test, Holm"].astype(float), adjusted, rtol=0.02)


def test_less_volume_beyond_the_ends_is_better(rows: pd.DataFrame) -> None:
    tests = volume_tables(rows)["volume_tests"][1].set_index(["score", "modality"])
    means = rows[rows.modality == "ct"].pivot(index="patient_id", columns="model", values="over_propagation")
    share = (means.masks < means.memory).mean()
    assert tests["win rate, %"]["over-propagation, %", "ct"] == f"{100 * share:.0f}"


def test_one_model_has_no_tests(rows: pd.DataFrame) -> None:
    tables = volume_tables(rows[(rows.model == "memory") & (rows.modality == "ct")])
    assert "volume_tests" not in tables
    assert tables["volume_dsc_intervals"][1].index.get_level_values("modality").tolist() == ["ct"]
