# Copyright (c) monai_synthfm contributors
# Licensed under the Apache License, Version 2.0 (http://www.apache.org/licenses/LICENSE-2.0).
# SPDX-License-Identifier: Apache-2.0
"""Layouts of the paper's tables and of our own, against the paper's figures and hand-made cases."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from monai_synthfm.data.datasets import AmosDataset, CamusDataset
from monai_synthfm.evaluation.results_table import make_rows
from monai_synthfm.evaluation.statistics import compare_models
from monai_synthfm.evaluation.tables import (
    PAPER_PROMPTS,
    comparison_table,
    interaction_table,
    paper_table,
    published,
    score_table,
    shortfall_table,
)
from tests.evaluation.made_rows import random_rows, row


@pytest.mark.parametrize(
    ("model", "means"),
    [
        ("UnSAM", (18.46, 28.31, 18.81, 30.77)),
        ("SAM", (46.34, 66.82, 52.38, 66.25)),
        ("SAM 2", (42.69, 67.29, 52.74, 68.98)),
        ("SynthFM", (66.16, 82.02, 72.36, 82.06)),
    ],
)
def test_published_table_1_has_the_known_means(model: str, means: tuple[float, ...]) -> None:
    table = published(1)
    table = table[table.model == model].pivot(index=["modality", "structure"], columns="prompts", values="dsc")
    assert len(table) == 19
    assert [100 * table[prompts].mean() for prompts in PAPER_PROMPTS] == pytest.approx(means, abs=0.0051)


def test_published_figures_are_those_of_the_fact_sheet(shared_dir: Path) -> None:
    sheet = shared_dir.parent / "facts" / "paper_tables.csv"
    if not sheet.is_file():
        pytest.skip(f"no fact sheet {sheet}")
    with sheet.open() as file:
        facts = list(csv.DictReader(file))
    ours = pd.concat([published(number).assign(table=f"table{number}") for number in (1, 2, 3)])
    assert [(r.table, r.model) for r in ours.itertuples()] == [(fact["table"], fact["model"]) for fact in facts]
    assert (100 * ours.dsc).tolist() == pytest.approx([float(fact["dsc"]) for fact in facts])
    assert ours.prompts.tolist() == [PAPER_PROMPTS[int(fact["column"]) - 1] for fact in facts]
    assert ours.modality.tolist() == [fact["modality"].lower() for fact in facts]


def test_the_paper_has_no_other_tables_of_scores() -> None:
    with pytest.raises(ValueError, match=r"one of \[1, 2, 3\], got 4"):
        published(4)


def test_our_figures_stand_beside_the_published_ones() -> None:
    rows = make_rows(row(model="mine", patient_id=f"p{n}", dsc=dsc) for n, dsc in enumerate((0.4, 0.8)))
    table = paper_table(rows, 1)
    assert table.loc[("ct", "liver"), ("ours", "mine", "1p0n")] == pytest.approx(60.0)
    assert table.loc[("ct", "liver"), ("published", "SynthFM", "3p2n")] == pytest.approx(87.24)
    assert np.isnan(table.loc[("ct", "aorta"), ("ours", "mine", "1p0n")])


def test_rows_and_columns_stand_in_the_order_of_the_paper_and_ours_follow() -> None:
    prompts = ("3p2n", "1p0n", "3p0n", "1p2n", "box")
    rows = random_rows(models=("b", "a"), structures=(("us", "fetal_head"), ("ct", "esophagus")), prompts=prompts)
    table = paper_table(rows, 1)
    assert list(table.loc["ct"].index)[-2:] == ["spleen", "esophagus"]
    assert list(table.loc["us"].index) == ["left_atrium", "left_ventricle", "fetal_head", "mean"]
    assert list(dict.fromkeys(table.index.get_level_values("modality"))) == ["ct", "mr", "us"]
    assert [c[1:] for c in table.columns if c[0] == "ours"] == [(m, p) for m in ("a", "b") for p in PAPER_PROMPTS]
    published_models = [c[1] for c in table.columns if c[0] == "published"]
    assert list(dict.fromkeys(published_models)) == ["UnSAM", "SAM", "SAM 2", "SynthFM"]


def test_means_are_over_the_structures_with_every_figure() -> None:
    rows = make_rows(
        row(structure=name, dsc=dsc) for name, dsc in (("liver", 0.4), ("spleen", 0.8), ("esophagus", 0.1))
    )
    table = paper_table(rows, 1)
    mean = table.loc[("ct", "mean")]
    assert mean["ours"].tolist() == pytest.approx([60.0])
    assert mean[("published", "SAM", "1p0n")] == pytest.approx((49.74 + 37.86) / 2)
    assert ("mr", "mean") not in table.index


def test_the_prostate_of_amos_is_the_papers() -> None:
    assert "prostate_or_uterus" in AmosDataset.evaluated
    table = paper_table(make_rows([row(structure="prostate_or_uterus", dsc=0.3)]), 1)
    assert table.loc[("ct", "prostate"), ("ours", "sam", "1p0n")] == pytest.approx(30.0)


def test_structures_are_named_as_the_datasets_name_them() -> None:
    names = set(published(1).structure)
    assert set(CamusDataset.evaluated) <= names
    assert set(AmosDataset.evaluated) - {"prostate_or_uterus"} <= names


def test_table_2_is_the_mean_over_structures_of_each_module() -> None:
    rows = make_rows(
        row(model=model, structure=name, dsc=dsc)
        for model, scores in (("shape", (0.2, 0.4)), ("both", (0.6, 0.7)))
        for name, dsc in zip(("liver", "spleen"), scores, strict=True)
    )
    table = paper_table(rows, 2)
    assert table.loc["ct", ("ours", "shape", "1p0n")] == pytest.approx(30.0)
    assert table.loc["ct", ("published", "both", "1p2n")] == pytest.approx(83.48)
    assert list(dict.fromkeys(table["published"].columns.get_level_values("model"))) == ["shape", "boundary", "both"]


def test_table_3_is_of_microscopy() -> None:
    rows = make_rows([row(modality="microscopy", structure="mitosis", dsc=0.75, slice_index=-1), row()])
    table = paper_table(rows, 3)
    assert list(table.index) == [("microscopy", "interphase"), ("microscopy", "mitosis")]
    assert table.loc[("microscopy", "mitosis"), ("ours", "sam", "1p0n")] == pytest.approx(75.0)


def test_rows_that_the_paper_has_no_place_for_are_refused() -> None:
    with pytest.raises(ValueError, match=r"no row has a modality of \['microscopy'\]"):
        paper_table(make_rows([row()]), 3)


def test_own_tables_have_the_number_of_patients_of_each_row() -> None:
    rows = make_rows([row(), row(patient_id="p2"), row(structure="spleen"), row(dataset="amos_ct", structure="spleen")])
    table = score_table(rows)
    assert list(table.index) == [("ct", "liver", 2), ("ct", "spleen", 2)]
    assert list(score_table(rows, by=("modality",)).index) == [("ct", 3)]


def test_own_tables_without_structures_are_means_over_them() -> None:
    rows = make_rows([row(dsc=0.2), row(patient_id="p2", dsc=0.2), row(structure="spleen", dsc=0.6)])
    assert score_table(rows, by=("modality",)).to_numpy().tolist() == [[pytest.approx(40.0)]]


def test_distances_are_not_turned_into_percent() -> None:
    assert score_table(make_rows([row(hd95=7.5)]), "hd95").to_numpy().tolist() == [[7.5]]


def test_no_rows_make_no_table() -> None:
    with pytest.raises(ValueError, match="no rows"):
        score_table(make_rows([]))


def test_interactive_runs_are_means_over_patients() -> None:
    scores = {"p1": [(0.9, 0.9), (0.9, 0.9)], "p2": [(0.1, 0.85)]}
    rows = make_rows(
        row(patient_id=patient, slice_index=z, prompts=f"interactive-{k:02d}", dsc=dsc)
        for patient, curves in scores.items()
        for z, curve in enumerate(curves)
        for k, dsc in enumerate(curve, start=1)
    )
    line = interaction_table(rows).loc[("ct", "interactive", "sam")]
    assert line["NoC@80"] == pytest.approx(1.5)
    assert line["not reached 90, %"] == pytest.approx(50.0)
    assert line["AUC of DSC, %"] == pytest.approx(100 * (0.9 + 0.475) / 2)
    assert interaction_table(make_rows([row()])).empty


def test_comparisons_are_given_in_percent_with_their_interval() -> None:
    comparisons = compare_models(random_rows(models=("a", "b"), patients=8), n_resamples=100)
    table, first = comparison_table(comparisons), comparisons.iloc[0]
    expected = f"{100 * first.difference:+.2f} [{100 * first.ci_low:+.2f}, {100 * first.ci_high:+.2f}]"
    assert table["difference [95 % CI]"].iloc[0] == expected
    assert float(table["p t-test"].iloc[0]) == pytest.approx(first.p_ttest, rel=0.005)
    assert float(table["p Wilcoxon, Holm"].iloc[0]) == pytest.approx(first.p_wilcoxon_holm, rel=0.005)
    assert comparison_table(compare_models(random_rows(models=("a",)))).empty


def test_shortfalls_count_the_structures_of_a_hand_made_case() -> None:
    dsc = {  # of the structures liver, spleen and aorta
        ("a", "box"): (0.90, 0.50, 0.70),
        ("b", "box"): (0.92, 0.60, 0.50),
        ("c", "box"): (0.80, 0.58, 0.10),
        ("a", "1p0n"): (0.10, 0.10, 0.10),
        ("b", "1p0n"): (0.10, 0.10, 0.10),
        ("c", "1p0n"): (0.14, 0.10, 0.10),
    }
    rows = make_rows(
        row(model=model, prompts=prompts, structure=structure, dsc=value)
        for (model, prompts), values in dsc.items()
        for structure, value in zip(("liver", "spleen", "aorta"), values, strict=True)
    )
    table = shortfall_table(rows)
    assert table.index.tolist() == [("ct", name) for name in "abc"]
    assert table["box"].tolist() == ["1 of 3", "1 of 3", "2 of 3"]
    assert table["1p0n"].tolist() == ["1 of 3", "1 of 3", "0 of 3"]
    assert shortfall_table(rows, margin=0.5)["box"].tolist() == ["0 of 3", "0 of 3", "1 of 3"]


def test_structures_of_one_model_alone_are_no_shortfalls() -> None:
    rows = [row(model="a", dsc=0.1), row(model="b", dsc=0.9), row(model="a", structure="spleen", dsc=0.1)]
    table = shortfall_table(make_rows([*rows, row(model="a", modality="mr", prompts="box")]))
    assert table["1p0n"].to_dict() == {("ct", "a"): "1 of 1", ("ct", "b"): "0 of 1"}


def test_a_model_alone_falls_short_of_nothing() -> None:
    assert shortfall_table(make_rows([row(model="a")])).empty
