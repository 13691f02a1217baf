# Copyright (c) monai_synthfm contributors
# Licensed under the Apache License, Version 2.0 (http://www.apache.org/licenses/LICENSE-2.0).
# SPDX-License-Identifier: Apache-2.0
"""Noise transforms as MONAI transforms: probability, replay, metadata, dictionary twins."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
import torch
from monai.data import MetaTensor, set_track_meta
from monai.transforms import Compose

from monai_synthfm.synthesis.appearance import NOISES
from monai_synthfm.synthesis.draws import seeded_generator
from monai_synthfm.synthesis.noise import poisson_noise, speckle_noise
from monai_synthfm.synthesis.params import Params
from monai_synthfm.synthesis.textures import fractal_noise
from monai_synthfm.transforms import RandSynthFMIntensity
from monai_synthfm.transforms import noise as transforms
from monai_synthfm.transforms.generator import draw_seed
from monai_synthfm.transforms.noise import (
    PerlinTextureParams,
    RandNoise,
    RandNoised,
    RandPerlinTexture,
    RandPerlinTextured,
    RandPoissonNoise,
    RandPoissonNoised,
    RandSpeckleNoise,
    RandSpeckleNoised,
)


@dataclass(frozen=True)
class DeadPixelParams(Params):
    share: float
    seed: int


def dead_pixels(image: torch.Tensor, share: float, generator: torch.Generator) -> torch.Tensor:
    return image * (torch.rand(image.shape, generator=generator) >= share)


class RandDeadPixels(RandNoise):
    def draw(self) -> DeadPixelParams:
        return DeadPixelParams(float(self.R.uniform(0.1, 0.2)), draw_seed(self.R))

    def apply(self, img: torch.Tensor, params: DeadPixelParams) -> torch.Tensor:
        return dead_pixels(img, params.share, seeded_generator(params.seed))


class RandDeadPixelsd(RandNoised):
    generator_type = RandDeadPixels


ARRAYS: dict[str, Callable[..., Any]] = {
    "a new one": RandDeadPixels,
    "poisson": RandPoissonNoise,
    "speckle": RandSpeckleNoise,
    "perlin": RandPerlinTexture,
}
TWINS: dict[str, Callable[..., Any]] = {
    "a new one": RandDeadPixelsd,
    "poisson": RandPoissonNoised,
    "speckle": RandSpeckleNoised,
    "perlin": RandPerlinTextured,
}
EVERY_ARRAY = pytest.mark.parametrize("make", ARRAYS.values(), ids=ARRAYS.keys())
EVERY_TWIN = pytest.mark.parametrize("kind", TWINS)


def picture(*shape: int) -> torch.Tensor:
    return torch.rand(shape or (1, 24, 20), generator=torch.Generator().manual_seed(0))


@EVERY_ARRAY
@pytest.mark.parametrize("shape", [(1, 24, 20), (3, 16, 16), (1, 8, 10, 12)])
def test_meta_tensor_in_meta_tensor_out_with_its_meta(make: Callable[..., Any], shape: tuple[int, ...]) -> None:
    affine = torch.diag(torch.tensor([2.0, 3.0, 4.0, 1.0]))
    image = MetaTensor(picture(*shape), affine=affine, meta={"filename_or_obj": "case"})
    noisy = make(prob=1.0).set_random_state(0)(image)
    assert isinstance(noisy, MetaTensor)
    assert noisy.meta["filename_or_obj"] == "case"
    assert torch.equal(noisy.affine, image.affine)
    assert (noisy.shape, noisy.dtype) == (image.shape, torch.float32)
    assert not torch.equal(noisy.as_tensor(), image.as_tensor())


@EVERY_ARRAY
@pytest.mark.parametrize("dtype", [np.uint8, np.float32])
def test_numpy_images_become_float_tensors(make: Callable[..., Any], dtype: type) -> None:
    image = np.ones((1, 12, 12), dtype=dtype)
    for prob in (0.0, 1.0):
        noisy = make(prob=prob).set_random_state(0)(image)
        assert isinstance(noisy, torch.Tensor)
        assert noisy.dtype == torch.float32


@EVERY_ARRAY
def test_without_meta_tracking_a_plain_tensor_is_returned(make: Callable[..., Any]) -> None:
    set_track_meta(False)
    try:
        noisy = make(prob=1.0).set_random_state(0)(picture())
    finally:
        set_track_meta(True)
    assert type(noisy) is torch.Tensor


@EVERY_ARRAY
def test_the_same_random_state_gives_the_same_images_and_draws_differ(make: Callable[..., Any]) -> None:
    first, again = make(prob=1.0).set_random_state(7), make(prob=1.0).set_random_state(7)
    images = [first(picture()) for _ in range(3)]
    assert all(torch.equal(image, again(picture())) for image in images)
    assert not torch.equal(images[0], images[1])


@EVERY_ARRAY
def test_params_replay_through_json_bit_for_bit_and_leave_the_random_state_alone(make: Callable[..., Any]) -> None:
    transform = make(prob=1.0).set_random_state(1)
    noisy = transform(picture())
    text, state = transform.params.to_json(), transform.R.get_state()[1].copy()
    replayed = make().apply(picture(), type(transform.params).parse(text))
    assert torch.equal(noisy.as_tensor(), replayed)
    assert torch.equal(transform(picture(), randomize=False), noisy)
    assert np.array_equal(transform.R.get_state()[1], state)


@EVERY_ARRAY
def test_prob_is_the_share_of_images_changed(make: Callable[..., Any]) -> None:
    transform = make(prob=0.3).set_random_state(0)
    image = picture(1, 4, 4)
    changed = sum(not torch.equal(transform(image).as_tensor(), image) for _ in range(1000))
    assert changed / 1000 == pytest.approx(0.3, abs=5 * math.sqrt(0.3 * 0.7 / 1000))


@EVERY_TWIN
def test_twin_does_what_the_array_transform_does_and_nothing_to_other_keys(kind: str) -> None:
    data = {"image": picture(), "label": torch.ones(1, 24, 20)}
    output = TWINS[kind]("image", prob=0.5).set_random_state(3)
    array = ARRAYS[kind](prob=0.5).set_random_state(3)
    for _ in range(6):
        result = output(data)
        assert torch.equal(result["image"], array(picture()))
        assert result["label"] is data["label"]
    assert torch.equal(data["image"], picture())


@EVERY_TWIN
def test_twin_applies_one_draw_to_all_keys(kind: str) -> None:
    output = TWINS[kind](["a", "b"], prob=1.0).set_random_state(0)({"a": picture(), "b": picture()})
    assert torch.equal(output["a"], output["b"])
    assert not torch.equal(output["a"], picture())


@EVERY_TWIN
def test_twin_names_a_missing_key_unless_allowed(kind: str) -> None:
    with pytest.raises(KeyError, match="other"):
        TWINS[kind]("other", prob=1.0)({"image": picture()})
    assert set(TWINS[kind]("other", prob=1.0, allow_missing_keys=True)({"image": picture()})) == {"image"}


@EVERY_TWIN
def test_compose_seeds_the_twin(kind: str) -> None:
    first, again = (Compose([TWINS[kind]("image", prob=1.0)]).set_random_state(5) for _ in range(2))
    assert torch.equal(first({"image": picture()})["image"], again({"image": picture()})["image"])


@pytest.mark.parametrize("name", ["RandPoissonNoise", "RandSpeckleNoise", "RandPerlinTexture"])
def test_twin_has_the_three_names_of_monai(name: str) -> None:
    assert getattr(transforms, f"{name}d") is getattr(transforms, f"{name}D") is getattr(transforms, f"{name}Dict")


def test_a_new_noise_is_drawn_and_replayed_by_the_generator_of_images(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(NOISES, "dead", lambda image, share, _, generator: dead_pixels(image, 5 * share, generator))
    make = RandSynthFMIntensity(
        noises=("dead",), num_noises=(1, 1), noise_strength=(0.05, 0.05), texture_prob=0, blur=(0, 0)
    )
    flat = torch.ones(1, 64, 64, dtype=torch.long)
    image = make.set_random_state(seed=0)(flat)
    seed = make.params.noises[0].seed
    assert torch.equal(image[0] > 0, torch.rand(1, 64, 64, generator=seeded_generator(seed))[0] >= 0.25)
    assert torch.equal(make.replay(flat, image.meta["synthfm"]), image)


def test_poisson_draws_the_dose_log_uniformly_and_applies_it() -> None:
    transform = RandPoissonNoise(prob=1.0, peak=(10.0, 1000.0)).set_random_state(0)
    peaks = []
    for _ in range(400):
        transform.randomize()
        peaks.append(transform.params.peak)
    assert 10 <= min(peaks) < max(peaks) <= 1000
    assert np.mean(np.array(peaks) < 100) == pytest.approx(0.5, abs=0.13)
    seed = transform.params.seed
    expected = poisson_noise(picture(), peaks[-1], generator=torch.Generator().manual_seed(seed))
    assert torch.equal(transform(picture(), randomize=False).as_tensor(), expected)


def test_speckle_uses_its_ranges_and_model() -> None:
    transform = RandSpeckleNoise(prob=1.0, std=(0.2, 0.2), correlation=(1.5, 1.5), model="rayleigh").set_random_state(0)
    noisy = transform(picture())
    generator = torch.Generator().manual_seed(transform.params.seed)
    expected = speckle_noise(picture(), 0.2, correlation=1.5, model="rayleigh", generator=generator)
    assert torch.equal(noisy.as_tensor(), expected)


@pytest.mark.parametrize("mode", ["additive", "multiplicative"])
def test_perlin_texture_has_the_amplitude_drawn_and_is_shared_by_channels(mode: str) -> None:
    params = PerlinTextureParams(amplitude=0.05, scale=20.0, octaves=2, mode=mode, seed=11)
    image = torch.tensor([0.2, 0.8]).view(2, 1, 1).expand(2, 60, 70)
    generator = torch.Generator().manual_seed(11)
    change = 0.05 * fractal_noise((60, 70), 20.0, octaves=2, generator=generator)
    expected = image + change if mode == "additive" else image + image * change
    assert torch.allclose(RandPerlinTexture().apply(image, params), expected, atol=1e-6)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: RandPoissonNoise(peak=(0.0, 10.0)), "peak must be"),
        (lambda: RandSpeckleNoise(std=(0.3, 0.1)), "std must be"),
        (lambda: RandSpeckleNoise(std=(0.1, 0.6), model="rayleigh"), "std must be"),
        (lambda: RandSpeckleNoise(correlation=(-1.0, 1.0)), "correlation must be"),
        (lambda: RandSpeckleNoise(model="gamma"), "model must be one of gaussian, rayleigh, got 'gamma'"),
        (lambda: RandPerlinTexture(scale=(1.0, 8.0)), "scale must be"),
        (lambda: RandPerlinTexture(octaves=(0, 2)), "octaves must be"),
        (lambda: RandPerlinTexture(mode="both"), "mode must be one of additive, multiplicative, got 'both'"),
        (lambda: RandPerlinTextured("image", amplitude=(-0.1, 0.1)), "amplitude must be"),
    ],
)
def test_arguments_out_of_range_are_named(make: Callable[[], Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make()
