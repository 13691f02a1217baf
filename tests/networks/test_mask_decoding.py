# Copyright (c) monai_synthfm contributors
# Licensed under the Apache License, Version 2.0 (http://www.apache.org/licenses/LICENSE-2.0).
# SPDX-License-Identifier: Apache-2.0
"""The lean mask decoder against segment-anything's own with the same weights: masks, IoU and gradients."""

from __future__ import annotations

import pytest
import torch
from segment_anything.modeling import MaskDecoder, TwoWayTransformer

from monai_synthfm.networks.mask_decoding import SharedImage, predict_masks


@pytest.fixture(params=[1, 2, 3], ids="depth {}".format)
def decoder(request: pytest.FixtureRequest) -> MaskDecoder:
    """A small decoder of upstream's, every parameter random."""
    torch.manual_seed(request.param)
    decoder = MaskDecoder(
        num_multimask_outputs=3,
        transformer=TwoWayTransformer(depth=request.param, embedding_dim=32, mlp_dim=64, num_heads=4),
        transformer_dim=32,
        iou_head_depth=3,
        iou_head_hidden_dim=16,
    )
    for parameter in decoder.parameters():
        torch.nn.init.normal_(parameter, std=0.3)
    return decoder


@pytest.mark.parametrize("tokens", [1, 3, 12])
@pytest.mark.parametrize("grid", [(4, 4), (3, 5)])
def test_masks_iou_and_gradients_are_upstreams(decoder: MaskDecoder, grid: tuple[int, int], tokens: int) -> None:
    images, position = torch.randn(2, 32, *grid, requires_grad=True), torch.randn(1, 32, *grid)
    prompts, owner = torch.randn(5, tokens, 32), torch.tensor([0, 1, 1, 0, 1])

    def upstream() -> tuple[torch.Tensor, torch.Tensor]:
        dense = images[owner]
        return decoder.predict_masks(torch.zeros_like(dense[:1]), position, prompts, dense)

    def ours() -> tuple[torch.Tensor, torch.Tensor]:
        return predict_masks(decoder, SharedImage(decoder, images, position), owner, prompts)

    gradients = []
    outputs = []
    for predict in (upstream, ours):
        masks, iou = predict()
        loss = (masks * torch.linspace(-1, 1, masks.shape[-1])).square().mean() + iou.square().mean()
        gradients.append(torch.autograd.grad(loss, [images, *decoder.parameters()]))
        outputs.append((masks, iou))
    torch.testing.assert_close(outputs[1], outputs[0], rtol=1e-4, atol=1e-4)
    for mine, theirs in zip(gradients[1], gradients[0], strict=True):
        torch.testing.assert_close(mine, theirs, rtol=1e-3, atol=1e-4 * float(theirs.abs().max()) + 1e-6)
