# Copyright (c) monai_synthfm contributors
# Licensed under the Apache License, Version 2.0 (http://www.apache.org/licenses/LICENSE-2.0).
# SPDX-License-Identifier: Apache-2.0
"""Appearance of volumes: each step alone against its formula or MONAI's own transform."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from monai.transforms import RandBiasField

from monai_synthfm.synthesis.acquisition import AcquisitionParams, FieldOfViewParams, UltrasoundParams
from monai_synthfm.synthesis.appearance import NoiseParams
from monai_synthfm.synthesis.textures import correlated_noise
from monai_synthfm.synthesis.volume_appearance import (
    BiasParams,
    TextureLayerParams,
    VolumeAppearanceParams,
    render_volume,
    scan_slices,
    visible_pixels,
)

SIZE = (24, 20, 10)
TISSUE = torch.full(SIZE, 0.4)
REGIONS = (torch.arange(SIZE[0]) >= 12).to(torch.int16)[:, None, None].expand(SIZE)


def params(**changes: Any) -> VolumeAppearanceParams:
    return replace(VolumeAppearanceParams((0.4, 0.4), (), None, (), None, False), **changes)


def test_textures_multiply_the_tissue_by_their_regions_weight() -> None:
    layers = (
        TextureLayerParams((3.0, 3.0, 1.0), (0.0, 0.2), 5),
        TextureLayerParams((0.8, 0.8, 0.2), (0.1, -0.1), 6),
    )
    image = render_volume(TISSUE, REGIONS, params(textures=layers))
    fields = [correlated_noise(SIZE, s.sigma, generator=torch.Generator().manual_seed(s.seed)) for s in layers]
    left, right = 0.4 * (1 + 0.1 * fields[1]), 0.4 * (1 + 0.2 * fields[0] - 0.1 * fields[1])
    torch.testing.assert_close(image, torch.where(REGIONS == 0, left, right).clamp(0, 1))


@pytest.mark.parametrize(("size", "error"), [(SIZE, 1e-6), ((70, 50, 40), 6e-3)])
def test_bias_is_the_field_of_monai(size: tuple[int, int, int], error: float) -> None:
    tissue, regions = torch.full(size, 0.4), torch.zeros(size, dtype=torch.int16)
    image = render_volume(tissue, regions, params(bias=BiasParams(0.2, 3, 7)))
    expected = RandBiasField(3, (-0.2, 0.2), prob=1.0).set_random_state(seed=7)(tissue[None])[0]
    torch.testing.assert_close(image, torch.as_tensor(expected).clamp(0, 1), atol=error, rtol=0)
    assert image.std() > 0.005


@pytest.mark.parametrize(("kind", "std"), [("gaussian", 0.05), ("rician", 0.05), ("speckle", 0.05 * 0.4)])
def test_noise_has_its_strength(kind: str, std: float) -> None:
    image = render_volume(TISSUE, REGIONS, params(noises=(NoiseParams(kind, 0.05, 0.5, 3),)))
    assert image.std().item() == pytest.approx(std, rel=0.1)


def test_without_a_window_intensities_are_cut_and_kept() -> None:
    tissue = torch.linspace(-0.5, 1.5, 4800).view(SIZE)
    image = render_volume(tissue, REGIONS, params())
    torch.testing.assert_close(image, tissue.clamp(0, 1))


def test_the_window_is_that_of_the_percentiles() -> None:
    tissue = torch.from_numpy(np.random.RandomState(0).gamma(2.0, size=SIZE).astype(np.float32))
    image = render_volume(tissue, REGIONS, params(windowed=True))
    low, high = np.percentile(tissue.numpy(), [0.5, 99.5])
    np.testing.assert_allclose(image.numpy(), ((tissue.numpy() - low) / (high - low)).clip(0, 1), atol=1e-4)


def test_nothing_shows_outside_the_field_of_view_of_any_slice() -> None:
    fan = FieldOfViewParams("fan", (0.6, -0.1), (0.15, 1.0), (-0.4, 0.4), 0.0)
    image = render_volume(TISSUE, REGIONS, params(field=fan))
    seen = visible_pixels(fan, image.shape)
    assert torch.equal(image > 0, seen[..., None].expand(SIZE))
    # the fan opens downwards, that is along the second axis
    widths = seen.sum(dim=0)
    assert widths[0] < widths[10]


def test_the_same_parameters_give_the_same_bits() -> None:
    full = params(
        textures=(TextureLayerParams((3.0, 3.0, 1.0), (0.0, 0.2), 5),),
        bias=BiasParams(0.2, 3, 7),
        noises=(NoiseParams("rician", 0.05, 0.5, 3),),
        windowed=True,
    )
    first = render_volume(TISSUE, REGIONS, full)
    np.random.seed(1)
    torch.manual_seed(1)
    assert torch.equal(render_volume(TISSUE, REGIONS, VolumeAppearanceParams.parse(full.to_json())), first)


@pytest.mark.parametrize("kind", ["gaussian", "rician", "poisson", "speckle", "echoes"])
def test_neighbouring_slices_of_a_scan_have_noise_of_their_own(kind: str) -> None:
    tissue, regions = torch.full((48, 40, 12), 0.4), torch.zeros(48, 40, 12, dtype=torch.int16)
    scanner = AcquisitionParams(None, None, (0.0, 1.0), 1.0, None, levels=(0.0, 1.0))
    noises: tuple[NoiseParams, ...] = (NoiseParams(kind, 0.05, 0.8, 7),)
    if kind == "echoes":
        noises = ()
        probe = UltrasoundParams((0.5, -20.0), 1.0, (1.0, 1.0), (), 0.0, 1.0, 60.0, 7)
        scanner = replace(scanner, ultrasound=probe)
    image = scan_slices(tissue, regions, params(noises=noises), scanner, 3.0)
    planes = image.permute(2, 0, 1).flatten(1)
    correlations = torch.corrcoef(planes)[~torch.eye(12, dtype=torch.bool)]
    assert image.std() > 0.01
    assert correlations.abs().max() < 0.2
    assert correlations.mean().abs() < 0.02


def test_slices_of_a_scan_share_texture_and_shading() -> None:
    layer = TextureLayerParams((1.5, 1.5, 6.0), (0.2,), 3)
    tissue, regions = torch.full((48, 40, 6), 0.4), torch.zeros(48, 40, 6, dtype=torch.int16)
    scanner = AcquisitionParams((0.3, 20.0, 5), None, (0.0, 1.0), 1.0, None)
    image = scan_slices(tissue, regions, params(values=(0.4,), textures=(layer,)), scanner, 0.5)
    planes = image.permute(2, 0, 1).flatten(1)
    assert torch.corrcoef(planes)[0, 1] > 0.9


def test_a_scan_without_noise_is_the_tissue_in_its_window() -> None:
    tissue = torch.rand(6, 5, 4, generator=torch.Generator().manual_seed(0))
    scanner = AcquisitionParams(None, None, (0.0, 1.0), 1.0, None, levels=(0.25, 0.75))
    image = scan_slices(tissue, torch.zeros(6, 5, 4, dtype=torch.int16), params(), scanner, 1.0)
    assert torch.allclose(image, ((tissue - 0.25) / 0.5).clamp(0.0, 1.0))
