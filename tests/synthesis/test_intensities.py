# Copyright (c) monai_synthfm contributors
# Licensed under the Apache License, Version 2.0 (http://www.apache.org/licenses/LICENSE-2.0).
# SPDX-License-Identifier: Apache-2.0
"""The contrast rule keeps its promises for any base and contrasts; regions get their values."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from monai_synthfm.synthesis.intensities import paint_regions, shape_intensities

bases = st.floats(0.0, 1.0)
contrasts = st.lists(st.floats(0.001, 0.5), min_size=1, max_size=12)


@given(bases, contrasts)
def test_every_shape_differs_from_its_base_by_its_contrast(base: float, drawn: list[float]) -> None:
    values = np.array(shape_intensities(base, drawn))
    np.testing.assert_allclose(np.abs(values - base), drawn, atol=1e-12)
    assert values.min() >= 0.0
    assert values.max() <= 1.0


@given(st.floats(0.5, 0.5), contrasts)
def test_neighbouring_indexes_lie_on_opposite_sides_where_there_is_room(base: float, drawn: list[float]) -> None:
    signs = np.sign(np.array(shape_intensities(base, drawn)) - base)
    np.testing.assert_array_equal(signs, [(-1) ** i for i in range(1, len(drawn) + 1)])


@pytest.mark.parametrize(("base", "sign"), [(0.0, 1), (1.0, -1)])
def test_the_sign_turns_at_the_ends_of_the_interval(base: float, sign: int) -> None:
    assert shape_intensities(base, [0.2, 0.3]) == pytest.approx([base + sign * 0.2, base + sign * 0.3])


def test_no_shapes_have_no_intensities() -> None:
    assert shape_intensities(0.4, []) == []


@pytest.mark.parametrize("wrong", [[0.1, 0.6], [-0.1, 0.2]])
def test_contrasts_outside_the_interval_are_refused(wrong: list[float]) -> None:
    with pytest.raises(ValueError, match=r"contrasts must lie in \[0, 0.5\]"):
        shape_intensities(0.5, wrong)


@given(hnp.arrays(np.int64, hnp.array_shapes(min_dims=1, max_dims=3, max_side=5), elements=st.integers(0, 4)))
def test_regions_are_painted_as_numpy_would(regions: np.ndarray) -> None:
    values = np.array([0.1, 0.9, 0.3, 0.7, 0.5], dtype=np.float32)
    painted = paint_regions(torch.from_numpy(regions), values.tolist())
    np.testing.assert_array_equal(painted.numpy(), values[regions])


def test_a_region_without_a_value_is_refused() -> None:
    with pytest.raises(ValueError, match="regions go up to 3, but only 2 values"):
        paint_regions(torch.tensor([[0, 3]]), [0.1, 0.2])
