# Copyright (c) monai_synthfm contributors
# Licensed under the Apache License, Version 2.0 (http://www.apache.org/licenses/LICENSE-2.0).
# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import json
from itertools import product
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from monai_synthfm.prompts.volume_prompts import read_volume_prompts

SHAPE = (10, 12, 8)
AFFINE = np.array([[0.0, -2.0, 0.1, 5.0], [1.5, 0.0, 0.0, -7.0], [0.0, 0.0, 4.0, 3.0], [0.0, 0.0, 0.0, 1.0]])
VOLUME = {"affine": AFFINE, "shape": SHAPE}
voxel = st.tuples(*(st.floats(0, size - 1) for size in SHAPE))


def world(point: Any) -> np.ndarray:
    return (AFFINE @ [*point, 1.0])[:3]


@given(st.lists(st.lists(st.tuples(voxel, st.integers(0, 1)), min_size=1, max_size=4), min_size=1, max_size=3))
def test_clicks_in_voxels_world_and_lps_mean_the_same(objects: list[list[tuple[tuple[float, ...], int]]]) -> None:
    labels = [[label for _, label in clicks] for clicks in objects]
    spaces = {
        "voxel": [[list(point) for point, _ in clicks] for clicks in objects],
        "world": [[world(point).tolist() for point, _ in clicks] for clicks in objects],
        "lps": [[(world(point) * [-1, -1, 1]).tolist() for point, _ in clicks] for clicks in objects],
    }
    for space, points in spaces.items():
        prompts = read_volume_prompts(points, labels, space=space, **VOLUME)
        for n, clicks in enumerate(objects):
            given_points = np.array([point for point, _ in clicks])
            np.testing.assert_allclose(prompts.points[n, : len(clicks)], given_points, atol=1e-9)
            assert prompts.point_labels[n].tolist() == labels[n] + [-1] * (prompts.points.shape[1] - len(clicks))


@given(voxel, voxel)
def test_a_box_in_voxels_is_spanned_by_its_two_corners_in_any_order(a: Any, b: Any) -> None:
    found = read_volume_prompts(boxes=[[*a, *b]], **VOLUME).boxes[0].numpy()
    np.testing.assert_allclose(found, [*np.minimum(a, b), *np.maximum(a, b)], atol=1e-9)


TURN = np.array([[0.8, -0.6, 0.0], [0.6, 0.8, 0.0], [0.0, 0.0, 1.0]])
in_the_middle = st.tuples(st.floats(-2.5, 2.5), st.floats(-2.5, 2.5), st.floats(-8, 8))


@given(in_the_middle, in_the_middle, st.sampled_from(["world", "lps"]))
def test_a_box_in_mm_becomes_the_smallest_box_of_voxels_that_holds_it(a: Any, b: Any, space: str) -> None:
    oblique = np.eye(4)
    oblique[:3, :3] = TURN * [1.0, 2.0, 3.0]
    middle = oblique[:3, :3] @ [4.5, 5.5, 3.5]
    sign = np.array([-1, -1, 1] if space == "lps" else [1, 1, 1])
    box = [*((middle + a) * sign), *((middle + b) * sign)]
    found = read_volume_prompts(boxes=[box], space=space, affine=oblique, shape=SHAPE).boxes[0].numpy()
    corners = np.array([*product(*zip(a, b, strict=True))])
    voxels = (corners @ TURN) / [1.0, 2.0, 3.0] + [4.5, 5.5, 3.5]
    np.testing.assert_allclose(found, [*voxels.min(0), *voxels.max(0)], atol=1e-9)


def test_what_holds_a_box_in_mm_ends_where_the_volume_does() -> None:
    oblique = np.eye(4)
    oblique[:3, :3] = TURN * [1.0, 2.0, 3.0]
    ends = [oblique[:3, :3] @ end for end in ([0, 0, 0], [9, 11, 7])]
    found = read_volume_prompts(boxes=[[*ends[0], *ends[1]]], space="world", affine=oblique, shape=SHAPE).boxes[0]
    np.testing.assert_allclose(found, [-0.5, 0, 0, 9.5, 11, 7], atol=2e-3)
    beyond = oblique[:3, :3] @ [9, 11, 8]
    with pytest.raises(ValueError, match="box of object 1 lies outside the volume of 10 x 12 x 8 voxels: world"):
        read_volume_prompts(boxes=[[*ends[0], *beyond]], space="world", affine=oblique, shape=SHAPE)


