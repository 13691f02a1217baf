# Copyright (c) monai_synthfm contributors
# Licensed under the Apache License, Version 2.0 (http://www.apache.org/licenses/LICENSE-2.0).
# SPDX-License-Identifier: Apache-2.0
"""What datasets of generated samples share, seen with a generator of plain random numbers."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from monai.transforms import Randomizable

from monai_synthfm.data.generated_dataset import GeneratedDataset


class Numbers(Randomizable):
    """An image of random numbers, and a label that counts how often the generator was called."""

    def __init__(self, spatial_size: Any) -> None:
        self.spatial_size = tuple(spatial_size)
        self.calls = 0

    def __call__(self) -> tuple[torch.Tensor, torch.Tensor]:
        self.calls += 1
        return torch.from_numpy(self.R.rand(1, *self.spatial_size)), torch.tensor(self.calls)


class NumbersDataset(GeneratedDataset):
    generator_type = Numbers


def test_a_sample_is_the_generators_answer_to_its_seed() -> None:
    dataset = NumbersDataset(5, (3, 4), seed=9)
    dataset.set_epoch(2)
    for index in (4, 0):
        seed = int(np.random.SeedSequence([9, 2, index]).generate_state(2)[0])
        sample = dataset[index]
        assert set(sample) == {"image", "label"}
        np.testing.assert_array_equal(sample["image"], np.random.RandomState(seed).rand(1, 3, 4))


def test_what_the_generator_did_before_changes_nothing() -> None:
    generator = Numbers((3, 4))
    dataset = NumbersDataset(2, (3, 4), generator=generator)
    first = dataset[1]
    generator.set_random_state(seed=1)()
    again = dataset[1]
    assert torch.equal(again["image"], first["image"])
    # the samples do come from this one generator
    assert (int(first["label"]), int(again["label"])) == (1, 3)


def test_every_dataset_makes_a_generator_of_its_own_size() -> None:
    small, large = NumbersDataset(1, [3, 4]), NumbersDataset(1, (5, 6, 7))
    assert small[0]["image"].shape == (1, 3, 4)
    assert large[0]["image"].shape == (1, 5, 6, 7)
    assert small.generator is not NumbersDataset(1, [3, 4]).generator


def test_a_generator_whose_parts_no_seed_reaches_is_refused() -> None:
    generator = Numbers((3, 4))
    generator.part = Numbers((1, 1))
    with pytest.raises(ValueError, match=r"generator must hand seeds on to all its random transforms, .* to Numbers"):
        NumbersDataset(1, (3, 4), generator=generator)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"length": 0}, "length must be at least 1, got 0"),
        ({"length": -3}, "length must be at least 1, got -3"),
        ({"seed": -1}, "seed must be 0 or more, got -1"),
        ({"generator": Numbers((4, 3))}, r"spatial_size \(3, 4\) is not the generator's \(4, 3\)"),
        ({"generator": Numbers((3, 4, 1))}, r"spatial_size \(3, 4\) is not the generator's \(3, 4, 1\)"),
    ],
)
def test_wrong_arguments_are_named(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        NumbersDataset(**{"length": 2, "spatial_size": (3, 4), **arguments})
