# Copyright (c) monai_synthfm contributors
# Licensed under the Apache License, Version 2.0 (http://www.apache.org/licenses/LICENSE-2.0).
# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import gc
from dataclasses import replace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from monai_synthfm.embeddings import recent as recent_embeddings
from monai_synthfm.embeddings.recent import temporary_embeddings
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


def test_without_a_capacity_half_of_the_free_memory_is_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recent_embeddings, "free_memory", lambda: 5 * BYTES)
    store = RecentEmbeddings()
    for index in range(4):
        store[index] = embedding(index)
    assert list(store) == [2, 3]


def test_what_leaves_memory_is_found_where_it_was_spilled_and_memory_stays_within_its_capacity() -> None:
    places: list[dict[int, ImageEmbedding]] = []

    def place() -> dict[int, ImageEmbedding]:
        places.append({})
        return places[-1]

    store = RecentEmbeddings(2 * BYTES, place)
    store[0], store[1] = embedding(0), embedding(1)
    assert places == []  # nothing is made before it is needed
    for index in range(2, 6):
        store[index] = embedding(index)
    assert sorted(store) == list(range(6))
    assert len(store) == 6
    for index in (3, 0, 5, 1, 1, 4, 2):
        assert store[index].features.unique().tolist() == [index]
        assert len(store._kept) == 2
        assert store._bytes == 2 * BYTES
    assert len(places) == 1


@settings(max_examples=60)
@given(
    capacity=st.integers(0, 4),
    steps=st.lists(st.tuples(st.sampled_from("swd"), st.integers(0, 5), st.integers(0, 99)), max_size=40),
)
def test_a_store_that_spills_is_a_dictionary(capacity: int, steps: list[tuple[str, int, int]]) -> None:
    store, plain = RecentEmbeddings(capacity * BYTES, dict), {}
    for step, index, value in steps:
        if step == "s":
            store[index], plain[index] = embedding(value), value
        elif index in plain and step == "w":
            assert store[index].features.unique().tolist() == [plain[index]]
        elif index in plain:
            del store[index], plain[index]
        assert set(store) == set(plain)
        assert len(store) == len(plain)
        assert all((k in store) == (k in plain) for k in range(6))
    assert {k: int(store[k].features.unique()) for k in plain} == plain


def test_a_full_disk_is_told_once_and_embeddings_are_dropped(caplog: pytest.LogCaptureFixture) -> None:
    class Full(dict):
        def __setitem__(self, index: int, value: ImageEmbedding) -> None:
            raise OSError(28, "No space left on device")

    store = RecentEmbeddings(BYTES, Full)
    for index in range(4):
        store[index] = embedding(index)
    assert list(store) == [3]
    assert caplog.text.count("No space left on device") == 1


def test_a_temporary_place_gives_back_every_bit_and_goes_with_its_store() -> None:
    store = RecentEmbeddings(0, temporary_embeddings)
    stored = [replace(embedding(0, finer=1), features=torch.randn(1, 1, 4, 4)) for _ in range(3)]
    for index, value in enumerate(stored):
        store[index] = value
    folder = store._spilled.folder
    assert len(list(folder.glob("slice-*"))) == 2
    for index, value in enumerate(stored):
        assert torch.equal(store[index].features, value.features)
        assert torch.equal(store[index].high_resolution[0], value.high_resolution[0])
    del store
    gc.collect()
    assert not folder.exists()
