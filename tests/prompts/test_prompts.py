# Copyright (c) monai_synthfm contributors
# Licensed under the Apache License, Version 2.0 (http://www.apache.org/licenses/LICENSE-2.0).
# SPDX-License-Identifier: Apache-2.0
"""The Prompts dataclass: what it accepts, refuses and tells."""

from __future__ import annotations

import pytest
import torch
from monai.data import MetaTensor

from monai_synthfm.prompts import Prompts

POINTS = torch.zeros(2, 3, 2)
LABELS = torch.tensor([[1, 0, -1], [1, -1, -1]])
BOXES = torch.tensor([[1.0, 2.0, 3.0, 4.0], [torch.nan] * 4])
MASKS = torch.zeros(2, 1, 8, 8)


@pytest.mark.parametrize(
    "fields",
    [
        {"points": POINTS, "point_labels": LABELS},
        {"boxes": BOXES},
        {"masks": MASKS},
        {"points": POINTS, "point_labels": LABELS, "boxes": BOXES, "masks": MASKS},
    ],
)
def test_objects_are_counted_whatever_describes_them(fields: dict[str, torch.Tensor]) -> None:
    prompts = Prompts(**fields)
    assert (prompts.num_objects, prompts.is_batched, prompts.is_empty) == (2, False, False)
    batched = prompts.batched()
    assert (batched.num_objects, batched.is_batched) == (2, True)
    assert batched.batched() is batched
    for name, value in fields.items():
        assert torch.equal(getattr(batched, name)[0].nan_to_num(-9), value.nan_to_num(-9))


def test_no_prompt_at_all_is_empty() -> None:
    prompts = Prompts()
    assert (prompts.num_objects, prompts.is_batched, prompts.is_empty) == (0, False, True)
    assert prompts.batched() == prompts


def test_three_dimensional_clicks_and_boxes_are_accepted_together() -> None:
    prompts = Prompts(points=torch.zeros(1, 1, 3), point_labels=torch.ones(1, 1), boxes=torch.zeros(1, 6))
    assert prompts.num_objects == 1


def test_padding_rows_may_hold_anything() -> None:
    points = POINTS.clone()
    points[LABELS == -1] = torch.nan
    assert Prompts(points=points, point_labels=LABELS).num_objects == 2


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"points": POINTS}, "must be given together"),
        ({"point_labels": LABELS}, "must be given together"),
        ({"points": POINTS[..., :1], "point_labels": LABELS}, "do not fit"),
        ({"points": POINTS[:, :2], "point_labels": LABELS}, "do not fit"),
        ({"points": POINTS[0], "point_labels": LABELS[0]}, "points must have 3 or 4 dimensions"),
        ({"points": POINTS, "point_labels": LABELS + 1}, r"got \[2\]"),
        ({"points": POINTS + torch.inf, "point_labels": LABELS}, "finite"),
        ({"boxes": BOXES[:, :3]}, r"boxes must be"),
        ({"boxes": BOXES.flip(-1)}, "x0 <= x1"),
        ({"boxes": torch.tensor([[0.0, torch.nan, 1.0, 1.0]])}, "finite corners"),
        ({"masks": torch.zeros(2, 3, 8, 8)}, "masks must be"),
        ({"boxes": BOXES, "masks": MASKS[:1]}, "the same objects"),
        ({"boxes": BOXES, "masks": MASKS[None]}, "the same objects"),
        ({"points": POINTS, "point_labels": LABELS, "boxes": torch.zeros(2, 6)}, "both 2D or both 3D"),
    ],
)
def test_what_does_not_fit_is_refused_with_its_name(fields: dict[str, torch.Tensor], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Prompts(**fields)


def test_from_mapping_takes_prompts_and_leaves_the_rest() -> None:
    prompts = Prompts.from_mapping({"image": 1, "points": POINTS, "point_labels": LABELS, "boxes": None})
    assert prompts.points is POINTS
    assert prompts.boxes is None


def test_to_moves_what_is_there() -> None:
    moved = Prompts(masks=MASKS).to("meta")
    assert moved.masks is not None
    assert moved.masks.device.type == "meta"
    assert moved.points is None


def test_images_and_objects_are_picked_from_every_field() -> None:
    objects = Prompts(points=POINTS, point_labels=LABELS, boxes=BOXES, masks=MASKS)
    images = Prompts(**{name: torch.stack([value, value + (name == "masks")]) for name, value in vars(objects).items()})
    assert torch.equal(images.image(1).masks, MASKS + 1)
    assert torch.equal(images.image(0).objects(slice(1, None)).point_labels, LABELS[1:])
    assert torch.equal(objects.objects([1, 0]).boxes[1], BOXES[0])
    assert images.image(0).num_objects == 2
    assert Prompts(boxes=BOXES).objects([0]).points is None


def test_picked_prompts_have_no_metadata() -> None:
    picked = Prompts(boxes=MetaTensor(BOXES, affine=torch.eye(4))).objects([0])
    assert type(picked.boxes) is torch.Tensor


def test_images_are_not_taken_for_objects_nor_objects_for_images() -> None:
    with pytest.raises(ValueError, match=r"only batched prompts \[B, N, \.\.\.\] have images"):
        Prompts(boxes=BOXES).image(0)
    with pytest.raises(ValueError, match="take an image of batched prompts"):
        Prompts(boxes=BOXES).batched().objects([0])


@pytest.mark.parametrize("batched", [False, True])
def test_a_row_of_nan_is_no_box(batched: bool) -> None:
    boxes = torch.stack([BOXES[0], torch.full_like(BOXES[0], torch.nan)])
    prompts, clicks = Prompts(boxes=boxes), Prompts(points=POINTS, point_labels=LABELS)
    if batched:
        prompts, clicks = prompts.batched(), clicks.batched()
    assert prompts.has_box.flatten().tolist() == [True, False]
    assert clicks.has_box.flatten().tolist() == [False, False]
    assert prompts.has_box.shape == clicks.has_box.shape == ((1, 2) if batched else (2,))
    assert Prompts().has_box.tolist() == []


def test_ragged_clicks_and_absent_boxes_are_stacked_with_padding() -> None:
    three = Prompts(torch.arange(6.0).view(1, 3, 2), torch.tensor([[1, 0, 1]]))
    box = Prompts(boxes=BOXES)
    one = Prompts(torch.ones(1, 1, 2), torch.tensor([[0]]), BOXES[:1])
    stacked = Prompts.stack([three, box, one])
    assert stacked.point_labels.tolist() == [[1, 0, 1], [-1] * 3, [-1] * 3, [0, -1, -1]]
    assert stacked.point_labels.dtype == torch.int64
    assert stacked.points[[0, 3]].tolist() == [three.points[0].tolist(), [[1.0, 1.0], [0.0, 0.0], [0.0, 0.0]]]
    assert stacked.has_box.tolist() == [False, True, False, True]
    assert torch.equal(stacked.boxes[[1, 3]], BOXES[[0, 0]])
    assert Prompts.stack([three, three]).boxes is None
    assert Prompts.stack([]).is_empty
