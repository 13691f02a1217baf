# Copyright (c) monai_synthfm contributors
# Licensed under the Apache License, Version 2.0 (http://www.apache.org/licenses/LICENSE-2.0).
# SPDX-License-Identifier: Apache-2.0
"""Negative clicks in the middle of a carried mask, which say that the object is not on that slice."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from monai.data import MetaTensor

from monai_synthfm.inferers import InteractiveSession, MemoryPropagation, VolumeInferer
from monai_synthfm.inferers.session.ends import is_deep
from monai_synthfm.networks import Promptable
from tests.inferers.level_segmenter import LevelSegmenter
from tests.inferers.region_grower import RegionGrower
from tests.inferers.session.test_corrections import BOX, INSIDE, OUTSIDE, on_slice, session_of, without_session
from tests.inferers.session.test_interactive_session import A, bright, labels, only
from tests.inferers.test_pinned_session import SHAPE
from tests.networks.upstream_sam2 import build_upstream, same_weights

MIDDLE, BELOW = [6, 7, 9], [6, 7, 5]
"""In the middle of the masks that the box on slice 7 brings to slices 9 and 5."""
NOTHING = np.zeros(SHAPE, np.uint8)


@given(st.sets(st.tuples(st.integers(0, 4), st.integers(0, 5)), min_size=1), st.data())
def test_a_click_is_deep_when_it_is_about_as_far_from_the_outside_as_any_pixel(
    pixels: set, data: st.DataObject
) -> None:
    mask = torch.zeros(5, 6, dtype=torch.bool)
    for row, column in pixels:
        mask[row, column] = True

    def distance(row: int, column: int) -> float:
        outside = [(r, c) for r in range(-1, 6) for c in range(-1, 7) if (r, c) not in pixels]
        return min(np.hypot(row - r, column - c) for r, c in outside)

    x, y = data.draw(st.tuples(st.sampled_from([-0.5, 0, 1, 2.3, 3.6, 5.5]), st.sampled_from([-0.5, 0, 1.4, 3, 4.5])))
    pixel = min(4, max(0, round(y))), min(5, max(0, round(x)))
    expected = distance(*pixel) / max(distance(*other) for other in pixels)
    assert is_deep(mask, torch.tensor([[x, y]])) == (expected >= 0.85)


@pytest.mark.parametrize(("x", "share"), [(10.0, 11 / 11), (9.0, 10 / 11), (8.0, 9 / 11)])
def test_a_click_may_lie_a_little_beside_the_middle(x: float, share: float) -> None:
    assert is_deep(torch.ones(21, 21, dtype=torch.bool), torch.tensor([[x, 10.0]])) == (share >= 0.85)


@pytest.mark.parametrize("first", [(0.0, 0.0), (3.0, 3.0)])
def test_one_deep_click_among_others_is_enough(first: tuple[float, float]) -> None:
    mask = torch.ones(7, 7, dtype=torch.bool)
    assert is_deep(mask, torch.tensor([first, (6.0, 1.0)])) == (first == (3.0, 3.0))


@pytest.mark.parametrize(("place", "left"), [(MIDDLE, range(9)), (BELOW, range(6, 15))])
def test_a_click_in_the_middle_ends_the_object_before_its_slice_and_undo_brings_it_back(
    place: list[int], left: range
) -> None:
    session = session_of()
    session.add_box(BOX)
    shown = labels(session).copy()
    assert all(shown[..., z].any() for z in (place[2], place[2] + np.sign(place[2] - 7)))
    session.add_points([place], [0])
    expected = sum(on_slice(shown, z) for z in left)
    np.testing.assert_array_equal(labels(session), expected)
    np.testing.assert_array_equal(without_session(session, [place], [0], NOTHING), expected)
    session.undo()
    np.testing.assert_array_equal(labels(session), shown)


def test_a_box_around_the_object_ends_it_on_both_sides_until_a_click_beyond() -> None:
    session = session_of()
    session.add_box(BOX)
    assert {z for z in range(SHAPE[2]) if labels(session)[..., z].any()} > {5, 6, 7, 8, 9}
    session.add_box([*BOX[:2], 6, *BOX[3:5], 8])
    assert {z for z in range(SHAPE[2]) if labels(session)[..., z].any()} == {6, 7, 8}
    session.add_points([MIDDLE], [1])
    assert {z for z in range(SHAPE[2]) if labels(session)[..., z].any()} >= {6, 7, 8, 9, 10}
    assert not labels(session)[..., 5].any()


def test_an_object_ends_on_both_sides() -> None:
    session = session_of()
    session.add_box(BOX)
    shown = labels(session).copy()
    session.add_points([MIDDLE], [0])
    session.add_points([BELOW], [0])
    np.testing.assert_array_equal(labels(session), sum(on_slice(shown, z) for z in (6, 7, 8)))


def test_the_other_objects_stay() -> None:
    session = InteractiveSession(RegionGrower(), axis=2, modality="mr")
    session.set_image(MetaTensor(torch.from_numpy(bright())[None], affine=torch.eye(4)))
    for number, place in ((1, [4, 5, 4]), (2, [11, 7, 4])):
        session.add_points([place], [1], object_id=number)
    shown = labels(session).copy()
    assert (shown == 1)[..., 6:].any()
    session.add_points([[4, 5, 6]], [0], object_id=1)
    np.testing.assert_array_equal(labels(session) == 2, shown == 2)
    np.testing.assert_array_equal(labels(session)[..., :6], shown[..., :6])
    assert not (labels(session) == 1)[..., 6:].any()


@pytest.mark.parametrize("order", [1, -1])
def test_a_positive_click_there_makes_both_clicks_correct_the_mask(order: int) -> None:
    session = session_of()
    session.add_box(BOX)
    shown = labels(session).copy()
    clicks, kinds = [MIDDLE, INSIDE][::order], [0, 1][::order]
    for click, label in zip(clicks, kinds, strict=True):
        session.add_points([click], [label])
    assert labels(session)[..., 9].any()
    np.testing.assert_array_equal(labels(session), without_session(session, clicks, kinds, on_slice(shown, 9)))


@pytest.mark.parametrize("order", [1, -1])
def test_a_mask_there_makes_the_click_correct_it(order: int) -> None:
    session = session_of()
    session.add_box(BOX)
    known = np.zeros(SHAPE, np.uint8)
    known[5:10, 6:10, 9] = 1
    for say in [lambda: session.add_points([MIDDLE], [0]), lambda: session.add_mask(known)][::order]:
        say()
    np.testing.assert_array_equal(labels(session), without_session(session, [MIDDLE], [0], known))


def test_a_box_there_makes_the_click_count_with_it() -> None:
    session, anew = session_of(), session_of()
    session.add_points([[7, 8, 7]], [1])
    deep = _deepest(labels(session)[..., 9])
    session.add_points([[*deep, 9]], [0])
    assert not labels(session)[..., 9].any()
    session.add_box([3, 4, 9, 11, 12, 9])
    anew.set_prompts([[[7, 8, 7], [*deep, 9]]], [[1, 0]], [[3, 4, 9, 11, 12, 9]])
    assert labels(session)[..., 9].any()
    np.testing.assert_array_equal(labels(session), labels(anew))


def test_further_negative_clicks_leave_the_object_ended_in_any_order() -> None:
    clicks = [MIDDLE, INSIDE, OUTSIDE]
    found = []
    for order in (clicks, clicks[::-1]):
        session = session_of()
        session.add_box(BOX)
        shown = labels(session).copy()
        for click in order:
            session.add_points([click], [0])
        found.append(labels(session))
        np.testing.assert_array_equal(found[-1], sum(on_slice(shown, z) for z in range(9)))


def test_a_click_that_nothing_reached_yet_waits_and_ends_what_comes() -> None:
    session = session_of()
    session.add_points([MIDDLE], [0])
    session.add_points([[20, 1, 12]], [0])
    assert not labels(session).any()
    session.add_box(BOX)
    alone = session_of()
    alone.add_box(BOX)
    np.testing.assert_array_equal(labels(session), sum(on_slice(labels(alone), z) for z in range(9)))
    assert session.inference_arguments()[0]["points"] == [[MIDDLE]]


@pytest.mark.parametrize("kind", ["points", "prompts"])
def test_what_is_said_at_once_at_first_says_what_it_says_without_a_session(kind: str) -> None:
    session = session_of()
    clicks = [[7, 8, 7], INSIDE]
    if kind == "points":
        session.add_points(clicks, [1, 0])
    else:
        session.set_prompts([clicks], [[1, 0]])
    alone = session_of()
    alone.add_points(clicks[:1], [1])
    assert labels(alone)[..., 9:].any()
    np.testing.assert_array_equal(labels(session), sum(on_slice(labels(alone), z) for z in range(9)))


def test_at_a_glance_the_slice_shows_nothing_of_the_object() -> None:
    session, at_once = session_of(at_once=False), session_of()
    session.add_box(BOX)
    at_once.add_box(BOX)
    session.carry()
    carried = labels(session).copy()
    for one in (session, at_once):
        one.add_points([MIDDLE], [0])
    assert session.outdated == {1}
    np.testing.assert_array_equal(labels(session), carried - on_slice(carried, 9))
    session.carry()
    np.testing.assert_array_equal(labels(session), labels(at_once))


def test_a_click_that_is_left_alone_shows_nothing() -> None:
    session = session_of(at_once=False)
    session.add_box(BOX)
    session.carry()
    session.add_points([MIDDLE], [0])
    session.remove(session.interactions[0].serial)
    session.carry()
    assert not labels(session).any()
    session.undo()
    assert labels(session)[..., 7].any()
    assert not labels(session)[..., 9].any()


def test_records_and_inference_bring_the_same() -> None:
    session, loaded, again = session_of(), session_of(), session_of()
    session.add_box(BOX)
    for click, label in ((BELOW, 0), (INSIDE, 0), ([20, 1, 1], 0), ([6, 7, 10], 1), ([8, 9, 8], 1)):
        session.add_points([click], [label])
    loaded.load_state_dict(json.loads(json.dumps(session.state_dict())))
    arguments, mask = session.inference_arguments()
    assert arguments["point_labels"] == [[0, 0, 1, 1]]
    assert not mask[..., 5].any()
    again.set_prompts(*(arguments[name] for name in ("points", "point_labels", "boxes")), mask=mask)
    inferred = without_session(session, arguments["points"][0], arguments["point_labels"][0], mask)
    assert labels(session).any()
    assert not labels(session)[..., :6].any()
    for found in (labels(loaded), labels(again), inferred):
        np.testing.assert_array_equal(found, labels(session))


def test_another_size_is_that_of_the_prompt_before_and_the_end_stays() -> None:
    session = InteractiveSession(LevelSegmenter(), axis=2, modality="mr")
    session.set_image(MetaTensor(torch.from_numpy(bright())[None], affine=torch.eye(4)))
    session.add_points([[4, 5, 4]], [1])
    session.add_points([[4, 5, 7]], [0])
    expected = only(A)
    expected[..., 7:] = False
    np.testing.assert_array_equal(labels(session), expected)
    session.resize("smaller")
    expected[..., 4] = False
    expected[3:6, 4:7, 4] = True
    np.testing.assert_array_equal(labels(session), expected)


@pytest.mark.parametrize("label", [1, 0])
def test_networks_with_a_memory_end_objects_too(label: int) -> None:
    torch.manual_seed(0)
    network: Promptable = same_weights(build_upstream("2.1"), "2.1")
    image = MetaTensor(torch.rand(1, 20, 24, 6), affine=torch.eye(4))
    session = InteractiveSession(network, axis=2, modality="mr")
    assert isinstance(session.propagation, MemoryPropagation)
    session.set_image(image)
    session.add_points([[9, 9, 2]], [1])
    place = [*_deepest(labels(session)[..., 4]), 4]
    session.add_points([place], [label])
    clicks, kinds = torch.tensor([[[[9.0, 9, 2], place]]]), torch.tensor([[[1, label]]])
    assert labels(session)[..., 4:].any() == (label == 1)
    if not label:
        found = VolumeInferer()(_grey(session), network, clicks, kinds)[0, 0]
        assert found.any()
        np.testing.assert_array_equal(labels(session), np.asarray(found))


def _grey(session: InteractiveSession) -> MetaTensor:
    return MetaTensor(session._ready().slices.volume[None], affine=session.image.affine)


def _deepest(mask: np.ndarray) -> list[int]:
    inside = np.pad(mask > 0, 1)
    rows = np.argwhere(~inside)
    best = max(np.argwhere(inside), key=lambda pixel: np.hypot(*(rows - pixel).T).min())
    return [int(value) - 1 for value in best]


def test_a_deep_click_on_another_tissue_speaks_of_this_tissue_alone() -> None:
    mask = torch.zeros(21, 21, dtype=torch.bool)
    mask[2:19, 2:19] = True
    picture = torch.where(mask, 0.7, 0.3)[None]
    middle, aside = torch.tensor([[10.0, 10.0]]), torch.tensor([[11.0, 10.0]])
    assert is_deep(mask, middle, picture)
    picture[:, 7:14, 7:14] = 0.2
    assert is_deep(mask, middle)
    assert not is_deep(mask, torch.cat([middle, aside]), picture)
