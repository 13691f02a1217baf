# Copyright (c) monai_synthfm contributors
# Licensed under the Apache License, Version 2.0 (http://www.apache.org/licenses/LICENSE-2.0).
# SPDX-License-Identifier: Apache-2.0
"""Disturbed masks against masks moved and cut by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from scipy import ndimage

from monai_synthfm.networks.mask_augmentation import disturbed_masks


def logits_of(rows: slice, columns: slice) -> torch.Tensor:
    logits = torch.full((1, 1, 40, 60), -4.0)
    logits[..., rows, columns] = 4.0
    return logits


def centre_and_area(logits: torch.Tensor) -> tuple[torch.Tensor, float]:
    inside = torch.nonzero(logits[0, 0] > 0).float()
    return inside.mean(dim=0), len(inside)


def test_undisturbed_masks_are_as_they_were_or_cut_to_plus_and_minus_ten() -> None:
    logits = torch.randn(2, 3, 20, 30)
    torch.testing.assert_close(disturbed_masks(logits, shift=0.0, zoom=0.0, hard_prob=0.0), logits, atol=1e-4, rtol=0)
    hard = disturbed_masks(logits, shift=0.0, zoom=0.0, hard_prob=1.0)
    assert hard.abs().unique().tolist() == [10.0]
    assert torch.equal(hard > 0, logits > 0)


@pytest.mark.parametrize("seed", range(6))
def test_zoom_changes_the_area_about_the_masks_own_centre(seed: int) -> None:
    drawn = torch.randn(1, generator=torch.Generator().manual_seed(seed)).item()
    logits = logits_of(slice(5, 15), slice(30, 50))
    generator = torch.Generator().manual_seed(seed)
    found = disturbed_masks(logits, shift=0.0, zoom=0.2, hard_prob=0.0, generator=generator)
    (before, area), (after, changed) = centre_and_area(logits), centre_and_area(found)
    torch.testing.assert_close(after, before, atol=0.5, rtol=0)
    assert changed == pytest.approx(area * math.exp(-2 * 0.2 * drawn), rel=0.12)


@pytest.mark.parametrize("seed", range(6))
def test_shift_is_a_share_of_the_masks_size(seed: int) -> None:
    draws = torch.Generator().manual_seed(seed)
    torch.randn(1, generator=draws)
    column, row = torch.randn(1, 2, generator=draws)[0].tolist()
    logits = logits_of(slice(12, 28), slice(20, 36))
    generator = torch.Generator().manual_seed(seed)
    found = disturbed_masks(logits, shift=0.1, zoom=0.0, hard_prob=0.0, generator=generator)
    moved = [-0.1 * 16 * row, -0.1 * 16 * column]  # the square root of the area is 16
    expected = ndimage.shift(logits[0, 0].numpy(), moved, order=1, mode="nearest")
    np.testing.assert_allclose(found[0, 0], expected, atol=1e-3)


def test_an_empty_mask_stays_and_each_mask_is_disturbed_by_itself() -> None:
    torch.manual_seed(0)
    one = logits_of(slice(10, 26), slice(20, 36))
    found = disturbed_masks(torch.cat([torch.full_like(one, -3.0), one, one], dim=1), hard_prob=0.0)
    assert found[0, 0].unique().tolist() == [-3.0]
    assert not torch.equal(found[0, 1], found[0, 2])
    assert found.shape == (1, 3, 40, 60)
