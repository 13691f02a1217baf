# Copyright (c) monai_synthfm contributors
# Licensed under the Apache License, Version 2.0 (http://www.apache.org/licenses/LICENSE-2.0).
# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import math

import pytest
import torch
from hypothesis import assume, given
from hypothesis import strategies as st

from monai_synthfm.prompts import Prompts
from monai_synthfm.prompts.mask_corrections import correct_masks

NAN = torch.full((4,), torch.nan)


def square(side: int = 12) -> torch.Tensor:
    mask = torch.zeros(side, side, dtype=torch.bool)
    mask[2 : side - 2, 3 : side - 1] = True
    return mask


@given(st.lists(st.tuples(st.integers(0, 11), st.integers(0, 11)), min_size=1, max_size=4))
def test_the_click_lies_in_what_is_left_of_the_mask_where_no_other_place_has_more_room(
    negatives: list[tuple[int, int]],
) -> None:
    points = torch.tensor([negatives], dtype=torch.float32)
    prompts = Prompts(points, torch.zeros(1, len(negatives), dtype=torch.int64))
    corrected, left = correct_masks(prompts, square()[None])
    assert corrected.points is not None
    assert corrected.point_labels is not None
    assume(corrected is not prompts)
    assert torch.equal(corrected.points[:, :-1], points)
    assert corrected.point_labels.tolist() == [[0] * len(negatives) + [1]]

    def room(x: float, y: float) -> float:
        outside = (~left[0]).nonzero().flip(1).tolist()
        return min(((x - a) ** 2 + (y - b) ** 2) ** 0.5 for a, b in [*outside, *negatives])

    column, row = corrected.points[0, -1].tolist()
    assert left[0, int(row), int(column)]
    best = max(room(x, y) for y, x in left[0].nonzero().tolist())
    assert room(column, row) == pytest.approx(best)


@given(st.lists(st.tuples(st.integers(-1, 12), st.integers(-1, 12)), min_size=1, max_size=4))
def test_negative_clicks_alone_leave_the_largest_part_beside_their_discs_and_its_box(
    negatives: list[tuple[int, int]],
) -> None:
    mask, points = square(), torch.tensor([negatives], dtype=torch.float32)
    corrected, left = correct_masks(Prompts(points, torch.zeros(1, len(negatives), dtype=torch.int64)), mask[None])
    pixels = {(x, y) for y, x in mask.nonzero().tolist()}
    outside = [(x, y) for x in range(-1, 13) for y in range(-1, 13) if (x, y) not in pixels]
    kept = set(pixels)
    for click in negatives:
        nearest = min(11, max(0, click[0])), min(11, max(0, click[1]))
        reach = min(math.dist(nearest, place) for place in outside) if nearest in pixels else 0.0
        kept -= {place for place in kept if math.dist(place, click) <= reach}
    parts = []
    while kept:
        part, front = set(), [kept.pop()]
        while front:
            x, y = front.pop()
            part.add((x, y))
            beside = {(x + a, y + b) for a in (-1, 0, 1) for b in (-1, 0, 1)} & kept
            kept -= beside
            front += beside
        parts.append(part)
    found = {(x, y) for y, x in left[0].nonzero().tolist()}
    if not parts:
        assert corrected.boxes is None
        assert found == pixels
        return
    assert found in parts
    assert len(found) == max(map(len, parts))
    columns, rows = zip(*found, strict=True)
    assert corrected.boxes is not None
    assert corrected.boxes[0].tolist() == [
        *(min(columns) - 0.5, min(rows) - 0.5),
        *(min(11, max(columns) + 0.5), min(11, max(rows) + 0.5)),
    ]


