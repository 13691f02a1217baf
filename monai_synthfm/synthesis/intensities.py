# Copyright (c) monai_synthfm contributors
# Licensed under the Apache License, Version 2.0 (http://www.apache.org/licenses/LICENSE-2.0).
# SPDX-License-Identifier: Apache-2.0
"""Intensities of regions: the contrast heuristic and the lookup that paints a label map."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch

__all__ = ["paint_regions", "shape_intensities"]


def shape_intensities(base: float, contrasts: Sequence[float]) -> list[float]:
    r"""Intensity of each shape from that of what it lies on, its index and one random variable.

    .. math:: I_i = I_0 + s_i u_i, \qquad s_i = (-1)^i

    where the sign s_i is turned round if the intensity would leave [0, 1]. Neighbouring indexes go to opposite sides of
    I_0, so that shapes differ from one another by the sum of their contrasts, and no shape comes nearer to I_0 than the
    smallest u.

    Args:
        base: I_0, the intensity of phantom or background, 0 to 1.
        contrasts: u_i for i = 1 ... N, each 0 to 0.5.

    Raises:
        ValueError: when a contrast lies outside [0, 0.5], where neither sign might fit.

    Source: SynthFM, section 3.1, names the three ingredients; the formula is not given in the paper, our choice.

    Example:
        >>> [round(value, 2) for value in shape_intensities(0.3, [0.1, 0.1, 0.4])]
        [0.2, 0.4, 0.7]
    """
    values = np.asarray(contrasts, dtype=np.float64)
    if values.size and (values.min() < 0.0 or values.max() > 0.5):
        raise ValueError(f"contrasts must lie in [0, 0.5], got {values.min():g} to {values.max():g}.")
    signed = np.where(np.arange(1, values.size + 1) % 2 == 0, values, -values)
    shifted = base + signed
    return np.where((shifted < 0.0) | (shifted > 1.0), base - signed, shifted).tolist()


def paint_regions(regions: torch.Tensor, values: Sequence[float]) -> torch.Tensor:
    """Give every region its value.

    Args:
        regions: region numbers ``[*spatial]`` int, 0 ... R - 1.
        values: R numbers.

    Raises:
        ValueError: when a region has no value.

    Example:
        >>> paint_regions(torch.tensor([[0, 2]]), [0.0, 0.25, 0.5]).tolist()
        [[0.0, 0.5]]
    """
    table = torch.tensor(values, dtype=torch.float32, device=regions.device)
    if regions.numel() and int(regions.max()) >= len(table):
        raise ValueError(f"regions go up to {int(regions.max())}, but only {len(table)} values are given.")
    return table.index_select(0, regions.flatten().int()).view(regions.shape)
