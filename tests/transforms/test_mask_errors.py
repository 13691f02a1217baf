# Copyright (c) monai_synthfm contributors
# Licensed under the Apache License, Version 2.0 (http://www.apache.org/licenses/LICENSE-2.0).
# SPDX-License-Identifier: Apache-2.0
"""Masks as a network finds them."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy import ndimage

from monai_synthfm.transforms.mask_errors import RandMaskErrors


def ball() -> torch.Tensor:
    z, y, x = np.indices((5, 48, 48)) - np.array([2, 24, 24])[:, None, None, None]
    return torch.from_numpy(((4 * z) ** 2 + y**2 + x**2 <= 15**2).astype(np.float32))


def dice(one: torch.Tensor, other: torch.Tensor) -> float:
    return float(2 * (one * other).sum() / (one.sum() + other.sum()))


def test_nothing_changes_without_strength() -> None:
    found = RandMaskErrors(strength=0.0).set_random_state(seed=0)(ball())
    assert torch.equal((found > 0.5).float(), ball())


def test_errors_grow_with_the_strength() -> None:
    means = []
    for strength in (0.05, 0.2, 0.5):
        errors = RandMaskErrors(strength).set_random_state(seed=0)
        means.append(np.mean([dice((errors(ball()) > 0.5).float(), ball()) for _ in range(40)]))
    assert means[0] > means[1] > means[2]
    assert means[1] > 0.85


def test_the_border_moves_no_farther_than_the_noise() -> None:
    errors = RandMaskErrors().set_random_state(seed=1)
    for _ in range(20):
        state = errors.R.get_state()
        strength, shift, noise = errors.randomize((5, 48, 48))
        errors.R.set_state(state)
        amplitude = 0.22 * strength * float(ball().sum() / 5) ** 0.5
        farthest = amplitude * (np.abs(noise).max() + abs(shift)) + 1
        changed = ((errors(ball()) > 0.5) != (ball() > 0.5)).numpy()
        for mask, moved in zip(ball().numpy() > 0.5, changed, strict=True):
            border = ndimage.distance_transform_edt(mask) + ndimage.distance_transform_edt(~mask)
            assert border[moved].max(initial=0.0) <= farthest


def test_slices_without_the_object_stay_empty() -> None:
    masks = torch.cat([ball(), torch.zeros(2, 48, 48)])
    errors = RandMaskErrors().set_random_state(seed=2)
    assert not any((errors(masks)[-2:] > 0.5).any() for _ in range(20))


def test_a_mask_never_vanishes() -> None:
    dot = torch.zeros(1, 32, 32)
    dot[0, 16, 16] = 1
    errors = RandMaskErrors(strength=20.0).set_random_state(seed=0)
    assert all((errors(dot) > 0.5).any() for _ in range(20))


@pytest.mark.parametrize(
    ("options", "message"),
    [({"strength": -0.1}, "strength must be at least 0"), ({"scales": (3.0, 2.0)}, "scales must be two increasing")],
)
def test_arguments_out_of_their_range_are_refused(options: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        RandMaskErrors(**options)
