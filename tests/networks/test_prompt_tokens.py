# Copyright (c) monai_synthfm contributors
# Licensed under the Apache License, Version 2.0 (http://www.apache.org/licenses/LICENSE-2.0).
# SPDX-License-Identifier: Apache-2.0
"""Tokens of many objects at once, against segment-anything's prompt encoder with one object at a time."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from monai.data import MetaTensor
from segment_anything.modeling import PromptEncoder

from monai_synthfm.networks.prompt_tokens import PromptTokens, embed_tokens
from monai_synthfm.prompts import Prompts

CPU = torch.device("cpu")
SCALE = (0.5, 2.0)
CLICKS, OBJECTS = 3, 4
COORDINATE = st.floats(0, 40, width=16)
CLICK = st.tuples(COORDINATE, COORDINATE, st.sampled_from([-1, 0, 1]))
BOX = st.none() | st.tuples(*[COORDINATE] * 4).map(lambda c: [*map(min, c[:2], c[2:]), *map(max, c[:2], c[2:])])
OBJECT = st.tuples(st.lists(CLICK, min_size=CLICKS, max_size=CLICKS), BOX)


@pytest.fixture(scope="module")
def encoder() -> PromptEncoder:
    """Of an input that is wider than high, so that the axes cannot be mixed up."""
    torch.manual_seed(0)
    return PromptEncoder(embed_dim=16, image_embedding_size=(4, 6), input_image_size=(64, 96), mask_in_chans=4)


def batched(objects: list, images: int = 2) -> Prompts:
    """Prompts of objects shared out between images; padding clicks lie nowhere."""
    clicks = torch.tensor([item[0] for item in objects])
    points = torch.where(clicks[..., 2:] < 0, torch.nan, clicks[..., :2])
    boxes = torch.tensor([[torch.nan] * 4 if item[1] is None else item[1] for item in objects])
    shared = (images, len(objects) // images)
    return Prompts(points.unflatten(0, shared), clicks[..., 2].long().unflatten(0, shared), boxes.unflatten(0, shared))


def upstream_tokens(encoder: PromptEncoder, clicks: list, box: list[float] | None) -> torch.Tensor:
    """What segment-anything makes of one object, [t, C]."""
    scale = torch.tensor(SCALE)
    rows = torch.tensor([click for click in clicks if click[2] >= 0]).reshape(-1, 3)
    points = (rows[None, :, :2] * scale, rows[None, :, 2]) if len(rows) else None
    boxes = None if box is None else (torch.tensor(box).reshape(2, 2) * scale).reshape(1, 4)
    return encoder(points, boxes, None)[0][0]


@settings(max_examples=60)
@given(st.lists(OBJECT, min_size=OBJECTS, max_size=OBJECTS), st.integers(1, OBJECTS))
def test_tokens_of_any_objects_are_upstreams(encoder: PromptEncoder, objects: list, size: int) -> None:
    tokens = PromptTokens.from_prompts(batched(objects), SCALE, CPU)
    seen = []
    with torch.no_grad():
        for index, coords, labels in tokens.chunks(size):
            assert 1 <= len(index) <= size
            seen += index.tolist()
            for n, found in zip(index.tolist(), embed_tokens(encoder, coords, labels), strict=True):
                expected = upstream_tokens(encoder, *objects[n])
                torch.testing.assert_close(found, expected, atol=1e-5, rtol=1e-5)
    assert sorted(seen) == list(range(OBJECTS))


@pytest.mark.parametrize(
    ("clicks", "box", "labels"),
    [
        ([(1, 1, 1), (2, 2, 0), (0, 0, -1)], None, [1, 0, -1]),
        ([(0, 0, -1), (2, 2, 0), (0, 0, -1)], [1.0, 1, 5, 5], [0, 2, 3]),
        ([(0, 0, -1)] * 3, [1.0, 1, 5, 5], [2, 3]),
        ([(0, 0, -1)] * 3, None, []),
    ],
    ids=["clicks", "click and box", "box", "nothing"],
)
def test_clicks_come_first_and_padding_stands_for_the_box(clicks: list, box: list | None, labels: list[int]) -> None:
    ((index, coords, found),) = PromptTokens.from_prompts(batched([(clicks, box)], 1), SCALE, CPU).chunks(8)
    assert (index.tolist(), found.tolist()) == ([0], [labels])
    assert coords.shape == (1, len(labels), 2)
    assert coords.isfinite().all()


def test_coordinates_are_scaled_axis_by_axis() -> None:
    ((_, coords, _),) = PromptTokens.from_prompts(batched([([(8, 3, 1)] * 3, [2.0, 4, 6, 8])], 1), SCALE, CPU).chunks(1)
    assert coords.tolist() == [[[4.0, 6.0]] * 3 + [[1.0, 8.0], [3.0, 16.0]]]


def test_objects_of_a_mask_alone_have_no_token() -> None:
    tokens = PromptTokens.from_prompts(Prompts(masks=torch.zeros(2, 3, 1, 8, 8)), SCALE, CPU)
    assert not tokens.used.any()
    ((index, coords, labels),) = tokens.chunks(9)
    assert (index.tolist(), coords.shape, labels.shape) == ([0, 1, 2, 3, 4, 5], (6, 0, 2), (6, 0))


def test_position_encoding_is_not_rounded_by_autocast(encoder: PromptEncoder) -> None:
    coords, labels = torch.tensor([[[93.7, 61.3], [0.2, 40.9]]]), torch.tensor([[1, 0]])
    with torch.no_grad():
        expected = embed_tokens(encoder, coords, labels)
        with torch.autocast("cpu", torch.bfloat16):
            assert torch.equal(embed_tokens(encoder, coords, labels), expected)


def test_metadata_and_precision_of_the_prompts_are_left_behind() -> None:
    given = batched([([(8, 3, 1)] * 3, [2.0, 4, 6, 8])], 1)
    meta = Prompts(MetaTensor(given.points.double()), MetaTensor(given.point_labels), MetaTensor(given.boxes.double()))
    tokens = PromptTokens.from_prompts(meta, SCALE, CPU)
    assert {type(value) for value in (tokens.coords, tokens.labels, tokens.used)} == {torch.Tensor}
    assert (tokens.coords.dtype, tokens.labels.dtype) == (torch.float32, torch.int64)


@pytest.mark.parametrize(
    ("prompts", "message"),
    [
        (Prompts(), "nothing is prompted"),
        (Prompts(boxes=torch.zeros(2, 0, 4)), "nothing is prompted"),
        (Prompts(torch.zeros(1, 1, 1, 3), torch.ones(1, 1, 1)), r"a 2D network takes points as \(x, y\)"),
        (Prompts(boxes=torch.zeros(1, 1, 6)), r"boxes as \(x0, y0, x1, y1\)"),
    ],
)
def test_what_is_no_prompt_of_a_picture_is_refused(prompts: Prompts, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        PromptTokens.from_prompts(prompts, SCALE, CPU)
