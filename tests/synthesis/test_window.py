# Copyright (c) monai_synthfm contributors
# Licensed under the Apache License, Version 2.0 (http://www.apache.org/licenses/LICENSE-2.0).
# SPDX-License-Identifier: Apache-2.0
"""The display window against numpy's quantiles."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from monai_synthfm.synthesis.window import stretch_quantiles

IMAGE = np.random.default_rng(0).normal(size=(50, 60)).astype(np.float32)


def test_quantiles_become_0_and_1():
    low, high = np.quantile(IMAGE, (0.1, 0.8))
    expected = np.clip((IMAGE - low) / (high - low), 0, 1)
    assert np.allclose(stretch_quantiles(torch.from_numpy(IMAGE), (0.1, 0.8)).numpy(), expected, atol=1e-5)


def test_only_what_is_seen_counts():
    low, high = np.quantile(IMAGE[:10], (0.005, 0.995))
    expected = np.clip((IMAGE - low) / (high - low), 0, 1)
    image = torch.from_numpy(IMAGE)
    assert np.allclose(stretch_quantiles(image, seen=image[:10]).numpy(), expected, atol=1e-5)


@pytest.mark.parametrize("shape", [(512, 512, 4), (256, 300, 6), (512, 512, 9)])
def test_all_slices_of_a_large_volume_count(shape: tuple[int, int, int]):
    """Each slice is of one value, so that a slice left out would not be found between the others."""
    values = torch.arange(shape[2], dtype=torch.float32)
    image = stretch_quantiles(values.expand(shape))
    assert torch.allclose(image, (values / (shape[2] - 1)).expand(shape), atol=1e-6)


def test_a_constant_image_keeps_its_value():
    assert stretch_quantiles(torch.full((4, 4), 0.3)).unique().tolist() == [torch.tensor(0.3).item()]
