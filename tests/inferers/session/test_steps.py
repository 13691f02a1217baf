# Copyright (c) monai_synthfm contributors
# Licensed under the Apache License, Version 2.0 (http://www.apache.org/licenses/LICENSE-2.0).
# SPDX-License-Identifier: Apache-2.0
"""Back and forth through a session, and objects carried when asked for."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from monai.data import MetaTensor

from monai_synthfm.inferers import InteractiveSession
from monai_synthfm.inferers.propagation.propagation import PropagationStopped
from monai_synthfm.transforms.medsam import MedSAMIntensity
from tests.inferers.blob_segmenter import BlobSegmenter
from tests.inferers.session.test_interactive_session import SHAPE, A, B, C, bright, labels, only


def session_of(network: Any = None, **settings: Any) -> InteractiveSession:
    session = InteractiveSession(network or BlobSegmenter(), axis=2, modality="mr", **settings)
    session.set_image(MetaTensor(torch.from_numpy(bright())[None], affine=torch.diag(torch.tensor([2.0, 2, 3, 1]))))
    return session


def on_slices(box: tuple, *slices: int) -> np.ndarray:
    inside = only(box)
    inside[..., [index for index in range(SHAPE[2]) if index not in slices]] = False
    return inside


def test_what_was_taken_back_comes_again_until_something_else_is_said() -> None:
    session = session_of()
    session.add_points([[4, 5, 3]], [1])
    session.add_box([9, 4, 5, 13, 10, 5], object_id=2)
    both = labels(session).copy()
    assert (session.undo(), session.undo()) == (B, A)
    assert (session.redo(), session.redo()) == (A, B)
    np.testing.assert_array_equal(labels(session), both)
    with pytest.raises(ValueError, match="there is nothing to redo"):
        session.redo()
    session.undo()
    session.add_points([[4, 11, 2]], [1], object_id=3)
    assert not session.history.can_redo


def test_an_earlier_prompt_is_removed_and_comes_back() -> None:
    session = session_of()
    session.add_points([[4, 5, 3]], [1])
    session.add_points([[11, 6, 3]], [1], object_id=2)
    first, second = (item.serial for item in session.interactions)
    assert session.remove(first) == A
    np.testing.assert_array_equal(labels(session), 2 * only(B))
    assert session.undo() == A
    np.testing.assert_array_equal(labels(session), only(A) + 2 * only(B))
    with pytest.raises(ValueError, match=f"there is no prompt 99; there are \\[{first}, {second}\\]"):
        session.remove(99)


def test_objects_after_a_removed_one_move_up_and_back() -> None:
    session = session_of()
    for number, click in enumerate([[4, 5, 3], [11, 6, 3], [4, 11, 2]], 1):
        session.add_points([click], [1], object_id=number)
    session.remove_object(1)
    np.testing.assert_array_equal(labels(session), only(B) + 2 * only(C))
    session.undo()
    np.testing.assert_array_equal(labels(session), only(A) + 2 * only(B) + 3 * only(C))


def test_reset_is_a_step_like_others() -> None:
    session = session_of()
    session.add_points([[4, 5, 3]], [1])
    assert session.reset() == A
    assert session.undo() == A
    np.testing.assert_array_equal(labels(session), only(A))


def test_prompts_answer_on_their_slices_until_objects_are_carried() -> None:
    session = session_of(at_once=False)
    assert session.add_points([[4, 5, 3]], [1]) == (A[0], A[1], slice(3, 4))
    np.testing.assert_array_equal(labels(session), on_slices(A, 3))
    assert session.carry() == (A[0], A[1], slice(1, 9))
    np.testing.assert_array_equal(labels(session), only(A))
    assert session.undo() == (A[0], A[1], slice(1, 9))
    np.testing.assert_array_equal(labels(session), on_slices(A, 3))


@pytest.mark.parametrize("step", [3.0, -3.0])
def test_a_slice_may_be_encoded_before_it_is_prompted(step: float) -> None:
    session = InteractiveSession(BlobSegmenter(), axis=2, modality="mr", at_once=False)
    affine = torch.diag(torch.tensor([2.0, 2.0, step, 1.0]))
    session.set_image(MetaTensor(torch.from_numpy(bright())[None], affine=affine))
    session.encode(3)
    assert session.network.encoded == 1
    session.add_points([[4, 5, 3]], [1])
    assert session.network.encoded == 1
    with pytest.raises(ValueError, match="slice 10 is not within slices 0 to 9"):
        session.encode(10)


def test_only_the_slice_of_a_new_click_is_asked_again() -> None:
    session = session_of(at_once=False)
    asked: list[int] = []
    decode = session.network.decode

    def count(*arguments: Any, **keywords: Any) -> torch.Tensor:
        asked.append(1)
        return decode(*arguments, **keywords)

    session.network.decode = count  # type: ignore[method-assign]
    for number, z in enumerate((3, 5, 7, 5, 3), 1):
        session.add_points([[4, 5 + number % 2, z]], [1])
        assert len(asked) == number
    session.undo()
    assert len(asked) == 5
    np.testing.assert_array_equal(labels(session), on_slices(A, 3, 5, 7))


def test_a_correction_of_a_carried_object_changes_its_slice_and_is_carried_when_asked_for() -> None:
    session, at_once = session_of(at_once=False), session_of()
    session.add_points([[4, 5, 4]], [1])
    session.carry()
    assert session.outdated == frozenset()
    assert session.add_points([[4, 5, 7]], [0]) == (A[0], A[1], slice(7, 8))
    assert session.outdated == {1}
    with pytest.raises(ValueError, match=r"objects \[1\] have prompts that were not carried"):
        session.inference_arguments()
    session.carry()
    assert session.outdated == frozenset()
    at_once.add_points([[4, 5, 4]], [1])
    at_once.add_points([[4, 5, 7]], [0])
    np.testing.assert_array_equal(labels(session), labels(at_once))
    session.undo()
    np.testing.assert_array_equal(labels(session), only(A))
    assert session.outdated == frozenset()


def test_carrying_tells_how_far_it_is() -> None:
    session = session_of(at_once=False)
    session.add_points([[4, 5, 3]], [1])
    session.add_points([[11, 6, 3]], [1], object_id=2)
    told: list[tuple[int, int]] = []
    session.carry(progress=lambda done, total: told.append((done, total)) or True)  # type: ignore[func-returns-value]
    done, totals = zip(*told, strict=True)
    assert set(totals) == {2 * SHAPE[2]}
    assert list(done) == sorted(done)
    assert 0 < done[0] <= 1 < done[-1] <= 2 * SHAPE[2]


def test_carrying_that_is_stopped_changes_nothing() -> None:
    session = session_of(at_once=False)
    session.add_points([[4, 5, 3]], [1])
    before = labels(session).copy()
    with pytest.raises(PropagationStopped, match="stopped after 3 of at most 10 slices"):
        session.carry(progress=lambda done, total: done < 3)
    np.testing.assert_array_equal(labels(session), before)
    assert session.reach.direction == "none"
    assert session.outdated == frozenset()
    session.carry()
    np.testing.assert_array_equal(labels(session), only(A))


@pytest.mark.parametrize("step", [3.0, -3.0])
def test_objects_stay_in_the_range_of_slices(step: float) -> None:
    session = InteractiveSession(BlobSegmenter(), axis=2, modality="mr", at_once=False)
    affine = torch.diag(torch.tensor([2.0, 2.0, step, 1.0]))
    session.set_image(MetaTensor(torch.from_numpy(bright())[None], affine=affine))
    session.add_points([[4, 5, 3]], [1])
    session.carry(slice_range=(2, 5))
    np.testing.assert_array_equal(labels(session), on_slices(A, 2, 3, 4, 5))
    with pytest.raises(ValueError, match=r"prompts lie on slices \[7\], out of slice_range \[2, 5\]"):
        session.add_points([[4, 5, 7]], [1])
    with pytest.raises(ValueError, match=r"prompts lie on slices \[3\], out of slice_range \[4, 5\]"):
        session.carry(slice_range=(4, 5))
    with pytest.raises(ValueError, match="slice_range must be within slices 0 to 9"):
        session.carry(slice_range=(0, 10))
    np.testing.assert_array_equal(labels(session), on_slices(A, 2, 3, 4, 5))


CLICKS = st.tuples(st.integers(1, 2), st.tuples(*(st.integers(0, n - 1) for n in SHAPE)), st.integers(0, 1))


@settings(max_examples=20)
@given(st.lists(st.tuples(CLICKS, st.booleans()), min_size=1, max_size=6))
def test_carried_at_the_end_is_what_carrying_at_once_gives(steps: list) -> None:
    late, at_once = session_of(at_once=False), session_of()
    for (number, click, label), carries in steps:
        late.add_points([click], [label], number)
        at_once.add_points([click], [label], number)
        if carries:
            late.carry()
    late.carry()
    np.testing.assert_array_equal(labels(late), labels(at_once))
    counted = np.bincount(labels(late).ravel(), minlength=3)
    assert late.voxel_counts == {number: counted[number] for number in (1, 2) if counted[number]}


def test_another_scale_of_intensities_segments_all_objects_again() -> None:
    session = session_of(at_once=False)
    session.add_points([[4, 5, 3]], [1])
    session.set_intensity(MedSAMIntensity("ct", level=225, width=60))  # 200 is nearly black in it
    assert not labels(session).any()
    session.set_intensity(MedSAMIntensity("ct", level=100, width=300))
    np.testing.assert_array_equal(labels(session), on_slices(A, 3))
    with pytest.raises(ValueError, match="constant"):
        session.set_intensity(MedSAMIntensity("ct", level=5000, width=1))
    np.testing.assert_array_equal(labels(session), on_slices(A, 3))
    assert session.intensity.level == 100
