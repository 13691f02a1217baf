# Copyright (c) monai_synthfm contributors
# Licensed under the Apache License, Version 2.0 (http://www.apache.org/licenses/LICENSE-2.0).
# SPDX-License-Identifier: Apache-2.0
"""Erosion against scipy's own, instances against a hand-made case, canvases against their distribution."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy import ndimage, stats

from monai_synthfm.synthesis.boundaries import CanvasParams, connected_instances, erode_labels, fill_canvas

sizes = hnp.array_shapes(min_dims=2, max_dims=3, min_side=1, max_side=9)


def eroded_one_by_one(labels: np.ndarray, iterations: tuple[int, ...]) -> np.ndarray:
    mask = np.zeros(labels.shape, dtype=bool)
    for label, times in enumerate(iterations):
        cluster = labels == label
        mask |= ndimage.binary_erosion(cluster, iterations=times, border_value=1) if times else cluster
    return mask


def canvas(low: float = 0.3, high: float = 0.4, scatter: float = 0.0, shift: float = 0.1, seed: int = 0):
    return CanvasParams(low, high, scatter, (0.0, 1.0), shift, seed)


@settings(max_examples=150)
@given(
    hnp.arrays(np.int64, sizes, elements=st.integers(0, 3)),
    st.tuples(*[st.integers(0, 4)] * 4),
    st.integers(1, 3),
)
def test_erosion_equals_scipy_label_by_label(
    labels: np.ndarray, iterations: tuple[int, int, int, int], enlarge: int
) -> None:
    labels = labels.repeat(enlarge, axis=0).repeat(enlarge, axis=1)
    eroded = erode_labels(torch.from_numpy(labels), iterations)
    np.testing.assert_array_equal(eroded.numpy(), eroded_one_by_one(labels, iterations))


def test_erosion_of_a_single_cluster_leaves_it_whole() -> None:
    assert erode_labels(torch.zeros(5, 6, dtype=torch.long), (3,)).all()


def test_255_labels_can_be_eroded() -> None:
    labels = torch.arange(255).repeat_interleave(3)[None].repeat(3, 1)
    assert erode_labels(labels, (1,) * 255)[1].sum() == 255 + 2  # the first and last cluster go on behind the border


@pytest.mark.parametrize("labels", [[[0, 1, 2]], [[-1, 0, 1]]])
def test_a_label_without_a_number_of_iterations_is_refused(labels: list[list[int]]) -> None:
    with pytest.raises(ValueError, match="iterations must hold a number for each label, got 2"):
        erode_labels(torch.tensor(labels), (1, 1))


def test_pieces_that_share_a_face_are_one_instance() -> None:
    mask = torch.tensor([[1, 1, 0, 1], [0, 0, 1, 0], [1, 0, 1, 1]]).bool()
    assert connected_instances(mask).tolist() == [[1, 1, 0, 2], [0, 0, 3, 0], [4, 0, 3, 3]]


def test_canvas_is_uniform_between_its_ends() -> None:
    image = fill_canvas(torch.ones(200, 200, dtype=torch.bool), canvas(0.3, 0.45))
    assert stats.kstest(image.flatten().double()[::7], stats.uniform(0.3, 0.15).cdf).pvalue > 0.01


@pytest.mark.parametrize("scatter", [0.02, 0.3, 0.9])
def test_the_scattered_share_comes_from_the_whole_interval(scatter: float) -> None:
    values = fill_canvas(torch.ones(300, 300, dtype=torch.bool), canvas(0.5, 0.5, scatter)).flatten().double()
    scattered = values[values != values.median()] if scatter < 0.5 else values[(values - 0.5).abs() > 1e-6]
    assert len(scattered) / len(values) == pytest.approx(scatter, rel=0.1)
    assert stats.kstest(scattered[:5000], stats.uniform(0.0, 1.0).cdf).pvalue > 0.01


def test_scattered_values_do_not_cluster() -> None:
    image = fill_canvas(torch.ones(300, 300, dtype=torch.bool), canvas(0.5, 0.5, 0.1))
    scattered = ((image - 0.5).abs() > 1e-6).double()
    assert (scattered[:, 1:] * scattered[:, :-1]).mean().item() == pytest.approx(0.1**2, rel=0.2)


@pytest.mark.parametrize("scatter", [0.0, 1.0])
def test_all_or_nothing_may_be_scattered(scatter: float) -> None:
    values = fill_canvas(torch.ones(100, 100, dtype=torch.bool), canvas(0.3, 0.4, scatter)).double()
    low, width = (0.0, 1.0) if scatter else (0.3, 0.1)
    assert stats.kstest(values.flatten(), stats.uniform(low, width).cdf).pvalue > 0.01


@pytest.mark.parametrize("shift", [-0.2, 0.05])
def test_background_is_the_mean_of_the_canvas_plus_the_shift(shift: float) -> None:
    mask = torch.zeros(64, 64, dtype=torch.bool)
    mask[:, 20:] = True
    background = fill_canvas(mask, canvas(shift=shift))[~mask].unique()
    whole = fill_canvas(torch.ones_like(mask), canvas(shift=shift))
    assert len(background) == 1
    assert background.item() == pytest.approx(whole.double().mean().item() + shift, abs=1e-6)


def test_background_stays_in_the_interval() -> None:
    image = fill_canvas(torch.zeros(4, 4, dtype=torch.bool), canvas(0.9, 0.95, shift=0.5))
    assert image.unique().tolist() == [1.0]


def test_mask_copies_the_canvas() -> None:
    mask = torch.rand(32, 32, generator=torch.Generator().manual_seed(0)) < 0.5
    whole = fill_canvas(torch.ones_like(mask), canvas(scatter=0.2))
    assert torch.equal(fill_canvas(mask, canvas(scatter=0.2))[mask], whole[mask])
