# Copyright (c) monai_synthfm contributors
# Licensed under the Apache License, Version 2.0 (http://www.apache.org/licenses/LICENSE-2.0).
# SPDX-License-Identifier: Apache-2.0
"""Which slices of a box in three dimensions are prompted."""

from __future__ import annotations

import torch
from hypothesis import given
from hypothesis import strategies as st

from monai_synthfm.prompts import Prompts
from monai_synthfm.prompts.slice_prompts import SlicePrompts, prompts_by_slice
from monai_synthfm.prompts.spanning_boxes import spanning_boxes, without_outer_boxes

CORNERS = [[1.0, 1.0, 4.0, 4.0], [2.0, 1.0, 4.0, 4.0], [torch.nan] * 4]


def boxed(*corners: int, label: int = -1) -> SlicePrompts:
    """Objects 0, 1, ... with one of three boxes each, and clicks of one label."""
    boxes = torch.tensor([CORNERS[k] for k in corners])
    clicks = torch.full((len(corners), 1), label)
    return SlicePrompts(list(range(len(corners))), Prompts(torch.ones(len(corners), 1, 2), clicks, boxes))


@given(st.dictionaries(st.integers(0, 12), st.tuples(st.integers(0, 2), st.integers(0, 2))))
def test_spans_are_the_longest_stretches_of_one_box(boxes: dict[int, tuple[int, int]]) -> None:
    expected = set()
    for n in range(2):
        own = {index: kinds[n] for index, kinds in boxes.items() if kinds[n] < 2}
        for start in own:
            stop = start
            while own.get(stop) == own[start]:
                stop += 1
            if own.get(start - 1) != own[start] and stop - start > 1:
                expected.add((n, range(start, stop)))
    found = list(spanning_boxes({index: boxed(*kinds) for index, kinds in boxes.items()}))
    assert len(found) == len(set(found))
    assert set(found) == expected


def test_two_inner_slices_are_left_of_a_long_box_and_all_of_a_short_one() -> None:
    kept = {}
    for count in range(1, 12):
        box = torch.tensor([[1.0, 1, 5, 4, 4, 4 + count]])
        kept[count] = [index - 5 for index in without_outer_boxes(prompts_by_slice(Prompts(boxes=box), axis=2))]
    assert [kept[count] for count in (1, 2, 3)] == [[0], [0, 1], [0, 1, 2]]
    assert [kept[count] for count in (4, 7, 10)] == [[1, 2], [2, 4], [3, 6]]
    for count in range(4, 12):
        first, last = kept[count]
        assert first == count - 1 - last  # as many slices before the first as after the last
        assert abs(last - first - first) <= 2


def test_what_else_is_said_of_the_object_stays() -> None:
    clicked = boxed(0, label=1)
    masked = SlicePrompts([0], boxed(0).prompts, torch.ones(1, 6, 6, dtype=torch.bool))
    prompts = {index: boxed(0) for index in range(10)} | {0: clicked, 8: masked}
    kept = without_outer_boxes(prompts)
    assert sorted(kept) == [0, 3, 6, 8]
    assert kept[0] is clicked
    assert kept[8] is masked


def test_other_objects_of_the_slices_stay() -> None:
    prompts = {index: boxed(0, index % 2) for index in range(10)}
    kept = without_outer_boxes(prompts)
    assert list(kept) == list(range(10))
    assert [index for index, here in kept.items() if 0 in here.objects] == [3, 6]
    assert all(here.prompts.boxes[-1].tolist() == CORNERS[index % 2] for index, here in kept.items())
