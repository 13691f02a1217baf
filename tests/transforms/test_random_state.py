# Copyright (c) monai_synthfm contributors
# Licensed under the Apache License, Version 2.0 (http://www.apache.org/licenses/LICENSE-2.0).
# SPDX-License-Identifier: Apache-2.0
"""One random state for a transform and its parts, another one in every worker, and copies as MONAI's own."""

from __future__ import annotations

import copy
import multiprocessing
import pickle
from collections.abc import Callable
from typing import Any

import monai.data
import pytest
import torch
from monai.transforms import Compose, RandGaussianNoise
from torch.utils.data import DataLoader, Dataset

from monai_synthfm.transforms import (
    RandAcquisition,
    RandAnatomy,
    RandBezierShapes,
    RandBoundaryMask,
    RandClipPrompts,
    RandPerlinTexture,
    RandPromptsd,
    RandSpeckleNoised,
    RandSynthFM,
    RandSynthFM3D,
    RandSynthFM3Dd,
    RandSynthFMd,
    RandVolumeStructure,
)

EVERY: dict[str, Callable[[], Any]] = {
    "shapes": lambda: RandBezierShapes((16, 16)),
    "boundary": lambda: RandBoundaryMask((16, 16)),
    "anatomy": lambda: RandAnatomy((16, 16)),
    "structure": lambda: RandVolumeStructure((16, 16, 4)),
    "synthfm": lambda: RandSynthFM((16, 16)),
    "synthfm-d": lambda: RandSynthFMd(spatial_size=(16, 16)),
    "synthfm-3d": lambda: RandSynthFM3D((16, 16, 4)),
    "synthfm-3d-d": lambda: RandSynthFM3Dd(spatial_size=(16, 16, 4)),
    "acquisition": RandAcquisition,
    "texture": RandPerlinTexture,
    "speckle-d": lambda: RandSpeckleNoised("image"),
    "prompts-d": RandPromptsd,
    "clip-prompts": RandClipPrompts,
}
PARTS = {
    "boundary": ["label_map"],
    "anatomy": ["tissue"],
    "structure": ["shapes", "clusters", "clusters.label_map"],
    "synthfm": ["shapes", "boundary.label_map", "intensity", "anatomy.tissue", "acquisition"],
    "synthfm-d": ["generator.boundary.label_map", "generator.acquisition"],
    "synthfm-3d": ["structure.shapes", "structure.clusters.label_map", "appearance"],
    "synthfm-3d-d": ["generator.structure.shapes"],
    "speckle-d": ["generator"],
    "prompts-d": ["generator"],
    "clip-prompts": ["prompts"],
}


class Draws(Dataset):
    """Four numbers that a transform draws, and what its parts draw."""

    def __init__(self, transform: Any, length: int = 8) -> None:
        self.draw = lambda: [transform.R.randint(2**31 - 1) for _ in range(4)]
        self.length = length

    def __len__(self) -> int:
        return self.length

    def __getitem__(self, index: int) -> torch.Tensor:
        return torch.tensor(self.draw())


def epoch(dataset: Dataset, loader: Any = DataLoader, **arguments: Any) -> list[tuple[int, ...]]:
    batches = loader(dataset, batch_size=1, num_workers=2, multiprocessing_context="fork", **arguments)
    return [tuple(batch[0].tolist()) for batch in batches]


@pytest.mark.parametrize("name", PARTS)
def test_all_parts_draw_from_the_state_of_the_whole(name: str) -> None:
    whole = EVERY[name]().set_random_state(seed=3)
    for path in PARTS[name]:
        part = whole
        for step in path.split("."):
            part = getattr(part, step)
        assert part.R is whole.R


@pytest.mark.parametrize("name", EVERY)
@pytest.mark.parametrize("duplicate", [copy.deepcopy, lambda one: pickle.loads(pickle.dumps(one))])
def test_copies_draw_as_copies_of_monais_transforms_do(name: str, duplicate: Callable[[Any], Any]) -> None:
    for make in (EVERY[name], RandGaussianNoise):
        unseeded = make()
        assert len({one.R.randint(2**31 - 1) for one in (unseeded, duplicate(unseeded), duplicate(unseeded))}) == 3
        seeded = make().set_random_state(seed=1)
        assert len({one.R.randint(2**31 - 1) for one in (seeded, *[duplicate(make().set_random_state(seed=1))])}) == 1


