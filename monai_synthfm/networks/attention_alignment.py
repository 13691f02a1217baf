# Copyright (c) monai_synthfm contributors
# Licensed under the Apache License, Version 2.0 (http://www.apache.org/licenses/LICENSE-2.0).
# SPDX-License-Identifier: Apache-2.0
"""A start for mask decoders from scratch in which a click already looks at its own place."""

from __future__ import annotations

import torch
from torch import nn

__all__ = ["align_attention"]

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
