# Copyright (c) monai_synthfm contributors
# Licensed under the Apache License, Version 2.0 (http://www.apache.org/licenses/LICENSE-2.0).
# SPDX-License-Identifier: Apache-2.0
"""Back and forth through what was said, against two stacks."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from monai_synthfm.inferers.session.history import History, Reach, Said
from monai_synthfm.inferers.session.interactions import NOTHING, Interaction


def said(*numbers: int) -> Said:
    """Interactions about objects of these numbers."""
    return Said(tuple(Interaction(serial, number, NOTHING, {}) for serial, number in enumerate(numbers)), Reach("both"))


@settings(max_examples=40)
@given(st.lists(st.sampled_from(["say", "undo", "redo"]), max_size=30))
def test_it_goes_back_and_forth_as_two_stacks_do(steps: list[str]) -> None:
    nothing = said()
    history, done, undone = History((nothing,)), [nothing], []
    for step in steps:
        if step == "say":
            done, undone = [*done, said(len(done))], []
            history = history.added(done[-1])
        elif step == "undo" and history.can_undo:
            undone.append(done.pop())
            history = history.moved(-1)
        elif step == "redo" and history.can_redo:
            done.append(undone.pop())
            history = history.moved(1)
        assert history.now is done[-1]
        assert history.position == len(done) - 1
        assert (history.can_undo, history.can_redo) == (len(done) > 1, len(undone) > 0)


def test_interactions_of_an_object_stay_in_their_order() -> None:
    assert {
        number: [item.serial for item in items] for number, items in said(2, 1, 2, 2, 3, 1).by_object().items()
    } == {2: [0, 2, 3], 1: [1, 5], 3: [4]}
    assert said().by_object() == {}