@given(voxel, voxel, st.sampled_from(["world", "lps"]))
def test_in_a_straight_image_a_box_in_mm_is_that_of_its_corners(a: Any, b: Any, space: str) -> None:
    straight = np.array([[0.0, -2.0, 0.0, 5.0], [1.5, 0.0, 0.0, -7.0], [0.0, 0.0, 4.0, 3.0], [0.0, 0.0, 0.0, 1.0]])
    sign = np.array([-1, -1, 1] if space == "lps" else [1, 1, 1])
    box = [*((straight @ [*a, 1])[:3] * sign), *((straight @ [*b, 1])[:3] * sign)]
    found = read_volume_prompts(boxes=[box], space=space, affine=straight, shape=SHAPE).boxes[0].numpy()
    np.testing.assert_allclose(found, [*np.minimum(a, b), *np.maximum(a, b)], atol=1e-9)


def test_objects_may_have_clicks_or_a_box_or_both() -> None:
    prompts = read_volume_prompts(
        [[[1, 2, 3]], [], [[4, 5, 6], [7, 8, 7]]], [[1], [], [1, 0]], [[], [0, 0, 0, 3, 3, 3], None], **VOLUME
    )
    assert prompts.point_labels.tolist() == [[1, -1], [-1, -1], [1, 0]]
    assert torch.isnan(prompts.boxes).all(dim=1).tolist() == [True, False, True]


@pytest.mark.parametrize("convert", [json.dumps, np.asarray, torch.tensor, tuple])
def test_text_arrays_and_tuples_are_accepted(convert: Any) -> None:
    plain = read_volume_prompts([[[1, 2, 3]]], [[1]], [[0, 0, 0, 3, 3, 3]], **VOLUME)
    other = read_volume_prompts(convert([[[1, 2, 3]]]), convert([[1]]), convert([[0, 0, 0, 3, 3, 3]]), **VOLUME)
    for name in ("points", "point_labels", "boxes"):
        torch.testing.assert_close(getattr(plain, name), getattr(other, name))


def numpy_scalars(value: Any) -> Any:
    if isinstance(value, list):
        return [numpy_scalars(item) for item in value]
    return np.int64(value) if isinstance(value, int) else np.float32(value)


@pytest.mark.parametrize(
    "convert",
    [numpy_scalars, lambda value: [np.array(item) for item in value], lambda value: [torch.tensor(value[0])]],
    ids=["scalars", "list of arrays", "list of tensors"],
)
def test_numbers_of_numpy_and_torch_are_numbers(convert: Any) -> None:
    points, labels, boxes = [[[1, 2.5, 3], [4, 5, 6]]], [[1, 0]], [[0, 0, 0.5, 3, 3, 3]]
    plain = read_volume_prompts(points, labels, boxes, **VOLUME)
    other = read_volume_prompts(convert(points), convert(labels), convert(boxes), **VOLUME)
    for name in ("points", "point_labels", "boxes"):
        torch.testing.assert_close(getattr(plain, name), getattr(other, name))
    with pytest.raises(ValueError, match="must be finite numbers"):
        read_volume_prompts(convert([[[1, 2, float("nan")]]]), [[1]], **VOLUME)


def test_a_volume_of_one_slice_takes_two_coordinates() -> None:
    prompts = read_volume_prompts([[[1, 2]]], [[1]], [[0, 1, 3, 4]], affine=AFFINE, shape=(10, 12, 1))
    assert prompts.points.tolist() == [[[1, 2, 0]]]
    assert prompts.boxes.tolist() == [[0, 1, 0, 3, 4, 0]]


