# Copyright (c) monai_synthfm contributors
# Licensed under the Apache License, Version 2.0 (http://www.apache.org/licenses/LICENSE-2.0).
# SPDX-License-Identifier: Apache-2.0
"""Clicks on slices that an object was only carried to, which correct the mask that is shown there."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from monai.data import MetaTensor

from monai_synthfm.inferers import InteractiveSession, MaskPropagation, VolumeInferer
from monai_synthfm.inferers.propagation.propagation import SliceMasks
from monai_synthfm.prompts.slice_prompts import SlicePrompts
from monai_synthfm.slices.sliced_volume import SlicedVolume
from tests.inferers.region_grower import RegionGrower
from tests.inferers.session.test_interactive_session import labels
from tests.inferers.test_pinned_session import SHAPE, lumpy

BOX = [3, 4, 7, 11, 12, 7]
INSIDE, OUTSIDE = [4, 6, 9], [12, 12, 9]
"""Where the object is on a slice that it is carried to from the box, and where it is not."""


class Counted(MaskPropagation):
    """Counts how often it is called for more than one slice."""

    carries = 0

    def __call__(
        self, slices: SlicedVolume, prompts: Mapping[int, SlicePrompts], direction: str, slice_range: range
    ) -> Iterator[SliceMasks]:
        self.carries += direction != "none"
        return super().__call__(slices, prompts, direction, slice_range)


def session_of(image: MetaTensor | None = None, **given: Any) -> InteractiveSession:
    session = InteractiveSession(RegionGrower(), axis=2, modality="mr", propagation=Counted(), **given)
    session.set_image(lumpy() if image is None else image)
    return session


def without_session(session: InteractiveSession, clicks: list[list[int]], kinds: list[int], known: Any) -> np.ndarray:
    """What the box, clicks and a known mask [X, Y, Z] give, by a carrying that knows no order."""
    grey = session._objects.volume.slices.volume
    found = VolumeInferer(MaskPropagation())(
        MetaTensor(grey[None], affine=lumpy().affine),
        RegionGrower(),
        torch.tensor([[clicks]], dtype=torch.float32),
        torch.tensor([[kinds]]),
        torch.tensor([[BOX]], dtype=torch.float32),
        torch.as_tensor(known).to(torch.uint8)[None, None],
        axis=2,
    )
    return np.asarray(found[0, 0])


def on_slice(mask: np.ndarray, index: int) -> np.ndarray:
    only = np.zeros_like(mask)
    only[..., index] = mask[..., index]
    return only


@pytest.mark.parametrize(("place", "label"), [(INSIDE, 1), (INSIDE, 0), (OUTSIDE, 1), (OUTSIDE, 0)])
def test_a_click_gives_what_the_mask_shown_there_and_the_click_give(place: list[int], label: int) -> None:
    session = session_of()
    session.add_box(BOX)
    shown = labels(session).copy()
    assert shown[..., place[2]].sum() > 9
    session.add_points([place], [label])
    np.testing.assert_array_equal(
        labels(session), without_session(session, [place], [label], on_slice(shown, place[2]))
    )
    if label:
        anew = without_session(session, [place], [label], np.zeros(SHAPE))
        assert (labels(session) != anew).any()


@pytest.mark.parametrize("first", [0, 1])
def test_later_clicks_on_the_slice_correct_the_same_mask(first: int) -> None:
    session = session_of()
    session.add_box(BOX)
    shown, clicks = labels(session).copy(), [INSIDE, OUTSIDE, [8, 9, 9]]
    for click, label in zip(clicks, (first, 1 - first, 1), strict=True):
        session.add_points([click], [label])
    expected = without_session(session, clicks, [first, 1 - first, 1], on_slice(shown, 9))
    np.testing.assert_array_equal(labels(session), expected)


def test_each_correction_is_of_what_the_one_before_brought() -> None:
    session = session_of()
    session.add_box(BOX)
    nearer = labels(session).copy()
    session.add_points([INSIDE], [0])
    farther = labels(session).copy()
    assert (nearer[..., 10] != farther[..., 10]).any()
    session.add_points([[6, 7, 10]], [1])
    known = on_slice(nearer, 9) + on_slice(farther, 10)
    np.testing.assert_array_equal(labels(session), without_session(session, [INSIDE, [6, 7, 10]], [0, 1], known))


def test_a_positive_click_where_the_object_was_not_carried_to_begins_anew() -> None:
    session = session_of()
    session.add_box(BOX)
    empty = next(z for z in range(SHAPE[2]) if not labels(session)[..., z].any())
    place = [6, 7, empty]
    session.add_points([place], [1])
    np.testing.assert_array_equal(labels(session), without_session(session, [place], [1], np.zeros(SHAPE)))


def test_a_box_given_later_counts_instead_of_the_mask_that_was_corrected() -> None:
    session, anew = session_of(), session_of()
    session.add_points([[7, 8, 7]], [1])
    session.add_points([INSIDE], [0])
    session.add_box([3, 4, 9, 11, 12, 9])
    anew.set_prompts([[[7, 8, 7], INSIDE]], [[1, 0]], [[3, 4, 9, 11, 12, 9]])
    np.testing.assert_array_equal(labels(session), labels(anew))


def test_each_click_costs_one_carry_and_the_way_back_none() -> None:
    session = session_of()
    session.add_box(BOX)
    clicks = [(INSIDE, 1), (OUTSIDE, 0), ([7, 8, 5], 0), ([8, 9, 10], 1), ([3, 3, 7], 0), ([20, 1, 1], 0)]
    for count, (click, label) in enumerate(clicks, 2):
        session.add_points([click], [label])
        assert session.propagation.carries == count
    for _ in clicks:
        session.undo()
    for _ in clicks:
        session.redo()
    assert session.propagation.carries == len(clicks) + 1


def test_a_record_brings_the_same_with_one_carry_for_each_slice_that_was_corrected() -> None:
    session, later = session_of(), session_of()
    session.add_box(BOX)
    for click, label in ((INSIDE, 1), (OUTSIDE, 0), ([7, 8, 5], 0), ([8, 9, 5], 1), ([8, 9, 7], 1)):
        session.add_points([click], [label])
    later.load_state_dict(json.loads(json.dumps(session.state_dict())))
    np.testing.assert_array_equal(labels(later), labels(session))
    # before the first click on slice 9, before the first and the second on 5, where one is negative, and all
    assert later.propagation.carries == 3
    assert later.state_dict() == session.state_dict()


def test_what_is_forgotten_is_carried_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("monai_synthfm.inferers.session.shown_objects._CAPACITY", 0)
    session, remembering = session_of(), session_of()
    for one in (session, remembering):
        one.add_box(BOX)
        for click, label in ((INSIDE, 1), ([7, 8, 5], 0), ([8, 9, 10], 1)):
            one.add_points([click], [label])
        monkeypatch.undo()
    session.remove(session.interactions[2].serial)
    remembering.remove(remembering.interactions[2].serial)
    np.testing.assert_array_equal(labels(session), labels(remembering))


SAID_AT_ONCE = {"points": [[[7, 8, 7], INSIDE, [7, 8, 5]]], "point_labels": [[1, 1, 1]]}


def test_prompts_of_one_call_do_not_correct_each_other() -> None:
    together, split, mixed = session_of(), session_of(), session_of()
    together.add_points(*(given[0] for given in SAID_AT_ONCE.values()))
    split.set_prompts(**SAID_AT_ONCE)
    assert len(split.interactions) == 3
    grey = together._objects.volume.slices.volume
    given = [torch.tensor([values]) for values in SAID_AT_ONCE.values()]
    image = MetaTensor(grey[None], affine=lumpy().affine)
    expected = VolumeInferer(MaskPropagation())(image, RegionGrower(), given[0].float(), given[1], axis=2)[0, 0]
    for session in (together, split):
        np.testing.assert_array_equal(labels(session), np.asarray(expected))
    for click in SAID_AT_ONCE["points"][0]:
        mixed.add_points([click], [1])
    assert (labels(mixed) != labels(split)).any()
    later = session_of()
    later.load_state_dict(json.loads(json.dumps(split.state_dict())))
    np.testing.assert_array_equal(labels(later), labels(split))
    earlier = json.loads(json.dumps(split.state_dict()))
    assert all(entry.pop("step") == 0 for entry in earlier["interactions"])  # as in records before there were steps
    later.load_state_dict(earlier)
    np.testing.assert_array_equal(labels(later), labels(mixed))


def test_steps_of_a_record_do_not_mix_with_those_before_it() -> None:
    session, fresh, other = session_of(), session_of(), session_of()
    other.add_box(BOX)
    state = other.state_dict()
    for one in (session, fresh):
        one.add_points([[7, 8, 7]], [1])
    session.load_state_dict(state)
    session.undo()
    with pytest.raises(ValueError, match="slice_range"):
        session.load_state_dict({**state, "slice_range": [0, 99]})
    for one in (session, fresh):
        one.add_points([INSIDE], [1])
    np.testing.assert_array_equal(labels(session), labels(fresh))
    corrected = labels(session).copy()
    session.load_state_dict(state)
    other.add_points([INSIDE], [1])
    session.add_points([INSIDE], [1])
    np.testing.assert_array_equal(labels(session), labels(other))
    session.undo()
    session.undo()
    np.testing.assert_array_equal(labels(session), corrected)


@pytest.mark.parametrize("fails", [False, True])
def test_a_record_that_cannot_be_loaded_ends_no_step(fails: bool) -> None:
    session, anew = session_of(at_once=False), session_of()
    state = {**session_of().state_dict(), "slice_range": [0, 99]}
    for click in SAID_AT_ONCE["points"][0]:
        session.add_points([click], [1])
        if fails:
            with pytest.raises(ValueError, match="slice_range"):
                session.load_state_dict(state)
    session.carry()
    anew.set_prompts(**SAID_AT_ONCE)
    np.testing.assert_array_equal(labels(session), labels(anew))


def test_what_is_left_of_one_call_still_is_said_at_once() -> None:
    session, anew = session_of(), session_of()
    session.set_prompts(**SAID_AT_ONCE)
    session.remove(session.interactions[0].serial)
    anew.add_points(SAID_AT_ONCE["points"][0][1:], [1, 1])
    np.testing.assert_array_equal(labels(session), labels(anew))
    for one in (session, anew):
        one.add_points([[6, 7, 10]], [0])
    np.testing.assert_array_equal(labels(session), labels(anew))


def test_what_clicks_show_at_a_glance_is_what_is_carried_then() -> None:
    session = session_of(at_once=False)
    session.add_box(BOX)
    session.carry()
    carried = labels(session).copy()
    clicks, kinds = [INSIDE, [8, 6, 10], OUTSIDE], [1, 0, 0]
    for click, label in zip(clicks, kinds, strict=True):
        session.add_points([click], [label])
    assert session.outdated == {1}
    expected = without_session(session, clicks, kinds, on_slice(carried, 9) + on_slice(carried, 10))
    for z in range(SHAPE[2]):
        np.testing.assert_array_equal(labels(session)[..., z], (expected if z in (7, 9, 10) else carried)[..., z])
    told: list[tuple[int, int]] = []
    session.carry(progress=lambda *done: not told.append(done))
    np.testing.assert_array_equal(labels(session), expected)
    assert {total for _, total in told} == {SHAPE[2]}  # all clicks cost one way through the volume


def test_clicks_on_many_slices_before_the_first_carry_do_not_correct_each_other() -> None:
    session, anew = session_of(at_once=False), session_of()
    for click in SAID_AT_ONCE["points"][0]:
        session.add_points([click], [1])
    shown = labels(session).copy()
    session.carry()
    for z in (5, 7, 9):
        assert shown[..., z].any()
        np.testing.assert_array_equal(labels(session)[..., z], shown[..., z])
    anew.set_prompts(**SAID_AT_ONCE)
    np.testing.assert_array_equal(labels(session), labels(anew))


def test_at_a_glance_a_click_that_is_left_alone_corrects_what_was_carried_last() -> None:
    session = session_of(at_once=False)
    session.add_box(BOX)
    session.carry()
    carried = labels(session).copy()
    session.add_points([INSIDE], [0])
    session.remove(session.interactions[0].serial)
    expected = without_session(session, [INSIDE], [0], on_slice(carried, 9))
    assert (expected[..., 9] != carried[..., 9]).any()
    for z in range(SHAPE[2]):
        np.testing.assert_array_equal(labels(session)[..., z], (expected if z == 9 else carried)[..., z])


@pytest.mark.parametrize("capacity", [0, 2**30])
def test_a_size_is_chosen_among_answers_to_the_mask_and_the_click(
    capacity: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("monai_synthfm.inferers.session.shown_objects._CAPACITY", capacity)
    session = session_of()
    session.add_box(BOX)
    carried = labels(session)[..., 9].copy()
    session.add_points([INSIDE], [1])
    offered: list[Any] = []
    volume = session._objects.volume
    volume.alternatives = lambda given, indexes: offered.append((given, indexes)) or []  # type: ignore
    session.alternatives()
    (asked, indexes) = offered[0]
    assert indexes == [9]
    np.testing.assert_array_equal(asked.masks[9].numpy().T, carried)


def test_inference_is_told_which_masks_were_corrected() -> None:
    session = session_of()
    session.add_box(BOX)
    shown = labels(session).copy()
    for click, label in ((INSIDE, 1), (OUTSIDE, 0), ([20, 1, 1], 0)):
        session.add_points([click], [label])
    arguments, mask = session.inference_arguments()
    assert (arguments["points"], arguments["point_labels"]) == ([[INSIDE, OUTSIDE]], [[1, 0]])
    np.testing.assert_array_equal(mask, on_slice(shown, 9))
    again = session_of()
    again.set_prompts(*(arguments[name] for name in ("points", "point_labels", "boxes")), mask=mask)
    np.testing.assert_array_equal(labels(again), labels(session))


def test_a_first_click_where_the_volume_shows_nothing_brings_nothing() -> None:
    image = lumpy()
    image[..., 12:] = image.min()
    session, anew = session_of(image), session_of(image)
    session.add_points([[7, 8, 13]], [1], run=False)
    session.add_points([[7, 8, 7]], [1])
    anew.add_points([[7, 8, 7]], [1])
    np.testing.assert_array_equal(labels(session), labels(anew))
    with pytest.raises(ValueError, match="which are blank"):
        session_of(image).add_points([[7, 8, 13]], [1])


PLACES = st.one_of(
    st.tuples(st.integers(4, 11), st.integers(5, 11), st.integers(4, 10)),
    st.tuples(st.just(6), st.integers(7, 8), st.integers(4, 10)),  # the middle of masks that the box brings there
)
SAID = st.one_of(
    st.tuples(st.just("clicks"), st.lists(PLACES, min_size=1, max_size=2), st.integers(0, 1)),
    st.tuples(st.just("clicks"), st.lists(PLACES, min_size=1, max_size=2), st.integers(0, 1)),
    st.tuples(st.just("box"), st.sampled_from([BOX, [4, 5, 5, 9, 10, 6]])),
    st.tuples(st.just("mask"), st.integers(5, 9)),
    st.tuples(st.just("undo")),
    st.tuples(st.just("redo")),
    st.tuples(st.just("remove"), st.integers(0, 8)),
)


def say(session: InteractiveSession, what: str, *said: Any, run: bool = True) -> None:
    if what == "clicks":
        session.add_points(said[0], [said[1]] * len(said[0]), run=run)
    elif what == "box":
        session.add_box(said[0], run=run)
    else:
        known = np.zeros(SHAPE, np.uint8)
        known[5:10, 6:10, said[0]] = 1
        session.add_mask(known, run=run)


@settings(max_examples=25)
@given(st.lists(st.one_of(SAID, SAID, st.tuples(st.just("carry"))), min_size=2, max_size=8))
def test_carrying_in_between_changes_nothing_in_the_end(steps: list) -> None:
    session, fresh = session_of(at_once=False), session_of()
    for what, *said in steps:
        if what == "carry":
            session.carry("both")
        elif what in ("undo", "redo"):
            if getattr(session.history, f"can_{what}"):
                getattr(session, what)()
        elif what != "remove":
            say(session, what, *said)
        elif items := session.interactions:
            session.remove(items[said[0] % len(items)].serial)
    session.carry("both")
    fresh.load_state_dict(session.state_dict())
    np.testing.assert_array_equal(labels(session), labels(fresh))


@settings(max_examples=25)
@given(st.lists(SAID, min_size=2, max_size=7), st.booleans())
def test_what_comes_out_depends_on_the_prompts_that_remain_and_on_their_order(steps: list, at_once: bool) -> None:
    session, late = session_of(at_once=at_once), session_of(at_once=False)
    fresh, loaded = session_of(), session_of()
    states: list[tuple[list, np.ndarray]] = [([], labels(session))]
    now = 0
    for what, *said in steps:
        remaining = states[now][0]
        if what == "undo":
            if now:
                session.undo()
                now -= 1
        elif what == "redo":
            if now + 1 < len(states):
                session.redo()
                now += 1
        elif what == "remove" and not remaining:
            continue
        else:
            if what == "remove":
                number = said[0] % len(remaining)
                session.remove(session.interactions[number].serial)
                remaining = remaining[:number] + remaining[number + 1 :]
            else:
                say(session, what, *said)
                remaining = [*remaining, (what, *said)]
            states = [*states[: now + 1], (remaining, labels(session))]
            now += 1
        np.testing.assert_array_equal(labels(session), states[now][1])
    if not at_once:
        session.carry("both")
    for what, *said in states[now][0]:
        say(fresh, what, *said, run=at_once)
        say(late, what, *said)
        if at_once:
            late.carry("both")
    fresh.predict()
    late.carry("both")
    loaded.load_state_dict(session.state_dict())
    for one in (fresh, late, loaded):
        np.testing.assert_array_equal(labels(session), labels(one))
