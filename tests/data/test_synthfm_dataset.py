# Copyright (c) monai_synthfm contributors
# Licensed under the Apache License, Version 2.0 (http://www.apache.org/licenses/LICENSE-2.0).
# SPDX-License-Identifier: Apache-2.0
"""A sample depends on seed, epoch and index, and on nothing else: workers, ranks, order, threads, global seeds."""

from __future__ import annotations

import copy
import pickle
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import monai.data
import numpy as np
import pytest
import torch
from monai.transforms import Compose, RandAdjustContrastd, RandFlipd
from torch.utils.data import DataLoader, Dataset, DistributedSampler

from monai_synthfm.data import SynthFMDataset
from monai_synthfm.transforms import RandSynthFM

LENGTH = 8
SIZE = (48, 40)


def make(seed: int = 3, transform: Any = None, length: int = LENGTH) -> SynthFMDataset:
    return SynthFMDataset(length, SIZE, seed, transform, RandSynthFM(SIZE, native_size=(32, 96)))


def augmentation() -> Compose:
    return Compose([RandFlipd(["image", "label"], prob=0.5), RandAdjustContrastd("image", prob=1.0)])


def images(samples: Any) -> torch.Tensor:
    return torch.stack([sample["image"].as_tensor() for sample in samples])


@pytest.fixture(scope="module", params=[False, True], ids=["plain", "augmented"])
def transform(request: pytest.FixtureRequest) -> Any:
    return augmentation() if request.param else None


@pytest.fixture(scope="module")
def expected(transform: Any) -> torch.Tensor:
    return images(make(transform=transform)[index] for index in range(LENGTH))


def test_a_sample_is_what_its_seed_says() -> None:
    dataset = make()
    sample = dataset[2]
    assert sample["image"].shape == sample["label"].shape == (1, *SIZE)
    assert sample["image"].dtype == torch.float32
    assert sample["label"].dtype == torch.int64
    assert len({tuple(image.flatten().tolist()) for image in images(dataset[i] for i in range(LENGTH))}) == LENGTH
    assert not torch.equal(make(seed=4)[2]["image"].as_tensor(), sample["image"].as_tensor())


def test_the_parameters_of_a_sample_replay_it() -> None:
    sample = make()[5]
    image, label = RandSynthFM(SIZE).replay(sample["image"].meta["synthfm"])
    assert torch.equal(image.as_tensor(), sample["image"].as_tensor())
    assert torch.equal(label.as_tensor(), sample["label"].as_tensor())


@pytest.mark.parametrize("workers", [0, 1, 4])
@pytest.mark.parametrize("loader", [DataLoader, monai.data.DataLoader], ids=["torch", "monai"])
def test_workers_do_not_matter(workers: int, loader: Any, transform: Any, expected: torch.Tensor) -> None:
    torch.manual_seed(workers)  # what MONAI's loader seeds its workers from
    context = {"multiprocessing_context": "fork"} if workers else {}
    batches = loader(make(transform=transform), batch_size=3, num_workers=workers, **context)
    assert torch.equal(torch.cat([batch["image"].as_tensor() for batch in batches]), expected)


@pytest.mark.parametrize("workers", [1, 4])
def test_thread_workers_do_not_matter(workers: int, transform: Any, expected: torch.Tensor) -> None:
    for _ in range(3):
        dataset = make(transform=transform)
        batches = monai.data.ThreadDataLoader(dataset, batch_size=2, num_workers=workers, use_thread_workers=True)
        assert torch.equal(torch.cat([batch["image"].as_tensor() for batch in batches]), expected)


def test_a_thread_that_replaced_the_transform_uses_the_new_one() -> None:
    dataset = make(transform=RandFlipd(["image", "label"], prob=1.0, spatial_axis=0))
    with ThreadPoolExecutor(1) as pool:
        flipped = pool.submit(dataset.__getitem__, 2).result()["image"].as_tensor()
        dataset.transform = None
        plain = pool.submit(dataset.__getitem__, 2).result()["image"].as_tensor()
    assert torch.equal(flipped, make()[2]["image"].as_tensor().flip(1))
    assert torch.equal(plain, make()[2]["image"].as_tensor())


def test_threads_do_not_matter(transform: Any, expected: torch.Tensor) -> None:
    before = torch.get_num_threads()
    torch.set_num_threads(4)
    dataset = make(transform=transform)
    found = images(dataset[index] for index in range(LENGTH))
    torch.set_num_threads(before)
    assert torch.equal(found, expected)


