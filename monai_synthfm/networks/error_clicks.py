# Copyright (c) monai_synthfm contributors
# Licensed under the Apache License, Version 2.0 (http://www.apache.org/licenses/LICENSE-2.0).
# SPDX-License-Identifier: Apache-2.0
"""Clicks of a training on what a network got wrong."""

from __future__ import annotations

import torch

from monai_synthfm.prompts.masks import depth

__all__ = ["draw_error_clicks"]

_DEEP = 0.5


def draw_error_clicks(
    found: torch.Tensor, wanted: torch.Tensor, image_size: int, deep: bool = False
) -> tuple[torch.Tensor, torch.Tensor]:
    """Draw a click for each object where its mask is wrong, uniformly among these pixels.

    Args:
        found: booleans ``[M, h, h]``.
        wanted: booleans of the same shape.
        image_size: side of the network's input in pixels, that of which the masks are.
        deep: draw only among pixels at least half as deep as the deepest one of its error, missed and excess pixels
            apart: nobody clicks on a rim.

    Returns:
        points ``[M, 1, 2]`` as x, y in pixels of the network's input, and labels ``[M, 1]``: 1 in what is missed, 0 in
        what is too much, -1 where nothing is wrong.

    Raises:
        ValueError: when the shapes differ.

    Source: SAM (arXiv 2304.02643, appendix A) draws uniformly; RITM (arXiv 2102.06583) clicks on the middle of the
    largest error.

    Example:
        >>> wanted = torch.zeros(1, 8, 8, dtype=torch.bool)
        >>> wanted[0, 2, 4] = True
        >>> points, labels = draw_error_clicks(torch.zeros_like(wanted), wanted, image_size=32)
        >>> points.tolist(), labels.tolist()
        ([[[17.5, 9.5]]], [[1]])
    """
    if found.shape != wanted.shape:
        raise ValueError(f"found and wanted must have one shape, got {tuple(found.shape)} and {tuple(wanted.shape)}.")
    wrong = (found != wanted).flatten(1)
    has_error = wrong.any(dim=1, keepdim=True)
    weights = (_deepest(found, wanted).flatten(1) if deep else wrong).float()
    chosen = torch.multinomial(weights + (~has_error).float(), 1)
    labels = torch.where(has_error, wanted.flatten(1).gather(1, chosen).long(), -1)
    side = wanted.shape[-1]
    cell = torch.stack([chosen % side, chosen // side], dim=-1).float()
    return (cell + 0.5) * (image_size / side) - 0.5, labels


def _deepest(found: torch.Tensor, wanted: torch.Tensor) -> torch.Tensor:
    masks = []
    for missed, excess in zip((wanted & ~found).cpu().numpy(), (found & ~wanted).cpu().numpy(), strict=True):
        depths = torch.from_numpy(depth(missed) + depth(excess))
        masks.append((depths > 0) & (depths >= _DEEP * depths.max()))
    return torch.stack(masks).to(found.device)
