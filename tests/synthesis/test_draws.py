# Copyright (c) monai_synthfm contributors
# Licensed under the Apache License, Version 2.0 (http://www.apache.org/licenses/LICENSE-2.0).
# SPDX-License-Identifier: Apache-2.0
"""Random numbers: those of the seed, on any device, and of the distribution they are called after."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
from scipy import stats

from monai_synthfm.synthesis.draws import draw_normal, draw_uniform, seeded_generator
from tests.second_device import SECOND, SecondDevice

Draw = Callable[..., torch.Tensor]


@pytest.mark.parametrize("seed", [0, 7, 2**31 - 2])
def test_uniform_numbers_are_those_of_a_mersenne_twister(seed: int) -> None:
    words = np.random.RandomState(seed).randint(2**32, size=(3, 50), dtype=np.uint32)
    expected = (words & 0xFFFFFF) / 2.0**24
    assert np.array_equal(draw_uniform((3, 50), seeded_generator(seed)).numpy(), expected)


@pytest.mark.parametrize(("draw", "distribution"), [(draw_normal, stats.norm), (draw_uniform, stats.uniform)])
def test_numbers_follow_the_standard_distribution(draw: Draw, distribution: stats.rv_continuous) -> None:
    drawn = draw((100, 200), seeded_generator(1)).flatten().double().numpy()
    assert stats.kstest(drawn, distribution.cdf).pvalue > 0.01
    # neighbours in memory do not depend on each other
    assert stats.spearmanr(drawn[:-1], drawn[1:]).pvalue > 0.01


@pytest.mark.parametrize("draw", [draw_normal, draw_uniform])
def test_what_is_drawn_next_does_not_repeat_what_was_drawn(draw: Draw) -> None:
    generator = seeded_generator(2)
    first, second = draw((4, 16), generator), draw((4, 16), generator)
    assert not np.isin(first, second).any()
    assert torch.equal(torch.cat([first, second]), draw((8, 16), seeded_generator(2)))


@pytest.mark.parametrize("draw", [draw_normal, draw_uniform])
def test_torchs_global_generator_neither_matters_nor_moves(draw: Draw) -> None:
    torch.manual_seed(3)
    before = torch.get_rng_state()
    first = draw((9,), seeded_generator(5))
    assert torch.equal(torch.get_rng_state(), before)
    torch.manual_seed(4)
    assert torch.equal(draw((9,), seeded_generator(5)), first)


@pytest.mark.parametrize("draw", [draw_normal, draw_uniform])
def test_numbers_for_another_device_are_drawn_on_the_cpu(draw: Draw) -> None:
    expected = draw((5, 6), seeded_generator(8))
    assert expected.device.type == "cpu"
    with SecondDevice() as device:
        moved = draw((5, 6), seeded_generator(8), SECOND)
        assert moved.device == SECOND
        assert torch.equal(moved.cpu(), expected)
    assert device.draws == ["cpu"]


def test_double_precision_is_drawn_and_not_converted() -> None:
    single, double = (draw_normal((64,), seeded_generator(6), dtype=dtype) for dtype in (torch.float32, torch.float64))
    assert single.dtype == torch.float32
    assert double.dtype == torch.float64
    assert (double.float().double() != double).sum() > 50
