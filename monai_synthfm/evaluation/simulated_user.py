# Copyright (c) monai_synthfm contributors
# Licensed under the Apache License, Version 2.0 (http://www.apache.org/licenses/LICENSE-2.0).
# SPDX-License-Identifier: Apache-2.0
"""Interactive evaluation: a simulated user clicks on the error of each answer until there is none."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
import torch
from scipy import ndimage

from monai_synthfm.evaluation.predictors import Answer, Predictor
from monai_synthfm.prompts import Prompts, next_click, tight_box
from monai_synthfm.prompts.masks import depth, largest_component

__all__ = ["challenge_click", "interactive_masks", "largest_error"]

Click = tuple[np.ndarray, int]


def challenge_click(prediction: np.ndarray, target: np.ndarray) -> Click | None:
    """
    Return the click of the CVPR 2025 interactive challenge on a slice, or None if there is no error.

    The deepest pixel of the largest 8-connected component of ``prediction XOR target``; positive if the target is
    there. Unlike the rule of :func:`~monai_synthfm.prompts.next_click`, missed and excess pixels that touch are one
    error, and size decides before depth. Of equally deep pixels the first is taken (the challenge draws one).

    Args:
        prediction: booleans [H, W].
        target: booleans [H, W].

    Returns:
        point [2] float32 as (x, y) in pixels, and the label 1 or 0.

    Example:
        >>> target = np.zeros((9, 9), dtype=bool)
        >>> target[2:7, 2:7] = True
        >>> point, label = challenge_click(np.zeros_like(target), target)
        >>> point.tolist(), label
        ([4.0, 4.0], 1)
    """
    found = largest_error(prediction, target)
    if found is None:
        return None
    (row, col), label = found
    return np.array([col, row], dtype=np.float32), label


def largest_error(prediction: np.ndarray, target: np.ndarray) -> tuple[tuple[int, ...], int] | None:
    """
    Return the deepest place of the largest connected error, on a slice or in a volume, or None if there is no error.

    Errors are missed and excess pixels alike, connected over corners; depths are in pixels (voxels), whatever their
    spacing, and what lies beyond the image is outside.

    Args:
        prediction: booleans [H, W] or [X, Y, Z].
        target: booleans of the same shape.

    Returns:
        The index of the place, and 1 where the target is, else 0.
    """
    error = prediction != target
    if not error.any():
        return None
    # Distances in a window around the error are those in the whole image, in a part of the time.
    (outer,) = ndimage.find_objects(error.view(np.uint8))
    largest = largest_component(error[outer])
    (inner,) = ndimage.find_objects(largest.view(np.uint8))
    depths = depth(largest[inner])
    place = np.unravel_index(int(depths.argmax()), depths.shape)
    index = tuple(int(p) + a.start + b.start for p, a, b in zip(place, outer, inner, strict=True))
    return index, int(target[index])


def interactive_masks(
    predictor: Predictor,
    encoded: object,
    target: np.ndarray,
    clicks: int,
    start_with_box: bool = False,
    feed_masks: bool = False,
    rule: Callable[[np.ndarray, np.ndarray], Click | None] = next_click,
) -> Iterator[tuple[int, Prompts, Answer]]:
    """
    Segment a target with 1, 2, ... clicks, each on the error of the answer before.

    Once an answer has no error it stays: further clicks have nothing to correct.

    Args:
        predictor: the model.
        encoded: the image, as ``predictor.encode`` returns it.
        target: booleans [H, W], not empty.
        clicks: number of clicks.
        start_with_box: begin with the tight box, and answer to it as click 0.
        feed_masks: give the low-resolution logits of the answer before, if the model has any.
        rule: ``(prediction, target) -> click``.

    Yields:
        The number of clicks so far, they themselves, and the answer to them, one mask [1, H, W].
    """
    box = torch.from_numpy(tight_box(target))[None] if start_with_box else None
    prompts = Prompts(torch.zeros(1, 0, 2), torch.zeros(1, 0, dtype=torch.int64), box)
    answer = Answer(np.zeros((1, *target.shape), dtype=bool))
    if start_with_box:
        answer = predictor.segment(encoded, prompts)
        yield 0, prompts, answer
    for count in range(1, clicks + 1):
        click = rule(answer.masks[0], target)
        if click is not None:
            prompts = _with_click(prompts, *click, answer.logits if feed_masks else None)
            answer = predictor.segment(encoded, prompts)
        yield count, prompts, answer


def _with_click(prompts: Prompts, point: np.ndarray, label: int, masks: torch.Tensor | None) -> Prompts:
    assert prompts.points is not None
    assert prompts.point_labels is not None
    points = torch.cat([prompts.points, torch.from_numpy(point)[None, None]], dim=1)
    labels = torch.cat([prompts.point_labels, torch.tensor([[label]])], dim=1)
    return Prompts(points, labels, prompts.boxes, masks)
