# Copyright (c) monai_synthfm contributors
# Licensed under the Apache License, Version 2.0 (http://www.apache.org/licenses/LICENSE-2.0).
# SPDX-License-Identifier: Apache-2.0
"""Slices as a network sees them, and how often it has to look."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from monai_synthfm.embeddings.recent import RecentEmbeddings
from monai_synthfm.networks import ImageEmbedding
from monai_synthfm.slices.slice_frame import SliceFrame
from monai_synthfm.slices.sliced_volume import SlicedVolume
from tests.inferers.blob_segmenter import BlobSegmenter

SIZES = (5, 6, 7)
VOLUME = torch.rand(1, *SIZES, generator=torch.Generator().manual_seed(0))


class Halved(dict[int, ImageEmbedding]):
    """A store that rounds to half precision."""

    def __getitem__(self, index: int) -> ImageEmbedding:
        found = super().__getitem__(index)
        return replace(found, features=found.features.half().float())


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize(("axis", "size"), [(0, (7, 6)), (1, (7, 5)), (2, (6, 5))])
def test_the_first_axis_left_is_the_width_and_the_second_the_height(
    axis: int, size: tuple[int, int], channels: int
) -> None:
    volume = torch.rand(channels, *SIZES)
    slices = SlicedVolume(volume, SliceFrame(axis), BlobSegmenter())
    assert (len(slices), slices.size) == (SIZES[axis], size)
    for index in range(len(slices)):
        # [C, width, height] to [C, height, width]
        expected = np.take(volume.numpy(), index, axis=axis + 1).swapaxes(1, 2)
        np.testing.assert_array_equal(slices.image(index)[0], expected)
        assert slices.image(index).shape == (1, channels, *size)


@settings(max_examples=30, deadline=None)
@given(st.lists(st.integers(0, SIZES[1] - 1), max_size=12))
def test_each_slice_asked_for_is_encoded_once_and_no_other(asked: list[int]) -> None:
    network = BlobSegmenter()
    slices = SlicedVolume(VOLUME, SliceFrame(1), network)
    for index in asked:
        # the features of a blob segmenter are the image
        np.testing.assert_array_equal(slices.embedding(index).features[0, 0], VOLUME[0, :, index].T)
    assert network.encoded == len(set(asked))
    assert slices.store.keys() == set(asked)


def test_an_empty_store_is_filled_and_serves_others() -> None:
    store: dict[int, ImageEmbedding] = {}
    SlicedVolume(VOLUME, SliceFrame(2), BlobSegmenter(), store).embedding(3)
    assert list(store) == [3]
    second = BlobSegmenter()
    assert SlicedVolume(VOLUME, SliceFrame(2), second, store).embedding(3).features is store[3].features
    assert second.encoded == 0


def test_volumes_without_a_store_do_not_share_one() -> None:
    first, second = (SlicedVolume(volume, SliceFrame(2), BlobSegmenter()) for volume in (VOLUME, 1 - VOLUME))
    first.embedding(0)
    np.testing.assert_array_equal(second.embedding(0).features[0, 0], 1 - VOLUME[0, :, :, 0].T)


def test_what_the_store_gives_back_is_used_from_the_first_time() -> None:
    slices = SlicedVolume(VOLUME, SliceFrame(2), BlobSegmenter(), Halved())
    first, again = (slices.embedding(1).features[0, 0] for _ in range(2))
    assert torch.equal(first, again)
    assert torch.equal(first, VOLUME[0, :, :, 1].T.half().float())
    assert not torch.equal(first, VOLUME[0, :, :, 1].T)


def test_what_a_store_forgot_is_encoded_again() -> None:
    network = BlobSegmenter()
    slices = SlicedVolume(VOLUME, SliceFrame(2), network, RecentEmbeddings(capacity=0))
    for index in (0, 1, 0):
        np.testing.assert_array_equal(slices.embedding(index).features[0, 0], VOLUME[0, :, :, index].T)
    assert network.encoded == 3


@pytest.mark.parametrize("channels", [1, 3])
def test_pictures_are_turned_and_stay_in_the_slices_of_the_volume(channels: int) -> None:
    volume = torch.rand(channels, *SIZES)
    slices = SlicedVolume(volume, SliceFrame(1, True, (True, False), True), BlobSegmenter())
    assert (len(slices), slices.stored_size, slices.size) == (6, (7, 5), (5, 7))
    for index in range(6):
        expected = volume.numpy()[:, :, index, ::-1]
        np.testing.assert_array_equal(slices.image(index)[0], expected)
        np.testing.assert_array_equal(slices.embedding(index).features[0, 0], expected[0])


def test_counted_back_slices_are_the_same_and_share_their_store() -> None:
    volume, network = VOLUME.clone(), BlobSegmenter()
    volume[:, :, :, 1] = 0.0
    slices = SlicedVolume(volume, SliceFrame(2, flips=(True, True)), network)
    back = slices.counted_back()
    assert (len(back), back.size, back.blank) == (7, slices.size, [False] * 5 + [True, False])
    assert torch.equal(back.image(2), slices.image(4))
    assert back.embedding(2).features is slices.embedding(4).features
    assert list(slices.store) == [4]
