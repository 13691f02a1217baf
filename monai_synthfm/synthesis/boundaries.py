# Copyright (c) monai_synthfm contributors
# Licensed under the Apache License, Version 2.0 (http://www.apache.org/licenses/LICENSE-2.0).
# SPDX-License-Identifier: Apache-2.0
"""Boundary-aware images: clusters eroded apart, filled with one canvas so that only thin gaps separate them."""

from __future__ import annotations

import itertools
from dataclasses import dataclass

import numpy as np
import torch
from scipy import ndimage

from monai_synthfm.synthesis.draws import draw_uniform, seeded_generator
from monai_synthfm.synthesis.label_maps import LabelMapParams, synthmorph_labels
from monai_synthfm.synthesis.params import Params

__all__ = [
    "BoundaryParams",
    "CanvasParams",
    "boundary_instances",
    "connected_instances",
    "erode_labels",
    "fill_canvas",
]


@dataclass(frozen=True)
class BoundaryParams(Params):
    """A SynthMorph label map and how often each of its clusters is eroded."""

    label_map: LabelMapParams
    iterations: tuple[int, ...]


@dataclass(frozen=True)
class CanvasParams(Params):
    """What ``fill_canvas`` needs; intensities are in [0, 1].

    Args:
        low: a, lower end of the narrow range of canvas values.
        high: b, upper end of that range.
        scatter: share of scattered canvas values that come from the whole interval instead, 0 to 1.
        interval: the whole interval of intensities.
        shift: added to the canvas' mean to give the background's intensity.
        seed: seed of the canvas.
    """

    low: float
    high: float
    scatter: float
    interval: tuple[float, float]
    shift: float
    seed: int


def erode_labels(labels: torch.Tensor, iterations: tuple[int, ...]) -> torch.Tensor:
    r"""Erode clusters of a label map apart and return what is left of all of them.

    .. math:: M = \bigcup_j \; E^{n_j}(\{L = j\})

    with E the erosion by the cross-shaped element. The image border does not erode: clusters go on behind it.

    Args:
        labels: label map ``[*spatial]`` with values 0 ... J - 1.
        iterations: n_j for each of the J labels, 0 = left alone.

    Returns:
        Mask ``[*spatial]`` bool: true inside, false in the gaps that erosion opened.

    Raises:
        ValueError: when a label has no number of iterations.

    Source: SynthFM, section 3.1; the numbers of labels and iterations are not given in the paper.

    Example:
        >>> halves = torch.tensor([[0, 0, 0, 1, 1, 1]]).repeat(3, 1)
        >>> erode_labels(halves, (1, 0)).long()[0].tolist()
        [1, 1, 0, 1, 1, 1]
    """
    times = np.asarray(iterations, dtype=np.min_scalar_type(max(iterations, default=0) + 2))
    array = labels.cpu().numpy().astype(np.min_scalar_type(len(times)))
    if int(labels.min()) < 0 or int(labels.max()) >= len(times):
        raise ValueError(
            f"iterations must hold a number for each label, got {len(times)} for labels {int(labels.min())} to "
            f"{int(labels.max())}."
        )
    # n erosions by the cross remove what lies within n city blocks of another cluster, so one distance map serves all
    distance = _city_blocks(array, times.max() + 1)
    kept = np.empty(array.shape, dtype=bool)
    for index, line in enumerate(array):  # an index array of all lines would take 8 bytes for each element
        kept[index] = distance[index] > times[line]
    return torch.from_numpy(kept).to(labels.device)


def _city_blocks(labels: np.ndarray, limit: np.integer) -> np.ndarray:
    """City blocks to the nearest element of another label, at most ``limit``, in a type that holds ``limit + 1``."""
    distance = np.full(labels.shape, limit)
    for axis in range(labels.ndim):
        here, there = np.moveaxis(labels, axis, 0)[:-1], np.moveaxis(labels, axis, 0)[1:]
        differs = here != there
        np.moveaxis(distance, axis, 0)[:-1][differs] = 1
        np.moveaxis(distance, axis, 0)[1:][differs] = 1
    # the distance adds up over the axes: one sweep forth and one back along each of them carries it everywhere
    for axis in range(labels.ndim):
        lines = np.ascontiguousarray(np.moveaxis(distance, axis, 0))
        for order in (lines, lines[::-1]):
            for line, next_line in itertools.pairwise(order):
                np.minimum(next_line, line + 1, out=next_line)
        distance = np.moveaxis(lines, 0, axis)
    return distance


def connected_instances(mask: torch.Tensor) -> torch.Tensor:
    """Number the connected pieces of a mask 1 ... K (faces touch, corners do not).

    Example:
        >>> connected_instances(torch.tensor([[True, False, True]])).tolist()
        [[1, 0, 2]]
    """
    return torch.from_numpy(ndimage.label(mask.cpu().numpy())[0].astype(np.int64)).to(mask.device)


def fill_canvas(mask: torch.Tensor, params: CanvasParams) -> torch.Tensor:
    r"""Fill a mask from a canvas of random values and its background with nearly their mean.

    .. math:: I(x) = M(x) \, C(x) + (1 - M(x)) \, (\bar C + s), \qquad C(x) \sim U(a, b)

    with a scattered share of the canvas drawn from the whole interval instead.

    Args:
        mask: foreground ``[*spatial]`` bool.
        params: see ``CanvasParams``.

    Returns:
        Image ``[*spatial]`` float32 in ``params.interval``.

    Source: SynthFM, section 3.1.

    Example:
        >>> image = fill_canvas(torch.tensor([[True, False]]), CanvasParams(0.4, 0.4, 0.0, (0.0, 1.0), 0.1, 0))
        >>> [round(value, 3) for value in image[0].tolist()]
        [0.4, 0.5]
    """
    lowest, highest = params.interval
    chance = draw_uniform(mask.shape, seeded_generator(params.seed), mask.device)
    # one uniform number does both: below the share it picks from the whole interval, above it from the narrow range
    share = params.scatter
    scattered = lowest + (highest - lowest) / max(share, 1e-12) * chance
    narrow = params.low + (params.high - params.low) / max(1.0 - share, 1e-12) * (chance - share)
    canvas = torch.where(chance < share, scattered, narrow)
    background = (canvas.mean() + params.shift).clamp(lowest, highest)
    return torch.where(mask, canvas, background)


def boundary_instances(params: BoundaryParams, device: torch.device | str = "cpu") -> torch.Tensor:
    """Draw a label map, erode its clusters apart and number the connected pieces.

    Returns:
        Instances ``[*spatial]`` int64, 0 in the gaps.

    Source: SynthFM, section 3.1 (boundary-aware module); keeping instances is our choice, since a click means one
    structure.

    Example:
        >>> label_map = LabelMapParams((32, 32), 4, (0.25,), (0.25,), 0.05, 32, seed=0)
        >>> int(boundary_instances(BoundaryParams(label_map, (2, 2, 2, 2))).max()) >= 2
        True
    """
    return connected_instances(erode_labels(synthmorph_labels(params.label_map, device), params.iterations))
