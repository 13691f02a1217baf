# Copyright (c) monai_synthfm contributors
# Licensed under the Apache License, Version 2.0 (http://www.apache.org/licenses/LICENSE-2.0).
# SPDX-License-Identifier: Apache-2.0
"""The whole generator: modules and native sizes as asked, and the dictionary twin in MONAI pipelines."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from monai.data import DataLoader, Dataset
from monai.transforms import Compose, RandFlipd, ResizeD

from monai_synthfm.synthesis.anatomy import AnatomyParams
from monai_synthfm.synthesis.bezier import BezierShapesParams
from monai_synthfm.synthesis.boundaries import BoundaryParams
from monai_synthfm.transforms import (
    RandBezierShapes,
    RandBoundaryMask,
    RandSynthFM,
    RandSynthFMd,
    RandSynthFMIntensity,
)


def drawn(number: int = 120, size: tuple[int, int] = (64, 96), **arguments: Any) -> list[Any]:
    generator = RandSynthFM(size, **arguments).set_random_state(seed=0)
    params = []
    for _ in range(number):
        generator.randomize()
        params.append(generator.params)
    return params


def native(params: Any) -> tuple[int, ...]:
    structure = params.structure
    return structure.spatial_size if isinstance(structure, BezierShapesParams) else structure.label_map.spatial_size


@pytest.mark.parametrize(
    ("arguments", "share"),
    [
        ({"module": "shape"}, 0.0),
        ({"module": "boundary"}, 1.0),
        ({"module": "both"}, 0.5),
        ({"module": "both", "boundary_prob": 0.2}, 0.2),
    ],
)
def test_modules_are_as_frequent_as_asked(arguments: dict[str, Any], share: float) -> None:
    boundaries = [isinstance(params.structure, BoundaryParams) for params in drawn(**arguments)]
    assert np.mean(boundaries) == pytest.approx(share, abs=0.12)


def test_native_sizes_cover_their_range_in_the_shape_of_the_result() -> None:
    sizes = [native(params) for params in drawn(native_size=(48, 384))]
    longest = [max(size) for size in sizes]
    assert 48 <= min(longest) < 56
    assert 330 < max(longest) <= 384
    assert np.median(longest) == pytest.approx(np.sqrt(48 * 384), rel=0.25)  # log-uniform
    for height, width in sizes:
        assert height / width == pytest.approx(64 / 96, rel=0.03)


def test_without_a_native_size_samples_are_made_at_the_size_of_the_result() -> None:
    assert {native(params) for params in drawn(20, native_size=None)} == {(64, 96)}


@pytest.mark.parametrize("module", ["shape", "boundary", "both"])
def test_image_and_instances_have_the_contract_of_generators(module: str) -> None:
    generator = RandSynthFM((48, 64), module=module, native_size=(32, 128)).set_random_state(seed=0)
    for _ in range(6):
        image, labels = generator()
        assert image.shape == labels.shape == (1, 48, 64)
        assert image.dtype == torch.float32
        assert labels.dtype == torch.int64
        assert image.min() >= 0.0
        assert image.max() <= 1.0
        present = labels.unique().tolist()
        assert present == list(range(min(present), len(present) + min(present)))


def test_given_generators_are_used() -> None:
    generator = RandSynthFM(
        (40, 40),
        native_size=None,
        shapes=RandBezierShapes((40, 40), num_shapes=(3, 3)),
        boundary=RandBoundaryMask((40, 40), iterations=(5, 5)),
        intensity=RandSynthFMIntensity(noises=("rician",), num_noises=(1, 1)),
    ).set_random_state(seed=0)
    for _ in range(10):
        generator.randomize()
        structure = generator.params.structure
        if isinstance(structure, BezierShapesParams):
            assert len(structure.outlines) == 3
        else:
            assert set(structure.iterations) <= {0, 5}
        assert [noise.kind for noise in generator.params.appearance.noises] == ["rician"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"module": "organs"}, "module must be one of shape, boundary, both, anatomy, all, got 'organs'"),
        ({"spatial_size": (8, 8, 8)}, r"spatial_size must be \(height, width\)"),
        ({"native_size": (8, 100)}, r"native_size must be .* within \[16, inf\]"),
        ({"boundary_prob": 1.2}, "boundary_prob must be a probability"),
    ],
)
def test_wrong_arguments_are_named(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        RandSynthFM(**{"spatial_size": (32, 32), **arguments})


def test_parameters_of_another_generator_are_refused() -> None:
    labels = RandBezierShapes((32, 32)).set_random_state(seed=0)()
    with pytest.raises(ValueError, match="params of SampleParams must have the fields"):
        RandSynthFM((32, 32)).replay(labels.meta["synthfm"])


def test_dictionary_twin_gives_what_the_array_transform_gives() -> None:
    twin = RandSynthFMd(("x", "y"), spatial_size=(32, 32)).set_random_state(seed=4)
    image, labels = RandSynthFM((32, 32)).set_random_state(seed=4)()
    sample = twin({"name": "case"})
    assert set(sample) == {"name", "x", "y"}
    assert torch.equal(sample["x"].as_tensor(), image.as_tensor())
    assert torch.equal(sample["y"].as_tensor(), labels.as_tensor())


def test_dictionary_twin_leaves_its_input_alone() -> None:
    data: dict[str, Any] = {}
    RandSynthFMd(spatial_size=(32, 32))(data)
    assert data == {}


@pytest.mark.parametrize("keys", ["image", ("image",), ("a", "b", "c")])
def test_two_keys_are_needed(keys: Any) -> None:
    with pytest.raises(ValueError, match="keys must name the image and the label"):
        RandSynthFMd(keys, spatial_size=(32, 32))


@pytest.mark.parametrize("workers", [0, 2])
def test_a_monai_pipeline_in_a_data_loader_follows_its_seed(workers: int) -> None:
    def epoch(seed: int) -> torch.Tensor:
        pipeline = Compose(
            [
                RandSynthFMd(spatial_size=(48, 48)),
                RandFlipd(["image", "label"], prob=0.5),
                ResizeD(["image", "label"], (32, 32), mode=["area", "nearest"]),
            ]
        ).set_random_state(seed=seed)
        torch.manual_seed(seed)
        loader = DataLoader(Dataset([{}] * 4, pipeline), batch_size=2, num_workers=workers)
        return torch.cat([batch["image"].as_tensor() for batch in loader])

    first = epoch(0)
    assert first.shape == (4, 1, 32, 32)
    assert torch.equal(first, epoch(0))
    assert not torch.equal(first, epoch(1))
    assert len({tuple(image.flatten().tolist()) for image in first}) == 4


def test_only_anatomies_lose_what_cannot_be_seen() -> None:
    params = drawn(40, module="all", min_visibility=1.5)
    kinds = {isinstance(one.structure, AnatomyParams): one.min_visibility for one in params}
    assert kinds == {True: 1.5, False: 0.0}


def test_instances_that_stay_are_the_visible_ones_of_all() -> None:
    generator = RandSynthFM((96, 96), module="anatomy", native_size=None, min_visibility=1.5).set_random_state(seed=2)
    fewer = 0
    for _ in range(8):
        image, labels = generator()
        whole_image, whole = generator.replay(replace(generator.params, min_visibility=0.0))
        assert torch.equal(image.as_tensor(), whole_image.as_tensor())
        kept = labels.as_tensor() > 0
        numbers = whole.as_tensor()[kept].unique()
        assert torch.equal(torch.isin(whole.as_tensor(), numbers) & (whole.as_tensor() > 0), kept)
        fewer += len(numbers) < int(whole.max())
    assert fewer > 0


def test_a_negative_visibility_is_refused() -> None:
    with pytest.raises(ValueError, match="min_visibility must be at least 0, got -1"):
        RandSynthFM((64, 64), min_visibility=-1.0)
