# Copyright (c) monai_synthfm contributors
# Licensed under the Apache License, Version 2.0 (http://www.apache.org/licenses/LICENSE-2.0).
# SPDX-License-Identifier: Apache-2.0
"""The challenge's protocol on volumes, driven through an interactive session."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy import ndimage

from monai_synthfm.evaluation.predictors import NetworkPredictor
from monai_synthfm.evaluation.volume_interaction import challenge_box, challenge_clicks_of, challenge_steps
from monai_synthfm.evaluation.volume_predictors import NetworkVolumePredictor, OpenVolume, PreparedSession
from tests.inferers.region_grower import RegionGrower

SIZE = (26, 22, 7)


def volume(axis: int = 2) -> tuple[torch.Tensor, np.ndarray]:
    """A slanting bright rod with a thick end, which touches tissue that looks like it, cut across ``axis``."""
    target = np.zeros(SIZE, bool)
    for k in range(1, 6):
        target[3 + 2 * k : 11 + 2 * k + k // 5 * 3, 5:8, k] = True
    grey = np.where(target, 0.8, 0.2)
    grey[:, 8:, 2:5] = 0.75
    return torch.from_numpy(np.moveaxis(grey, 2, axis)[None]).float(), np.moveaxis(target, 2, axis)


class Watched(PreparedSession):
    """Remembers what it was told."""

    def __init__(self, *args: Any) -> None:
        self.told: list[tuple[str, list[float], list[int]]] = []
        super().__init__(*args)

    def add_box(self, box: Any, *args: Any, **options: Any) -> Any:
        self.told.append(("box", np.asarray(box).tolist(), []))
        return super().add_box(box, *args, **options)

    def add_points(self, points: Any, labels: Any, *args: Any, **options: Any) -> Any:
        self.told.append(("click", np.asarray(points[0]).tolist(), list(labels)))
        return super().add_points(points, labels, *args, **options)


def session_on(image: torch.Tensor, axis: int) -> tuple[Watched, RegionGrower]:
    network = RegionGrower()
    return Watched(NetworkPredictor("grower", network), OpenVolume(image, axis, {})), network


def expected_click(found: np.ndarray, target: np.ndarray) -> tuple[list[int], int]:
    """The rule written out: the largest of all parts, and its voxel that is farthest from everything outside."""
    parts, count = ndimage.label(found ^ target, np.ones((3, 3, 3)))
    sizes = [int((parts == part).sum()) for part in range(1, count + 1)]
    largest = np.pad(parts == 1 + sizes.index(max(sizes)), 1)
    inside, outside = np.argwhere(largest), np.argwhere(~largest)
    gaps = [((outside - voxel) ** 2).sum(axis=1).min() for voxel in inside]
    place = tuple(inside[int(np.argmax(gaps))] - 1)
    return [int(p) for p in place], int(target[place])


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_each_click_is_in_the_middle_of_the_largest_error_of_the_answer_before(axis: int) -> None:
    image, target = volume(axis)
    session, _ = session_on(image, axis)
    steps = list(challenge_steps(session, target, axis, 4))
    assert [step.name for step in steps] == [f"challenge-0{k}" for k in range(5)]
    assert [what for what, _, _ in session.told] == ["box"] + 4 * ["click"]
    for before, (_, place, labels) in zip(steps, session.told[1:], strict=False):
        assert (place, labels[0]) == expected_click(before.mask, target)
    assert {labels[0] for _, _, labels in session.told[1:]} == {0, 1}
    assert np.array_equal(steps[-1].mask, np.asarray(session.segmentation[0]) == 1)


@settings(max_examples=50)
@given(arrays(bool, st.tuples(*3 * [st.integers(1, 6)])).filter(np.any), st.integers(0, 2))
def test_the_box_holds_the_object_on_the_slice_of_its_middle_voxel(target: np.ndarray, axis: int) -> None:
    prompt = challenge_box(target, axis)
    voxels = np.argwhere(np.moveaxis(target, axis, 0))  # sorted by slice
    assert prompt.index == voxels[len(voxels) // 2][0]
    on_slice = voxels[voxels[:, 0] == prompt.index][:, 1:]
    assert prompt.prompts.boxes.tolist() == [[*on_slice.min(axis=0).tolist(), *on_slice.max(axis=0).tolist()]]


def test_nothing_is_clicked_once_nothing_is_wrong() -> None:
    image, target = volume()
    first, _ = session_on(image, 2)
    (answer,) = challenge_steps(first, target, 2, 0)
    session, _ = session_on(image, 2)
    # the answer to this box is taken for the truth
    box = challenge_box(target, 2)
    assert box.index == challenge_box(answer.mask, 2).index
    session.add_box = lambda *_: Watched.add_box(session, np.asarray(first.told[0][1]))  # type: ignore[method-assign]
    steps = list(challenge_steps(session, answer.mask, 2, 3))
    assert [what for what, _, _ in session.told] == ["box"]
    assert all(np.array_equal(step.mask, answer.mask) for step in steps)
    assert [step.seconds for step in steps[1:]] == [0.0, 0.0, 0.0]


def test_an_object_is_not_told_what_was_said_about_the_one_before() -> None:
    image, target = volume()
    session, network = session_on(image, 2)
    once = [step.mask for step in challenge_steps(session, target, 2, 3)]
    list(challenge_steps(session, ~target, 2, 2))
    again = [step.mask for step in challenge_steps(session, target, 2, 3)]
    assert all(np.array_equal(a, b) for a, b in zip(once, again, strict=True))
    assert network.encoded <= SIZE[2]


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_the_first_answer_is_that_of_the_predictor_to_the_same_box_between_the_ends(axis: int) -> None:
    image, target = volume(axis)
    target[(slice(None),) * axis + (slice(5, None),)] = False  # the rod goes on
    network = RegionGrower()
    predictor = NetworkVolumePredictor(NetworkPredictor("grower", network))
    with predictor.look(image, axis) as seen:
        whole = predictor.segment(seen, challenge_box(target, axis), "both")
        encoded = network.encoded
        first = next(challenge_steps(predictor.session(seen), target, axis, 5))
    held = target.any(axis=tuple(a for a in range(3) if a != axis), keepdims=True)
    assert (whole & ~held).any()
    assert np.array_equal(first.mask, whole & held)
    assert network.encoded == encoded


def test_the_largest_part_alone_cannot_be_kept_in_a_session() -> None:
    predictor = NetworkVolumePredictor(NetworkPredictor("grower", RegionGrower()), keep_largest=True)
    with predictor.look(volume()[0], 2) as seen, pytest.raises(ValueError, match="keep_largest must be false"):
        predictor.session(seen)


def test_rows_of_slices_and_other_runs_are_not_of_the_challenge() -> None:
    names = ("challenge-00", "challenge-12", "interactive-01", "box@first/both", "my-challenge-01")
    assert [challenge_clicks_of(name) for name in names] == [0, 12, None, None, None]
