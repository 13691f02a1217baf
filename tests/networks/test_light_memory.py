# Copyright (c) monai_synthfm contributors
# Licensed under the Apache License, Version 2.0 (http://www.apache.org/licenses/LICENSE-2.0).
# SPDX-License-Identifier: Apache-2.0
"""The light memory computes what its formulas say."""

from __future__ import annotations

import math

import pytest
import torch

from monai_synthfm.networks.light_memory import LightMemoryAttention, LightMemoryEncoder, grid_places, rotate, rotation


def test_the_centres_of_coarser_cells_lie_between_those_of_the_finer_ones() -> None:
    fine, coarse = grid_places((4, 6), (4, 6)), grid_places((2, 3), (4, 6))
    assert torch.equal(fine.unflatten(0, (4, 6))[2, 5], torch.tensor([2.0, 5.0]))
    means = fine.unflatten(0, (2, 2, 3, 2)).mean(dim=(1, 3)).flatten(0, 1)
    torch.testing.assert_close(coarse, means)


def test_rotation_is_the_product_with_a_complex_number_of_length_one() -> None:
    tokens, places = torch.randn(2, 1, 5, 8, dtype=torch.float64), torch.rand(4, 2, dtype=torch.float64) * 9
    turned = rotate(tokens, rotation(places, 8))
    for token in range(4):
        for channel in range(4):
            angle = float(places[token, channel // 2]) * 10000.0 ** (-(channel % 2) / 2)
            before = torch.complex(tokens[:, 0, token, channel], tokens[:, 0, token, channel + 4])
            after = torch.complex(turned[:, 0, token, channel], turned[:, 0, token, channel + 4])
            expected = before * complex(math.cos(angle), math.sin(angle))
            torch.testing.assert_close(after, expected, rtol=1e-6, atol=1e-6)
    assert torch.equal(turned[:, :, 4], tokens[:, :, 4])


def test_products_of_rotated_tokens_depend_on_the_difference_of_their_places_alone() -> None:
    tokens = torch.randn(1, 1, 2, 16, dtype=torch.float64)
    places, moved = torch.tensor([[1.0, 4.0], [3.0, 2.0]]), torch.tensor([[6.0, 11.0], [8.0, 9.0]])
    first, second = (rotate(tokens, rotation(where.double(), 16))[0, 0] for where in (places, moved))
    torch.testing.assert_close(first[0] @ first[1], second[0] @ second[1], rtol=1e-5, atol=1e-6)


def trained(dim: int, memory_dim: int, layers: int) -> LightMemoryAttention:
    attention = LightMemoryAttention(dim, memory_dim, layers, mlp_dim=24)
    for parameter in attention.parameters():
        torch.nn.init.normal_(parameter, std=0.3)
    return attention


def test_objects_of_a_slice_are_attended_to_as_if_each_were_alone() -> None:
    attention = trained(16, 8, layers=2)
    features = torch.randn(2, 16, 4, 4)
    maps, pointers = [torch.randn(6, 8, 4, 4), torch.randn(6, 8, 2, 2)], torch.randn(6, 3, 8)
    positions = torch.randn(1, 23, 8)
    together = attention(features, maps, pointers, positions)
    for row in range(6):
        alone = attention(
            features[row // 3 : row // 3 + 1],
            [part[row : row + 1] for part in maps],
            pointers[row : row + 1],
            positions,
        )
        torch.testing.assert_close(together[row : row + 1], alone, rtol=1e-4, atol=1e-4)


def test_the_order_of_memories_does_not_matter_but_their_times_do() -> None:
    attention = trained(16, 8, layers=1)
    features, first, second = torch.randn(1, 16, 2, 2), torch.randn(1, 8, 2, 2), torch.randn(1, 8, 2, 2)
    none, times = torch.zeros(1, 0, 8), torch.randn(1, 2, 8)
    one, other = times.repeat_interleave(4, dim=1), times.flip(1).repeat_interleave(4, dim=1)
    given = attention(features, [first, second], none, one)
    torch.testing.assert_close(given, attention(features, [second, first], none, other))
    assert not torch.allclose(given, attention(features, [second, first], none, one), atol=1e-4)


def test_an_encoder_tells_masks_apart_where_they_differ() -> None:
    encoder = LightMemoryEncoder(8, 16).eval()
    features = torch.randn(1, 8, 16, 16)
    masks = torch.full((2, 1, 64, 64), -10.0)
    masks[1, 0, :8, :8] = 10.0
    first, second = encoder(features, masks)
    changed = ((first - second).abs().amax(dim=0) > 1e-6).nonzero()
    # two convolutions of 3 x 3 at a quarter and two of 7 x 7 reach 8 cells beyond the mask's
    assert len(changed) > 0
    assert int(changed.max()) < 2 + 8


def test_a_width_that_heads_cannot_share_is_refused() -> None:
    with pytest.raises(ValueError, match="dim must be a multiple of 16, got 24"):
        LightMemoryAttention(24, 8, layers=1, mlp_dim=8)
