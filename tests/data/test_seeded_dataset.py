# Copyright (c) monai_synthfm contributors
# Licensed under the Apache License, Version 2.0 (http://www.apache.org/licenses/LICENSE-2.0).
# SPDX-License-Identifier: Apache-2.0
"""Seeds of samples: by dataset, epoch and index alone."""

from __future__ import annotations

from typing import Any

import monai.data
import numpy as np
import pytest
from monai.transforms import Compose, Lambdad, OneOf, RandLambda, RandLambdad, RandShiftIntensityd
from torch.utils.data import DataLoader, Subset

from monai_synthfm.data.seeded_dataset import SeededDataset
from tests.data.test_transform_seeds import SHIFT, Holder, unseeded


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


@pytest.mark.parametrize("index", [slice(1, 3), slice(None, None, -1), slice(-2, 9), [2, 0], (1,), range(2)])
def test_several_indices_give_the_subset_that_monais_dataset_gives(index: Any) -> None:
    part = Seeds(seed=4, transform=None)[index]
    expected = monai.data.Dataset([0, 1, 2])[index]
    assert isinstance(part, Subset)
    assert isinstance(expected, Subset)
    assert [sample["index"] for sample in part] == list(expected)
    assert [part[k] for k in range(len(part))] == [Seeds(seed=4, transform=None)[k] for k in expected.indices]
    batches = DataLoader(part, batch_size=2)
    assert [number for batch in batches for number in batch["index"].tolist()] == list(expected)


@pytest.mark.parametrize("name", unseeded())
def test_random_transforms_that_no_seed_reaches_are_refused(name: str) -> None:
    message = (
        r"transform must hand seeds on to all its random transforms, but does not to (Compose, )?RandShiftIntensityd"
    )
    with pytest.raises(ValueError, match=message):
        Seeds(seed=0, transform=unseeded()[name])
    dataset = Seeds(seed=0, transform=None)
    with pytest.raises(ValueError, match=message):
        dataset.transform = unseeded()[name]
    assert dataset.transform is None


@pytest.mark.parametrize(
    "transform",
    [
        None,
        lambda sample: {**sample, "seed": 0},
        Compose([Lambdad("index", lambda index: index + 1), lambda sample: sample]),
        dict,
        RandShiftIntensityd("seed", 1.0),
        OneOf([Compose([RandShiftIntensityd("seed", 1.0)]), RandLambdad("seed", np.negative)]),
        Compose([monai.transforms.RandSpatialCropSamplesd("seed", 4, 2)]),
    ],
)
def test_transforms_that_draw_nothing_or_take_a_seed_are_taken(transform: Any) -> None:
    assert Seeds(seed=0, transform=transform).transform is transform


def test_what_takes_a_seed_without_being_monais_is_seeded() -> None:
    class Own(Holder):
        def set_random_state(self, seed: int) -> None:
            self.seed = seed
            SHIFT.set_random_state(seed=seed)

        def __call__(self, sample: Any) -> Any:
            return self.seed

    dataset = Seeds(seed=0, transform=Own(SHIFT))
    assert dataset[1] == int(np.random.SeedSequence([0, 0, 1]).generate_state(2)[1])
