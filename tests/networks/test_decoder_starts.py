# Copyright (c) monai_synthfm contributors
# Licensed under the Apache License, Version 2.0 (http://www.apache.org/licenses/LICENSE-2.0).
# SPDX-License-Identifier: Apache-2.0
"""What decoders start from: clicks look at their own place before any training, alternatives at the learned mask."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from monai_synthfm.networks import MobileSam, Sam2, Sam2Size, align_attention, prepare, start_alternatives
from monai_synthfm.networks.promptable import ImageEmbedding
from monai_synthfm.prompts import Prompts


def attention_of_clicks(network: MobileSam) -> torch.Tensor:
    """Logits ``[positions, positions]`` of clicks at the centres of all cells, as the last attention sees them."""
    attention = network.mask_decoder.transformer.final_attn_token_to_image
    place = network.prompt_encoder.get_dense_pe().flatten(2)[0].T
    heads = attention.num_heads
    queries = attention.q_proj(place).unflatten(1, (heads, -1))
    keys = attention.k_proj(place).unflatten(1, (heads, -1))
    return torch.einsum("phd,qhd->pq", queries, keys)


def share_at_own_place(logits: torch.Tensor) -> float:
    return float((logits.argmax(dim=1) == torch.arange(len(logits))).float().mean())


def test_a_click_attends_most_to_its_own_place():
    network = prepare(MobileSam(image_size=256), reset_decoder=True, seed=0)
    with torch.no_grad():
        before = share_at_own_place(attention_of_clicks(network))
        align_attention(network.mask_decoder)
        after = share_at_own_place(attention_of_clicks(network))
    assert before < 0.1
    assert after > 0.9


def test_the_gain_scales_the_queries_drawn_before():
    network = prepare(MobileSam(image_size=64), reset_decoder=True, seed=1)
    attention = network.mask_decoder.transformer.layers[0].cross_attn_image_to_token
    drawn = attention.q_proj.weight.clone()
    align_attention(network.mask_decoder, gain=3.0)
    assert torch.allclose(attention.q_proj.weight, 3.0 * drawn)


def test_self_attention_is_left_alone():
    network = prepare(MobileSam(image_size=64), reset_decoder=True, seed=1)
    before = [layer.self_attn.k_proj.weight.clone() for layer in network.mask_decoder.transformer.layers]
    align_attention(network.mask_decoder)
    after = [layer.self_attn.k_proj.weight for layer in network.mask_decoder.transformer.layers]
    assert all(torch.equal(one, other) for one, other in zip(before, after, strict=True))


def test_the_decoder_of_sam_2_has_the_same_attention():
    size = Sam2Size(8, 1, (1, 1, 2, 1), (3,), (7, 7), hidden_dim=32, memory_dim=8, memory_layers=1, mlp_dim=32)
    decoder = Sam2(size, image_size=64).sam_mask_decoder
    align_attention(decoder)
    layer = decoder.transformer.layers[1].cross_attn_token_to_image
    assert torch.equal(layer.q_proj.weight, layer.k_proj.weight)


def test_a_module_without_such_attention_is_refused():
    with pytest.raises(ValueError, match="no attention between prompts and image: Linear"):
        align_attention(nn.Linear(2, 2))


CLICK = Prompts(torch.tensor([[[30.0, 20.0]]]), torch.ones(1, 1, dtype=torch.int64))


def masks_of(network: MobileSam) -> torch.Tensor:
    random = torch.Generator().manual_seed(0)
    features = torch.randn(1, 256, 4, 4, generator=random)
    with torch.no_grad():
        return network.predict_masks(ImageEmbedding(features, (64, 64), (64, 64)), CLICK)[0][0, 0]


def test_without_scatter_all_masks_are_the_same() -> None:
    network = prepare(MobileSam(image_size=64), reset_decoder=True, seed=0)
    before = masks_of(network)
    start_alternatives(network.mask_decoder, scatter=0.0)
    first, *others = masks_of(network)
    assert not torch.allclose(before[1], before[0], atol=1e-3)
    for other in others:
        torch.testing.assert_close(other, first)


def test_with_scatter_they_differ_a_little() -> None:
    network = prepare(MobileSam(image_size=64), reset_decoder=True, seed=0)
    strange = (masks_of(network)[1:] - masks_of(network)[0]).abs().mean()
    torch.manual_seed(1)
    start_alternatives(network.mask_decoder, scatter=0.3)
    first, *others = masks_of(network)
    near = (torch.stack(others) - first).abs().mean()
    assert 0.0 < near < 0.5 * strange
    assert not torch.equal(others[0], others[1])


def test_the_token_and_hypernetwork_of_the_unambiguous_mask_stay() -> None:
    decoder = prepare(MobileSam(image_size=64), reset_decoder=True, seed=0).mask_decoder
    token = decoder.mask_tokens.weight[0].clone()
    hypernetwork = {key: value.clone() for key, value in decoder.output_hypernetworks_mlps[0].state_dict().items()}
    start_alternatives(decoder)
    assert torch.equal(decoder.mask_tokens.weight[0], token)
    for mlp in decoder.output_hypernetworks_mlps:
        assert all(torch.equal(value, hypernetwork[key]) for key, value in mlp.state_dict().items())
