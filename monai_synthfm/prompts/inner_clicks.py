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

# More beside negative clicks alone win back what these take away.
_BESIDE_POSITIVE, _BESIDE_NEGATIVE = 5, 1


def add_inner_clicks(prompts: Prompts, masks: torch.Tensor) -> Prompts:
    r"""
    Add positive clicks within the mask to every object that has clicks, but no box: 5, or 1 beside negative ones alone.

    Clicks beside a mask correct it, so that the rest of the mask is meant as well. Decoders hold to clicks more than to
    a mask: negative ones alone are answered with nothing, positive ones alone with what lies around them, whatever the
    mask. One after the other is set where the mask is deep and the clicks c before it, and negative ones, are far,
    :math:`\arg\max_p \min(d(p), \min_c |p - c|)` with the distance d to what is not the mask.

    Source: not given in the papers; our choice. Measurements are in ``docs/experiments.md``, section "The fifth stage,
    which ships".

    Args:
        prompts: of N objects in one image, ``points`` [N, K, 2].
        masks: booleans [N, H, W] of the same image; objects with an empty one get none, and those with few pixels
            not more than these.

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
    places = {n: _inner_places(masks[n], points[n], labels[n]) for n in corrected.nonzero()[:, 0].tolist()}
    count = max(map(len, places.values()), default=0)
    if count == 0:
        return prompts
    added, present = points.new_zeros(len(points), count, 2), labels.new_full((len(labels), count), -1)
    for n, found in places.items():
        if found:
            added[n, : len(found)], present[n, : len(found)] = points.new_tensor(found), 1
    return replace(prompts, points=torch.cat([points, added], dim=1), point_labels=torch.cat([labels, present], dim=1))


def _inner_places(mask: torch.Tensor, points: torch.Tensor, labels: torch.Tensor) -> list[tuple[float, float]]:
    inside = mask.cpu().numpy()
    rows, columns = np.indices(inside.shape)
    room = depth(inside)
    found: list[tuple[float, float]] = []
    far_from = points[labels == 0].tolist()
    for _ in range(_BESIDE_POSITIVE if bool((labels == 1).any()) else _BESIDE_NEGATIVE):
        for x, y in far_from:
            room = np.minimum(room, np.where(inside, np.hypot(columns - x, rows - y), 0.0))
        if not room.any():
            break
        row, column = np.unravel_index(room.argmax(), room.shape)
        found.append((float(column), float(row)))
        far_from = found[-1:]
    return found
