# Copyright (c) monai_synthfm contributors
# Licensed under the Apache License, Version 2.0 (http://www.apache.org/licenses/LICENSE-2.0).
# SPDX-License-Identifier: Apache-2.0
"""Small networks for the tests of this room: ours, and segment-anything's own with the same random weights."""

from __future__ import annotations

from functools import partial

import pytest
import torch
from segment_anything import SamPredictor
from segment_anything.modeling import ImageEncoderViT, MaskDecoder, PromptEncoder, TwoWayTransformer
from segment_anything.modeling import Sam as UpstreamSam
from torch import nn

from monai_synthfm.networks import Sam, ViTSize

TINY = ViTSize(embed_dim=32, depth=2, num_heads=2, global_attn_indexes=(1,))


def build_upstream(image_size: int) -> UpstreamSam:
    """segment-anything's own network of TINY size, every parameter random (its constructor leaves some at zero)."""
    torch.manual_seed(0)
    grid = image_size // 16
    net = UpstreamSam(
        image_encoder=ImageEncoderViT(
            depth=TINY.depth,
            embed_dim=TINY.embed_dim,
            img_size=image_size,
            mlp_ratio=4,
            norm_layer=partial(nn.LayerNorm, eps=1e-6),
            num_heads=TINY.num_heads,
            patch_size=16,
            qkv_bias=True,
            use_rel_pos=True,
            global_attn_indexes=TINY.global_attn_indexes,
            window_size=14,
            out_chans=256,
        ),
        prompt_encoder=PromptEncoder(
            embed_dim=256,
            image_embedding_size=(grid, grid),
            input_image_size=(image_size, image_size),
            mask_in_chans=16,
        ),
        mask_decoder=MaskDecoder(
            num_multimask_outputs=3,
            transformer=TwoWayTransformer(depth=2, embedding_dim=256, mlp_dim=2048, num_heads=8),
            transformer_dim=256,
            iou_head_depth=3,
            iou_head_hidden_dim=256,
        ),
    )
    with torch.no_grad():
        for parameter in net.parameters():
            if parameter.abs().max() == 0:
                parameter.normal_(std=0.3)
    return net.eval()


@pytest.fixture(scope="session")
def upstream() -> SamPredictor:
    """segment-anything's predictor over a tiny network of 128 pixels."""
    return SamPredictor(build_upstream(128))


@pytest.fixture(scope="session")
def sam(upstream: SamPredictor) -> Sam:
    """Our network with upstream's weights, loaded strictly."""
    net = Sam(TINY, image_size=128)
    net.load_state_dict(upstream.model.state_dict())
    return net.eval()


@pytest.fixture
def tiny_sam() -> Sam:
    """A network of 64 pixels that a test may change."""
    torch.manual_seed(0)
    return Sam(TINY, image_size=64)
