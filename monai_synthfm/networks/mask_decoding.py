# Copyright (c) monai_synthfm contributors
# Licensed under the Apache License, Version 2.0 (http://www.apache.org/licenses/LICENSE-2.0).
# SPDX-License-Identifier: Apache-2.0
"""SAM's mask decoder computed with less work: upstream's modules and weights, the same masks, other products first.

An image has a thousand positions, an object ten tokens. Wherever a projection of every position only serves products
with these few tokens, the tokens are projected instead, ``q (W x + b) = (q W) x + q b``; what the objects of an image
share is projected once; and a transposed convolution whose stride is its kernel size is a matrix product.
"""

from __future__ import annotations

import torch
from segment_anything.modeling import MaskDecoder, TwoWayTransformer
from segment_anything.modeling.transformer import Attention
from torch import nn
from torch.nn import functional as F

__all__ = ["SharedImage", "predict_masks"]


class SharedImage:
    """Images as the mask decoder reads them, with the projections that all objects of an image have in common.

    Args:
        decoder: segment-anything's mask decoder.
        image: features plus dense prompt embedding, ``[G, C, h, w]``.
        position: position encoding ``[1, C, h, w]``.
    """

    def __init__(self, decoder: MaskDecoder, image: torch.Tensor, position: torch.Tensor) -> None:
        self.grid = (image.shape[2], image.shape[3])
        self.position = position.flatten(2).transpose(1, 2)
        self.values = image.flatten(2).transpose(1, 2).contiguous()
        first = decoder.transformer.layers[0]
        to_image, to_token = first.cross_attn_token_to_image, first.cross_attn_image_to_token
        placed = self.values + self.position
        self.keys_read = _heads(to_image.k_proj(placed), to_image)
        self.values_read = _heads(to_image.v_proj(self.values), to_image)
        self.queries = _heads(to_token.q_proj(placed), to_token)


