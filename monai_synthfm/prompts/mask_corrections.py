# Copyright (c) monai_synthfm contributors
# Licensed under the Apache License, Version 2.0 (http://www.apache.org/licenses/LICENSE-2.0).
# SPDX-License-Identifier: Apache-2.0
"""What a decoder is asked for objects whose known masks are corrected by clicks."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch

from monai_synthfm.prompts.boxes import padded_box
from monai_synthfm.prompts.masks import depth, largest_component, nearest_pixel
from monai_synthfm.prompts.prompts import Prompts
from monai_synthfm.prompts.unlike_parts import unlike_part

__all__ = ["correct_masks"]

# More beside negative clicks alone win back what these take away.
_BESIDE_POSITIVE, _BESIDE_NEGATIVE = 5, 1


def correct_masks(
    prompts: Prompts, masks: torch.Tensor, picture: torch.Tensor | None = None
) -> tuple[Prompts, torch.Tensor]:
    r"""
    Let clicks correct known masks, for objects that have clicks, but no box.

    The rest of the mask is meant as well. Decoders hold to clicks more than to a mask: negative ones alone are answered
    with nothing, positive ones alone with what lies around them, whatever the mask. So positive clicks are added within
    the mask, 5, or 1 beside negative ones alone. One after the other is set where the mask is deep and the clicks c
    before it, and negative ones, are far, :math:`\arg\max_p \min(d(p), \min_c |p - c|)` with the distance d to what is
    not the mask.

    Negative clicks alone cut the mask first: of each the part that does not look like the rest
    (:func:`~monai_synthfm.prompts.unlike_parts.unlike_part`), or else the disc that just fits in,
    :math:`|p - c| \le d(c)`, is taken away. Of what is left the largest 8-connected part is kept, with its box.

    Source: not given in the papers; our choice. Measurements are in ``docs/experiments.md``, sections "The fifth stage,
    which ships" and "What carries a mask to the next slice".

    Args:
        prompts: of N objects in one image, ``points`` [N, K, 2].
        masks: booleans [N, H, W] of the same image; objects of which there is nothing, or of which negative clicks
            would leave nothing, stay as they are, and those with few pixels get no more clicks than these.
        picture: the image [C, H, W]; None = nothing is known of how parts look.

    Returns:
        Prompts with what was added, and the masks that are left.

    Example:
        >>> mask = torch.zeros(1, 9, 20, dtype=torch.bool)
        >>> mask[0, 2:7, 2:18] = True
        >>> negative = Prompts(torch.tensor([[[14.0, 4.0]]]), torch.tensor([[0]]))
        >>> corrected, left = correct_masks(negative, mask)
        >>> corrected.points.tolist(), corrected.point_labels.tolist(), corrected.boxes.tolist()
        ([[[14.0, 4.0], [4.0, 4.0]]], [[0, 1]], [[1.5, 1.5, 11.5, 6.5]])
        >>> int(mask.sum()), int(left.sum())
        (80, 49)
    """
    points, labels = prompts.points, prompts.point_labels
    if points is None or labels is None:
        return prompts, masks
    corrected = (labels >= 0).any(dim=1) & ~prompts.has_box.to(labels.device)
    corrected &= masks.flatten(1).any(dim=1).to(labels.device)
    left, places, boxes = masks.clone(), {}, {}
    grey = None if picture is None else picture.mean(dim=0).cpu().numpy()
    for n in corrected.nonzero()[:, 0].tolist():
        inside, negative = masks[n].cpu().numpy(), points[n][labels[n] == 0].cpu().numpy()
        count = _BESIDE_POSITIVE
        if not (labels[n] == 1).any():
            inside, count = _cut(inside, negative, grey), _BESIDE_NEGATIVE
            if not inside.any():
                continue
            left[n], boxes[n] = torch.from_numpy(inside), torch.from_numpy(padded_box(inside, 0.5))
        places[n] = _inner_places(inside, negative.tolist(), count)
    return (_added(prompts, places, boxes) if places else prompts), left


def _cut(inside: np.ndarray, clicks: np.ndarray, grey: np.ndarray | None) -> np.ndarray:
    """Return the largest part that clicks leave of a mask, or nothing."""
    rows, columns = np.indices(inside.shape)
    room, left = depth(inside), inside.copy()
    for x, y in clicks.tolist():
        part = None if grey is None else unlike_part(grey, inside, (x, y))
        if part is None:
            part = np.hypot(columns - x, rows - y) <= room[nearest_pixel((x, y), inside.shape)]
        left &= ~part
    return largest_component(left) if left.any() else left


def _inner_places(inside: np.ndarray, far_from: list[tuple[float, float]], count: int) -> list[tuple[float, float]]:
    rows, columns = np.indices(inside.shape)
    room = depth(inside)
    found: list[tuple[float, float]] = []
    for _ in range(count):
        for x, y in far_from:
            room = np.minimum(room, np.where(inside, np.hypot(columns - x, rows - y), 0.0))
        if not room.any():
            break
        row, column = np.unravel_index(room.argmax(), room.shape)
        found.append((float(column), float(row)))
        far_from = found[-1:]
    return found


def _added(prompts: Prompts, places: dict[int, list[tuple[float, float]]], boxes: dict[int, torch.Tensor]) -> Prompts:
    """Return prompts with positive clicks and boxes by object."""
    points, labels, corners = prompts.points, prompts.point_labels, prompts.boxes
    assert points is not None
    assert labels is not None
    count = max(map(len, places.values()))
    added, present = points.new_zeros(len(points), count, 2), labels.new_full((len(labels), count), -1)
    for n, found in places.items():
        if found:
            added[n, : len(found)], present[n, : len(found)] = points.new_tensor(found), 1
    if boxes:
        corners = points.new_full((len(points), 4), torch.nan) if corners is None else corners.clone()
        for n, box in boxes.items():
            corners[n] = box.to(corners)
    return replace(
        prompts,
        points=torch.cat([points, added], dim=1),
        point_labels=torch.cat([labels, present], dim=1),
        boxes=corners,
    )
