# Copyright (c) monai_synthfm contributors
# Licensed under the Apache License, Version 2.0 (http://www.apache.org/licenses/LICENSE-2.0).
# SPDX-License-Identifier: Apache-2.0
"""Acquisition against numpy and the statistics of speckle."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from monai_synthfm.synthesis.acquisition import (
    AcquisitionParams,
    FieldOfViewParams,
    UltrasoundParams,
    acquire,
    field_of_view,
)

PLAIN = AcquisitionParams(None, None, (0.0, 1.0), 1.0, None)
PROBE = UltrasoundParams((0.5, -20.0), 0.0, (1.0, 1.0), (), 0.0, 1.0, 40.0, 0)
IMAGE = torch.from_numpy(np.random.default_rng(0).uniform(0.2, 0.9, (60, 80)).astype(np.float32))


def test_the_window_cuts_at_quantiles_and_gamma_bends():
    low, high = np.quantile(IMAGE.numpy(), (0.05, 0.9))
    expected = np.clip((IMAGE.numpy() - low) / (high - low), 0, 1) ** 1.5
    found = acquire(IMAGE, replace(PLAIN, window=(0.05, 0.9), gamma=1.5))
    assert np.allclose(found.numpy(), expected, atol=1e-5)


def test_a_constant_image_stays_constant():
    assert acquire(torch.full((8, 8), 0.5), PLAIN).unique().tolist() == [0.5]


def test_a_disc_shows_its_inside_only():
    field = FieldOfViewParams("disc", (0.6, 0.5), (0.0, 0.4), (0.0, 0.0), 0.25)
    y, x = (np.indices((60, 80)) + 0.5) / 60
    inside = np.hypot(x - 0.6, y - 0.5) <= 0.4
    assert np.array_equal(field_of_view(field, IMAGE.shape, IMAGE.device).numpy(), inside)
    shown = acquire(IMAGE, replace(PLAIN, field=field)).numpy()
    assert (shown[~inside] == 0.25).all()
    assert shown[inside].max() == 1.0


def test_a_fan_opens_downwards_from_its_apex():
    field = FieldOfViewParams("fan", (0.5, -0.1), (0.15, 0.9), (-0.5, 0.5), 0.0)
    visible = field_of_view(field, torch.Size((100, 100)), torch.device("cpu")).numpy()
    widths = visible.sum(axis=1)
    depth = (np.arange(20, 60) + 0.5) / 100 + 0.1
    assert np.allclose(widths[20:60], 2 * np.tan(0.5) * depth * 100, atol=2)
    assert not visible[:3].any()
    assert not visible[-15:].any()


def test_log_compression_is_in_decibels():
    image = torch.tensor([[1.0, 10 ** (-10 / 20), 10 ** (-20 / 20), 10 ** (-60 / 20)]])
    shown = acquire(image, replace(PLAIN, ultrasound=PROBE))
    assert np.allclose(shown.numpy(), [[1.0, 0.75, 0.5, 0.0]], atol=1e-5)


def test_speckle_has_the_contrast_of_rayleigh_amplitudes():
    image = torch.ones(400, 400)
    image[0, 0] = 0.0  # black, so that the display begins at the bottom of the dynamic range
    shown = acquire(
        image, replace(PLAIN, ultrasound=replace(PROBE, speckle=1.0, grain=(4.0, 4.0), dynamic_range=120.0))
    )
    # the logarithm of Rayleigh amplitudes has a standard deviation of 10 pi / (ln(10) sqrt(6)) decibels
    assert np.isclose(120.0 * shown[1:].std(), 5.57, rtol=0.1)


@pytest.mark.parametrize("factor", [0.1, 2.0])
def test_a_shadow_changes_echoes_behind_it_by_its_factor(factor):
    image = torch.full((200, 200), 0.25)
    image[0, 0], image[0, 1] = 1.0, 0.0  # white and black, so that the display shows the dynamic range
    shadow = (0.0, 0.004, 20.5, factor)
    probe = replace(PROBE, shadows=(shadow,), dynamic_range=80.0)
    amplitude = 10 ** ((acquire(image, replace(PLAIN, ultrasound=probe)).numpy() - 1) * 80 / 20)
    assert np.isclose(amplitude[180, 100], 0.25 * factor, rtol=0.02)
    assert np.isclose(amplitude[180, 10], 0.25, rtol=0.02)
    assert np.isclose(amplitude[20, 100], 0.25, rtol=0.02)


def test_shading_is_smooth_and_positive():
    found = acquire(torch.full((128, 128), 0.5), replace(PLAIN, shading=(0.3, 64.0, 5))).numpy()
    assert found.std() > 0.1
    assert np.abs(np.diff(found, axis=0)).max() < 0.1


def test_fixed_levels_do_not_depend_on_the_image():
    shown = acquire(torch.tensor([[-1.0, 0.2, 0.5, 3.0]]), replace(PLAIN, levels=(0.0, 0.8), gamma=2.0))
    assert np.allclose(shown.numpy(), [[0.0, 0.25**2, 0.625**2, 1.0]])


def test_slices_share_window_shading_and_gain_but_not_speckle():
    stack = torch.stack([IMAGE, IMAGE, 0.5 * IMAGE])
    shown = acquire(stack, replace(PLAIN, gamma=1.5))
    assert torch.equal(shown[0], shown[1])
    expected = acquire(torch.cat([IMAGE, IMAGE, 0.5 * IMAGE]), replace(PLAIN, gamma=1.5))  # one window for all
    assert torch.allclose(shown.flatten(0, 1), expected, atol=1e-6)
    echoes = acquire(stack, replace(PLAIN, ultrasound=PROBE))
    assert torch.equal(echoes[0], echoes[1])
    assert echoes[0].mean() > echoes[2].mean() + 0.1
    speckled = acquire(stack[:2], replace(PLAIN, ultrasound=replace(PROBE, speckle=1.0)))
    first, second = (plane - plane.mean() for plane in speckled)
    assert abs(float((first * second).mean() / first.std() / second.std())) < 0.5
    shadings = []
    for distance in (0.01, 40.0):
        flat = acquire(torch.ones(6, 60, 80), replace(PLAIN, shading=(0.5, 30.0, 1)), distance)
        shadings.append(float((flat[1:] - flat[:-1]).abs().mean()))
    assert shadings[0] < 0.1 * shadings[1]


def test_one_slice_is_shown_as_the_image_it_is():
    params = AcquisitionParams(None, replace(PROBE, speckle=0.8, seed=3), (0.01, 0.99), 1.2, None)
    assert torch.equal(acquire(IMAGE[None], params)[0], acquire(IMAGE, params))
