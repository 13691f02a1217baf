# Copyright (c) monai_synthfm contributors
# Licensed under the Apache License, Version 2.0 (http://www.apache.org/licenses/LICENSE-2.0).
# SPDX-License-Identifier: Apache-2.0
"""The display window that every generated image gets, as real images do before they are segmented."""

from __future__ import annotations

from math import gcd

import torch

__all__ = ["PERCENTILES", "stretch_quantiles"]

PERCENTILES = (0.005, 0.995)
_MAX_SAMPLES = 65536


def stretch_quantiles(
    image: torch.Tensor, quantiles: tuple[float, float] = PERCENTILES, seen: torch.Tensor | None = None
) -> torch.Tensor:
    """Stretch an image between two of its quantiles to [0, 1]; what lies beyond saturates, a constant image keeps its
    value.

    Args:
        image: float32 of any shape.
        quantiles: (low, high), 0 to 1. The default is that of MedSAM's preprocessing.
        seen: the values that count, all of the image if None. Of more than 65,536 only some are looked at.

    Example:
        >>> stretch_quantiles(torch.tensor([2.0, 3.0, 4.0]), (0.0, 1.0)).tolist()
        [0.0, 0.5, 1.0]
    """
    values = (image if seen is None else seen).flatten()
    step = max(1, values.numel() // _MAX_SAMPLES)
    # slices lie next to each other in memory: a step that shares a factor with their number leaves some out
    while image.ndim == 3 and gcd(step, image.shape[-1]) > 1:
        step += 1
    low, high = torch.quantile(values[::step], torch.tensor(quantiles, device=image.device))
    return (image - low).div_(high - low).clamp_(0.0, 1.0) if high > low else image.clamp(0.0, 1.0)
