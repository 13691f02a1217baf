# Copyright (c) monai_synthfm contributors
# Licensed under the Apache License, Version 2.0 (http://www.apache.org/licenses/LICENSE-2.0).
# SPDX-License-Identifier: Apache-2.0
"""The whole 3D generator: modules, presets, geometry, replay, and the dictionary twin in MONAI pipelines."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from monai.data import DataLoader, Dataset
from monai.transforms import Compose, RandFlipd, Spacingd

from monai_synthfm.synthesis.synthfm_3d import VolumeParams
from monai_synthfm.synthesis.volume_anatomy import VolumeAnatomyParams
from monai_synthfm.transforms import RandSynthFM3D, RandSynthFM3Dd, RandVolumeAnatomy, RandVolumeStructure
from monai_synthfm.transforms.volume_presets import VOLUME_PRESETS

SIZE = (40, 32, 8)
VOLUMES = ["shape", "boundary", "both", "anatomy", "all"]


def drawn(number: int = 60, **arguments: Any) -> list[VolumeParams]:
    generator = RandSynthFM3D(SIZE, **arguments).set_random_state(seed=0)
    result = []
    for _ in range(number):
        generator.randomize()
        result.append(generator.params)
    return result


@given(st.integers(0, 2**32 - 1), st.sampled_from(VOLUMES), st.sampled_from(["ct", "mr", "us"]))
@settings(max_examples=10)
def test_parameters_survive_json_and_replay_every_bit(seed: int, module: str, preset: str) -> None:
    image, labels = RandSynthFM3D((24, 20, 5), module, preset).set_random_state(seed=seed)()
    text = image.meta["synthfm"]
    assert VolumeParams.parse(text).to_json() == text
    again = RandSynthFM3D((8, 8, 8)).replay(json.loads(text))
    assert torch.equal(again[0].as_tensor(), image.as_tensor())
    assert torch.equal(again[1].as_tensor(), labels.as_tensor())


@pytest.mark.parametrize(("module", "expected"), [("shape", {10}), ("boundary", {1}), ("both", {10, 1, 11})])
def test_modules_draw_what_they_are_called_after(module: str, expected: set[int]) -> None:
    kinds = {
        10 * bool(params.structure.organs) + (params.structure.clusters is not None) for params in drawn(module=module)
    }
    assert kinds == expected


def test_all_draws_anatomies_as_often_as_asked_for() -> None:
    shares = [
        np.mean([isinstance(params.structure, VolumeAnatomyParams) for params in drawn(100, **arguments)])
        for arguments in ({"module": "all"}, {"module": "all", "anatomy_prob": 0.2}, {"module": "anatomy"})
    ]
    assert shares == [pytest.approx(0.6, abs=0.15), pytest.approx(0.2, abs=0.15), 1.0]


def test_anatomies_have_noise_that_slices_do_not_share() -> None:
    kinds = {noise.kind for params in drawn(40, module="anatomy") for noise in params.appearance.noises}
    assert kinds == {"gaussian", "rician"}  # ultrasound has speckle slice by slice


def test_targets_of_anatomies_stand_out_as_much_as_asked_for() -> None:
    kept = []
    for visibility in (0.0, 1.3, 3.0):
        counts = [
            int(RandSynthFM3D((48, 48, 8), "anatomy", min_visibility=visibility).set_random_state(seed=seed)()[1].max())
            for seed in range(8)
        ]
        kept.append(sum(counts))
    assert kept[0] > kept[1] > kept[2]


def test_an_anatomy_shows_the_same_field_of_view_in_slices_of_any_size() -> None:
    for size in ((128, 128, 4), (512, 512, 4)):
        generator = RandSynthFM3D(size, "anatomy", "ct", through_plane=(4.0, 4.0)).set_random_state(seed=0)
        fields = []
        for _ in range(20):
            generator.randomize()
            fields.append(generator.params.spacing[0] * size[0])
        assert 0.6 * 256 <= min(fields) <= max(fields) <= 2.0 * 256


@pytest.mark.parametrize("module", ["both", "anatomy"])
@pytest.mark.parametrize("preset", ["ct", "mr", "us"])
def test_image_and_labels_have_the_contract_of_generators(module: str, preset: str) -> None:
    generator = RandSynthFM3D(SIZE, module, preset).set_random_state(seed=0)
    for _ in range(4):
        image, labels = generator()
        assert image.shape == labels.shape == (1, *SIZE)
        assert image.dtype == torch.float32
        assert labels.dtype == torch.int64
        assert 0.0 <= image.min() < image.max() <= 1.0
        assert labels.unique().tolist()[-1] == len(labels[labels > 0].unique())


def test_spacing_lies_in_its_range_and_in_the_affine() -> None:
    for params in drawn(20, module="boundary", in_plane=(0.5, 2.0), through_plane=(1.0, 8.0)):
        x, y, z = params.spacing
        assert 0.5 <= x == y <= 2.0
        assert 1.0 <= z <= 8.0
    image, labels = RandSynthFM3D(SIZE).replay(params)
    affine = image.affine.numpy()
    np.testing.assert_allclose(np.diag(affine)[:3], [-x, -y, z])
    np.testing.assert_allclose(affine @ [*((np.array(SIZE) - 1) / 2), 1.0], [0, 0, 0, 1], atol=1e-9)
    assert torch.equal(image.affine, labels.affine)


def test_spacing_covers_its_range_evenly_in_octaves() -> None:
    thickness = np.log([params.spacing[2] for params in drawn(100, module="boundary", through_plane=(1.0, 8.0))])
    assert np.median(thickness) == pytest.approx(np.log(8.0) / 2, abs=0.35)


def test_any_draws_all_presets() -> None:
    kinds = {params.appearance.noises[0].kind for params in drawn(preset="any")}
    assert kinds == {"gaussian", "rician", "speckle"}


def test_volumes_of_a_body_are_dark_outside_and_filled_inside() -> None:
    for params in drawn(6, preset="ct", module="boundary"):
        if params.structure.body is not None:
            image, _ = RandSynthFM3D(SIZE).replay(params)
            corners = torch.stack([image[0, i, j] for i in (0, -1) for j in (0, -1)])
            assert image[0, 16:24, 12:20].mean() > corners.mean() + 0.02


def test_given_generators_are_used_and_follow_the_seed() -> None:
    structure = RandVolumeStructure(SIZE, birth_prob=0.0)
    generator = RandSynthFM3D(SIZE, module="shape", structure=structure)
    first = [array.as_tensor() for array in generator.set_random_state(seed=5)()]
    assert all(organ.birth <= 0 for organ in generator.params.structure.organs)
    again = [array.as_tensor() for array in generator.set_random_state(seed=5)()]
    assert all(torch.equal(a, b) for a, b in zip(first, again, strict=True))


def test_a_new_preset_changes_no_sample_of_before(monkeypatch: pytest.MonkeyPatch) -> None:
    before = [RandSynthFM3D(SIZE).set_random_state(seed=seed)()[0].meta["synthfm"] for seed in range(3)]
    monkeypatch.setitem(VOLUME_PRESETS, "pet", VOLUME_PRESETS["mr"])
    assert [RandSynthFM3D(SIZE).set_random_state(seed=seed)()[0].meta["synthfm"] for seed in range(3)] == before
    RandSynthFM3D(SIZE, preset="pet").randomize()


def test_global_seeds_do_not_matter() -> None:
    results = []
    for seed in (1, 2):
        np.random.seed(seed)
        torch.manual_seed(seed)
        results.append(RandSynthFM3D(SIZE, preset="mr").set_random_state(seed=0)()[0].as_tensor())
    assert torch.equal(*results)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"module": "every"}, "module must be one of shape, boundary, both, anatomy, all, got 'every'"),
        ({"preset": "pet"}, "preset must be one of ct, mr, us or any, got 'pet'"),
        ({"spatial_size": (8, 8)}, r"spatial_size must be \(width, height, slices\)"),
        ({"in_plane": (2.0, 1.0)}, "in_plane must be"),
        ({"through_plane": (-1.0, 1.0)}, "through_plane must be"),
        ({"anatomy_prob": 2.0}, "anatomy_prob must be a probability"),
        ({"min_visibility": -1.0}, "min_visibility must be at least 0"),
        ({"anatomy": RandVolumeAnatomy((8, 8, 8))}, r"\(40, 32, 8\) is not the anatomy's \(8, 8, 8\)"),
        ({"structure": RandVolumeStructure((8, 8, 8))}, r"\(40, 32, 8\) is not the structure's \(8, 8, 8\)"),
    ],
)
def test_wrong_arguments_are_named(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        RandSynthFM3D(**{"spatial_size": SIZE, **arguments})


def test_dictionary_twin_gives_what_the_array_transform_gives() -> None:
    data = {"name": "case"}
    sample = RandSynthFM3Dd(("x", "y"), spatial_size=SIZE).set_random_state(seed=4)(data)
    image, labels = RandSynthFM3D(SIZE).set_random_state(seed=4)()
    assert set(sample) == {"name", "x", "y"}
    assert set(data) == {"name"}
    assert torch.equal(sample["x"].as_tensor(), image.as_tensor())
    assert torch.equal(sample["y"].as_tensor(), labels.as_tensor())


@pytest.mark.parametrize("keys", ["image", ("image",)])
def test_two_keys_are_needed(keys: Any) -> None:
    with pytest.raises(ValueError, match="keys must name the image and the label"):
        RandSynthFM3Dd(keys, spatial_size=SIZE)


@pytest.mark.parametrize("workers", [0, 2])
def test_a_monai_pipeline_that_uses_the_affine_follows_its_seed(workers: int) -> None:
    def epoch(seed: int) -> torch.Tensor:
        pipeline = Compose(
            [
                RandSynthFM3Dd(spatial_size=SIZE, module="shape", in_plane=(1.0, 1.0), through_plane=(4.0, 4.0)),
                RandFlipd(["image", "label"], prob=0.5),
                Spacingd(["image", "label"], (2.0, 2.0, 4.0), mode=["bilinear", "nearest"]),
            ]
        ).set_random_state(seed=seed)
        torch.manual_seed(seed)
        context = {"multiprocessing_context": "fork"} if workers else {}
        loader = DataLoader(Dataset([{}] * 2, pipeline), batch_size=2, num_workers=workers, **context)
        [batch] = loader
        return batch["image"].as_tensor()

    first = epoch(0)
    assert first.shape[2:] == (20, 16, 8)
    assert torch.equal(first, epoch(0))
    assert not torch.equal(first, epoch(1))


@pytest.mark.parametrize("name", sorted(VOLUME_PRESETS))
def test_presets_fit_the_spacing_of_scanners(name: str) -> None:
    preset = VOLUME_PRESETS[name]
    assert 0.1 <= preset.in_plane[0] <= preset.in_plane[1] <= 2.0
    assert 0.2 <= preset.through_plane[0] <= preset.through_plane[1] <= 8.0
