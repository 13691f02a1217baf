# Copyright (c) monai_synthfm contributors
# Licensed under the Apache License, Version 2.0 (http://www.apache.org/licenses/LICENSE-2.0).
# SPDX-License-Identifier: Apache-2.0
"""Masks chosen among the alternatives that a network has for an ambiguous prompt."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from monai_synthfm.inferers.session.alternatives import Alternatives
from tests.inferers.level_segmenter import LevelSegmenter
from tests.inferers.session.test_interactive_session import A, B, labels, only
from tests.inferers.session.test_steps import on_slices, session_of


def grown(margin: int) -> np.ndarray:
    x, y = A[0], A[1]
    box = (slice(x.start - margin, x.stop + margin), slice(y.start - margin, y.stop + margin), slice(3, 4))
    return only(box)


def test_the_next_larger_or_smaller_answer_is_taken_and_given_back() -> None:
    session = session_of(LevelSegmenter(), at_once=False)
    session.add_points([[4, 5, 3]], [1])
    areas = (4 * 3 * 3, 4 * 5 * 5, 4 * 7 * 7)  # of 2 x 2 mm
    offered = session.alternatives()
    assert (offered.areas, offered.current, offered.chosen) == (areas, areas[1], None)
    session.resize("larger")
    np.testing.assert_array_equal(labels(session), grown(1))
    assert session.alternatives().chosen == 2
    with pytest.raises(ValueError, match="no larger answer to the latest prompt of object 1"):
        session.resize("larger")
    session.resize("smaller")
    np.testing.assert_array_equal(labels(session), grown(0))
    session.resize("smaller")
    np.testing.assert_array_equal(labels(session), grown(-1))
    assert session.alternatives().areas == areas
    for margin in (0, 1, 0):
        session.undo()
        np.testing.assert_array_equal(labels(session), grown(margin))
    assert session.alternatives().chosen is None


def test_a_chosen_answer_goes_with_the_prompt_that_it_answers() -> None:
    session = session_of(LevelSegmenter(), at_once=False)
    session.add_points([[4, 5, 3]], [1])
    session.add_points([[4, 5, 6]], [1])
    session.resize("larger")  # of the latest click, on slice 6
    assert labels(session)[1, 2, [3, 6]].tolist() == [0, 1]
    session.remove(session.interactions[1].serial)
    np.testing.assert_array_equal(labels(session), on_slices(A, 3))


def test_clicks_go_on_from_a_chosen_answer_and_a_box_is_chosen_on_all_its_slices() -> None:
    session = session_of(LevelSegmenter(), at_once=False)
    session.add_box([9, 4, 5, 13, 10, 6])
    session.resize("smaller")
    x, y = slice(10, 13), slice(5, 10)
    np.testing.assert_array_equal(labels(session), only((x, y, slice(5, 7))))
    session.add_points([[4, 5, 6]], [1])  # on a slice of the mask: the blobs of the click and of the mask answer there
    np.testing.assert_array_equal(labels(session), only((x, y, slice(5, 6))) + on_slices(A, 6) + on_slices(B, 6))


@pytest.mark.parametrize(
    ("prepare", "size", "message"),
    [
        (lambda s: None, "larger", "object 1 has no click or box"),
        (lambda s: s.add_mask(only(A)), "larger", "object 1 has no click or box"),
        (lambda s: s.add_points([[4, 5, 3]], [1]), "big", "size must be smaller or larger, got 'big'"),
    ],
)
def test_what_has_no_alternatives_says_so(prepare: Any, size: str, message: str) -> None:
    session = session_of(LevelSegmenter())
    prepare(session)
    before = labels(session).copy()
    with pytest.raises(ValueError, match=message):
        session.resize(size)
    np.testing.assert_array_equal(labels(session), before)


def test_networks_without_alternatives_say_so() -> None:
    session = session_of()
    session.add_points([[4, 5, 3]], [1])
    with pytest.raises(ValueError, match="the network has no larger answer"):
        session.resize("larger")


@pytest.mark.parametrize(
    ("current", "chosen", "smaller", "larger"),
    [
        (5.0, None, 0, 2),
        (4.0, None, 0, 1),
        (1.0, None, None, 0),
        (20.0, None, 2, None),
        (20.0, 1, 0, 2),
        (3.0, 0, None, 1),
        (9.0, 2, 1, None),
    ],
)
def test_the_next_one_is_counted_from_the_chosen_one_or_else_from_the_present_area(
    current: float, chosen: int | None, smaller: int | None, larger: int | None
) -> None:
    offered = Alternatives((3.0, 5.0, 9.0), current, chosen, [{}, {}, {}], frozenset({4}))
    assert (offered.next("smaller"), offered.next("larger")) == (smaller, larger)
    picked = offered.choose(1, serial=8, object_id=2)
    assert (picked.serial, picked.object_id, picked.masks) == (8, 2, {})
    assert picked.choice is not None
    assert (picked.choice.rank, picked.choice.among) == (1, {4})
