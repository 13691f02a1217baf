# Copyright (c) monai_synthfm contributors
# Licensed under the Apache License, Version 2.0 (http://www.apache.org/licenses/LICENSE-2.0).
# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from monai_synthfm.prompts import Prompts
from monai_synthfm.prompts.inner_clicks import add_inner_clicks

NAN = torch.full((4,), torch.nan)


def square(side: int = 12) -> torch.Tensor:
    mask = torch.zeros(side, side, dtype=torch.bool)
    mask[2 : side - 2, 3 : side - 1] = True
    return mask


@given(st.lists(st.tuples(st.integers(0, 11), st.integers(0, 11)), min_size=1, max_size=4))
def test_the_click_lies_in_the_mask_where_no_other_place_has_more_room(negatives: list[tuple[int, int]]) -> None:
    mask, points = square(), torch.tensor([negatives], dtype=torch.float32)
    added = add_inner_clicks(Prompts(points, torch.zeros(1, len(negatives), dtype=torch.int64)), mask[None])
    assert added.points is not None
    assert added.point_labels is not None
    assert torch.equal(added.points[:, :-1], points)
    assert added.point_labels.tolist() == [[0] * len(negatives) + [1]]

    def room(x: float, y: float) -> float:
        outside = (~mask).nonzero().flip(1).tolist()
        return min(((x - a) ** 2 + (y - b) ** 2) ** 0.5 for a, b in [*outside, *negatives])

    column, row = added.points[0, -1].tolist()
    assert mask[int(row), int(column)]
    best = max(room(x, y) for y, x in mask.nonzero().tolist())
    assert room(column, row) == pytest.approx(best)


def test_objects_with_a_mask_and_clicks_get_five_or_one_unless_they_have_a_box() -> None:
    points = torch.full((5, 2, 2), 5.0)
    labels = torch.tensor([[0, -1], [0, 1], [0, 0], [-1, -1], [0, -1]])
    boxes = torch.stack([NAN, NAN, torch.tensor([3.0, 2.0, 8.0, 9.0]), NAN, NAN])
    masks = torch.stack([square()] * 4 + [torch.zeros(12, 12, dtype=torch.bool)])
    added = add_inner_clicks(Prompts(points, labels, boxes), masks)
    assert added.point_labels is not None
    none = [-1] * 5
    assert added.point_labels.tolist() == [
        [0, -1, 1, *none[1:]],
        [0, 1, *[1] * 5],
        [0, 0, *none],
        [-1, -1, *none],
        [0, -1, *none],
    ]
    assert added.boxes is boxes


@pytest.mark.parametrize("place", [[0.0, 0.0], [4.0, 3.0], [11.0, 11.0]])
def test_clicks_beside_positive_ones_lie_apart_and_begin_where_one_alone_would(place: list[float]) -> None:
    mask = square()
    negative = Prompts(torch.tensor([[[9.0, 8.0]]]), torch.tensor([[0]]))
    both = Prompts(torch.tensor([[[9.0, 8.0], place]]), torch.tensor([[0, 1]]))
    alone, beside = (add_inner_clicks(prompts, mask[None]) for prompts in (negative, both))
    assert alone.points is not None
    assert beside.points is not None
    clicks = beside.points[0, 2:]
    assert torch.equal(clicks[0], alone.points[0, -1])
    assert all(mask[int(y), int(x)] for x, y in clicks.tolist())
    # 5 discs around them that neither touch the outside nor each other's centre: at least a sixth of the mask's height
    assert torch.pdist(torch.cat([clicks, torch.tensor([[9.0, 8.0]])])).min() >= 8 / 6


def test_a_mask_of_few_pixels_gets_as_many_as_it_has() -> None:
    mask = torch.zeros(1, 12, 12, dtype=torch.bool)
    mask[0, 5, 6:8] = True
    added = add_inner_clicks(Prompts(torch.tensor([[[2.0, 2.0]]]), torch.tensor([[1]])), mask)
    assert added.points is not None
    assert sorted(added.points[0].tolist()) == [[2.0, 2.0], [6.0, 5.0], [7.0, 5.0]]


def test_a_mask_that_negative_clicks_cover_gets_none() -> None:
    mask = torch.zeros(1, 12, 12, dtype=torch.bool)
    mask[0, 5, 7] = True
    prompts = Prompts(torch.tensor([[[7.0, 5.0]]]), torch.tensor([[0]]))
    assert add_inner_clicks(prompts, mask) is prompts


def test_prompts_without_such_an_object_stay_as_they_are() -> None:
    box = torch.tensor([[1.0, 2.0, 3.0, 4.0]])
    for prompts in (Prompts(boxes=box), Prompts(torch.ones(1, 1, 2), torch.ones(1, 1), box)):
        assert add_inner_clicks(prompts, square()[None]) is prompts
