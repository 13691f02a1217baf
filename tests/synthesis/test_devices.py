# Copyright (c) monai_synthfm contributors
# Licensed under the Apache License, Version 2.0 (http://www.apache.org/licenses/LICENSE-2.0).
# SPDX-License-Identifier: Apache-2.0
"""The same parameters give the same sample on any device, up to rounding."""

from __future__ import annotations

import pytest
import torch

from monai_synthfm.synthesis.appearance import NOISES
from monai_synthfm.synthesis.noise import poisson_noise
from monai_synthfm.synthesis.synthfm import synthesize
from monai_synthfm.synthesis.synthfm_3d import synthesize_volume
from monai_synthfm.transforms import RandSynthFM, RandSynthFM3D
from tests.second_device import SECOND, SecondDevice

SEEDS = range(4)


def assert_same(here: torch.Tensor, there: torch.Tensor, labels_here: torch.Tensor, labels_there: torch.Tensor) -> None:
    # the window stretches rounding by the inverse of the contrast; a photon more or less moves single pixels
    assert ((here - there).abs() > 2e-3).sum() <= 3
    assert (labels_here != labels_there).sum() <= 3


@pytest.mark.parametrize("module", ["shape", "boundary", "all"])
def test_images_are_the_same_on_another_device(module: str) -> None:
    generator = RandSynthFM((64, 80), module=module, native_size=(48, 96))
    for seed in SEEDS:
        image, labels = generator.set_random_state(seed=seed)()
        with SecondDevice() as device:
            found = synthesize(generator.params, SECOND)
            assert all(tensor.device == SECOND for tensor in found)
            there, labels_there = (tensor.cpu() for tensor in found)
        assert set(device.draws) == {"cpu"}
        assert_same(image.as_tensor()[0], there, labels.as_tensor()[0], labels_there)


@pytest.mark.parametrize("module", ["shape", "boundary", "anatomy"])
def test_volumes_are_the_same_on_another_device(module: str) -> None:
    generator = RandSynthFM3D((36, 32, 10), module=module)
    for seed in SEEDS[:2]:
        image, labels = generator.set_random_state(seed=seed)()
        with SecondDevice() as device:
            found = synthesize_volume(generator.params, SECOND)
            assert all(tensor.device == SECOND for tensor in found)
            there, labels_there = (tensor.cpu() for tensor in found)
        assert set(device.draws) == {"cpu"}
        assert_same(image.as_tensor()[0], there, labels.as_tensor()[0], labels_there)


@pytest.mark.parametrize("kind", ["poisson", "perlin", "speckle", "rician", "gaussian"])
def test_noise_is_the_same_on_another_device(kind: str) -> None:
    image = torch.rand(1, 40, 48, generator=torch.Generator().manual_seed(0))
    here = NOISES[kind](image, 0.2, 4.0, generator=torch.Generator().manual_seed(1))
    with SecondDevice() as device:
        there = NOISES[kind](image.to(SECOND), 0.2, 4.0, generator=torch.Generator().manual_seed(1)).cpu()
    assert set(device.draws) == {"cpu"}
    assert ((here - there).abs() > 1e-3).sum() <= 1


def test_a_photon_more_in_one_pixel_leaves_the_others_alone() -> None:
    image = torch.full((1, 20, 30), 0.04)  # four photons
    changed = image.clone()
    changed[0, 3, 5] = 0.09
    noisy, noisy_changed = (
        poisson_noise(x, 100.0, generator=torch.Generator().manual_seed(2)) for x in (image, changed)
    )
    assert (noisy != noisy_changed).nonzero().tolist() in ([[0, 3, 5]], [])


def test_tensors_of_two_devices_do_not_mix() -> None:
    with SecondDevice():
        away = torch.ones(3).to(SECOND)
        with pytest.raises(RuntimeError, match="on one device"):
            away + torch.ones(3)
        with pytest.raises(RuntimeError):
            away.numpy()
