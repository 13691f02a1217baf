# Copyright (c) monai_synthfm contributors
# Licensed under the Apache License, Version 2.0 (http://www.apache.org/licenses/LICENSE-2.0).
# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import pytest
import torch

from monai_synthfm.prompts import Prompts
from monai_synthfm.prompts.slice_prompts import SlicePrompts, prompts_by_slice


def test_prompts_are_sorted_by_slice_and_object() -> None:
    prompts = Prompts(
        points=torch.tensor([[[1.0, 2, 3], [4, 5, 3.4]], [[6, 7, 5], [0, 0, 0]], [[0, 0, 0], [0, 0, 0]]]),
        point_labels=torch.tensor([[1, 0], [1, -1], [-1, -1]]),
        boxes=torch.tensor([[torch.nan] * 6, [torch.nan] * 6, [1.0, 2, 4.6, 8, 9, 6.2]]),
    )
    found = prompts_by_slice(prompts, axis=2)
    assert list(found) == [3, 5, 6]
    assert found[3].objects == [0]
    assert found[3].prompts.points.tolist() == [[[1, 2], [4, 5]]]
    assert found[3].prompts.point_labels.tolist() == [[1, 0]]
    assert found[3].prompts.boxes is None
    assert found[5].objects == [1, 2]
    assert found[5].prompts.points[0].tolist() == [[6, 7]]
    assert found[5].prompts.point_labels.tolist() == [[1], [-1]]
    assert torch.isnan(found[5].prompts.boxes[0]).all()
    assert found[5].prompts.boxes[1].tolist() == [1, 2, 8, 9]
    assert found[6].objects == [2]


@pytest.mark.parametrize(("axis", "slices", "pixel"), [(0, [3], [4, 5]), (1, [4], [3, 5]), (2, [5], [3, 4])])
def test_remaining_axes_keep_their_order(axis: int, slices: list[int], pixel: list[float]) -> None:
    prompts = Prompts(points=torch.tensor([[[3.0, 4, 5]]]), point_labels=torch.tensor([[1]]))
    found = prompts_by_slice(prompts, axis)
    assert list(found) == slices
    assert found[slices[0]].prompts.points.tolist() == [[pixel]]


def test_negative_clicks_alone_are_prompts_of_their_slice() -> None:
    clicks = {"points": torch.tensor([[[1.0, 1, 1], [2, 2, 4]]]), "point_labels": torch.tensor([[1, 0]])}
    found = prompts_by_slice(Prompts(**clicks), axis=2)
    assert {index: here.prompts.point_labels.tolist() for index, here in found.items()} == {1: [[1]], 4: [[0]]}
    boxes = torch.tensor([[0.0, 0, 3, 5, 5, 4]])
    assert list(prompts_by_slice(Prompts(**clicks, boxes=boxes), axis=2)) == [1, 3, 4]


@pytest.mark.parametrize("shown", ["nothing", "box", "mask"])
def test_an_object_needs_more_than_negative_clicks(shown: str) -> None:
    clicks = {"points": torch.tensor([[[1.0, 1, 1]], [[2, 2, 4]]]), "point_labels": torch.tensor([[1], [0]])}
    boxes = torch.tensor([[torch.nan] * 6, [0.0, 0, 2, 5, 5, 2]]) if shown == "box" else None
    masks = torch.zeros(5, 6, 7, dtype=torch.int16)
    masks[1, 2, 2] = 2 if shown == "mask" else 1
    if shown == "nothing":
        with pytest.raises(ValueError, match="object 2 has only negative clicks, which do not say where it is"):
            prompts_by_slice(Prompts(**clicks), 2, masks)
    else:
        assert list(prompts_by_slice(Prompts(**clicks, boxes=boxes), 2, masks)) == [1, 2, 4]


def test_rows_of_a_slice_are_its_prompts_for_some_objects() -> None:
    masks = torch.zeros(3, 4, 5, dtype=torch.bool)
    masks[2, 1, 1] = True
    boxes = torch.arange(12.0).reshape(3, 4)
    here = SlicePrompts([1, 4, 6], Prompts(boxes=boxes), masks)
    some, others = here.rows([2, 0]), here.rows([0, 1])
    assert (some.objects, others.objects) == ([6, 1], [1, 4])
    assert torch.equal(some.prompts.boxes, boxes[[2, 0]])
    assert torch.equal(some.masks, masks[[2, 0]])
    assert others.masks is None


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_masks_belong_to_every_slice_on_which_they_have_voxels(axis: int) -> None:
    masks = torch.zeros(5, 6, 7, dtype=torch.int16)
    masks[1, 2, 3] = 2
    masks[4, 5, 6] = 1
    masks[1, 2, 4] = 2
    found = prompts_by_slice(Prompts(), axis, masks)
    expected: dict[int, set[int]] = {}
    for voxel in masks.nonzero():
        expected.setdefault(int(voxel[axis]), set()).add(int(masks[tuple(voxel)]) - 1)
    assert {index: set(here.objects) for index, here in found.items()} == expected
    for index, here in found.items():
        for n, drawn in zip(here.objects, here.masks, strict=True):
            torch.testing.assert_close(drawn.T, masks.select(axis, index) == n + 1)
        assert (here.prompts.point_labels == -1).all()


def test_an_object_of_which_no_mask_is_known_has_an_empty_one() -> None:
    masks = torch.zeros(5, 6, 7, dtype=torch.uint8)
    masks[1, 2, 3] = 1
    clicks = {"points": torch.tensor([[[0.0, 0, 0]], [[4, 5, 3]]]), "point_labels": torch.tensor([[-1], [1]])}
    here = prompts_by_slice(Prompts(**clicks), 2, masks)[3]
    assert here.objects == [0, 1]
    assert here.masks.flatten(1).sum(dim=1).tolist() == [1, 0]
    assert prompts_by_slice(Prompts(**clicks), 2, 0 * masks)[3].masks is None


def test_negative_clicks_may_correct_a_mask() -> None:
    masks = torch.zeros(5, 6, 7, dtype=torch.uint8)
    masks[1, 2, 3] = 1
    clicks = {"points": torch.tensor([[[4.0, 5, 3]]]), "point_labels": torch.tensor([[0]])}
    assert prompts_by_slice(Prompts(**clicks), 2, masks)[3].prompts.point_labels.tolist() == [[0]]
