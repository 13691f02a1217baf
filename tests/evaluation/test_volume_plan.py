# Copyright (c) monai_synthfm contributors
# Licensed under the Apache License, Version 2.0 (http://www.apache.org/licenses/LICENSE-2.0).
# SPDX-License-Identifier: Apache-2.0
"""Which slice of a volume is prompted, and with what."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from monai_synthfm.evaluation.prompt_plan import PromptPlan
from monai_synthfm.evaluation.volume_plan import PROMPT_SLICES, VolumePlan, VolumeQuestion

PLACE = ("amos_ct", "amos_0001", "liver")


def cone() -> np.ndarray:
    """Areas 16, 36, 64, 64, 36 on the slices 2, 3, 5, 6, 7 of the last axis."""
    mask = np.zeros((14, 12, 10), bool)
    for index, half in zip((2, 3, 5, 6, 7), (2, 3, 4, 4, 3), strict=True):
        mask[6 - half : 6 + half, 6 - half : 6 + half, index] = True
    return mask


def questions(plan: VolumePlan, axis: int = 2) -> list[VolumeQuestion]:
    return list(plan(np.moveaxis(cone(), 2, axis), axis, *PLACE))


@pytest.mark.parametrize(("name", "index"), [("first", 2), ("middle", 5), ("largest", 5)])
def test_the_slice_is_chosen_among_those_that_show_the_object(name: str, index: int) -> None:
    assert PROMPT_SLICES[name]({2: 16, 3: 36, 5: 64, 6: 64, 7: 36}) == index
    assert {q.prompt.index for q in questions(VolumePlan(slices=(name,)))} == {index}


def test_prompts_are_named_by_what_where_and_in_which_direction() -> None:
    plan = VolumePlan(PromptPlan(click_pairs=((1, 0),), box=True), slices=("first",), directions=("both", "forward"))
    names = [name for q in questions(plan) for name in q.names]
    what = [f"{name}@first/{way}" for name in ("1p0n", "box", "mask") for way in ("both", "forward")]
    assert names == what
    assert len(names) == plan.answers


def test_a_slice_that_is_chosen_twice_is_asked_once() -> None:
    plan = VolumePlan(slices=("middle", "largest"))
    asked = questions(plan)
    assert len(asked) == plan.answers // 2
    assert all(len(q.names) == 2 for q in asked)


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_prompts_on_the_slice_are_those_of_the_evaluation_of_slices(axis: int) -> None:
    prompts = PromptPlan(click_pairs=((3, 2),), box=True)
    clicks, box, mask = questions(VolumePlan(prompts, slices=("largest",)), axis)
    plane = np.take(np.moveaxis(cone(), 2, axis), 5, axis=axis).T
    expected = prompts(plane, *PLACE, 5)
    assert torch.equal(clicks.prompt.prompts.points, expected.prompts.points[:1])
    assert torch.equal(clicks.prompt.prompts.point_labels, expected.prompts.point_labels[:1])
    assert torch.equal(box.prompt.prompts.boxes, expected.prompts.boxes[1:])
    assert np.array_equal(mask.prompt.mask, plane)
    assert mask.prompt.prompts.is_empty


def test_every_seed_draws_clicks_of_its_own_but_boxes_and_masks_are_the_same() -> None:
    plan = VolumePlan(PromptPlan(click_pairs=((3, 0),), box=True, seeds=(4, 5)), slices=("largest",))
    assert [(q.names[0].split("@")[0], q.seed) for q in questions(plan)] == [
        ("3p0n", 4),
        ("3p0n", 5),
        ("box", 4),
        ("mask", 4),
    ]


def test_masks_alone_are_a_plan() -> None:
    assert [q.names for q in questions(VolumePlan(None))] == [["mask@first/both"], ["mask@largest/both"]]


def test_the_challenge_adds_an_answer_for_the_box_and_for_each_click() -> None:
    assert VolumePlan(challenge_clicks=5).answers == VolumePlan().answers + 6
    assert VolumePlan(None, mask=False, challenge_clicks=1).answers == 2


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"slices": ()}, "slices must be different ones"),
        ({"slices": ("first", "first")}, "slices must be different ones"),
        ({"slices": ("last",)}, "slices must be different ones"),
        ({"directions": ("none",)}, "directions must be different ones"),
        ({"prompts": None, "mask": False}, "no prompts"),
        ({"challenge_clicks": 100}, "challenge_clicks must lie in 0..99"),
        ({"challenge_clicks": -1}, "challenge_clicks must lie in 0..99"),
        ({"prompts": PromptPlan(interactive_clicks=3)}, "interactive_clicks"),
    ],
)
def test_wrong_arguments_are_named(wrong: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        VolumePlan(**wrong)
