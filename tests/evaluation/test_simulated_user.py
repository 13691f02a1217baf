# Copyright (c) monai_synthfm contributors
# Licensed under the Apache License, Version 2.0 (http://www.apache.org/licenses/LICENSE-2.0).
# SPDX-License-Identifier: Apache-2.0
"""Interactive runs: clicks on errors until there are none."""

from __future__ import annotations

import numpy as np
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy import ndimage

from monai_synthfm.evaluation.external import FunctionPredictor
from monai_synthfm.evaluation.predictors import NetworkPredictor
from monai_synthfm.evaluation.simulated_user import challenge_click, interactive_masks, largest_error
from monai_synthfm.prompts import Prompts, next_click
from tests.evaluation.stand_ins import Counting, disc, tiny_sam

IMAGE = torch.rand(1, 48, 64)
TARGET = disc((48, 64), 24, 30, 11)


def test_each_click_is_on_the_error_of_the_answer_before() -> None:
    model = Counting()
    answers = list(interactive_masks(model, model.encode(IMAGE), TARGET, 5))
    assert [count for count, _, _ in answers] == [1, 2, 3, 4, 5]
    before = np.zeros_like(TARGET)
    for count, prompts, answer in answers:
        point, label = next_click(before, TARGET)
        assert prompts.points.shape == (1, count, 2)
        assert prompts.points[0, -1].tolist() == point.tolist()
        assert int(prompts.point_labels[0, -1]) == label
        before = answer.masks[0]


def test_a_perfect_answer_gets_no_further_click() -> None:
    calls = []

    def perfect(image: np.ndarray, objects: list) -> np.ndarray:
        calls.append(objects)
        return TARGET[None]

    model = FunctionPredictor("perfect", perfect)
    answers = list(interactive_masks(model, model.encode(IMAGE), TARGET, 4))
    assert len(calls) == 1
    assert len(answers) == 4
    assert all(np.array_equal(answer.masks[0], TARGET) for _, _, answer in answers)


def test_the_challenge_starts_with_the_box_and_keeps_it() -> None:
    model = Counting()
    answers = list(interactive_masks(model, model.encode(IMAGE), TARGET, 2, True, rule=challenge_click))
    assert [count for count, _, _ in answers] == [0, 1, 2]
    assert [prompts.points.shape[1] for _, prompts, _ in answers] == [0, 1, 2]
    assert all(prompts.boxes.tolist() == [[19.0, 13.0, 41.0, 35.0]] for _, prompts, _ in answers)


def test_masks_are_fed_back_only_if_asked_for() -> None:
    model = NetworkPredictor("tiny", tiny_sam())
    encoded = model.encode(IMAGE)
    fed = list(interactive_masks(model, encoded, TARGET, 2, feed_masks=True))
    plain = list(interactive_masks(model, encoded, TARGET, 2))
    assert fed[0][1].masks is None
    assert torch.equal(fed[1][1].masks, fed[0][2].logits)
    assert plain[1][1].masks is None
    again = model.segment(encoded, Prompts(fed[1][1].points, fed[1][1].point_labels, masks=fed[0][2].logits))
    assert np.array_equal(fed[1][2].masks, again.masks)


def test_the_click_of_the_challenge_is_the_deepest_pixel_of_the_largest_error() -> None:
    rng = np.random.default_rng(0)
    for _ in range(20):
        prediction, target = (ndimage.gaussian_filter(rng.normal(size=(40, 50)), 4) > 0.02 for _ in range(2))
        error = prediction ^ target
        parts, count = ndimage.label(error, np.ones((3, 3)))
        largest = parts == 1 + max(range(count), key=lambda k: (parts == k + 1).sum())
        depth = ndimage.distance_transform_edt(np.pad(largest, 1))[1:-1, 1:-1]
        (x, y), label = challenge_click(prediction, target)
        assert depth[int(y), int(x)] == depth.max()
        assert label == int(target[int(y), int(x)])


@settings(max_examples=50)
@given(st.tuples(*3 * [st.integers(1, 6)]).flatmap(lambda size: st.tuples(arrays(bool, size), arrays(bool, size))))
def test_the_largest_error_of_a_volume_is_found_by_the_same_rule(pair: tuple[np.ndarray, np.ndarray]) -> None:
    prediction, target = pair
    found = largest_error(prediction, target)
    parts, count = ndimage.label(prediction ^ target, np.ones((3, 3, 3)))
    if not count:
        assert found is None
        return
    place, label = found
    sizes = np.bincount(parts.ravel())[1:]
    assert sizes[parts[place] - 1] == sizes.max()
    depth = ndimage.distance_transform_edt(np.pad(parts == parts[place], 1))[1:-1, 1:-1, 1:-1]
    assert depth[place] == depth.max()
    assert label == target[place]


def test_the_challenge_does_not_click_where_nothing_is_wrong() -> None:
    assert challenge_click(TARGET, TARGET) is None


def test_the_challenge_prefers_the_larger_error_to_the_deeper_one() -> None:
    target = np.zeros((40, 60), dtype=bool)
    target[2:4, 2:58] = True  # 112 pixels, thin
    target[20:29, 20:29] = True  # 81 pixels, deep
    (_, y), label = challenge_click(np.zeros_like(target), target)
    assert (y, label) == (2.0, 1)
    assert next_click(np.zeros_like(target), target)[0].tolist() == [24.0, 24.0]
