# Copyright (c) monai_synthfm contributors
# Licensed under the Apache License, Version 2.0 (http://www.apache.org/licenses/LICENSE-2.0).
# SPDX-License-Identifier: Apache-2.0
"""What several interactions amount to, which clicks may correct, and which negative clicks have to wait."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from monai_synthfm.inferers.session.interactions import (
    Choice,
    Interaction,
    ObjectPrompts,
    combine,
    corrections_of,
    ended_at_first,
    negatives_alone,
    one_by_one,
    split_negatives,
)
from monai_synthfm.prompts import Prompts
from monai_synthfm.prompts.slice_prompts import prompts_by_slice

DEPTH = 6
"""Size of the volumes of these tests along every axis."""


def prompts(clicks: Sequence[Sequence[float]] = (), box: Sequence[float] | None = None) -> Prompts:
    """Prompts of one object; clicks are [x, y, z, label]."""
    rows = torch.tensor(clicks, dtype=torch.float32).reshape(1, -1, 4)
    boxes = torch.full((1, 6), torch.nan) if box is None else torch.tensor([box])
    return Prompts(rows[..., :3], rows[..., 3].long(), boxes)


def said(serial: int, given: Prompts, masks: Mapping[int, torch.Tensor] | None = None) -> Interaction:
    return Interaction(serial, 1, given, dict(masks or {}), step=serial)


def test_clicks_stay_in_the_order_in_which_they_were_given() -> None:
    first, second = [[1.0, 2, 3, 1], [4, 5, 0, 0]], [[2.0, 2, 2, 1]]
    found = combine([said(0, prompts(first)), said(1, prompts()), said(2, prompts(second))]).prompts
    assert torch.cat([found.points[0], found.point_labels[0, :, None]], dim=1).tolist() == first + second


@pytest.mark.parametrize("order", [("old", "new"), ("old", "new", "none"), ("none", "old", "none", "new", "none")])
def test_the_latest_box_counts_even_when_other_prompts_follow(order: tuple[str, ...]) -> None:
    boxes = {"old": [0.0, 0, 0, 1, 1, 1], "new": [2.0, 2, 2, 3, 3, 3], "none": None}
    found = combine([said(k, prompts(box=boxes[name])) for k, name in enumerate(order)]).prompts
    assert found.boxes.tolist() == [boxes["new"]]


def test_without_a_box_there_is_none() -> None:
    assert combine([said(0, prompts([[1, 1, 1, 1]])), said(1, prompts())]).prompts.boxes.isnan().all()


def test_a_later_mask_replaces_that_of_its_slice_alone() -> None:
    old, kept, new = (torch.rand(3, 4) > 0.5 for _ in range(3))
    found = combine([said(0, prompts(), {1: old, 4: kept}), said(1, prompts(), {1: new})])
    assert found.masks.keys() == {1, 4}
    assert found.masks[1] is new
    assert found.masks[4] is kept


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_a_negative_click_alone_on_its_slice_waits(axis: int) -> None:
    clicks = torch.full((4, 4), 5.0)
    # on slice 1, on 2 as half-way belongs to the lower one, and two on 4
    clicks[:, axis] = torch.tensor([1.0, 2.5, 3.6, 4.2])
    clicks[:, 3] = torch.tensor([1.0, 0, 0, 1])
    first, waiting = split_negatives(ObjectPrompts(prompts(clicks.tolist()), {}), axis)
    assert first.prompts.point_labels.tolist() == [[1, -1, 0, 1]]
    assert waiting == {2}


def test_a_box_shows_its_object_from_its_first_slice_to_its_last() -> None:
    clicks = [[9.0, 9, z, 0] for z in range(DEPTH)]
    first, waiting = split_negatives(ObjectPrompts(prompts(clicks, [0, 0, 1.5, 1, 1, 3.6]), {}), 2)
    assert first.prompts.point_labels.tolist() == [[-1, 0, 0, 0, 0, -1]]
    assert waiting == {0, 5}


def test_a_mask_shows_its_object_on_its_slice() -> None:
    clicks = [[9.0, 9, z, 0] for z in range(DEPTH)]
    first, waiting = split_negatives(ObjectPrompts(prompts(clicks), {2: torch.ones(3, 4, dtype=torch.bool)}), 2)
    assert first.prompts.point_labels.tolist() == [[-1, -1, 0, -1, -1, -1]]
    assert waiting == {0, 1, 3, 4, 5}


@pytest.mark.parametrize("shows", [True, False])
def test_clicks_that_end_an_object_stay_where_it_is_shown_elsewhere(shows: bool) -> None:
    clicks = [[9.0, 9, 1, 0], [8.0, 7, 3, 0], [2.0, 2, 5, int(shows)]]
    given = ObjectPrompts(prompts(clicks), {})
    assert {index: found.tolist() for index, found in negatives_alone(given, 2).items()} == {
        1: [[9, 9]],
        3: [[8, 7]],
        **({} if shows else {5: [[2, 2]]}),
    }
    first, waiting = split_negatives(given, 2, {3})
    assert first.prompts.point_labels.tolist() == [[-1, 0, 1] if shows else [-1, -1, -1]]
    assert waiting == ({1} if shows else {1, 3, 5})


def test_what_is_said_first_ends_an_object_that_it_shows() -> None:
    shows, ends = said(0, prompts([[1.0, 1, 1, 1]])), said(1, prompts([[1.0, 1, 3, 0], [1, 1, 1, 0]]))
    together = [Interaction(item.serial, 1, item.prompts, item.masks, step=4) for item in (ends, shows)]
    later = said(2, prompts([[1.0, 1, 5, 0]]))
    assert ended_at_first([*together, later], 2) == {3}
    assert ended_at_first([shows, ends], 2) == set()
    assert ended_at_first([ends, shows], 2) == set()
    assert ended_at_first([said(0, prompts([[1.0, 1, 3, 0]], [0, 0, 3, 1, 1, 3])), ends], 2) == set()


@pytest.mark.parametrize("filler", [0.0, torch.nan])
def test_padding_is_no_click(filler: float) -> None:
    clicks = [[filler, filler, filler, -1], [2.0, 2, 3, 1]]
    first, waiting = split_negatives(ObjectPrompts(prompts(clicks), {}), 2)
    assert first.prompts.point_labels.tolist() == [[-1, 1]]
    assert waiting == set()


def corrected(*interactions: Interaction, axis: int = 2) -> list[tuple[list[int], list[int]]]:
    """Serials of what was said before and slices, of all corrections."""
    found = corrections_of(interactions, axis)
    return [([item.serial for item in before], sorted(slices)) for before, slices in found]


FIRST = said(0, prompts([[1.0, 1, 1, 1]]))
PLANE = torch.ones(DEPTH, DEPTH, dtype=torch.bool)


@pytest.mark.parametrize("label", [0, 1])
@pytest.mark.parametrize("axis", [0, 1, 2])
def test_a_click_may_correct_a_slice_of_which_nothing_was_said(axis: int, label: int) -> None:
    click = [1.0, 1, 1, label]
    click[axis] = 3.4
    assert corrected(FIRST, said(1, prompts([click])), axis=axis) == [([0], [3])]


def test_the_first_thing_said_corrects_nothing() -> None:
    assert corrected(said(0, prompts([[1.0, 1, 1, 1], [1, 1, 4, 0]]))) == []


@pytest.mark.parametrize(
    "shows",
    [
        said(1, prompts([[5.0, 5, 3, 1]])),
        said(1, prompts(box=[0, 0, 2.6, 1, 1, 3.4])),
        said(1, prompts(), {3: PLANE}),
        Interaction(1, 1, prompts(), {3: PLANE}, Choice(0, frozenset({0})), step=1),
    ],
)
def test_what_shows_the_object_on_a_slice_is_not_corrected_there(shows: Interaction) -> None:
    click = said(2, prompts([[1.0, 1, 3, 0]]))
    before = corrected(FIRST, shows)
    assert corrected(FIRST, shows, click) == before
    assert corrected(FIRST, click, shows)[0] == ([0], [3])
    together = [Interaction(item.serial, 1, item.prompts, item.masks, item.choice, step=7) for item in (click, shows)]
    expected = before and [([0], [3])]  # as a click, it is on a slice of which nothing was said before
    assert corrected(FIRST, *together) == corrected(FIRST, *reversed(together)) == expected


def test_a_slice_with_a_negative_click_may_be_corrected_later() -> None:
    clicks = [said(k, prompts([[1.0, 1, 3, label]])) for k, label in enumerate([0, 1, 0], 1)]
    assert corrected(FIRST, *clicks) == [([0], [3]), ([0, 1], [3])]


def test_a_box_that_was_replaced_shows_nothing() -> None:
    boxes = [said(k, prompts(box=[0, 0, z, 1, 1, z])) for k, z in enumerate((3.0, 5.0))]
    click = said(2, prompts([[1.0, 1, 3, 1]]))
    assert corrected(*boxes, click) == [([0, 1], [3])]


def test_a_box_whose_answer_was_chosen_shows_nothing_beyond_that_answer() -> None:
    box = said(1, prompts(box=[0.0, 0, 3, 1, 1, 4]))
    answer = Interaction(2, 1, prompts(), {3: PLANE}, Choice(0, frozenset({0, 1})), step=2)
    click = said(3, prompts([[1.0, 1, 3, 1], [1, 1, 4, 1]]))
    assert corrected(FIRST, box, answer, click) == [([0, 1, 2], [4])]


def test_prompts_are_split_into_the_box_and_single_clicks() -> None:
    clicks = [[1.0, 2, 3, 1], [0, 0, 0, -1], [4, 5, 0, 0]]
    box = [0.0, 0, 0, 1, 1, 1]
    parts = one_by_one(prompts(clicks, box))
    assert [part.has_box.item() for part in parts] == [True, False, False]
    assert [part.point_labels.tolist() for part in parts] == [[[-1]], [[1]], [[0]]]
    whole = combine([said(k, part) for k, part in enumerate(parts)]).prompts
    assert whole.boxes.tolist() == [box]
    assert whole.points[whole.point_labels >= 0].tolist() == [clicks[0][:3], clicks[2][:3]]


QUARTERS = st.integers(0, 4 * DEPTH - 4).map(lambda n: n / 4)
CLICKS = st.lists(st.tuples(QUARTERS, QUARTERS, QUARTERS, st.integers(0, 1)), max_size=6)
BOXES = st.none() | st.tuples(*[QUARTERS] * 6).map(lambda c: [*map(min, c[:3], c[3:]), *map(max, c[:3], c[3:])])


@settings(max_examples=80)
@given(CLICKS, BOXES, st.sets(st.integers(0, DEPTH - 1), max_size=2), st.integers(0, 2))
def test_what_is_left_can_be_sorted_by_slice_and_lacks_nothing_else(
    clicks: list, box: list[float] | None, masked: set[int], axis: int
) -> None:
    plane = torch.zeros(DEPTH, DEPTH, dtype=torch.bool)
    plane[1, 2] = True
    whole = ObjectPrompts(prompts(clicks, box), dict.fromkeys(masked, plane))
    first, waiting = split_negatives(whole, axis)
    known = torch.zeros(DEPTH, DEPTH, DEPTH, dtype=torch.int16)
    for index in masked:
        known.select(axis, index)[2, 1] = 1
    sorted_out = prompts_by_slice(first.prompts, axis, known)  # refuses negative clicks that stand alone
    assert not waiting & sorted_out.keys()
    assert first.masks is whole.masks
    assert torch.equal(first.prompts.points, whole.prompts.points)
    for before, after, click in zip(
        whole.prompts.point_labels[0].tolist(), first.prompts.point_labels[0].tolist(), clicks, strict=True
    ):
        slice_of_click = min(range(DEPTH), key=lambda index: abs(index - click[axis]))
        assert after == (-1 if slice_of_click in waiting else before)
        assert before == 0 or after == 1
