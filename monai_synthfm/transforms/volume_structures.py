# Copyright (c) monai_synthfm contributors
# Licensed under the Apache License, Version 2.0 (http://www.apache.org/licenses/LICENSE-2.0).
# SPDX-License-Identifier: Apache-2.0
"""Random tissue of volumes: a body, SynthMorph clusters and organs that evolve over the slices."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from monai.data import MetaTensor

from monai_synthfm.synthesis.bezier import EllipseParams, closed_bezier
from monai_synthfm.synthesis.evolution import EvolutionParams
from monai_synthfm.synthesis.params import Params
from monai_synthfm.synthesis.volume_structures import (
    BlurParams,
    ClusterParams,
    VolumeStructureParams,
    WarpParams,
    paint_structure,
    region_layout,
)
from monai_synthfm.transforms.bezier import RandBezierShapes
from monai_synthfm.transforms.boundaries import RandBoundaryMask
from monai_synthfm.transforms.generator import (
    RandGenerator,
    RandLabelGeneratord,
    check_probability,
    check_range,
    draw_log_uniform,
    draw_seed,
)
from monai_synthfm.transforms.label_maps import RandSynthMorphLabels
from monai_synthfm.transforms.volume_presets import VOLUME_PRESETS, TissueRange, VolumePreset

__all__ = ["RandVolumeStructure", "RandVolumeStructureD", "RandVolumeStructureDict", "RandVolumeStructured"]


class RandVolumeStructure(RandGenerator):
    """Generate organs that evolve from slice to slice, in a body or in tissue, with or without SynthMorph clusters.

    Each organ is born in some slice (or there from the first), grows at its own rate, drifts and turns, and from some
    slice on is eroded at another rate until it ends.

    Source: SynthFM-3D: growth and shrinkage rates, slice where erosion begins and birth flag, random for each class.
    Every range is not given in the paper; our choice.

    Args:
        spatial_size: width, height and number of slices.
        length: range of an organ's extent before and after its largest slice as a multiple of its radius.
        birth_prob: probability that an organ is born in the volume rather than there from the first slice.
        growth: range of the share of its radius that an organ grows by.
        roundness: range of the exponent of growth and erosion; 1 = constant rates.
        drift: standard deviation of the slope of an organ's path, in mm sideways per mm along the slices.
        twist: standard deviation of an organ's turning in radians, over a depth of one side.
        warp: range of the standard deviation of the displacement that changes outlines, as a fraction of the side.
        separated_prob: probability that clusters are eroded apart rather than touching.
        shapes: draws outlines and the body's size; if None, ``RandBezierShapes`` with 10 to 32 objects. How often there
            is a body is the preset's to say, whatever ``phantom_prob`` it has.
        clusters: draws clusters; if None, ``RandBoundaryMask`` with 6 to 10 labels eroded 1 to 3 times.
        device: where to compute.

    Returns:
        ``__call__`` and ``replay`` return a MetaTensor ``[1, W, H, slices]`` int64: 0 background, clusters and organs
        from 1, in drawing order.

    Raises:
        ValueError: when a range is not ordered or outside its limits, or ``spatial_size`` is not three numbers.

    Example:
        >>> labels = RandVolumeStructure((48, 48, 8)).set_random_state(seed=0)()
        >>> labels.shape, bool(labels.max() >= 2)
        (torch.Size([1, 48, 48, 8]), True)
    """

    params_type = VolumeStructureParams

    def __init__(
        self,
        spatial_size: Sequence[int],
        length: Sequence[float] = (0.6, 2.5),
        birth_prob: float = 0.7,
        growth: Sequence[float] = (0.3, 1.0),
        roundness: Sequence[float] = (1.0, 4.0),
        drift: float = 0.25,
        twist: float = 0.4,
        warp: Sequence[float] = (0.005, 0.03),
        separated_prob: float = 0.7,
        shapes: RandBezierShapes | None = None,
        clusters: RandBoundaryMask | None = None,
        device: torch.device | str = "cpu",
    ) -> None:
        super().__init__(device)
        if len(spatial_size) != 3:
            raise ValueError(f"spatial_size must be (width, height, slices), got {spatial_size!r}.")
        self.spatial_size = (int(spatial_size[0]), int(spatial_size[1]), int(spatial_size[2]))
        self.length = check_range("length", length, low=0.05)
        self.birth_prob = check_probability("birth_prob", birth_prob)
        self.growth = check_range("growth", growth, low=0.0, high=1.0)
        self.roundness = check_range("roundness", roundness, low=1.0)
        self.drift = drift
        self.twist = twist
        self.warp = check_range("warp", warp, low=0.0, high=0.2)
        self.separated_prob = check_probability("separated_prob", separated_prob)
        plane = (self.spatial_size[1], self.spatial_size[0])
        self.shapes = shapes or RandBezierShapes(
            plane, num_shapes=(10, 32), radius=(0.03, 0.25), phantom_radius=(0.38, 0.5), overlap=(0.0, 1.5)
        )
        self.clusters = clusters or RandBoundaryMask(
            self.spatial_size,
            iterations=(1, 3),
            label_map=RandSynthMorphLabels(self.spatial_size, num_labels=(6, 10), grid_size=32),
        )
        self.tissues: list[TissueRange] = []

    def randomize(
        self,
        preset: VolumePreset = VOLUME_PRESETS["ct"],
        spacing: Sequence[float] = (1.0, 1.0, 1.0),
        organs: bool = True,
        clusters: bool = False,
    ) -> None:
        """Draw the structure; ``tissues`` then holds the kind of every organ."""
        width, height, depth = self.spatial_size
        side = min(width, height)
        self._steps = spacing[2] / (spacing[0] * side)  # a slice as a fraction of the side
        self.shapes.randomize((height, width), phantom_prob=preset.body_prob)
        drawn = self.shapes.params
        body = None if drawn.phantom is None else self._draw_body(drawn.phantom, preset)
        floor = 0 if body is None else len(body.walls) + 1
        scale = float(self.R.uniform(0.04, 0.12))
        warp = WarpParams(
            std=float(self.R.uniform(*self.warp)) * side,
            sigma=(scale * side, scale * side, scale / self._steps),
            seed=draw_seed(self.R),
        )
        blur = BlurParams(
            sigma=float(self.R.uniform(*preset.blur)),
            slope=float(self.R.uniform(*preset.blur_range)) / depth,
            focus=float(self.R.uniform(0.0, depth)),
        )
        self.tissues = []
        members: list[EvolutionParams] = []
        if organs:
            shares = np.array([tissue.share for tissue in preset.tissues])
            for outline, behind in zip(drawn.outlines, drawn.behind, strict=True):
                tissue = preset.tissues[self.R.choice(len(shares), p=shares / shares.sum())]
                organ = self._draw_organ(np.array(outline), tissue, floor, behind)
                if organ is not None:
                    self.tissues.append(tissue)
                    members.append(organ)
            if drawn.phantom is not None and self.R.rand() < preset.column_prob:
                self.tissues.append(preset.tissues[-1])
                members.append(self._draw_column(drawn.phantom, preset.tissues[-1]))
        filling = self._draw_clusters(spacing) if clusters else None
        self.params = VolumeStructureParams(self.spatial_size, body, filling, tuple(members), warp, blur)

    def _draw_organ(self, outline: np.ndarray, tissue: TissueRange, floor: int, behind: bool) -> EvolutionParams | None:
        """An organ in a stack at least as long as it is wide; None when it lies outside the volume's slices."""
        width, height, depth = self.spatial_size
        curve = closed_bezier(outline)[:-1]
        center = curve.mean(axis=0)
        points = (outline - center) * (width, height) / min(width, height)
        x, y = ((curve - center) * (width, height) / min(width, height)).T
        radius = float(np.sqrt(0.5 * abs(np.sum(x * np.roll(y, -1) - y * np.roll(x, -1))) / np.pi))
        if self.R.rand() < tissue.tube_prob:
            shrink = min(1.0, float(self.R.uniform(0.02, 0.06)) / radius)
            points, radius = points * shrink, radius * shrink
            before, after = self.R.uniform(0.7, 3.0, size=2) * depth
        else:
            before, after = self.R.uniform(*self.length, size=2) * radius / self._steps
        beyond = max(0.0, 1.0 / self._steps - depth) / 2.0
        turn = float(self.R.uniform(-0.3 * after - beyond, depth + 0.3 * before + beyond))
        birth = turn - max(1.0, before)
        if self.R.rand() >= self.birth_prob:
            birth = min(birth, -1.0)
        if birth >= depth or turn + after < 0.0:
            return None
        slices = (birth, turn, turn + max(1.0, after))
        return self._evolve(points, center, radius, slices, tissue, floor, behind, self.drift)

    def _draw_column(self, body: EllipseParams, tissue: TissueRange) -> EvolutionParams:
        """A round column at the back of the body, in front of which organs lie."""
        depth = self.spatial_size[2]
        radius = float(self.R.uniform(0.09, 0.16)) * (body.radii[0] + body.radii[1])
        angles = 2.0 * np.pi * np.arange(7) / 7
        lengths = radius * self.R.uniform(0.8, 1.25, size=7)
        points = lengths[:, None] * np.stack([np.cos(angles), np.sin(angles)], axis=1)
        offset = np.array([self.R.normal(0.0, 0.01), body.radii[1] * self.R.uniform(0.45, 0.6)])
        slices = (-float(depth), self.R.uniform(0.0, depth), 2.0 * depth)
        back = np.array(body.center) + offset
        drift = 0.1 * self.drift
        return self._evolve(points, back, 0.4 * radius, slices, tissue, 1, behind=False, drift=drift, pliancy=0.3)

    def _evolve(
        self,
        points: np.ndarray,
        center: np.ndarray,
        radius: float,
        slices: tuple[float, float, float],
        tissue: TissueRange,
        floor: int,
        behind: bool,
        drift: float,
        pliancy: float = 1.0,
    ) -> EvolutionParams:
        width, height, depth = self.spatial_size
        birth, turn, end = slices
        along = np.linspace(0.0, depth - 1.0, 4)
        slope = self.R.normal(0.0, drift, size=2)
        sway = self.R.normal(0.0, 0.3 * drift, size=(4, 2)) * min(1.0, depth * self._steps)
        path = center + ((along - turn)[:, None] * self._steps * slope + sway) * min(width, height) / (width, height)
        walled = self.R.rand() < tissue.wall_prob
        wall = radius * float(self.R.uniform(*tissue.wall_thickness))
        return EvolutionParams(
            outline=_pairs(points),
            path=_pairs(path),
            twist=float(self.R.normal(0.0, self.twist)) * min(1.0, depth * self._steps),
            birth=float(birth),
            turn=float(turn),
            end=float(end),
            growth=float(self.R.uniform(*self.growth)) * radius / (turn - birth),
            shrinkage=float(self.R.uniform(0.8, 1.2)) * radius / (end - turn),
            roundness=float(self.R.uniform(*self.roundness)),
            walls=(wall,) if walled else (),
            pliancy=pliancy,
            floor=floor,
            behind=behind,
        )

    def _draw_body(self, phantom: EllipseParams, preset: VolumePreset) -> EvolutionParams:
        width, height, depth = self.spatial_size
        side = min(width, height)
        count = 14
        angles = 2.0 * np.pi * (np.arange(count) + 0.5) / count
        # between an ellipse and a box, as trunks are; 1.07 makes up for the curve lying inside its control points
        exponent = self.R.uniform(0.7, 1.0)
        waves = np.stack([np.cos(angles), np.sin(angles)], axis=1)
        points = np.sign(waves) * np.abs(waves) ** exponent * phantom.radii
        points *= 1.07 * np.exp(self.R.normal(0.0, 0.04, size=(count, 1)))
        turn = self.R.uniform(0.0, depth)
        before, after = self.R.uniform(1.0, 6.0, size=2) * depth
        center = np.array(phantom.center)
        path = center + self.R.normal(0.0, 0.02, size=(4, 2)) * min(1.0, depth * self._steps)
        radius = min(phantom.radii)
        return EvolutionParams(
            outline=_pairs(points * (width, height) / side),
            path=_pairs(path),
            twist=0.0,
            birth=float(turn - before),
            turn=float(turn),
            end=float(turn + after),
            growth=float(self.R.uniform(0.0, 0.5)) * radius / before,
            shrinkage=float(self.R.uniform(0.0, 0.5)) * radius / after,
            roundness=float(self.R.uniform(*self.roundness)),
            walls=tuple(draw_log_uniform(self.R, layer.thickness) for layer in preset.layers),
            pliancy=0.3,
            floor=0,
            behind=False,
        )

    def _draw_clusters(self, spacing: Sequence[float]) -> ClusterParams:
        width, height, depth = self.spatial_size
        subslices = 3 if spacing[2] >= 2.0 * spacing[0] else 1
        self.clusters.randomize((width, height, depth * subslices))
        drawn = self.clusters.params
        separated = self.R.rand() < self.separated_prob
        return ClusterParams(
            drawn.label_map, drawn.iterations if separated else (0,) * len(drawn.iterations), subslices
        )

    def replay(self, params: Params | str | Mapping[str, Any]) -> MetaTensor:
        parsed = self.parse(params)
        instances = region_layout(parsed)[1]
        regions = paint_structure(parsed, (0.0,) * len(instances), self.device)[1]
        table = torch.tensor(instances, device=self.device)
        return self.as_meta_tensor(table[regions.long()], parsed)


class RandVolumeStructured(RandLabelGeneratord):
    """Dictionary twin of :class:`RandVolumeStructure`: adds organs that evolve from slice to slice to a
    dictionary, which may be empty.

    Args:
        keys: name of the label map.
        prob: probability that an item gets one, or gets another one in the place of its own.
        allow_missing_keys: without effect: the key is made, not read.
        kwargs: of :class:`RandVolumeStructure`.

    Raises:
        ValueError: when ``keys`` are not one name.

    Example:
        >>> RandVolumeStructured("label", spatial_size=(32, 32, 6))({})["label"].shape
        torch.Size([1, 32, 32, 6])
    """

    generator_type = RandVolumeStructure


RandVolumeStructureD = RandVolumeStructureDict = RandVolumeStructured


def _pairs(points: np.ndarray) -> tuple[tuple[float, float], ...]:
    return tuple((float(x), float(y)) for x, y in points)
