# Copyright (c) monai_synthfm contributors
# Licensed under the Apache License, Version 2.0 (http://www.apache.org/licenses/LICENSE-2.0).
# SPDX-License-Identifier: Apache-2.0
"""Masks that a decoder is prompted with in training, as if they came from an earlier click or a neighbouring slice."""

from __future__ import annotations

import torch
from torch.nn import functional as F

from monai_synthfm.networks.preprocessing import as_logits

__all__ = ["disturbed_masks"]


def disturbed_masks(
    logits: torch.Tensor,
    shift: float = 0.1,
    zoom: float = 0.1,
    hard_prob: float = 0.5,
    generator: torch.Generator | None = None,
) -> torch.Tensor:
    """Move and resize masks about their own centres, and cut some to booleans.

    A mask of area A and centre c is read at ``c + s (x - c) + t sqrt(A)`` with ``log s ~ N(0, zoom^2)`` and
    ``t ~ N(0, shift^2)`` in both directions; an empty mask stays as it is.

    Args:
        logits: ``[B, N, h, w]``, above 0 inside.
        shift: standard deviation of the shift as a fraction of the square root of the area.
        zoom: standard deviation of the logarithm of the change of size.
        hard_prob: probability that a mask becomes plus and minus ``MASK_LOGIT``, as the masks of a user or of a
            neighbouring slice come in.
        generator: of the CPU, draws s, t and what is cut, in this order; None takes torch's global one.

    Returns:
        ``[B, N, h, w]``.

    Source: not given in the paper; our choice. SAM (arXiv 2304.02643, appendix A) trains with its own masks as prompts,
    undisturbed.

    Example:
        >>> logits = torch.full((1, 1, 16, 16), -5.0)
        >>> logits[..., 4:10, 4:12] = 5.0
        >>> disturbed_masks(logits, shift=0.0, zoom=0.0, hard_prob=1.0).unique().tolist()
        [-10.0, 10.0]
    """
    batch, count, height, width = logits.shape
    masks = logits.reshape(batch * count, 1, height, width)
    inside = (masks > 0).to(logits.dtype)
    area = inside.sum(dim=(1, 2, 3))
    column, row = (torch.linspace(1 / size - 1, 1 - 1 / size, size).to(logits) for size in (width, height))
    moments = torch.stack([inside.sum(dim=2)[:, 0] @ column, inside.sum(dim=3)[:, 0] @ row], dim=1)
    centre = moments / area.clamp_min(1)[:, None]
    scale = torch.exp(zoom * torch.randn(len(masks), generator=generator)).to(logits)
    # grids span 2 from edge to edge
    reach = 2 * area.sqrt()[:, None] / logits.new_tensor([width, height])
    moved = centre * (1 - scale[:, None]) + shift * torch.randn(len(masks), 2, generator=generator).to(logits) * reach
    theta = torch.cat([torch.eye(2).to(logits) * scale[:, None, None], moved[:, :, None]], dim=2)
    grid = F.affine_grid(theta, list(masks.shape), align_corners=False)
    moving = (area > 0)[:, None, None, None]
    masks = torch.where(moving, F.grid_sample(masks, grid, padding_mode="border", align_corners=False), masks)
    hard = (torch.rand(len(masks), generator=generator) < hard_prob).to(logits.device)[:, None, None, None]
    return torch.where(hard, as_logits(masks > 0), masks).reshape(logits.shape)
