# Copyright (c) monai_synthfm contributors
# Licensed under the Apache License, Version 2.0 (http://www.apache.org/licenses/LICENSE-2.0).
# SPDX-License-Identifier: Apache-2.0
"""Seeds of samples: by dataset, epoch and index alone."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from monai.transforms import RandLambda

from monai_synthfm.data.seeded_dataset import SeededDataset


class Seeds(SeededDataset):
    def __len__(self) -> int:
        return 3

    def make_sample(self, index: int, seed: int) -> dict[str, Any]:
        return {"index": index, "seed": seed}


def test_a_sample_gets_the_first_word_of_the_seed_sequence_of_dataset_epoch_and_index() -> None:
    dataset = Seeds(seed=7, transform=None)
    dataset.set_epoch(5)
    expected = int(np.random.SeedSequence([7, 5, 2]).generate_state(2)[0])
    assert dataset[2] == dataset[-1] == {"index": 2, "seed": expected}


def test_a_random_transform_is_seeded_by_the_second_word() -> None:
    class Draw(RandLambda):
        def __call__(self, data: dict[str, Any]) -> float:
            return float(self.R.rand())

    expected = np.random.RandomState(int(np.random.SeedSequence([0, 0, 1]).generate_state(2)[1])).rand()
    assert Seeds(seed=0, transform=Draw())[1] == pytest.approx(expected)


def test_all_seeds_of_many_epochs_differ() -> None:
    dataset, seen = Seeds(seed=0, transform=None), set()
    for epoch in range(50):
        dataset.set_epoch(epoch)
        seen |= {dataset[index]["seed"] for index in range(3)}
    assert len(seen) == 150


@pytest.mark.parametrize("index", [3, -4])
def test_an_index_outside_the_epoch_is_refused(index: int) -> None:
    with pytest.raises(IndexError, match=f"within the 3 samples of an epoch, got {index}"):
        Seeds(seed=0, transform=None)[index]


def test_negative_seeds_and_epochs_are_refused() -> None:
    with pytest.raises(ValueError, match="seed must be 0 or more, got -1"):
        Seeds(seed=-1, transform=None)
    with pytest.raises(ValueError, match="epoch must be 0 or more, got -2"):
        Seeds(seed=0, transform=None).set_epoch(-2)
