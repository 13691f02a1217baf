# Copyright (c) monai_synthfm contributors
# Licensed under the Apache License, Version 2.0 (http://www.apache.org/licenses/LICENSE-2.0).
# SPDX-License-Identifier: Apache-2.0
"""One object carried through the volume or found on its own slices, and slices counted meanwhile."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from monai_synthfm.inferers import InteractiveSession
from monai_synthfm.inferers.propagation.propagation import PropagationStopped
from monai_synthfm.inferers.session.history import Reach
from monai_synthfm.inferers.session.interactions import Interaction
from monai_synthfm.inferers.session.object_finder import (
    FoundObject,
    Key,
    Ticker,
    carry_object,
    glance_at_object,
    key_of,
    unknown_carries,
)
from monai_synthfm.inferers.session.volume import ObjectMasks
from tests.inferers.session.test_interactive_session import SHAPE, A, only
from tests.inferers.session.test_steps import on_slices, session_of


@pytest.fixture
def asked() -> InteractiveSession:
    """Something was said about one object, and nothing was carried."""
    session = session_of(at_once=False)
    session.add_points([[4, 5, 4]], [1], run=False)
    session.add_points([[3, 5, 7]], [0], run=False)  # beside the middle
    return session


def in_steps(session: InteractiveSession) -> list[Interaction]:
    """What was said, as if the object had been carried after each click."""
    return [replace(item, step=step) for step, item in enumerate(session.interactions)]


def drawn(session: InteractiveSession, masks: ObjectMasks) -> np.ndarray:
    """Booleans [X, Y, Z] of masks across the third axis."""
    inside = np.zeros(only(A).shape, bool)
    for index, crop in masks.items():
        inside[..., index] = session._objects.volume.whole(crop).numpy().T
    return inside


def test_a_click_corrects_the_mask_that_was_brought_to_its_slice_by_what_was_said_before(
    asked: InteractiveSession,
) -> None:
    ticks: list[tuple[int, int]] = []
    items = in_steps(asked)
    volume, propagation, reach = asked._objects.volume, asked.propagation, Reach("both")
    carried: dict[Key, FoundObject] = {}
    assert unknown_carries(volume, items, reach, carried) == 2
    ticker = Ticker(lambda *done: not ticks.append(done), carries=2, slices=SHAPE[2])
    found = carry_object(volume, propagation, items, reach, carried, ticker)
    # the blob is gone from the slice of the click, and beyond half-way to the click that shows it
    np.testing.assert_array_equal(drawn(asked, found.masks), on_slices(A, 1, 2, 3, 4, 5))
    assert list(found.given.masks) == [7]
    np.testing.assert_array_equal(found.given.masks[7].numpy().T, only(A)[..., 7])
    assert len(ticks) > SHAPE[2]  # it is carried twice
    assert unknown_carries(volume, items, reach, carried) == 0
    assert carried[key_of(items, reach)] is found
    alone = carried[key_of(items[:1], reach)]
    np.testing.assert_array_equal(drawn(asked, alone.masks), only(A))
    assert alone.given.masks == {}


def test_what_was_carried_is_not_carried_again(asked: InteractiveSession) -> None:
    items = in_steps(asked)
    volume, propagation, reach = asked._objects.volume, asked.propagation, Reach("both")
    carried: dict[Key, FoundObject] = {}
    first = carry_object(volume, propagation, items[:1], reach, carried)
    ticker = Ticker()
    carry_object(volume, propagation, items, reach, carried, ticker)
    assert ticker.begun == 1
    assert carry_object(volume, propagation, items[:1], reach, carried, ticker) is first
    assert ticker.begun == 1


def test_a_negative_click_that_came_first_waits_for_the_object(asked: InteractiveSession) -> None:
    volume, propagation, reach = asked._objects.volume, asked.propagation, Reach("both")
    found = carry_object(volume, propagation, in_steps(asked)[::-1], reach, {})
    np.testing.assert_array_equal(drawn(asked, found.masks), on_slices(A, 1, 2, 3, 4, 5))
    np.testing.assert_array_equal(found.given.masks[7].numpy().T, only(A)[..., 7])


def test_a_negative_click_alone_that_came_with_the_object_says_that_it_is_not_there(asked: InteractiveSession) -> None:
    volume, propagation, reach = asked._objects.volume, asked.propagation, Reach("both")
    found = carry_object(volume, propagation, asked.interactions[::-1], reach, {})
    np.testing.assert_array_equal(drawn(asked, found.masks), on_slices(A, 1, 2, 3, 4, 5, 6))
    assert found.given.masks == {}


def test_an_object_goes_as_far_as_its_reach(asked: InteractiveSession) -> None:
    for reach, slices in ((Reach("forward"), range(4, 9)), (Reach("both", (3, 6)), range(3, 7)), (Reach("none"), [4])):
        found = carry_object(asked._objects.volume, asked.propagation, asked.interactions[:1], reach, {})
        np.testing.assert_array_equal(drawn(asked, found.masks), on_slices(A, *slices))


def test_prompts_that_lie_where_they_cannot_are_told_before_anything_is_carried(asked: InteractiveSession) -> None:
    asked.add_points([[4, 5, 5]], [1], run=False)
    asked.propagation = lambda *_: pytest.fail("something is carried")  # type: ignore[assignment]
    with pytest.raises(ValueError, match=r"slices \[5\], out of slice_range \[3, 4\]"):
        carry_object(asked._objects.volume, asked.propagation, in_steps(asked), Reach("both", (3, 4)), {})


def test_a_box_that_was_replaced_may_lie_out_of_reach(asked: InteractiveSession) -> None:
    asked.reset()
    asked.add_box([2, 3, 2, 6, 7, 2], run=False)
    asked.add_points([[4, 5, 6]], [1], run=False)
    asked.add_box([2, 3, 5, 6, 7, 5], run=False)
    found = carry_object(asked._objects.volume, asked.propagation, asked.interactions, Reach("both", (4, 7)), {})
    assert found.given.masks == {}  # so that it brought nothing to the slice of the click
    np.testing.assert_array_equal(drawn(asked, found.masks), on_slices(A, 4, 5, 6, 7))


def test_at_a_glance_other_slices_stay_as_they_were_carried(asked: InteractiveSession) -> None:
    volume, propagation, reach = asked._objects.volume, asked.propagation, Reach("both")
    earlier = carry_object(volume, propagation, asked.interactions[:1], reach, {}).masks
    asked.add_points([[5, 6, 2]], [1], run=False)
    found = glance_at_object(volume, propagation, in_steps(asked), reach, {}, earlier)
    np.testing.assert_array_equal(drawn(asked, found.masks), on_slices(A, 1, 2, 3, 4, 5, 6, 8))
    assert all(found.masks[index] is earlier[index] for index in (1, 3, 5, 6, 8))
    assert sorted(found.given.masks) == [2, 7]
    for index in (2, 7):
        assert torch.equal(found.given.masks[index], volume.whole(earlier[index]))


def test_slices_are_counted_carry_by_carry_and_never_beyond_their_number() -> None:
    told: list[tuple[int, int]] = []
    ticker = Ticker(lambda *done: not told.append(done), carries=2, slices=3)
    ticker.next_carry()
    for _ in range(5):  # more than there are, as where negative clicks waited
        ticker()
    ticker.next_carry()
    ticker()
    assert told == [(1, 6), (2, 6), (3, 6), (3, 6), (3, 6), (4, 6)]
    early = Ticker(lambda *done: not told.append(done), carries=2, slices=3)
    early.next_carry()
    early()
    early.next_carry()
    early()
    assert told[-2:] == [(1, 6), (4, 6)]


def test_counting_stops_when_the_progress_says_so() -> None:
    ticker = Ticker(lambda done, total: done < 2, carries=1, slices=4)
    ticker.next_carry()
    ticker()
    with pytest.raises(PropagationStopped, match="stopped after 2 of at most 4 slices: nothing has changed"):
        ticker()
    quiet = Ticker(None, carries=1, slices=1)
    quiet.next_carry()
    quiet()
