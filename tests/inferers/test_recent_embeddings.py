# Copyright (c) monai_synthfm contributors
# Licensed under the Apache License, Version 2.0 (http://www.apache.org/licenses/LICENSE-2.0).
# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import pytest
import torch

from monai_synthfm.inferers import RecentEmbeddings
from monai_synthfm.networks import ImageEmbedding

BYTES = 4 * 4 * 4


def embedding(value: float, finer: int = 0) -> ImageEmbedding:
    """One of 64 bytes, and as many again for each finer map."""
    features = torch.full((1, 1, 4, 4), float(value))
    return ImageEmbedding(features, (64, 64), (64, 64), (features,) * finer)


def test_what_was_used_least_recently_is_dropped() -> None:
    store = RecentEmbeddings(capacity=2 * BYTES)
    store[0], store[1] = embedding(0), embedding(1)
    assert store[0].features.max() == 0
    store[2] = embedding(2)
    assert sorted(store) == [0, 2]


def test_asking_whether_it_is_there_is_no_use() -> None:
    store = RecentEmbeddings(capacity=2 * BYTES)
    store[0], store[1] = embedding(0), embedding(1)
    assert 0 in store
    store[2] = embedding(2)
    assert sorted(store) == [1, 2]


def test_finer_features_count() -> None:
    store = RecentEmbeddings(capacity=4 * BYTES)
    for index in range(4):
        store[index] = embedding(index, finer=1)
    assert sorted(store) == [2, 3]


def test_the_last_is_kept_whatever_its_size() -> None:
    store = RecentEmbeddings(capacity=0)
    store[0], store[1] = embedding(0), embedding(1)
    assert list(store) == [1]


def test_replacing_and_deleting_free_the_bytes() -> None:
    store = RecentEmbeddings(capacity=2 * BYTES)
    for _ in range(5):
        store[0] = embedding(0)
    store[1] = embedding(1)
    assert len(store) == 2
    del store[0]
    store[2] = embedding(2)
    assert sorted(store) == [1, 2]
    with pytest.raises(KeyError):
        store[0]


def test_negative_capacity_is_refused() -> None:
    with pytest.raises(ValueError, match="capacity must be a number of bytes, got -1"):
        RecentEmbeddings(capacity=-1)
