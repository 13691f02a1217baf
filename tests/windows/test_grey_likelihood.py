# Copyright (c) monai_synthfm contributors
# Licensed under the Apache License, Version 2.0 (http://www.apache.org/licenses/LICENSE-2.0).
# SPDX-License-Identifier: Apache-2.0
"""The likelihood of grey levels."""

from __future__ import annotations

import torch

from monai_synthfm.windows.grey_likelihood import GreyLikelihood


def drawn(mean: float, count: int, seed: int) -> torch.Tensor:
    return mean + 0.05 * torch.randn(count, generator=torch.Generator().manual_seed(seed))


def test_it_is_the_logarithm_of_the_ratio_of_two_normal_densities() -> None:
    inside, outside = drawn(0.5, 200_000, 0), drawn(0.6, 200_000, 1)
    picture = torch.cat([inside, outside])
    shares = torch.cat([torch.ones_like(inside), torch.zeros_like(outside)])
    likelihood = GreyLikelihood(picture, shares)
    levels = torch.linspace(0.5, 0.6, 11)
    expected = ((levels - 0.6) ** 2 - (levels - 0.5) ** 2) / (2 * 0.05**2)
    # bins are smoothed, which widens both densities
    torch.testing.assert_close(likelihood(levels), expected, rtol=0.35, atol=0.2)


def test_it_has_the_sign_of_the_side_where_a_grey_level_is_more_common() -> None:
    picture = torch.tensor([0.2] * 30 + [0.8] * 30)
    likelihood = GreyLikelihood(picture, (picture > 0.5).float())
    assert likelihood(torch.tensor(0.8)) > 0 > likelihood(torch.tensor(0.2))


def test_grey_levels_far_from_all_that_was_seen_are_unlikely() -> None:
    picture = torch.tensor([0.4, 0.6])
    likelihood = GreyLikelihood(picture, torch.tensor([1.0, 0.0]))
    assert likelihood(torch.tensor([0.39, 0.1, 0.9])).tolist() == [4.0, -2.0, -2.0]


def test_a_picture_of_one_value_says_nothing() -> None:
    picture = torch.full((4, 4), 0.5)
    shares = torch.zeros(4, 4)
    shares[1:3, 1:3] = 1
    assert abs(float(GreyLikelihood(picture, shares)(torch.tensor(0.5)))) < 1e-5
