# Copyright (c) monai_synthfm contributors
# Licensed under the Apache License, Version 2.0 (http://www.apache.org/licenses/LICENSE-2.0).
# SPDX-License-Identifier: Apache-2.0
"""What a mask decoder starts from: attention that looks at the place of a click, alternatives near a learned mask."""

from __future__ import annotations

import torch
from segment_anything.modeling import MaskDecoder
from torch import nn

__all__ = ["align_attention", "start_alternatives"]

_CROSSING = ("cross_attn_token_to_image", "cross_attn_image_to_token", "final_attn_token_to_image")


@torch.no_grad()
def align_attention(decoder: nn.Module, gain: float = 2.0) -> None:
    r"""Give queries and keys of each attention between prompts and image the same projection.

    .. math:: W_q \leftarrow g W_q, \quad W_k \leftarrow W_q, \quad b_q = b_k = 0

    so that the logit of a prompt token p and an image position x is the inner product of projections of
    their position encodings, largest where both are the same place. With independent projections, as upstream draws
    them, logits say nothing of the distance, and a decoder from scratch predicts empty masks until it has found that
    out by itself.

    Args:
        decoder: mask decoder of SAM, MobileSAM or SAM 2, changed in place.
        gain: g, the factor on the upstream initialisation of the queries.

    Raises:
        ValueError: when ``decoder`` has no attention between prompts and image.

    Source: not given in the paper; our choice. Measured in docs/experiments.md.

    Example:
        >>> from monai_synthfm.networks import MobileSam
        >>> decoder = MobileSam(image_size=64).mask_decoder
        >>> align_attention(decoder)
        >>> attention = decoder.transformer.final_attn_token_to_image
        >>> bool((attention.q_proj.weight == attention.k_proj.weight).all())
        True
    """
    crossing = [module for name, module in decoder.named_modules() if name.rpartition(".")[2] in _CROSSING]
    if not crossing:
        raise ValueError(f"decoder has no attention between prompts and image: {type(decoder).__name__}.")
    for attention in crossing:
        attention.q_proj.weight.mul_(gain)
        attention.k_proj.weight.copy_(attention.q_proj.weight)
        attention.q_proj.bias.zero_()
        attention.k_proj.bias.zero_()


@torch.no_grad()
def start_alternatives(decoder: MaskDecoder, scatter: float = 0.3) -> None:
    """Start the alternatives of a mask decoder from its unambiguous mask, which is learned already.

    Each alternative's token becomes ``t_0 + scatter * e`` with standard normal ``e`` from torch's global generator, and
    its hypernetwork a copy of the first.

    Args:
        decoder: segment-anything's mask decoder, changed in place.
        scatter: standard deviation of what is added to a token, whose own entries have about 1.

    Source: not given in the paper; our choice.

    Example:
        >>> from monai_synthfm.networks import MobileSam
        >>> decoder = MobileSam(image_size=64).mask_decoder
        >>> start_alternatives(decoder, scatter=0.0)
        >>> bool((decoder.mask_tokens.weight == decoder.mask_tokens.weight[0]).all())
        True
    """
    tokens = decoder.mask_tokens.weight
    tokens[1:] = tokens[0] + scatter * torch.randn_like(tokens[1:])
    first, *others = decoder.output_hypernetworks_mlps
    for other in others:
        other.load_state_dict(first.state_dict())
