# Copyright (c) monai_synthfm contributors
# Licensed under the Apache License, Version 2.0 (http://www.apache.org/licenses/LICENSE-2.0).
# SPDX-License-Identifier: Apache-2.0
"""Which objects are found anew, and what earlier prompts gave is remembered."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from monai_synthfm.inferers import InteractiveSession
from monai_synthfm.inferers.session import shown_objects
from monai_synthfm.inferers.session.history import Reach, Said
from monai_synthfm.inferers.session.shown_objects import ShownObjects
from tests.inferers.session.test_interactive_session import SHAPE, A, B, labels, only
from tests.inferers.session.test_interactive_session import session as session  # a fixture
from tests.inferers.session.test_steps import on_slices, session_of


@pytest.mark.parametrize("remembered", [0, 32])
def test_only_objects_whose_prompts_changed_are_propagated_again(
    session: InteractiveSession, remembered: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("monai_synthfm.inferers.session.shown_objects._REMEMBERED", remembered)
    decoded: list[int] = []
    decode = session.network.decode

    def count(*arguments: Any, **keywords: Any) -> torch.Tensor:
        decoded.append(1)
        return decode(*arguments, **keywords)

    session.network.decode = count  # type: ignore[method-assign]
    session.add_points([[4, 5, 3]], [1], object_id=1)
    first = len(decoded)
    encoded = session.network.encoded
    session.add_points([[11, 6, 3]], [1], object_id=2)
    assert len(decoded) - first <= first + 1
    session.add_points([[4, 11, 2]], [1], object_id=3)
    assert session.network.encoded == encoded == SHAPE[2]
    before = len(decoded)
    session.undo()
    assert len(decoded) == before


def test_what_is_not_remembered_is_found_again(session: InteractiveSession, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shown_objects, "_CAPACITY", 0)
    assert session.add_points([[4, 5, 3]], [1]) == A
    assert session.add_box([9, 4, 5, 13, 10, 5], object_id=7) == B
    assert session.add_points([[5, 5, 3]], [1]) is None
    assert len(session._objects.found) == 2  # of the two objects that are shown
    assert session.undo() is None
    assert session.undo() == B
    np.testing.assert_array_equal(labels(session), only(A))


def test_objects_that_were_not_carried_are_outdated_and_show_their_own_slices() -> None:
    source = session_of(at_once=False)
    source.add_points([[4, 5, 3]], [1])
    source.add_points([[11, 6, 3]], [1], object_id=2)
    both = source.interactions
    objects = ShownObjects(session_of()._objects.volume)
    said = Said(both[:1], Reach("both"))
    assert objects.update(said, source.propagation, carries=True) == A
    assert objects.outdated == frozenset()
    said = Said(both, Reach("both"))
    assert objects.update(said, source.propagation, carries=False) == (B[0], B[1], slice(3, 4))
    assert objects.outdated == {2}
    expected = only(A) + 2 * on_slices(B, 3)
    np.testing.assert_array_equal(objects.volume.labels(), expected)
    with pytest.raises(ValueError, match=r"objects \[2\] have prompts that were not carried"):
        objects.present(said)
    told: list[tuple[int, int]] = []
    objects.update(said, source.propagation, carries=True, progress=lambda *done: not told.append(done))
    np.testing.assert_array_equal(objects.volume.labels(), only(A) + 2 * only(B))
    assert sorted(objects.present(said)) == [1, 2]
    assert {total for _, total in told} == {SHAPE[2]}  # of the one object that was not known
