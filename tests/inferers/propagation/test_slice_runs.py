# Copyright (c) monai_synthfm contributors
# Licensed under the Apache License, Version 2.0 (http://www.apache.org/licenses/LICENSE-2.0).
# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from monai_synthfm.inferers.propagation.slice_runs import plan_runs
from monai_synthfm.prompts import Prompts
from monai_synthfm.prompts.slice_prompts import SlicePrompts

ALLOWED = range(3, 17)


@given(
    objects=st.lists(st.sets(st.sampled_from(ALLOWED), min_size=1), min_size=1, max_size=3),
    direction=st.sampled_from(["both", "forward", "backward", "none"]),
)
def test_each_object_comes_to_each_slice_once_from_the_nearest_prompted_slice(
    objects: list[set[int]], direction: str
) -> None:
    prompts = {
        index: SlicePrompts([n for n, slices in enumerate(objects) if index in slices], Prompts())
        for index in set().union(*objects)
    }
    runs = plan_runs(prompts, direction, ALLOWED)
    for n, prompted in enumerate(objects):
        came = {index: run.start for run in runs if run.object == n for index in run.slices}
        assert len(came) == sum(len(run.slices) for run in runs if run.object == n)
        reachable = {
            "both": set(ALLOWED),
            "forward": set(range(min(prompted), ALLOWED.stop)),
            "backward": set(range(ALLOWED.start, max(prompted) + 1)),
            "none": prompted,
        }[direction]
        assert set(came) == reachable - prompted
        for index, start in came.items():
            if direction == "both":
                assert start == min(prompted, key=lambda p: (abs(p - index), p))
            elif direction == "forward":
                assert start == max(p for p in prompted if p < index)
            else:
                assert start == min(p for p in prompted if p > index)


def test_another_direction_is_refused() -> None:
    with pytest.raises(ValueError, match="direction must be one of both, forward, backward, none, got 'up'"):
        plan_runs({4: SlicePrompts([0], Prompts())}, "up", ALLOWED)
