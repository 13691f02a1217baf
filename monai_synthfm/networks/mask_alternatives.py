# Copyright (c) monai_synthfm contributors
# Licensed under the Apache License, Version 2.0 (http://www.apache.org/licenses/LICENSE-2.0).
# SPDX-License-Identifier: Apache-2.0
"""Alternatives of a mask decoder that was trained for one mask only."""

from __future__ import annotations

import torch
from segment_anything.modeling import MaskDecoder

__all__ = ["start_alternatives"]


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
