# Copyright (c) monai_synthfm contributors
# Licensed under the Apache License, Version 2.0 (http://www.apache.org/licenses/LICENSE-2.0).
# SPDX-License-Identifier: Apache-2.0
"""The plan of prompts: what is asked, and that it is the same everywhere."""

from __future__ import annotations

from typing import Any
from zlib import crc32

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from monai_synthfm.evaluation.prompt_plan import PlannedPrompts, PromptPlan, prompt_rng
from monai_synthfm.prompts import clicks_fit, tight_box
from tests.evaluation.stand_ins import disc

MASK = disc((60, 80), 30, 40, 14)


def plan(mask: np.ndarray = MASK, slice_index: int = 3, case_id: str = "c", **options: Any) -> PlannedPrompts:
    return PromptPlan(**options)(mask, "d", case_id, "liver", slice_index)


def clicks(planned: PlannedPrompts, k: int) -> list[tuple[float, float, int]]:
    points, labels = planned.prompts.points[k], planned.prompts.point_labels[k]
    return [(*point, label) for point, label in zip(points.tolist(), labels.tolist(), strict=True) if label >= 0]


def test_the_default_is_the_four_pairs_of_the_paper() -> None:
    planned = plan()
    assert planned.names == ["1p0n", "1p2n", "3p0n", "3p2n"]
    counts = [[label for _, _, label in clicks(planned, k)] for k in range(4)]
    assert counts == [[1], [1, 0, 0], [1, 1, 1], [1, 1, 1, 0, 0]]
    assert planned.prompts.boxes.isnan().all()


def test_configurations_share_their_clicks() -> None:
    planned = plan()
    assert clicks(planned, 1)[:1] == clicks(planned, 0)
    assert clicks(planned, 3)[:3] == clicks(planned, 2)
    assert clicks(planned, 2)[:1] == clicks(planned, 0)


def test_random_clicks_depend_on_what_is_clicked_on_alone() -> None:
    def equal(first: PlannedPrompts, second: PlannedPrompts) -> bool:
        return torch.equal(first.prompts.points, second.prompts.points)

    assert equal(plan(), plan())
    assert not equal(plan(), plan(slice_index=4))
    assert not equal(plan(), plan(case_id="e"))
    assert not equal(plan(), plan(seeds=(1,)))


def test_the_source_of_randomness_is_the_documented_one() -> None:
    words = [7, crc32(b"amos_ct"), crc32(b"amos_0001"), crc32(b"liver"), 0, 2]
    expected = np.random.default_rng(np.random.SeedSequence(words)).random(5)
    assert np.array_equal(prompt_rng(7, "amos_ct", "amos_0001", "liver", -1, 2).random(5), expected)


def test_only_random_configurations_are_repeated_for_further_seeds() -> None:
    planned = plan(seeds=(0, 5), box=True, click_pairs=[[1, 2], [2, 0]])
    assert list(zip(planned.names, planned.seeds, strict=True)) == [("1p2n", 0), ("2p0n", 0), ("2p0n", 5), ("box", 0)]
    jittered = plan(seeds=(0, 5), click_pairs=[[1, 0]], click_options={"jitter": 2.0})
    assert jittered.seeds == [0, 5]
    loose = plan(seeds=(0, 5), click_pairs=[], box=True, box_options={})
    assert loose.seeds == [0, 5]


def test_a_box_stands_alone_and_is_tight() -> None:
    planned = plan(click_pairs=[], box=True)
    assert planned.names == ["box"]
    assert clicks(planned, 0) == []
    assert planned.prompts.boxes[0].tolist() == tight_box(MASK).tolist()


def test_a_plan_of_interactive_clicks_alone_asks_nothing_beforehand() -> None:
    assert plan(click_pairs=[], interactive_clicks=3).names == []


@settings(max_examples=30)
@given(st.integers(0, 2**31), st.integers(1, 40), st.integers(0, 10))
def test_every_click_is_where_its_label_says(seed: int, size: int, slice_index: int) -> None:
    mask = np.random.default_rng(seed).random((size, size)) < 0.3
    mask[0, 0] = True
    planned = plan(mask, slice_index, seeds=(seed,))
    for points, labels in zip(planned.prompts.points, planned.prompts.point_labels, strict=True):
        assert clicks_fit(mask, points.numpy(), labels.numpy()).all()


def test_answers_counts_the_masks_of_a_target() -> None:
    everything = PromptPlan(box=True, interactive_clicks=10, challenge_clicks=5, seeds=(0, 1))
    assert everything.answers == 6 + 1 + 10 + 6


@pytest.mark.parametrize(
    ("wrong", "name"),
    [
        ({"seeds": ()}, "seeds"),
        ({"seeds": (1, 1)}, "seeds"),
        ({"click_pairs": ()}, "click_pairs"),
        ({"click_pairs": [(1,)]}, "click_pairs"),
        ({"click_pairs": [(0, 1)]}, "num_positive"),
        ({"interactive_clicks": -1}, "interactive_clicks"),
        ({"click_options": {"pad_to": 3}}, "pad_to"),
        ({"box_options": {"fraction": 2}}, "fraction"),
    ],
)
def test_wrong_arguments_are_named(wrong: dict, name: str) -> None:
    with pytest.raises(ValueError, match=name):
        PromptPlan(**wrong)
