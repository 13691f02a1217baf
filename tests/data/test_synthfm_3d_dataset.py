# Copyright (c) monai_synthfm contributors
# Licensed under the Apache License, Version 2.0 (http://www.apache.org/licenses/LICENSE-2.0).
# SPDX-License-Identifier: Apache-2.0
"""A generated volume depends on seed, epoch and index, and on nothing else."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from monai.transforms import RandFlipd
from torch.utils.data import DataLoader

from monai_synthfm.data import SynthFM3DDataset
from monai_synthfm.transforms import RandSynthFM3D

LENGTH = 4
SIZE = (28, 24, 6)


def make(seed: int = 3, transform: Any = None) -> SynthFM3DDataset:
    return SynthFM3DDataset(LENGTH, SIZE, seed, transform)


def images(samples: Any) -> torch.Tensor:
    return torch.stack([sample["image"].as_tensor() for sample in samples])


@pytest.fixture(scope="module")
def expected() -> torch.Tensor:
    return images(make()[index] for index in range(LENGTH))


@pytest.mark.parametrize("workers", [0, 1, 2])
def test_workers_do_not_matter(workers: int, expected: torch.Tensor) -> None:
    torch.manual_seed(workers)
    context = {"multiprocessing_context": "fork"} if workers else {}
    loader = DataLoader(make(), batch_size=3, num_workers=workers, collate_fn=images, **context)
    assert torch.equal(torch.cat(list(loader)), expected)


def test_order_does_not_matter_and_samples_differ(expected: torch.Tensor) -> None:
    dataset = make()
    assert torch.equal(images(dataset[index] for index in (2, 0, 3, 2)), expected[[2, 0, 3, 2]])
    assert len({tuple(image.flatten().tolist()) for image in expected}) == LENGTH
    assert not torch.equal(make(seed=4)[0]["image"].as_tensor(), expected[0])


def test_epochs_differ_and_can_be_resumed(expected: torch.Tensor) -> None:
    dataset, resumed = make(), make()
    dataset.set_epoch(1)
    second = images(dataset[index] for index in range(LENGTH))
    assert not torch.equal(second, expected)
    resumed.set_epoch(1)
    assert torch.equal(resumed[3]["image"].as_tensor(), second[3])
    dataset.set_epoch(0)
    assert torch.equal(dataset[1]["image"].as_tensor(), expected[1])


def test_the_parameters_of_a_sample_replay_it(expected: torch.Tensor) -> None:
    sample = make()[2]
    image, label = RandSynthFM3D(SIZE).replay(sample["image"].meta["synthfm"])
    assert torch.equal(image.as_tensor(), expected[2])
    assert torch.equal(label.as_tensor(), sample["label"].as_tensor())


def test_random_transforms_are_seeded_for_the_sample(expected: torch.Tensor) -> None:
    flip = RandFlipd(["image", "label"], prob=0.5, spatial_axis=0)
    first = images(make(transform=flip)[index] for index in range(LENGTH))
    assert torch.equal(images(make(transform=flip)[index] for index in range(LENGTH)), first)
    assert all(torch.equal(a, b) or torch.equal(a, b.flip(1)) for a, b in zip(first, expected, strict=True))


def test_wrong_arguments_are_named() -> None:
    with pytest.raises(ValueError, match="length must be at least 1, got 0"):
        SynthFM3DDataset(0, SIZE)
    with pytest.raises(ValueError, match=r"spatial_size \(8, 8, 8\) is not the generator's \(28, 24, 6\)"):
        SynthFM3DDataset(1, (8, 8, 8), generator=RandSynthFM3D(SIZE))
