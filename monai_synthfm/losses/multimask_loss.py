# Copyright (c) monai_synthfm contributors
# Licensed under the Apache License, Version 2.0 (http://www.apache.org/licenses/LICENSE-2.0).
# SPDX-License-Identifier: Apache-2.0
"""The loss of a decoder that answers with one mask and with alternatives for ambiguous prompts."""

from __future__ import annotations

import torch
from monai.losses import DiceFocalLoss
from torch import nn
from torch.nn import functional as F

__all__ = ["MultimaskLoss", "mask_iou"]


class MultimaskLoss(nn.Module):
    """The loss of the unambiguous mask, that of the best alternative, and the error of predicted IoU.

    With masks ``m_0, ..., m_A`` of an object, its target ``t``, and predicted and true IoU ``q_a`` and ``q'_a``::

        mask_loss(m_0, t) + min over a > 0 of mask_loss(m_a, t) + others_weight * mean over a > 0 of mask_loss(m_a, t)
        + iou_weight * mean over all of (q_a - q'_a)^2

    Only the best alternative learns, so that each becomes the answer to one reading of an ambiguous prompt; a small
    ``others_weight`` keeps those alive that are never the best.

    Args:
        mask_loss: of logits and targets ``[B, C, h, w]`` without reduction over B and C;
            ``DiceFocalLoss(sigmoid=True, reduction="none")`` if None.
        iou_weight: weight of the error of predicted IoU.
        others_weight: weight of the mean over the alternatives.

    Source: SAM (arXiv 2304.02643, section 3 and appendix A), which trains alternatives by the minimum; that they learn
    from every prompt, and not from single clicks alone, and ``others_weight`` are our choice. SynthFM does not say
    which of SAM's masks it uses.

    Example:
        >>> target = torch.zeros(1, 1, 8, 8)
        >>> target[..., 2:6, 2:6] = 1
        >>> right, empty = 100 * target - 50, torch.full_like(target, -50.0)
        >>> logits, iou = torch.stack([right, empty, right], dim=2), torch.tensor([[[1.0, 0.0, 1.0]]])
        >>> round(MultimaskLoss(others_weight=0.0)((logits, iou), target).item(), 3)
        0.0
    """

    def __init__(
        self, mask_loss: nn.Module | None = None, iou_weight: float = 1.0, others_weight: float = 0.05
    ) -> None:
        super().__init__()
        self.mask_loss = mask_loss or DiceFocalLoss(sigmoid=True, reduction="none")
        self.iou_weight = iou_weight
        self.others_weight = others_weight

    def forward(self, masks: tuple[torch.Tensor, torch.Tensor], target: torch.Tensor) -> torch.Tensor:
        """Return the loss of logits ``[B, N, 1 + A, h, w]`` and IoU ``[B, N, 1 + A]`` against ``[B, N, h, w]``."""
        logits, iou = masks
        if logits.ndim != 5 or logits.shape[2] < 2 or logits[:, :, 0].shape != target.shape:
            raise ValueError(
                f"masks must be [B, N, 1 + A, h, w] for targets [B, N, h, w] = {tuple(target.shape)}, "
                f"got {tuple(logits.shape)}."
            )
        wanted = target.to(logits.dtype)[:, :, None].expand_as(logits)
        losses = self.mask_loss(logits.flatten(1, 2), wanted.flatten(1, 2)).flatten(2).mean(dim=2)
        first, others = losses.unflatten(1, logits.shape[1:3]).split([1, logits.shape[2] - 1], dim=2)
        loss = first.mean() + others.amin(dim=2).mean() + self.others_weight * others.mean()
        return loss + self.iou_weight * F.mse_loss(iou, mask_iou(logits.detach() > 0, wanted >= 0.5))


def mask_iou(masks: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
    """Return the IoU ``[...]`` of masks with a target, booleans ``[..., h, w]``; 0 where both are empty."""
    union = (masks | target).sum(dim=(-2, -1)).clamp(min=1)
    return (masks & target).sum(dim=(-2, -1)) / union
