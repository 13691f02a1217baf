# Copyright (c) monai_synthfm contributors
# Licensed under the Apache License, Version 2.0 (http://www.apache.org/licenses/LICENSE-2.0).
# SPDX-License-Identifier: Apache-2.0
"""Label maps without gaps in their numbering."""

from __future__ import annotations

import torch

__all__ = ["consecutive_labels"]


def consecutive_labels(labels: torch.Tensor) -> torch.Tensor:
    """Number the labels above 0 from 1 to K in their order, which costs by the number of elements, not by the largest
    label.

    Args:
        labels: ``[*spatial]`` int64, 0 (background) and above, at least one element.

    Returns:
        Numbers ``[*spatial]`` int64; 0 stays 0.

    Example:
        >>> consecutive_labels(torch.tensor([[0, 7, 100_000_000], [2, 7, 0]])).tolist()
        [[0, 2, 3], [1, 2, 0]]
    """
    if int(labels.max()) < labels.numel():
        present = torch.bincount(labels.flatten()) > 0
        present[0] = False
        numbers = present.cumsum(0) * present
        return numbers.index_select(0, labels.flatten()).view(labels.shape)
    values, numbers = labels.unique(return_inverse=True)
    return numbers + int(values[0] > 0)