def test_objects_with_a_mask_and_clicks_get_five_or_one_unless_they_have_a_box() -> None:
    points = torch.full((5, 2, 2), 5.0)
    labels = torch.tensor([[0, -1], [0, 1], [0, 0], [-1, -1], [0, -1]])
    boxes = torch.stack([NAN, NAN, torch.tensor([3.0, 2.0, 8.0, 9.0]), NAN, NAN])
    masks = torch.stack([square()] * 4 + [torch.zeros(12, 12, dtype=torch.bool)])
    corrected, left = correct_masks(Prompts(points, labels, boxes), masks)
    assert corrected.point_labels is not None
    assert corrected.boxes is not None
    none = [-1] * 5
    assert corrected.point_labels.tolist() == [
        [0, -1, 1, *none[1:]],
        [0, 1, *[1] * 5],
        [0, 0, *none],
        [-1, -1, *none],
        [0, -1, *none],
    ]
    assert torch.equal(corrected.boxes[1:].nan_to_num(), boxes[1:].nan_to_num())
    assert corrected.boxes[0].isfinite().all()
    assert torch.equal(left[1:], masks[1:])
    assert left[0].sum() < masks[0].sum()
    assert masks.sum() == 4 * square().sum()  # what was given stays as it is


def test_clicks_beside_positive_ones_lie_apart_in_the_whole_mask() -> None:
    mask = square()
    prompts = Prompts(torch.tensor([[[9.0, 8.0], [4.0, 3.0]]]), torch.tensor([[0, 1]]))
    corrected, left = correct_masks(prompts, mask[None])
    assert torch.equal(left[0], mask)
    assert corrected.points is not None
    assert corrected.boxes is None
    clicks = corrected.points[0, 2:]
    assert all(mask[int(y), int(x)] for x, y in clicks.tolist())
    # 5 discs around them that neither touch the outside nor each other's centre: at least a sixth of the mask's height
    assert torch.pdist(torch.cat([clicks, torch.tensor([[9.0, 8.0]])])).min() >= 8 / 6


def test_a_mask_of_few_pixels_gets_as_many_as_it_has() -> None:
    mask = torch.zeros(1, 12, 12, dtype=torch.bool)
    mask[0, 5, 6:8] = True
    corrected, _ = correct_masks(Prompts(torch.tensor([[[2.0, 2.0]]]), torch.tensor([[1]])), mask)
    assert corrected.points is not None
    assert sorted(corrected.points[0].tolist()) == [[2.0, 2.0], [6.0, 5.0], [7.0, 5.0]]


def test_a_mask_that_negative_clicks_cover_gets_none() -> None:
    mask = torch.zeros(1, 12, 12, dtype=torch.bool)
    mask[0, 5, 7] = True
    prompts = Prompts(torch.tensor([[[7.0, 5.0]]]), torch.tensor([[0]]))
    corrected, left = correct_masks(prompts, mask)
    assert corrected is prompts
    assert torch.equal(left, mask)


def test_prompts_without_such_an_object_stay_as_they_are() -> None:
    box = torch.tensor([[1.0, 2.0, 3.0, 4.0]])
    for prompts in (Prompts(boxes=box), Prompts(torch.ones(1, 1, 2), torch.ones(1, 1), box)):
        assert correct_masks(prompts, square()[None])[0] is prompts


def test_a_negative_click_on_another_tissue_takes_this_tissue_alone() -> None:
    mask = torch.zeros(1, 30, 30, dtype=torch.bool)
    mask[0, 3:27, 3:27] = True
    picture = torch.where(mask, 0.7, 0.3)
    picture[:, 10:20, 15:27] = 0.3  # a notch from the right, deeper than the disc that fits around the click
    prompts = Prompts(torch.tensor([[[17.0, 15.0]]]), torch.tensor([[0]]))
    corrected, left = correct_masks(prompts, mask, picture)
    assert corrected.boxes is not None
    assert corrected.boxes.tolist() == [[2.5, 2.5, 26.5, 26.5]]
    bright = mask & (picture > 0.5)
    assert not (left & ~bright).any()
    assert (left & bright).sum() > 0.95 * bright.sum()
    alike = correct_masks(prompts, mask, torch.full_like(picture, 0.5))[1]
    assert torch.equal(alike, correct_masks(prompts, mask)[1])
    assert alike.sum() < left.sum()
