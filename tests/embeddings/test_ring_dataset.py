# Copyright (c) monai_synthfm contributors
# Licensed under the Apache License, Version 2.0 (http://www.apache.org/licenses/LICENSE-2.0).
# SPDX-License-Identifier: Apache-2.0
"""The dataset over a ring of embeddings: which images an epoch visits, in which order, with which prompts."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader

from monai_synthfm.data import SynthFMDataset
from monai_synthfm.embeddings.ring import EmbeddingRing
from monai_synthfm.embeddings.ring_dataset import EmbeddingRingDataset
from monai_synthfm.transforms import RandPromptsd

LABEL = (32, 32)


@pytest.fixture
def ring(tmp_path: Path) -> EmbeddingRing:
    """Ten slots; the features of image i are i."""
    one = EmbeddingRing(tmp_path, 1.0, (2, 1, 1), LABEL).slot_bytes
    ring = EmbeddingRing(tmp_path, 10.5 * one / 1e9, (2, 1, 1), LABEL)
    assert ring.slots == 10
    return ring


def fill(ring: EmbeddingRing, numbers: range) -> None:
    for number in numbers:
        label = np.zeros((1, *LABEL), dtype=np.int64)
        label[0, :16, :16], label[0, 20:30, 20:30] = 1, 2
        ring.write(number, np.full((2, 1, 1), number), label, "{}")


def numbers_of(dataset: EmbeddingRingDataset) -> list[int]:
    return [int(dataset[index]["image"][0, 0, 0]) for index in range(len(dataset))]


def test_the_window_grows_to_what_the_ring_holds_beside_the_next_fresh_images(ring: EmbeddingRing) -> None:
    dataset = EmbeddingRingDataset(ring, fresh=3, length=6)
    windows = [dataset.window(epoch) for epoch in (0, 1, 2, 3, 4)]
    assert windows == [range(0, 3), range(0, 3), range(0, 6), range(2, 9), range(5, 12)]
    for epoch in range(1, 30):
        together = {*dataset.window(epoch), *dataset.window(epoch + 1)}
        assert len({number % ring.slots for number in together}) == len(together)


def test_each_pass_visits_every_image_of_the_window_once_in_another_order(ring: EmbeddingRing) -> None:
    dataset = EmbeddingRingDataset(ring, fresh=5, length=15, seed=4)
    fill(ring, dataset.window(1))
    dataset.set_epoch(1)
    visits = numbers_of(dataset)
    passes = [visits[start : start + 5] for start in (0, 5, 10)]
    assert all(sorted(part) == [0, 1, 2, 3, 4] for part in passes)
    assert len({tuple(part) for part in passes}) > 1
    assert visits == numbers_of(dataset)


def test_without_shuffle_image_i_is_sample_i(ring: EmbeddingRing) -> None:
    dataset = EmbeddingRingDataset(ring, fresh=5, length=5, shuffle=False)
    fill(ring, dataset.window(0))
    assert numbers_of(dataset) == [0, 1, 2, 3, 4]


def test_a_visit_draws_new_prompts_whatever_the_number_of_workers(ring: EmbeddingRing) -> None:
    prompts = RandPromptsd(keys="label", target_key="label", num_objects=2, num_positive=(3, 3))
    dataset = EmbeddingRingDataset(ring, fresh=2, length=8, seed=1, transform=prompts)
    fill(ring, dataset.window(1))
    dataset.set_epoch(1)
    alone = [dataset[index] for index in range(8)]
    loaded = list(DataLoader(dataset, batch_size=None, num_workers=2))
    for one, other in zip(alone, loaded, strict=True):
        assert all(torch.equal(one[key], other[key]) for key in ("image", "label", "points", "point_labels"))
    assert Counter(int(item["image"][0, 0, 0]) for item in alone) == {0: 4, 1: 4}
    assert len({item["points"].numpy().tobytes() for item in alone}) == 8


def test_prompts_of_unshuffled_samples_are_those_of_the_generated_dataset(ring: EmbeddingRing) -> None:
    prompts = RandPromptsd(keys="label", num_objects=2, allow_empty=True)
    generated = SynthFMDataset(3, LABEL, seed=9, transform=prompts)
    for number in range(3):
        ring.write(number, np.zeros((2, 1, 1)), generated[number]["label"].numpy(), "{}")
    cached = EmbeddingRingDataset(ring, fresh=3, length=3, seed=9, transform=prompts, shuffle=False)
    for one, other in zip(generated, cached, strict=True):
        assert all(torch.equal(one[key], other[key]) for key in ("target", "points", "point_labels"))


def test_a_ring_too_small_for_two_epochs_is_refused(ring: EmbeddingRing) -> None:
    with pytest.raises(ValueError, match=r"it has 10 slots, and the 6 fresh images of two epochs must fit"):
        EmbeddingRingDataset(ring, fresh=6, length=6)
    with pytest.raises(ValueError, match="fresh and length must be at least 1"):
        EmbeddingRingDataset(ring, fresh=0, length=6)