CLICK = [[[1, 2, 3]]]
WRONG = {
    "nothing": ((None, None, None), "nothing is prompted: give points with point_labels, boxes, or a mask."),
    "no labels": ((CLICK, None, None), "points and point_labels must be given together."),
    "no points": ((None, [[1]], None), "points and point_labels must be given together."),
    "no objects": (([], [], None), "points must be a list with one entry for each object, got []."),
    "number": ((5, [[1]], None), "points must be a list with one entry for each object, got 5."),
    "bad text": (
        ("[[[1, 2, 3]]", [[1]], None),
        "points: '[[[1, 2, 3]]' is not a JSON list (Expecting ',' delimiter: line 1 column 13 (char 12)).",
    ),
    "one level short": (
        ([[1, 2, 3]], [[1]], None),
        "points of object 1 must be a list of clicks [x, y, z], got [1, 2, 3].",
    ),
    "two coordinates": (
        ([[[1, 2]]], [[1]], None),
        "points of object 1: a click must be finite numbers [x, y, z], got [1, 2].",
    ),
    "not a number": (
        ([[[1, 2, "a"]]], [[1]], None),
        "points of object 1: a click must be finite numbers [x, y, z], got [1, 2, 'a'].",
    ),
    "nan": (
        ([[[1, 2, float("nan")]]], [[1]], None),
        "points of object 1: a click must be finite numbers [x, y, z], got [1, 2, nan].",
    ),
    "objects of points and labels": (
        (CLICK, [[1], [1]], None),
        "all prompts must speak of the same objects, got {'points': 1, 'point_labels': 2}.",
    ),
    "objects of points and boxes": (
        (CLICK, [[1]], [[], [0, 0, 0, 1, 1, 1]]),
        "all prompts must speak of the same objects, got {'points': 1, 'point_labels': 1, 'boxes': 2}.",
    ),
    "labels of an object": (
        (CLICK, [[1, 0]], None),
        "point_labels of object 1 must be a list of 1 labels, as many as clicks, got [1, 0].",
    ),
    "flat labels": (
        (CLICK, [1], None),
        "point_labels of object 1 must be a list of 1 labels, as many as clicks, got 1.",
    ),
    "label value": ((CLICK, [[2]], None), "point_labels of object 1 must be 1 (positive) or 0 (negative), got [2]."),
    "padding label": (
        (CLICK, [[-1]], None),
        "point_labels of object 1 must be 1 (positive) or 0 (negative), got [-1].",
    ),
    "box of four": (
        (None, None, [[0, 0, 1, 1]]),
        "boxes: the box of object 1 must be finite numbers [x0, y0, z0, x1, y1, z1], got [0, 0, 1, 1].",
    ),
    "flat box": (
        (None, None, [0, 0, 0, 1, 1, 1]),
        "boxes: the box of object 1 must be finite numbers [x0, y0, z0, x1, y1, z1], got 0.",
    ),
    "empty object": (([[[1, 2, 3]], []], [[1], []], None), "object 2 has neither a click, nor a box, nor a mask."),
    "click outside": (
        ([[[1, 2, 3], [10, 2, 3]]], [[1, 0]], None),
        "click 2 of object 1 lies outside the volume of 10 x 12 x 8 voxels: voxel [10.0, 2.0, 3.0].",
    ),
    "negative click": (
        ([[[-1, 2, 3]]], [[1]], None),
        "click 1 of object 1 lies outside the volume of 10 x 12 x 8 voxels: voxel [-1.0, 2.0, 3.0].",
    ),
    "box outside": (
        (None, None, [[0, 0, 0, 9, 11, 8]]),
        "box of object 1 lies outside the volume of 10 x 12 x 8 voxels: voxel [9.0, 11.0, 8.0].",
    ),
}


@pytest.mark.parametrize("name", WRONG)
def test_wrong_prompts_give_one_message(name: str) -> None:
    arguments, message = WRONG[name]
    with pytest.raises(ValueError) as caught:  # noqa: PT011
        read_volume_prompts(*arguments, **VOLUME)
    assert str(caught.value) == message


@pytest.mark.parametrize(
    ("masked", "clicks", "found", "values", "last"),
    [
        ([255], [[[1, 2, 3]]], "the mask shows object 255, but the other prompts speak of 1 objects", "255", 255),
        ([255], None, "object 1 has neither a click, nor a box, nor a mask", "255", 255),
        ([9, 1, 2, 4, 5, 6], None, "object 3 has neither a click, nor a box, nor a mask", "1, 2, 4, 5, 6, ...", 9),
    ],
)
def test_a_mask_whose_values_do_not_count_objects_is_named_by_them(
    masked: list[int], clicks: Any, found: str, values: str, last: int
) -> None:
    with pytest.raises(ValueError) as caught:  # noqa: PT011
        read_volume_prompts(clicks, None if clicks is None else [[1]], masked=masked, **VOLUME)
    assert str(caught.value) == (
        f"{found}; the mask holds 0 and {values}, where value n is object n, so that {last} is object {last}: "
        "count from 1."
    )


def test_world_prompts_outside_are_reported_in_both_spaces() -> None:
    with pytest.raises(ValueError) as caught:  # noqa: PT011
        read_volume_prompts([[world([2, 3, 20]).tolist()]], [[1]], space="world", **VOLUME)
    assert str(caught.value) == (
        "click 1 of object 1 lies outside the volume of 10 x 12 x 8 voxels: "
        "world [1.0, -4.0, 83.0] = voxel [2.0, 3.0, 20.0]."
    )


def test_unknown_space_is_refused() -> None:
    with pytest.raises(ValueError, match="space must be one of voxel, world, lps, got 'mm'"):
        read_volume_prompts(CLICK, [[1]], space="mm", **VOLUME)
