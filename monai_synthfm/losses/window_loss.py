# Copyright (c) monai_synthfm contributors
# Licensed under the Apache License, Version 2.0 (http://www.apache.org/licenses/LICENSE-2.0).
# SPDX-License-Identifier: Apache-2.0
"""The loss of masks that are completed in a window, where slices count differently."""

from __future__ import annotations

import torch
from monai.utils import convert_to_tensor
from torch import nn
from torch.nn import functional as F

__all__ = ["WindowLoss"]

_SMOOTH = 20.0  # voxels


class WindowLoss(nn.Module):
    r"""
    Soft Dice and cross-entropy of each window, weighted voxel by voxel.

    With probabilities p, the mask t and weights w of a window

    .. math:: 1 - \frac{2 \sum w p t + 20}{\sum w p + \sum w t + 20}
        + \lambda \frac{\sum w \, \mathrm{BCE}(p, t)}{\sum w}

    and the mean over windows.

    Args:
        entropy_weight: lambda, 0 or more.

    Raises:
        ValueError: when the weight is negative.

    Source: the loss of nnU-Net (Isensee et al., Nature Methods 2021), weighted; the weights are our choice.

    Example:
        >>> target = torch.ones(1, 2, 4, 8, 8)
        >>> round(WindowLoss()(torch.full((1, 1, 4, 8, 8), 20.0), target).item(), 3)
        0.0
    """

    def __init__(self, entropy_weight: float = 2.0) -> None:
        super().__init__()
        if entropy_weight < 0:
            raise ValueError(f"entropy_weight must be at least 0, got {entropy_weight}.")
        self.entropy_weight = entropy_weight

    def forward(self, logits: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
        """
        Return the loss.

        Args:
            logits: [B, 1, D, n, n].
            target: [B, 2, D, n, n], masks and weights.

        Raises:
            ValueError: when the shapes do not belong together.
        """
        if target.shape[1] != 2 or logits.shape != (len(target), 1, *target.shape[2:]):
            raise ValueError(
                f"target must be [B, 2, D, n, n] for logits [B, 1, D, n, n], got {tuple(target.shape)} and "
                f"{tuple(logits.shape)}."
            )
        plain: torch.Tensor = convert_to_tensor(target, dtype=logits.dtype, track_meta=False)
        mask, weight = plain[:, :1], plain[:, 1:]
        probability = torch.sigmoid(logits)
        overlap, found, wanted = (
            (weight * part).sum(dim=(1, 2, 3, 4)) for part in (probability * mask, probability, mask)
        )
        entropy = F.binary_cross_entropy_with_logits(logits, mask, reduction="none")
        entropy = (weight * entropy).sum(dim=(1, 2, 3, 4)) / weight.sum(dim=(1, 2, 3, 4)).clamp_min(1.0)
        dice = 1 - (2 * overlap + _SMOOTH) / (found + wanted + _SMOOTH)
        return (dice + self.entropy_weight * entropy).mean()
