# Copyright (c) monai_synthfm contributors
# Licensed under the Apache License, Version 2.0 (http://www.apache.org/licenses/LICENSE-2.0).
# SPDX-License-Identifier: Apache-2.0
"""Nested parts with walls: bodies that hold organs that hold lesions, drawn as a map of regions."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from PIL import Image, ImageDraw
from skimage.measure import label as label_pieces
from skimage.segmentation import relabel_sequential

from monai_synthfm.synthesis.label_maps import LabelMapParams, synthmorph_labels
from monai_synthfm.synthesis.outlines import OutlineParams, trace_outline
from monai_synthfm.synthesis.params import Params

__all__ = ["AnatomyParams", "MixtureParams", "PartParams", "TissueParams", "draw_anatomy"]


@dataclass(frozen=True)
class PartParams(Params):
    """One part of an anatomy.

    Args:
        outline: of the part, its wall included.
        parent: number (1, 2, ...) of the earlier part that it lies in and does not leave, 0 = the whole image.
        wall: thickness of the wall as a fraction of the image's shorter side, 0 = none.
        gaps: (start, length) of the stretches without wall, as fractions of the way round.
        label: instance that the part belongs to, 0 = background.
        wall_label: instance that its wall belongs to.
        like: number of the earlier part of the same tissue, 0 = of its own.
    """

    outline: OutlineParams
    parent: int
    wall: float
    gaps: tuple[tuple[float, float], ...]
    label: int
    wall_label: int
    like: int = 0


@dataclass(frozen=True)
class TissueParams(Params):
    """A mosaic of cells that touch each other, below the parts that lie in a part.

    Args:
        parent: number (1, 2, ...) of the part that is filled, 0 = the whole image.
        label_map: a cell is a connected piece of one of its J labels.
        label: instance that all cells belong to; None = each is an instance.
    """

    parent: int
    label_map: LabelMapParams
    label: int | None


@dataclass(frozen=True)
class MixtureParams(Params):
    """Sub-classes of one part, which belong to it.

    Args:
        part: number (1, 2, ...) of the part.
        label_map: of J sub-classes; the first of them looks like the part itself.
    """

    part: int
    label_map: LabelMapParams


@dataclass(frozen=True)
class AnatomyParams(Params):
    """What ``draw_anatomy`` needs: the size in pixels, the parts, each after its parent, later over earlier ones, the
    tissue that one of them is made of, the labels whose pieces are one instance all together, and the mixtures of
    sub-classes that parts are."""

    spatial_size: tuple[int, int]
    parts: tuple[PartParams, ...]
    tissue: TissueParams | None = None
    joint: tuple[int, ...] = ()
    mixtures: tuple[MixtureParams, ...] = ()


def draw_anatomy(params: AnatomyParams) -> tuple[torch.Tensor, torch.Tensor]:
    """Draw the parts in their order, each within its parent.

    Args:
        params: P parts.

    Returns:
        Regions ``[H, W]`` int64: 0 is the ground, i the inside of the i-th part, P + i its wall, and 2 P + j the cells
        of label j - 1 of the tissue, then J - 1 regions for each mixture; and instances ``[H, W]`` int64, the
        8-connected pieces that are left of each label once other parts lie over it, joint labels whole. Both on the
        CPU, where polygons are filled.

    Source: not given in the paper, whose shapes have neither walls nor parts of their own; our choice, since organs do.

    Example:
        >>> disc = OutlineParams((0.5, 0.5), 0.3, 1.0, 2.0, (), 0.0, 0.0, False)
        >>> skull = PartParams(disc, parent=0, wall=0.1, gaps=(), label=1, wall_label=1)
        >>> regions, labels = draw_anatomy(AnatomyParams((32, 32), (skull,)))
        >>> regions.unique().tolist(), labels.unique().tolist()
        ([0, 1, 2], [0, 1])
    """
    height, width = params.spatial_size
    count = len(params.parts)
    regions = np.zeros((height, width), dtype=np.int64)
    insides = [np.ones((height, width), dtype=bool)]
    for number, part in enumerate(params.parts, start=1):
        points = trace_outline(part.outline) * min(height, width) - 0.5
        inside = _fill(points, (height, width)) & insides[part.parent]
        insides.append(inside)
        regions[inside] = number
        if part.wall > 0.0:
            thickness = max(1, round(part.wall * min(height, width)))
            regions[inside & _stroke(points, part.gaps, 2 * thickness, (height, width))] = count + number
    table = [0, *(part.label for part in params.parts), *(part.wall_label for part in params.parts)]
    tissue = params.tissue
    if tissue is not None:
        cells = synthmorph_labels(tissue.label_map).numpy()
        free = regions == tissue.parent
        regions[free] = 2 * count + 1 + cells[free]
        names = range(max(table) + 1, max(table) + 1 + tissue.label_map.num_labels)
        table += names if tissue.label is None else [tissue.label] * len(names)
    for mixture in params.mixtures:
        classes = synthmorph_labels(mixture.label_map).numpy()
        mixed = (regions == mixture.part) & (classes > 0)
        regions[mixed] = len(table) - 1 + classes[mixed]
        table += [params.parts[mixture.part - 1].label] * (mixture.label_map.num_labels - 1)
    labels = np.array(table, dtype=np.int64)[regions]
    instances = label_pieces(labels, background=0, connectivity=2)
    for label in params.joint:
        pieces = labels == label
        instances[pieces] = instances[pieces].min(initial=regions.size)
    if params.joint:
        instances, _, _ = relabel_sequential(instances)
    return torch.from_numpy(regions), torch.from_numpy(instances)


def _fill(points: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    canvas = Image.new("1", size[::-1])
    ImageDraw.Draw(canvas).polygon([(int(x), int(y)) for x, y in np.rint(points)], fill=1)
    return np.array(canvas)


def _stroke(points: np.ndarray, gaps: tuple[tuple[float, float], ...], width: int, size: tuple[int, int]) -> np.ndarray:
    """Draw a line along an outline, without the stretches in ``gaps``."""
    canvas = Image.new("1", size[::-1])
    pen = ImageDraw.Draw(canvas)
    closed = np.rint(np.concatenate([points, points[:1]])).astype(int)
    way = (np.arange(len(points)) + 0.5) / len(points)
    seen = np.ones(len(points), dtype=bool)
    for start, length in gaps:
        seen &= (way - start) % 1.0 >= length
    radius = width // 2
    for k in np.flatnonzero(seen):
        (x0, y0), (x1, y1) = closed[k].tolist(), closed[k + 1].tolist()
        pen.line((x0, y0, x1, y1), fill=1, width=width)
        pen.ellipse((x0 - radius, y0 - radius, x0 + radius, y0 + radius), fill=1)
    return np.array(canvas)
