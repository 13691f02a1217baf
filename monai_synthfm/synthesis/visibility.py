# Copyright (c) monai_synthfm contributors
# Licensed under the Apache License, Version 2.0 (http://www.apache.org/licenses/LICENSE-2.0).
# SPDX-License-Identifier: Apache-2.0
"""Which instances of an image can be seen in it."""

from __future__ import annotations

import torch
import torch.nn.functional as F

__all__ = ["edge_visibility", "stands_out", "visible_instances"]

_REACHES_PER_SIDE = 90  # three pixels to either side of an edge in an image of 256
_MIN_STEP = 0.02  # five of 255 grey levels


def edge_visibility(
    image: torch.Tensor, labels: torch.Tensor, regions: torch.Tensor | None = None
) -> tuple[torch.Tensor, torch.Tensor]:
    r"""Measure the steps of the image across the edges of each instance and within it.

    .. math:: E_k = \operatorname{mean}_{(p, q) \in \partial_k} | \bar I(q) - \bar I(p) |, \quad
        N_k = \operatorname{mean}_{(p, q) \in k} | \bar I(q) - \bar I(p) |

    with pairs (p, q) of pixels 2 r - 1 apart in a row or column, I averaged over squares of side r (made odd); the
    middle of a pair of the first kind lies on the edge of instance k, a pair of the second kind lies in it. Texture and
    noise raise both, contrast raises only the first.

    Args:
        image: ``[H, W]``, or slices ``[S, H, W]`` whose pairs count together, floating point.
        labels: instances of the same shape, int64, 0 background, 1 ... K.
        regions: of one intensity each, of the same shape; pairs of the second kind lie in one of them, so that steps
            between the parts of an instance do not count. The instances if None.

    Returns:
        Edge steps E and inner steps N, ``[K + 1]`` float32 each, 0 where there is no such pair; index 0 is the
        background.

    Source: not given in the paper; our choice.

    Example:
        >>> labels = torch.zeros(32, 32, dtype=torch.long)
        >>> labels[8:24, 8:24] = 1
        >>> edge, inner = edge_visibility(0.25 + 0.5 * labels, labels)
        >>> [round(float(step[1]), 2) for step in (edge, inner)]
        [0.48, 0.02]
    """
    reach = max(2, round(min(labels.shape[-2:]) / _REACHES_PER_SIDE))
    window = 2 * (reach // 2) + 1
    smooth = F.avg_pool2d(image[None], window, stride=1, padding=window // 2, count_include_pad=False)[0]
    count = int(labels.max()) + 1
    edge, inner = torch.zeros(2, 2, count, device=labels.device)
    for axis in (-2, -1):
        length = labels.shape[axis] - 2 * reach + 1
        step = (smooth.narrow(axis, 2 * reach - 1, length) - smooth.narrow(axis, 0, length)).abs().flatten()
        starts = (0, reach - 1, reach, 2 * reach - 1)
        near, left, right, far = (labels.narrow(axis, start, length).flatten() for start in starts)
        crossing, within = left != right, (near == left) & (left == right) & (right == far)
        if regions is not None:
            first, *others = (regions.narrow(axis, start, length).flatten() for start in starts)
            for other in others:
                within &= first == other
        for sums, pairs, side in ((edge, crossing, left), (edge, crossing, right), (inner, within, left)):
            sums[0] += torch.bincount(side[pairs], step[pairs], minlength=count)
            sums[1] += torch.bincount(side[pairs], minlength=count)
    return edge[0] / edge[1].clamp_min(1.0), inner[0] / inner[1].clamp_min(1.0)


def stands_out(
    image: torch.Tensor, labels: torch.Tensor, min_visibility: float, regions: torch.Tensor | None = None
) -> torch.Tensor:
    """Return which instances can be seen, ``E >= min_visibility N`` and E at least five grey levels of 255.

    Args:
        image: ``[H, W]`` or slices ``[S, H, W]`` in [0, 1].
        labels: instances of the same shape, integers.
        min_visibility: smallest ratio of the steps of :func:`edge_visibility`; noise alone has about 1.
        regions: see there.

    Returns:
        Booleans ``[K + 1]``; index 0 is the background.

    Source: not given in the paper; our choice: a target that nobody can see teaches to guess.

    Example:
        >>> labels = torch.zeros(32, 64, dtype=torch.long)
        >>> labels[8:24, 8:24], labels[8:24, 40:56] = 1, 2
        >>> stands_out(0.5 + 0.2 * (labels == 2), labels, 1.5)[1:].tolist()
        [False, True]
    """
    edge, inner = edge_visibility(image, labels, regions)
    return (edge >= min_visibility * inner) & (edge >= _MIN_STEP)


def visible_instances(
    image: torch.Tensor, labels: torch.Tensor, min_visibility: float, regions: torch.Tensor | None = None
) -> torch.Tensor:
    """Keep the instances that :func:`stands_out` finds.

    Args:
        image: ``[H, W]`` in [0, 1].
        labels: instances ``[H, W]`` int64.
        min_visibility: see :func:`stands_out`.
        regions: see :func:`edge_visibility`.

    Returns:
        The instances that can be seen, with their numbers; 0 instead of the others.

    Example:
        >>> labels = torch.zeros(32, 64, dtype=torch.long)
        >>> labels[8:24, 8:24], labels[8:24, 40:56] = 1, 2
        >>> visible_instances(0.5 + 0.2 * (labels == 2), labels, 1.5).unique().tolist()
        [0, 2]
    """
    seen = stands_out(image, labels, min_visibility, regions)
    return labels * seen.index_select(0, labels.flatten()).view(labels.shape)
