# Copyright (c) monai_synthfm contributors
# Licensed under the Apache License, Version 2.0 (http://www.apache.org/licenses/LICENSE-2.0).
# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from skimage.measure import label as label_parts

from monai_synthfm.inferers.mask_volumes import LabelVolume, LogitVolume, label_map, largest_components
from monai_synthfm.inferers.propagation.propagation import SliceMasks

SHAPE = (5, 4, 3)
CPU = torch.device("cpu")


def pieces(logits: torch.Tensor, axis: int, seed: int) -> list[SliceMasks]:
    """Cut logits [N, X, Y, Z] into masks of slices, one to three objects at a time, in random order."""
    rng = np.random.default_rng(seed)
    found = []
    for index in range(SHAPE[axis]):
        order = rng.permutation(len(logits)).tolist()
        while order:
            size = int(rng.integers(1, 4))
            chunk, order = order[:size], order[size:]
            found.append(SliceMasks(index, chunk, logits.select(axis + 1, index).transpose(-1, -2)[chunk]))
    return [found[k] for k in rng.permutation(len(found))]


@settings(max_examples=40)
@given(count=st.integers(1, 6), axis=st.integers(0, 2), seed=st.integers(0, 10**6))
def test_labels_are_the_argmax_whatever_the_order_of_arrival(count: int, axis: int, seed: int) -> None:
    # Few distinct values make ties frequent.
    logits = torch.randint(-2, 3, (count, *SHAPE), generator=torch.Generator().manual_seed(seed)).float()
    merged = LabelVolume(SHAPE, axis, count, CPU)
    for found in pieces(logits, axis, seed):
        merged.add(found)
    expected = np.where(logits.amax(dim=0) > 0, np.argmax(logits.numpy(), axis=0) + 1, 0)
    np.testing.assert_array_equal(merged.values[0], expected)


def test_labels_are_bytes_up_to_255_objects() -> None:
    assert LabelVolume(SHAPE, 2, 255, CPU).values.dtype == torch.uint8
    many = LabelVolume(SHAPE, 2, 300, CPU)
    many.add(SliceMasks(0, [299], torch.ones(1, 4, 5)))
    assert many.values.max() == 300


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_logits_of_each_object_are_kept_apart(axis: int) -> None:
    logits = torch.randn(4, *SHAPE, generator=torch.Generator().manual_seed(0))
    merged = LogitVolume(SHAPE, axis, 5, CPU)
    for found in pieces(logits, axis, 0):
        merged.add(found)
    torch.testing.assert_close(merged.values[:4].float(), logits, atol=1e-5, rtol=1e-3)
    assert (merged.values[4] == -torch.inf).all()


@settings(max_examples=40)
@given(
    count=st.integers(1, 4),
    axis=st.integers(0, 2),
    seed=st.integers(0, 10**6),
    scale=st.sampled_from([0.01, 9.0, 1e5]),
    keep_largest=st.booleans(),
)
def test_labels_are_the_same_with_and_without_logits(
    count: int, axis: int, seed: int, scale: float, keep_largest: bool
) -> None:
    generator = torch.Generator().manual_seed(seed)
    # Most overlap by logits that nearly agree, which single precision tells apart and half precision does not.
    common, own = torch.randn(1, *SHAPE, generator=generator), torch.randn(count, *SHAPE, generator=generator)
    logits = scale * (common + 1e-3 * own)
    merged = (LabelVolume(SHAPE, axis, count, CPU), LogitVolume(SHAPE, axis, count, CPU))
    for volume in merged:
        for found in pieces(logits, axis, seed):
            volume.add(found)
        if keep_largest:
            volume.keep_largest()
    assert torch.equal(merged[0].values[0], label_map(merged[1].values))


def test_the_surer_of_two_sure_objects_wins_with_and_without_logits() -> None:
    # the probabilities of both are 1 in half precision
    found = SliceMasks(0, [0, 1], torch.tensor([[[9.0]], [[10.0]]]))
    labels, logits = LabelVolume((1, 1, 1), 2, 2, CPU), LogitVolume((1, 1, 1), 2, 2, CPU)
    labels.add(found)
    logits.add(found)
    assert labels.values.item() == label_map(logits.values).item() == 2


@settings(max_examples=40)
@given(seed=st.integers(0, 10**6))
def test_largest_components_are_those_that_scikit_image_finds(seed: int) -> None:
    labels = np.random.default_rng(seed).choice(4, (6, 7, 5), p=[0.7, 0.1, 0.1, 0.1]).astype(np.uint8)
    kept = largest_components(labels)
    for number in range(1, 4):
        parts = label_parts(labels == number, connectivity=3)
        sizes = np.bincount(parts.ravel())[1:]
        left = parts[kept == number]
        if not sizes.size:
            assert not left.size
            continue
        assert left.size == sizes.max()
        assert len(np.unique(left)) == 1


def test_logits_outside_the_largest_part_are_taken_away_and_the_rest_is_left() -> None:
    merged = LogitVolume((7, 1, 1), 2, 1, CPU)
    merged.add(SliceMasks(0, [0], torch.tensor([[[2.0, 2.0, -1.0, 3.0, -1.0, 2.0, -2.0]]])))
    before = merged.values.clone()
    merged.keep_largest()
    torch.testing.assert_close(merged.values[0, [0, 1, 2, 4, 6]], before[0, [0, 1, 2, 4, 6]])
    assert merged.values[0, [3, 5]].max() == -torch.inf


def test_no_object_follows_where_the_part_of_another_was_taken_away() -> None:
    merged = LogitVolume((5, 1, 1), 2, 2, CPU)
    merged.add(SliceMasks(0, [0, 1], torch.tensor([[[2.0, 2.0, -1.0, 3.0, -1.0]], [[1.0, -1.0, -1.0, 2.0, 2.0]]])))
    merged.keep_largest()
    assert label_map(merged.values).flatten().tolist() == [1, 1, 0, 0, 2]
    # where object 2 lies below object 1, it is as probable as before
    assert merged.values[1, 0].item() == 1