def test_order_and_earlier_samples_do_not_matter(transform: Any, expected: torch.Tensor) -> None:
    dataset = make(transform=transform)
    order = [5, 0, 5, 7, 2, -1]
    assert torch.equal(images(dataset[index] for index in order), expected[order])


def test_global_seeds_do_not_matter(transform: Any, expected: torch.Tensor) -> None:
    np.random.seed(11)
    torch.manual_seed(12)
    monai.utils.set_determinism(13)
    found = make(transform=transform)[4]["image"].as_tensor()
    monai.utils.set_determinism(None)
    assert torch.equal(found, expected[4])


@pytest.mark.parametrize("ranks", [2, 8])
def test_ranks_share_the_same_epoch(ranks: int, transform: Any, expected: torch.Tensor) -> None:
    found = torch.zeros_like(expected)
    for rank in range(ranks):
        dataset = make(transform=transform)
        sampler = DistributedSampler(dataset, ranks, rank, shuffle=False)
        part = [sample["image"].as_tensor() for sample in DataLoader(dataset, batch_size=None, sampler=sampler)]
        found[list(sampler)] = torch.stack(part)
    assert torch.equal(found, expected)


def test_epochs_differ_and_can_be_resumed(transform: Any) -> None:
    dataset = make(transform=transform)
    epochs = []
    for epoch in range(3):
        dataset.set_epoch(epoch)
        epochs.append(images(dataset[index] for index in range(LENGTH)))
    assert not torch.equal(epochs[0], epochs[1])
    resumed = make(transform=transform)
    resumed.set_epoch(2)
    assert torch.equal(images(resumed[index] for index in range(4, LENGTH)), epochs[2][4:])


def test_workers_that_outlive_an_epoch_see_the_next() -> None:
    dataset = make()
    loader = DataLoader(dataset, batch_size=4, num_workers=2, persistent_workers=True, collate_fn=images)
    for epoch in (0, 1, 4):
        dataset.set_epoch(epoch)
        found = torch.cat(list(loader))
        alone = make()
        alone.set_epoch(epoch)
        assert torch.equal(found, images(alone[index] for index in range(LENGTH)))


@pytest.mark.slow
def test_spawned_workers_see_the_epoch_too() -> None:
    dataset = make(length=2)
    loader = DataLoader(dataset, batch_size=2, num_workers=1, multiprocessing_context="spawn", persistent_workers=True)
    for epoch in (1, 2):
        dataset.set_epoch(epoch)
        (batch,) = loader
        assert torch.equal(batch["image"].as_tensor(), images(dataset[index] for index in range(2)))


@pytest.mark.parametrize("duplicate", [copy.deepcopy, lambda dataset: pickle.loads(pickle.dumps(dataset))])
def test_copies_give_the_same_samples(duplicate: Any, expected: torch.Tensor, transform: Any) -> None:
    dataset = make(transform=transform)
    dataset.set_epoch(0)
    assert torch.equal(duplicate(dataset)[3]["image"].as_tensor(), expected[3])


def test_length_does_not_change_the_samples(expected: torch.Tensor, transform: Any) -> None:
    assert torch.equal(make(transform=transform, length=100)[6]["image"].as_tensor(), expected[6])


def test_it_is_a_torch_dataset_of_its_length() -> None:
    assert isinstance(make(), Dataset)
    assert len(make()) == LENGTH
    assert len(list(DataLoader(make(length=2), batch_size=None))) == 2


@pytest.mark.parametrize("index", [LENGTH, -LENGTH - 1])
def test_an_index_outside_the_epoch_is_an_index_error(index: int) -> None:
    with pytest.raises(IndexError, match=f"within the {LENGTH} samples of an epoch, got {index}"):
        make()[index]


def test_wrong_arguments_are_named() -> None:
    with pytest.raises(ValueError, match="length must be at least 1, got 0"):
        make(length=0)
    with pytest.raises(ValueError, match="seed must be 0 or more, got -1"):
        make(seed=-1)
    with pytest.raises(ValueError, match=r"spatial_size \(32, 32\) is not the generator's \(48, 40\)"):
        SynthFMDataset(1, (32, 32), generator=RandSynthFM(SIZE))
    with pytest.raises(ValueError, match="epoch must be 0 or more, got -2"):
        make().set_epoch(-2)
