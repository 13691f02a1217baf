# Copyright (c) monai_synthfm contributors
# Licensed under the Apache License, Version 2.0 (http://www.apache.org/licenses/LICENSE-2.0).
# SPDX-License-Identifier: Apache-2.0
"""The loss of objects that are followed through a clip and may be absent from some of its slices."""

from __future__ import annotations

import torch
from monai.losses import DiceFocalLoss
from monai.utils import convert_to_tensor
from torch import nn
from torch.nn import functional as F

from monai_synthfm.losses.multimask_loss import mask_iou
from monai_synthfm.networks.clip_tracker import ClipMasks

__all__ = ["ClipLoss"]


class ClipLoss(nn.Module):
    """A mask loss on the slices that hold the object, the error of predicted IoU there, and a cross-entropy on whether
    the object is there.

    With masks ``m``, targets ``t``, predicted and true IoU ``q`` and ``q'`` of the masks chosen among, object scores
    ``s``, and ``h = 1`` on slices that hold the object, else 0::

        mean over h = 1 of (mask_loss(m, t) + iou_weight |q - q'|) + object_weight * mean of BCE(sigmoid(s), h)

    Where the object is absent the mask is free, because its slice is left empty when the score is negative.

    Args:
        mask_loss: of logits and targets ``[M, 1, X, Y]``, a mean over slices; ``DiceFocalLoss(sigmoid=True)`` if None.
        iou_weight: weight of the error of predicted IoU.
        object_weight: weight of the cross-entropy.

    Source: SAM 2's training, except that the mask loss is that of the mask which is chosen in inference, too, rather
    than the best among the alternatives; not given for SynthFM-3D.

    Example:
        >>> target = torch.zeros(1, 1, 8, 8, 3)
        >>> target[..., 2:5, 2:5, :2] = 1
        >>> candidates = target.bool().permute(0, 1, 4, 3, 2)[:, :, :, None]
        >>> scores = torch.tensor([[[50.0, 50.0, -50.0]]])
        >>> perfect = ClipMasks(100 * target - 50, scores, candidates, torch.ones(1, 1, 3, 1))
        >>> round(ClipLoss()(perfect, target).item(), 3)
        0.0
    """

    def __init__(self, mask_loss: nn.Module | None = None, iou_weight: float = 1.0, object_weight: float = 1.0) -> None:
        super().__init__()
        self.mask_loss = mask_loss or DiceFocalLoss(sigmoid=True)
        self.iou_weight = iou_weight
        self.object_weight = object_weight

    def forward(self, masks: ClipMasks, target: torch.Tensor) -> torch.Tensor:
        """Return the loss of masks against targets ``[B, N, X, Y, Z]``."""
        if masks.logits.shape != target.shape:
            raise ValueError(f"masks are {tuple(masks.logits.shape)}, but targets are {tuple(target.shape)}.")
        plain: torch.Tensor = convert_to_tensor(target, track_meta=False)
        slices = plain.to(masks.logits.dtype).movedim(-1, 2)
        held = slices.flatten(3).any(dim=3)
        loss = self.object_weight * F.binary_cross_entropy_with_logits(masks.object_scores, held.to(slices.dtype))
        if not held.any():
            # data-parallel training waits for gradients of all that took part, if only zeros
            return loss + 0.0 * sum(part.sum() for part in (masks.logits, masks.iou) if part is not None)
        wanted = slices[held][:, None]
        if masks.candidates is not None and masks.iou is not None:
            candidates = masks.candidates[held]
            coarse = F.adaptive_avg_pool2d(wanted.mT, (candidates.shape[2], candidates.shape[3])) >= 0.5
            loss = loss + self.iou_weight * F.l1_loss(masks.iou[held], mask_iou(candidates, coarse))
        return loss + self.mask_loss(masks.logits.movedim(-1, 2)[held][:, None], wanted)
