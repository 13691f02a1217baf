# Copyright (c) monai_synthfm contributors
# Licensed under the Apache License, Version 2.0 (http://www.apache.org/licenses/LICENSE-2.0).
# SPDX-License-Identifier: Apache-2.0
"""Strokes become clicks along them."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from monai_synthfm.prompts.strokes import clicks_of_stroke

CORNERS = st.lists(st.tuples(*[st.integers(-50, 50)] * 3), min_size=1, max_size=12)


@given(CORNERS, st.floats(0.5, 20))
def test_clicks_begin_and_end_with_the_stroke_and_are_no_further_apart_than_it_is_long(
    corners: list, distance: float
) -> None:
    clicks = clicks_of_stroke(corners, distance)
    length = np.linalg.norm(np.diff(np.array(corners, float), axis=0), axis=1).sum()
    assert len(clicks) <= 16
    np.testing.assert_allclose(clicks[0], corners[0], atol=1e-9)
    if length > 0:
        np.testing.assert_allclose(clicks[-1], corners[-1], atol=1e-9)
        step = length / (len(clicks) - 1)
        assert (np.linalg.norm(np.diff(clicks, axis=0), axis=1) <= step + 1e-6).all()
        assert len(clicks) in (2, 16) or abs(length / distance - (len(clicks) - 1)) <= 0.5 + 1e-9
    else:
        assert len(clicks) == 1


def test_clicks_of_a_straight_stroke_are_evenly_spaced() -> None:
    clicks = clicks_of_stroke([[0, 0], [1, 0], [10, 0]], distance=2.5)
    np.testing.assert_allclose(clicks, [[0, 0], [2.5, 0], [5, 0], [7.5, 0], [10, 0]])
