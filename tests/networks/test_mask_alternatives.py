# Copyright (c) monai_synthfm contributors
# Licensed under the Apache License, Version 2.0 (http://www.apache.org/licenses/LICENSE-2.0).
# SPDX-License-Identifier: Apache-2.0
"""Alternatives that start from the unambiguous mask."""

from __future__ import annotations

import torch

from monai_synthfm.networks import MobileSam, prepare, start_alternatives
from monai_synthfm.networks.promptable import ImageEmbedding
from monai_synthfm.prompts import Prompts

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
