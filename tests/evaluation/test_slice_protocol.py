# Copyright (c) monai_synthfm contributors
# Licensed under the Apache License, Version 2.0 (http://www.apache.org/licenses/LICENSE-2.0).
# SPDX-License-Identifier: Apache-2.0
"""From slices to rows, and back from a row to its picture."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from monai.metrics import compute_dice

from monai_synthfm.data.case_slices import CutIntoSlices
from monai_synthfm.evaluation.external import prompt_records
from monai_synthfm.evaluation.predictors import NetworkPredictor
from monai_synthfm.evaluation.prompt_plan import PromptPlan
from monai_synthfm.evaluation.replay import RowReplay
from monai_synthfm.evaluation.results_table import make_rows
from monai_synthfm.evaluation.slice_protocol import PromptedMask, SliceProtocol, evaluate_slice, prompted_masks
from tests.evaluation.stand_ins import Counting, Pictures, discs, tiny_sam

DATASET = Pictures(2)
PLAN = PromptPlan(box=True, interactive_clicks=3, challenge_clicks=2, seeds=(0, 1))
SLICED = CutIntoSlices()(DATASET.load(DATASET.data[1]))


def test_one_look_at_a_slice_serves_all_targets_prompts_and_seeds() -> None:
    model = Counting()
    rows = evaluate_slice(model, SLICED.slices[0], PLAN, SLICED.case)
    assert model.looks == 1
    assert len(rows) == 2 * PLAN.answers
    assert {row["structure"] for row in rows} == {"large", "small"}
    wanted = {"1p0n", "1p2n", "3p0n", "3p2n", "box", "challenge-00", "challenge-01", "challenge-02"}
    assert {row["prompts"] for row in rows} == wanted | {f"interactive-{k:02d}" for k in (1, 2, 3)}
    make_rows(rows)


def test_answers_name_their_prompts_and_interactive_ones_come_last() -> None:
    answers = list(prompted_masks(Counting(), SLICED.slices[0], PromptPlan(interactive_clicks=2), "pictures", "case1"))
    assert all(isinstance(answer, PromptedMask) for answer in answers)
    known, interactive = ["1p0n", "1p2n", "3p0n", "3p2n"], ["interactive-01", "interactive-02"]
    assert [answer.name for answer in answers] == 2 * known + 2 * interactive
    assert [answer.target.structure for answer in answers] == 4 * ["large"] + 4 * ["small"] + 2 * ["large"] + 2 * [
        "small"
    ]
    for answer in answers:
        labels = answer.prompts.point_labels
        positive, negative = (int((labels == value).sum()) for value in (1, 0))
        if "p" in answer.name:
            assert f"{positive}p{negative}n" == answer.name
        else:
            assert positive + negative == int(answer.name[-2:])
        assert answer.seconds > 0


def test_rows_score_the_masks_of_the_model() -> None:
    item = SLICED.slices[0]
    answers = list(prompted_masks(Counting(), item, PLAN, "pictures", "case1"))
    rows = evaluate_slice(Counting(), item, PLAN, SLICED.case)
    for answer, row in zip(answers, rows, strict=True):
        expected = discs(np.zeros((48, 64)), prompt_records(answer.prompts))[0]
        assert np.array_equal(answer.mask, expected)
        pair = (torch.from_numpy(mask)[None, None].float() for mask in (expected, answer.target.mask))
        assert row["dsc"] == pytest.approx(float(compute_dice(*pair, ignore_empty=False)), abs=1e-6)
        assert row["spacing_known"]


def test_the_same_clicks_are_given_to_every_model() -> None:
    def planned(model: NetworkPredictor | Counting) -> list:
        answers = prompted_masks(model, SLICED.slices[0], PromptPlan(box=True), "pictures", "case1")
        return [prompt_records(answer.prompts) for answer in answers]

    assert planned(Counting()) == planned(NetworkPredictor("tiny", tiny_sam()))


def test_a_row_can_be_made_again() -> None:
    model = NetworkPredictor("tiny", tiny_sam())
    replay = RowReplay([DATASET], [model], SliceProtocol(plan=PLAN))
    rows = evaluate_slice(model, SLICED.slices[0], PLAN, SLICED.case)
    for row in rows[::3]:
        example = replay(row)
        assert example.prediction.sum() == row["area_pred"]
        assert (example.prediction & example.target).sum() == row["intersection"]
        assert np.array_equal(example.image, SLICED.slices[0].image[0])
    with pytest.raises(ValueError, match="no row"):
        replay({**rows[0], "structure": "other"})


def test_a_challenge_run_can_be_made_again_click_by_click() -> None:
    rows = [r for r in evaluate_slice(Counting(), SLICED.slices[0], PLAN, SLICED.case) if "-02" in r["prompts"]]
    replay = RowReplay([DATASET], [Counting()], SliceProtocol(plan=PLAN))
    assert [replay(row).prompts.points.shape[1] for row in rows] == [2, 2, 2, 2]
