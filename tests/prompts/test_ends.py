# Copyright (c) monai_synthfm contributors
# Licensed under the Apache License, Version 2.0 (http://www.apache.org/licenses/LICENSE-2.0).
# SPDX-License-Identifier: Apache-2.0
"""Which prompts say that an object is not on a slice."""

from __future__ import annotations

import pytest
import torch

from monai_synthfm.prompts import Prompts
from monai_synthfm.prompts.ends import split_ends
from monai_synthfm.prompts.slice_prompts import SlicePrompts

PLANE = torch.ones(1, 4, 5, dtype=torch.bool)


def clicks(*labels: int) -> dict[str, torch.Tensor]:
    return {"points": torch.ones(1, len(labels), 2), "point_labels": torch.tensor([labels])}


@pytest.mark.parametrize("labels", [(0,), (0, 0), (-1, 0)])
def test_negative_clicks_alone_are_an_end(labels: tuple[int, ...]) -> None:
    for masks in (None, ~PLANE):
        here = SlicePrompts([3], Prompts(**clicks(*labels), boxes=torch.full((1, 4), torch.nan)), masks)
        assert split_ends({7: here}) == ({}, {3: {7}})


@pytest.mark.parametrize(
    "here",
    [
        SlicePrompts([3], Prompts(**clicks(0, 1))),
        SlicePrompts([3], Prompts(**clicks(0), boxes=torch.tensor([[1.0, 1, 2, 2]]))),
        SlicePrompts([3], Prompts(**clicks(0)), PLANE),
        SlicePrompts([3], Prompts(**clicks(-1)), PLANE),
        SlicePrompts([3], Prompts(), PLANE),
    ],
)
def test_what_shows_the_object_is_no_end(here: SlicePrompts) -> None:
    shown, ends = split_ends({7: here})
    assert shown[7] is here
    assert ends == {}


def test_each_object_of_a_slice_is_judged_by_itself() -> None:
    points = Prompts(torch.arange(12.0).reshape(3, 2, 2), torch.tensor([[0, -1], [0, 1], [0, 0]]))
    masks = torch.cat([~PLANE, ~PLANE, PLANE])
    shown, ends = split_ends({2: SlicePrompts([0, 4, 5], points, masks), 6: SlicePrompts([0], points.objects([0]))})
    assert ends == {0: {2, 6}}
    assert list(shown) == [2]
    assert shown[2].objects == [4, 5]
    assert torch.equal(shown[2].prompts.points, points.points[1:])
    assert shown[2].prompts.point_labels.tolist() == [[0, 1], [0, 0]]
    assert torch.equal(shown[2].masks, masks[1:])


def boxed(*corners: float) -> SlicePrompts:
    return SlicePrompts([3], Prompts(**clicks(-1), boxes=torch.tensor([corners])))


def test_the_same_box_on_slices_side_by_side_ends_the_object_beside_them() -> None:
    box = boxed(1.0, 1, 2, 2)
    given = {4: box, 5: box, 6: box}
    assert split_ends(given) == (given, {3: {3, 7}})


@pytest.mark.parametrize(
    "given",
    [
        {4: boxed(1.0, 1, 2, 2)},
        {4: boxed(1.0, 1, 2, 2), 6: boxed(1.0, 1, 2, 2)},
        {4: boxed(1.0, 1, 2, 2), 5: boxed(1.0, 1, 2, 3)},
        {4: boxed(*[torch.nan] * 4), 5: boxed(*[torch.nan] * 4)},
    ],
    ids=["one slice", "a gap", "another box", "no box"],
)
def test_boxes_of_single_slices_say_nothing_of_those_beside_them(given: dict[int, SlicePrompts]) -> None:
    assert split_ends(given)[1] == {}


def test_what_is_prompted_beside_a_box_over_slices_is_there() -> None:
    box = boxed(1.0, 1, 2, 2)
    click, known = SlicePrompts([3], Prompts(**clicks(1))), SlicePrompts([3], Prompts(), PLANE)
    assert split_ends({3: click, 4: box, 5: box, 6: known})[1] == {}
    # with a negative click alone there, too, and for this object alone
    assert split_ends({3: SlicePrompts([3], Prompts(**clicks(0))), 4: box, 5: box})[1] == {3: {3, 6}}
    assert split_ends({3: SlicePrompts([2], Prompts(**clicks(1))), 4: box, 5: box})[1] == {3: {3, 6}}
