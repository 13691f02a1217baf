# Copyright (c) monai_synthfm contributors
# Licensed under the Apache License, Version 2.0 (http://www.apache.org/licenses/LICENSE-2.0).
# SPDX-License-Identifier: Apache-2.0
"""Means by slice, patient and volume, and scores of interactive runs, against hand-made cases and plain loops."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy.integrate import cumulative_trapezoid, trapezoid

from monai_synthfm.evaluation.aggregation import (
    data_counts,
    interaction_scores,
    mean_over_structures,
    patient_means,
    split_clicks,
    summarise,
    volume_dice,
)
from monai_synthfm.evaluation.results_table import make_rows
from tests.evaluation.made_rows import random_rows, row


def interactive(dice: list[float], first: int = 1, **changes: object) -> list[dict[str, object]]:
    return [row(prompts=f"interactive-{k:02d}", dsc=dsc, **changes) for k, dsc in enumerate(dice, start=first)]


@pytest.fixture
def uneven() -> pd.DataFrame:
    """One patient with three bad slices, one with one good slice."""
    bad = [row(patient_id="a", slice_index=z, dsc=dsc) for z, dsc in enumerate((0.0, 0.2, 0.4))]
    return make_rows([*bad, row(patient_id="b", dsc=0.8)])


def test_headline_gives_each_patient_one_vote(uneven: pd.DataFrame) -> None:
    summary = summarise(uneven).iloc[0]
    assert summary["mean"] == pytest.approx((0.2 + 0.8) / 2)
    assert summary["sd"] == pytest.approx(np.std([0.2, 0.8], ddof=1))
    assert (summary.n, summary.n_patients, summary.n_masks, summary.n_dropped) == (2, 2, 4, 0)


def test_mean_over_slices_gives_each_slice_one_vote(uneven: pd.DataFrame) -> None:
    summary = summarise(uneven, unit="slice").iloc[0]
    assert summary["mean"] == pytest.approx(1.4 / 4)
    assert (summary.n, summary.n_patients) == (4, 2)


def test_stacked_dice_is_the_dice_of_the_stacked_masks() -> None:
    rng = np.random.default_rng(0)
    target, pred = rng.random((5, 16, 16)) < 0.3, rng.random((5, 16, 16)) < 0.4
    rows = [
        row(
            slice_index=z,
            area_target=int(target[z].sum()),
            area_pred=int(pred[z].sum()),
            intersection=int((target[z] & pred[z]).sum()),
        )
        for z in range(5)
    ]
    volumes = volume_dice(make_rows(rows))
    assert volumes.dsc.tolist() == [2 * (target & pred).sum() / (target.sum() + pred.sum())]
    assert summarise(make_rows(rows), unit="volume")["mean"].tolist() == volumes.dsc.tolist()


def test_stacking_joins_objects_and_leaves_pictures_out() -> None:
    areas = {"area_target": 10, "area_pred": 10}
    objects = [row(instance=n, intersection=5 * n, **areas) for n in (1, 2)]
    picture = row(case_id="picture", slice_index=-1, intersection=0, **areas)
    assert volume_dice(make_rows([*objects, picture])).dsc.tolist() == [2 * 15 / 40]


def test_stacks_of_empty_masks_have_a_full_score() -> None:
    empty = row(area_target=0, area_pred=0, intersection=0, dsc=1.0)
    assert volume_dice(make_rows([empty])).dsc.tolist() == [1.0]


def test_patients_of_two_datasets_are_two_even_with_one_id() -> None:
    rows = make_rows([row(dataset=name, dsc=dsc) for name, dsc in (("a", 0.2), ("b", 0.6))])
    assert summarise(rows).n_patients.tolist() == [2]


def test_masks_without_the_score_are_dropped_and_counted() -> None:
    unknown = row(patient_id="b", nsd=float("nan"), spacing_known=False)
    summary = summarise(make_rows([row(nsd=0.3), unknown]), "nsd").iloc[0]
    assert summary["mean"] == pytest.approx(0.3)
    assert (summary.n, summary.n_patients, summary.n_masks, summary.n_dropped) == (1, 1, 1, 1)


def test_means_are_those_of_plain_loops() -> None:
    rows = random_rows(models=("a", "b"), patients=3, slices=4)
    for cell in summarise(rows).itertuples():
        patients = []
        for patient in sorted(set(rows.patient_id)):
            scores = [
                r.dsc
                for r in rows.itertuples()
                if (r.model, r.modality, r.structure, r.prompts, r.patient_id)
                == (cell.model, cell.modality, cell.structure, cell.prompts, patient)
            ]
            patients.append(sum(scores) / len(scores))
        assert cell.mean == pytest.approx(sum(patients) / len(patients))


def test_mean_over_structures_gives_each_structure_one_vote() -> None:
    liver = [row(patient_id=f"p{n}", dsc=0.9) for n in range(5)]
    summary = summarise(make_rows([*liver, row(structure="spleen", dsc=0.5)]))
    table = mean_over_structures(summary)
    assert table["mean"].tolist() == [pytest.approx(0.7)]
    assert table.n_structures.tolist() == [2]


@pytest.mark.parametrize(
    ("arguments", "message"), [({"unit": "case"}, "unit"), ({"value": "nsd", "unit": "volume"}, "dsc")]
)
def test_unknown_units_are_refused(uneven: pd.DataFrame, arguments: dict[str, str], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        summarise(uneven, **arguments)


def test_clicks_are_told_from_pairs_and_boxes() -> None:
    rows = make_rows([row(prompts=name) for name in ("1p0n", "box", "interactive-10", "cvpr25-03")])
    assert sorted(zip(split_clicks(rows).series, split_clicks(rows).click, strict=True)) == [
        ("cvpr25", 3),
        ("interactive", 10),
    ]


def test_number_of_clicks_is_the_first_that_reaches_the_threshold() -> None:
    rows = make_rows(interactive([0.5, 0.8, 0.7, 0.95]))
    score = interaction_scores(rows).iloc[0]
    assert (score.noc80, score.failed80) == (2, False)
    assert (score.noc90, score.failed90) == (4, False)
    assert score["last"] == 0.95


def test_masks_that_never_get_there_count_with_the_last_click_as_failed() -> None:
    score = interaction_scores(make_rows(interactive([0.1, 0.2, 0.3]))).iloc[0]
    assert (score.noc80, score.failed80) == (3, True)


def test_area_under_the_curve_is_the_trapezoid_rule_over_its_width() -> None:
    dice = [0.2, 0.6, 0.5, 0.9, 1.0]
    score = interaction_scores(make_rows(interactive(dice))).iloc[0]
    assert score.auc == pytest.approx(trapezoid(dice) / 4)
    assert interaction_scores(make_rows(interactive([1.0] * 6))).auc.tolist() == [1.0]
    assert interaction_scores(make_rows(interactive([0.4]))).auc.tolist() == [0.4]


def test_a_box_is_no_part_of_the_area_as_in_the_challenge() -> None:
    dice, surface = [0.9, 0.2, 0.6, 0.5, 0.9, 1.0], [0.1, 0.3, 0.2, 0.4, 0.8, 0.7]
    records = [{**r, "nsd": s} for r, s in zip(interactive(dice, first=0), surface, strict=True)]
    score = interaction_scores(make_rows(records)).iloc[0]
    # the challenge's own line
    assert 4 * score.auc == pytest.approx(cumulative_trapezoid(np.array(dice[-5:]), np.arange(5))[-1])
    assert 4 * score.nsd_auc == pytest.approx(cumulative_trapezoid(np.array(surface[-5:]), np.arange(5))[-1])
    assert (score["last"], score.nsd_last) == (1.0, 0.7)


def test_without_spacing_there_is_no_area_of_nsd() -> None:
    records = [{**r, "nsd": float("nan"), "spacing_known": False} for r in interactive([0.5, 0.7])]
    score = interaction_scores(make_rows(records)).iloc[0]
    assert np.isnan(score.nsd_auc)
    assert score.auc == pytest.approx(0.6)


def test_a_series_may_start_with_no_click() -> None:
    score = interaction_scores(make_rows(interactive([0.85, 0.95], first=0))).iloc[0]
    assert (score.noc80, score.noc90) == (0, 1)


def test_each_mask_has_its_own_curve() -> None:
    rows = make_rows([*interactive([0.9, 0.9]), *interactive([0.1, 0.9], slice_index=1)])
    scores = interaction_scores(rows)
    assert scores.sort_values("slice_index").noc80.tolist() == [1, 2]
    means = patient_means(scores, ["noc80", "auc"], ["modality", "series"])
    assert means.noc80.tolist() == [1.5]
    assert means.auc.tolist() == [pytest.approx(0.7)]


@pytest.mark.parametrize("lost", [1, 2, 3])
def test_a_mask_without_one_of_the_clicks_is_refused(lost: int) -> None:
    part = interactive([0.5] * 3, slice_index=1)
    del part[lost - 1]
    with pytest.raises(ValueError, match="every mask needs every click"):
        interaction_scores(make_rows([*interactive([0.5] * 3), *part]))


def test_a_click_that_no_mask_has_is_refused() -> None:
    rows = make_rows([r for r in interactive([0.5] * 3) if r["prompts"] != "interactive-02"])
    with pytest.raises(ValueError, match=r"found clicks \[1, 3\]"):
        interaction_scores(rows)


def test_other_prompts_have_no_interaction_scores() -> None:
    assert interaction_scores(make_rows([row()])).empty


def test_data_are_counted_once_whatever_the_models_and_prompts() -> None:
    rows = random_rows(models=("a", "b"), structures=(("ct", "liver"), ("ct", "spleen")), patients=3, slices=4)
    counts = data_counts(rows).iloc[0]
    assert (counts.patients, counts.cases, counts.slices, counts.structures) == (3, 3, 12, 2)
