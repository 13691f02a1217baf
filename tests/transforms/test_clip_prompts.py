# Copyright (c) monai_synthfm contributors
# Licensed under the Apache License, Version 2.0 (http://www.apache.org/licenses/LICENSE-2.0).
# SPDX-License-Identifier: Apache-2.0
"""Tests of prompts on one slice of a clip."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from monai.data import MetaTensor, set_track_meta

from monai_synthfm.transforms.clip_prompts import RandClipPrompts, RandClipPromptsd
from monai_synthfm.transforms.prompts import RandPrompts

SIZE = (20, 14, 7)


@pytest.fixture
def clip() -> torch.Tensor:
    """Object 1 on slices 2 to 4, object 2 on slices 4 to 6, and one pixel of object 3 on slice 0."""
    label = torch.zeros(1, *SIZE, dtype=torch.int32)
    label[0, 2:8, 3:12, 2:5] = 1
    label[0, 12:18, 1:9, 4:] = 2
    label[0, 19, 13, 0] = 3
    return label


@pytest.mark.parametrize(("prompt_slice", "allowed"), [("first", {2}), ("middle", {3}), ("any", {2, 3, 4, 5, 6})])
def test_the_prompted_slice_is_chosen_among_those_with_a_usable_object(
    clip: torch.Tensor, prompt_slice: str, allowed: set[int]
) -> None:
    transform = RandClipPrompts(RandPrompts(area_range=(0.05, 0.9)), prompt_slice).set_random_state(seed=1)
    assert {int(transform(clip)["prompt_slice"]) for _ in range(40)} == allowed


def test_a_clip_with_too_small_objects_only_is_prompted_where_they_are(clip: torch.Tensor) -> None:
    clip[clip < 3] = 0
    found = RandClipPrompts(RandPrompts(area_range=(0.05, 0.9))).set_random_state(seed=0)(clip)
    assert int(found["prompt_slice"]) == 0
    assert found["target"].sum() == 1


def test_clicks_lie_in_the_object_with_x_along_the_first_axis(clip: torch.Tensor) -> None:
    transform = RandClipPrompts(RandPrompts(2, num_negative=(0, 0), area_range=(0.05, 0.9))).set_random_state(seed=3)
    for _ in range(20):
        found = transform(clip)
        for points, labels, target in zip(found["points"], found["point_labels"], found["target"], strict=True):
            for x, y in points[labels == 1].long().tolist():
                assert target[x, y, found["prompt_slice"]] == 1


@settings(max_examples=25)
@given(seed=st.integers(0, 2**31 - 1), by_mask=st.booleans())
def test_targets_are_instances_present_on_the_prompted_slice_over_all_slices(seed: int, by_mask: bool) -> None:
    label = torch.from_numpy(np.random.RandomState(seed).randint(0, 4, (1, 6, 5, 4)))
    prompts = RandPrompts(num_objects=2, prompt_weights={"clicks": 1, "box": 1})
    found = RandClipPrompts(prompts, mask_prob=float(by_mask)).set_random_state(seed=seed)(label)
    for number, target, mask in zip(prompts.ids, found["target"], found["masks"], strict=True):
        assert torch.equal(target.bool(), label[0] == number)
        on_slice = target[..., found["prompt_slice"]].T.bool()
        assert on_slice.any()
        assert torch.equal(mask, on_slice if by_mask else torch.zeros_like(on_slice))
    prompted = (found["point_labels"] == 1).any(1) | ~found["boxes"].isnan().any(1)
    assert bool(prompted.all()) is not by_mask
    assert bool(prompted.any()) is not by_mask


def test_the_whole_foreground_can_be_the_object(clip: torch.Tensor) -> None:
    found = RandClipPrompts(RandPrompts(target="foreground"), "middle")(MetaTensor(clip))
    assert torch.equal(found["target"][0].bool(), clip[0] > 0)


def test_an_empty_clip_gives_an_empty_target_and_a_negative_click() -> None:
    transform = RandClipPrompts(RandPrompts(num_objects=2, allow_empty=True), "middle", mask_prob=1.0)
    found = transform(torch.zeros(1, *SIZE, dtype=torch.int32))
    assert int(found["prompt_slice"]) == 3
    assert found["target"].shape == (2, *SIZE)
    assert not found["target"].any()
    assert (found["point_labels"][:, 0] == 0).all()


def test_the_same_seed_gives_the_same_prompts(clip: torch.Tensor) -> None:
    def draw(seed: int) -> list[torch.Tensor]:
        transform = RandClipPromptsd("label", num_objects=3, mask_prob=0.5, prompt_weights={"clicks": 1, "box": 1})
        transform.set_random_state(seed=seed)
        return [value for _ in range(5) for value in transform({"label": clip}).values()]

    for one, other in zip(draw(5), draw(5), strict=True):
        torch.testing.assert_close(one, other, rtol=0, atol=0, equal_nan=True)
    assert any(not torch.equal(one, other) for one, other in zip(draw(5), draw(6), strict=True))


def test_targets_lie_where_the_label_map_lies(clip: torch.Tensor) -> None:
    affine = torch.diag(torch.tensor([2.0, 2.0, 5.0, 1.0])).double()
    target = RandClipPrompts(RandPrompts())(MetaTensor(clip, affine=affine))["target"]
    assert torch.equal(target.affine, affine)
    others = RandClipPrompts(RandPrompts())(MetaTensor(clip, affine=affine))
    assert {type(value) for key, value in others.items() if key != "target"} == {torch.Tensor}
    set_track_meta(False)
    try:
        assert type(RandClipPrompts(RandPrompts())(MetaTensor(clip))["target"]) is torch.Tensor
    finally:
        set_track_meta(True)


def test_targets_can_take_the_place_of_the_label_map(clip: torch.Tensor) -> None:
    item = RandClipPromptsd("label", target_key="label", num_objects=2)({"image": 0, "label": clip})
    assert item["label"].shape == (2, *SIZE)
    assert item["image"] == 0


def test_wrong_arguments_are_refused(clip: torch.Tensor) -> None:
    with pytest.raises(ValueError, match="prompt_slice must be one of"):
        RandClipPrompts(prompt_slice="last")
    with pytest.raises(ValueError, match="mask_prob must be a probability"):
        RandClipPrompts(mask_prob=1.5)
    with pytest.raises(ValueError, match=r"label must be an instance label map \[1, X, Y, Z\]"):
        RandClipPrompts()(clip[0])
    with pytest.raises(ValueError, match="the one instance label map"):
        RandClipPromptsd(("a", "b"))
