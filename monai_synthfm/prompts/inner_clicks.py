# Copyright (c) monai_synthfm contributors
# Licensed under the Apache License, Version 2.0 (http://www.apache.org/licenses/LICENSE-2.0).
# SPDX-License-Identifier: Apache-2.0
"""Positive clicks in known masks, for objects whose masks are corrected by clicks."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch

from monai_synthfm.prompts.masks import depth
from monai_synthfm.prompts.prompts import Prompts

__all__ = ["add_inner_clicks"]


def add_inner_clicks(prompts: Prompts, masks: torch.Tensor) -> Prompts:
    r"""
    Add a positive click within the mask to every object that has clicks, but no box.

    Clicks beside a mask correct it, so that the rest of the mask is meant as well. Decoders hold to clicks more than to
    a mask: negative ones alone are answered with nothing, positive ones alone with what lies around them, whatever the
    mask. The click is where the mask is deep and negative clicks are far,
    :math:`\arg\max_p \min(d(p), \min_k |p - n_k|)` with the distance d to what is not the mask.

    Source: not given in the papers; our choice. Measurements are in ``docs/experiments.md``, section "The fifth stage,
    which ships".

    Args:
        prompts: of N objects in one image, ``points`` [N, K, 2].
        masks: booleans [N, H, W] of the same image; objects with an empty one get none, nor do those with a
            negative click on every pixel of it.

    Example:
        >>> mask = torch.zeros(1, 9, 20, dtype=torch.bool)
        >>> mask[0, 2:7, 2:18] = True
        >>> negative = Prompts(torch.tensor([[[14.0, 4.0]]]), torch.tensor([[0]]))
        >>> added = add_inner_clicks(negative, mask)
        >>> added.points.tolist(), added.point_labels.tolist()
        ([[[14.0, 4.0], [4.0, 4.0]]], [[0, 1]])
    """
    points, labels = prompts.points, prompts.point_labels
    if points is None or labels is None:
        return prompts
    corrected = (labels >= 0).any(dim=1) & ~prompts.has_box.to(labels.device)
    corrected &= masks.flatten(1).any(dim=1).to(labels.device)
    added, present = torch.zeros_like(points[:, :1]), torch.full_like(labels[:, :1], -1)
    for n in corrected.nonzero()[:, 0].tolist():
        place = _inner_point(masks[n].cpu().numpy(), points[n][labels[n] == 0].cpu().numpy())
        if place is not None:
            added[n, 0], present[n, 0] = place.to(points), 1
    if not (present == 1).any():
        return prompts
    return replace(prompts, points=torch.cat([points, added], dim=1), point_labels=torch.cat([labels, present], dim=1))


def _inner_point(mask: np.ndarray, negatives: np.ndarray) -> torch.Tensor | None:
    rows, columns = np.indices(mask.shape)
    room = depth(mask)
    for x, y in negatives:
        room = np.minimum(room, np.where(mask, np.hypot(columns - x, rows - y), 0.0))
    if not room.any():
        return None
    row, column = np.unravel_index(room.argmax(), mask.shape)
    return torch.tensor([float(column), float(row)])