def test_parts_of_a_copy_draw_from_the_state_of_the_copy() -> None:
    original = RandSynthFM((16, 16)).set_random_state(seed=0)
    for twin in (copy.deepcopy(original), pickle.loads(pickle.dumps(original))):
        assert twin.boundary.label_map.R is twin.R
        assert twin.R is not original.R


@pytest.mark.parametrize("seeded", [False, True])
@pytest.mark.parametrize("name", ["boundary", "synthfm", "synthfm-3d-d", "texture", "prompts-d", "clip-prompts"])
def test_workers_of_torchs_loader_draw_different_numbers_in_every_epoch(name: str, seeded: bool) -> None:
    transform = EVERY[name]()
    dataset = Draws(transform.set_random_state(seed=5) if seeded else transform)
    drawn = [sample for _ in range(2) for sample in epoch(dataset)]
    assert len(set(drawn)) == len(drawn) == 16


def test_the_seed_of_torch_decides_what_workers_draw() -> None:
    epochs = []
    for seed in (1, 1, 2):
        torch.manual_seed(seed)
        epochs.append(epoch(Draws(RandSynthFM((16, 16)))))
    assert epochs[0] == epochs[1] != epochs[2]


def test_transforms_in_one_worker_draw_different_numbers() -> None:
    class Pair(Dataset):
        def __init__(self) -> None:
            self.transforms = [RandPerlinTexture(), RandPerlinTexture()]

        def __len__(self) -> int:
            return 1

        def __getitem__(self, index: int) -> torch.Tensor:
            return torch.tensor([transform.R.randint(2**31 - 1) for transform in self.transforms])

    batches = DataLoader(Pair(), num_workers=1, multiprocessing_context="fork")
    [first, second] = next(iter(batches))[0].tolist()
    assert first != second


def test_samples_of_torchs_loader_are_all_different() -> None:
    transform = Compose([RandSynthFMd(spatial_size=(24, 24), native_size=None)])
    dataset = monai.data.Dataset([{}] * 8, lambda item: transform(item)["image"].as_tensor())
    images = [image for _ in range(2) for image in epoch_images(dataset)]
    assert len({tuple(image.flatten().tolist()) for image in images}) == 16


def epoch_images(dataset: Dataset) -> list[torch.Tensor]:
    loader = DataLoader(dataset, batch_size=2, num_workers=2, multiprocessing_context="fork")
    return [image for batch in loader for image in batch]


def test_a_worker_keeps_what_monais_loader_seeded() -> None:
    class Seeded(Draws):
        def __init__(self) -> None:
            self.transform = RandSynthFMd(spatial_size=(16, 16))
            super().__init__(self.transform)

        def __getitem__(self, index: int) -> torch.Tensor:
            worker = torch.utils.data.get_worker_info()
            return torch.tensor([self.transform.R.randint(2**31 - 1), worker.seed])

    for drawn, seed in epoch(Seeded(), monai.data.DataLoader)[:2]:
        # MONAI seeds the first transform that it finds in a dataset by the worker's seed
        expected = RandGaussianNoise().set_random_state(seed=seed % 2**32).R.randint(2**31 - 1)
        assert drawn == expected


def draw_and_send(transform: Any, queue: Any) -> None:
    queue.put(int(transform.R.randint(2**31 - 1)))


@pytest.mark.parametrize(("seed", "number"), [(None, 3), (0, 1)])
def test_other_processes_share_the_numbers_of_seeded_transforms_only(seed: int | None, number: int) -> None:
    context = multiprocessing.get_context("fork")
    transform = RandBezierShapes((16, 16))
    if seed is not None:
        transform.set_random_state(seed=seed)
    queue = context.SimpleQueue()
    processes = [context.Process(target=draw_and_send, args=(transform, queue)) for _ in range(3)]
    for process in processes:
        process.start()
    drawn = [queue.get() for _ in processes]
    for process in processes:
        process.join()
    assert len(set(drawn)) == number