def predict_masks(
    decoder: MaskDecoder, image: SharedImage, owner: torch.Tensor, prompts: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    """Predict what ``MaskDecoder.predict_masks`` does, for objects of several images at once.

    Args:
        decoder: segment-anything's mask decoder.
        image: G images.
        owner: ``[M]``, which image an object is in.
        prompts: embedded prompt tokens ``[M, t, C]``.

    Returns:
        logits ``[M, 4, 4 h, 4 w]`` and predicted IoU ``[M, 4]``.
    """
    start = torch.cat([decoder.iou_token.weight, decoder.mask_tokens.weight])
    tokens = torch.cat([start.expand(len(prompts), -1, -1), prompts.to(start.dtype)], dim=1)
    read, positions = _transform(decoder.transformer, image, owner, tokens)
    masks = decoder.num_mask_tokens
    hyper = torch.stack([mlp(read[:, 1 + index]) for index, mlp in enumerate(decoder.output_hypernetworks_mlps)], dim=1)
    fine = _upscale(decoder, positions)
    logits = torch.bmm(hyper, fine.transpose(1, 2))
    height, width = image.grid
    # a position's 4 x 4 pixels are two times 2 x 2: row and column of the first upscaling, then of the second
    logits = logits.view(-1, masks, height, width, 2, 2, 2, 2).permute(0, 1, 2, 4, 6, 3, 5, 7)
    return logits.reshape(-1, masks, 4 * height, 4 * width), decoder.iou_prediction_head(read[:, 0])


def _transform(
    transformer: TwoWayTransformer, image: SharedImage, owner: torch.Tensor, tokens: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    """Run the two-way transformer: tokens ``[M, T, C]`` and positions ``[M, h w, C]`` after it."""
    first, *others = transformer.layers
    queries = first.norm1(first.self_attn(q=tokens, k=tokens, v=tokens))
    attention = first.cross_attn_token_to_image
    asked = _scaled_heads(attention.q_proj(queries + tokens), attention)
    weights = (asked @ image.keys_read.index_select(0, owner).mT).softmax(dim=-1)
    read = weights @ image.values_read.index_select(0, owner)
    queries = first.norm2(queries + attention.out_proj(_join(read)))
    queries = first.norm3(queries + first.mlp(queries))
    attention = first.cross_attn_image_to_token
    keys = _scaled_heads(attention.k_proj(queries + tokens), attention)
    logits = keys @ image.queries.index_select(0, owner).mT
    positions = first.norm4(_add_tokens(image.values.index_select(0, owner), attention, logits, queries))

    for layer in others:
        mixed = queries + tokens
        queries = layer.norm1(queries + layer.self_attn(q=mixed, k=mixed, v=queries))
        placed = positions + image.position
        queries = layer.norm2(
            queries + _read_image(layer.cross_attn_token_to_image, queries + tokens, placed, positions)
        )
        queries = layer.norm3(queries + layer.mlp(queries))
        attention = layer.cross_attn_image_to_token
        keys = _scaled_heads(attention.k_proj(queries + tokens), attention)
        logits = _products(keys, attention.q_proj, placed)
        positions = layer.norm4(_add_tokens(positions, attention, logits, queries))

    placed = positions + image.position
    read = _read_image(transformer.final_attn_token_to_image, queries + tokens, placed, positions)
    return transformer.norm_final_attn(queries + read), positions


def _read_image(
    attention: Attention, asking: torch.Tensor, placed: torch.Tensor, positions: torch.Tensor
) -> torch.Tensor:
    """Attention of few tokens to many positions, without keys and values of the positions."""
    asked = _scaled_heads(attention.q_proj(asking), attention)
    weights = _products(asked, attention.k_proj, placed).softmax(dim=-1)
    mean = torch.bmm(weights.flatten(1, 2), positions).unflatten(1, weights.shape[1:3])
    value = attention.v_proj
    weight = value.weight.view(attention.num_heads, -1, value.in_features)
    read = mean @ weight.mT + value.bias.view(attention.num_heads, 1, -1)
    return attention.out_proj(_join(read))


def _add_tokens(
    positions: torch.Tensor, attention: Attention, logits: torch.Tensor, tokens: torch.Tensor
) -> torch.Tensor:
    """Add to many positions what they read from few tokens, given logits ``[M, heads, T, h w]``."""
    # normalised over the tokens, which are not the last dimension: a softmax over so short a last one is slow
    weights = logits.softmax(dim=2).flatten(1, 2)
    out = attention.out_proj
    weight = out.weight.view(out.out_features, attention.num_heads, -1).permute(1, 2, 0)
    # the weights of each head add up to one, so the bias can be shared out among the heads
    values = _heads(attention.v_proj(tokens), attention) @ weight + out.bias / attention.num_heads
    return torch.baddbmm(positions, weights.mT, values.flatten(1, 2))


def _products(tokens: torch.Tensor, projection: nn.Linear, positions: torch.Tensor) -> torch.Tensor:
    """Products ``[M, heads, T, h w]`` of tokens ``[M, heads, T, c]`` with the projection of positions."""
    heads, width = tokens.shape[1], tokens.shape[3]
    moved = tokens @ projection.weight.view(heads, width, -1)
    offset = tokens @ projection.bias.view(heads, width, 1)
    products = torch.baddbmm(offset.flatten(1, 2), moved.flatten(1, 2), positions.mT)
    return products.unflatten(1, tokens.shape[1:3])


def _upscale(decoder: MaskDecoder, positions: torch.Tensor) -> torch.Tensor:
    """Upscale positions ``[M, h w, C]`` to their 16 pixels each, ``[M, 16 h w, C / 8]``."""
    first, norm, first_activation, second, second_activation = decoder.output_upscaling
    pixels = _double(positions, first.weight, first.bias)
    pixels = first_activation(F.layer_norm(pixels, norm.weight.shape, norm.weight, norm.bias, norm.eps))
    return second_activation(_double(pixels, second.weight, second.bias))


def _double(pixels: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor) -> torch.Tensor:
    """Replace each pixel ``[M, P, C]`` by the 2 x 2 that a transposed convolution of stride 2 makes of it."""
    matrix = weight.permute(2, 3, 1, 0).flatten(0, 2)
    return F.linear(pixels, matrix, bias.repeat(4)).reshape(len(pixels), -1, len(bias))


def _heads(tokens: torch.Tensor, attention: Attention) -> torch.Tensor:
    return tokens.unflatten(2, (attention.num_heads, -1)).transpose(1, 2)


def _join(heads: torch.Tensor) -> torch.Tensor:
    return heads.transpose(1, 2).flatten(2)


def _scaled_heads(tokens: torch.Tensor, attention: Attention) -> torch.Tensor:
    return _heads(tokens, attention) * (attention.internal_dim // attention.num_heads) ** -0.5
