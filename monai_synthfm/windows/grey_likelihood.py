# Copyright (c) monai_synthfm contributors
# Licensed under the Apache License, Version 2.0 (http://www.apache.org/licenses/LICENSE-2.0).
# SPDX-License-Identifier: Apache-2.0
"""How much more common a grey level is inside an object than around it."""

from __future__ import annotations

import torch
from torch.nn import functional as F

__all__ = ["GreyLikelihood"]

_BINS = 24
_SMOOTHING = (0.05, 0.25, 0.4, 0.25, 0.05)
_FLOOR = 0.01  # of all pixels, spread over all bins
_LARGEST = 4.0
_UNSEEN = -2.0
_MARGIN = 0.1  # of the range, beyond which a grey level was not seen


class GreyLikelihood:
    r"""
    The logarithm of the ratio of two smoothed histograms of 24 bins, that of an object and that of its surroundings.

    .. math:: \ell(I) = \log \frac{p(I \mid \mathrm{inside})}{p(I \mid \mathrm{outside})} \in [-4, 4]

    Between the centres of bins it is interpolated linearly. Grey levels that lie beyond those seen by more than a tenth
    of their range have -2.

    Args:
        picture: grey levels, of any shape.
        inside: shares of the object in each of them, of the same shape, somewhere above 0.

    Source: not given in the papers; our choice. Such ratios are common in graph cuts (Boykov and Jolly, ICCV 2001).

    Example:
        >>> picture = torch.tensor([[0.1, 0.1, 0.9, 0.9]])
        >>> likelihood = GreyLikelihood(picture, torch.tensor([[0.0, 0.0, 1.0, 1.0]]))
        >>> likelihood(torch.tensor([0.1, 0.9])).tolist()
        [-4.0, 4.0]
    """

    def __init__(self, picture: torch.Tensor, inside: torch.Tensor) -> None:
        self.low, high = float(picture.min()), float(picture.max())
        self.range = max(high - self.low, 1e-3)
        bins = ((picture - self.low) / self.range * (_BINS - 1)).round().long().clamp(0, _BINS - 1).flatten()
        shares = inside.flatten().to(torch.float32)
        smoothing = torch.tensor([[_SMOOTHING]], device=picture.device)

        def density(weights: torch.Tensor) -> torch.Tensor:
            counts = torch.zeros(_BINS, device=picture.device).index_add_(0, bins, weights)
            smooth = F.conv1d(counts[None, None], smoothing, padding=len(_SMOOTHING) // 2)[0, 0]
            return smooth / counts.sum().clamp_min(1e-6) + _FLOOR / _BINS

        self.table = (density(shares) / density(1 - shares)).log().clamp(-_LARGEST, _LARGEST)

    def __call__(self, picture: torch.Tensor) -> torch.Tensor:
        """Return it for each grey level."""
        place = (picture - self.low) / self.range
        bins = (place * (_BINS - 1)).clamp(0, _BINS - 1)
        lower = bins.long().clamp_max(_BINS - 2)
        share = bins - lower
        found = self.table[lower] * (1 - share) + self.table[lower + 1] * share
        return torch.where((place < -_MARGIN) | (place > 1 + _MARGIN), _UNSEEN, found)
