# Copyright (c) monai_synthfm contributors
# Licensed under the Apache License, Version 2.0 (http://www.apache.org/licenses/LICENSE-2.0).
# SPDX-License-Identifier: Apache-2.0
"""Random anatomies of volumes: bodies with bones, and organs that bend, branch, split, join and end in them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from monai.data import MetaTensor
from scipy.spatial.transform import Rotation

from monai_synthfm.synthesis.params import Params
from monai_synthfm.synthesis.solid_grid import MotionParams, MottleParams, SolidPartParams
from monai_synthfm.synthesis.solids import BlobParams, TreeParams, solid_bounds
from monai_synthfm.synthesis.volume_anatomy import (
    VolumeAnatomyParams,
    VolumeTissueParams,
    anatomy_owners,
    paint_anatomy,
)
from monai_synthfm.synthesis.volume_structures import BlurParams, ClusterParams, WarpParams
from monai_synthfm.transforms.generator import (
    RandGenerator,
    RandLabelGeneratord,
    check_probability,
    check_range,
    draw_integer,
    draw_log_uniform,
    draw_seed,
)
from monai_synthfm.transforms.label_maps import RandSynthMorphLabels
from monai_synthfm.transforms.solids import (
    draw_arch,
    draw_blob,
    draw_chain,
    draw_direction,
    draw_tree,
    mirror_solid,
    move_solid,
)
from monai_synthfm.transforms.volume_bodies import Frame, draw_body
from monai_synthfm.transforms.volume_parts import PartList, Solids
from monai_synthfm.transforms.volume_presets import VOLUME_PRESETS, TissueRange, VolumePreset

__all__ = ["RandVolumeAnatomy", "RandVolumeAnatomyD", "RandVolumeAnatomyDict", "RandVolumeAnatomyd"]


class RandVolumeAnatomy(RandGenerator):
    """Generate organs in a body, or in tissue that fills the volume, as instances of a label volume.

    A body has skin or fat, a cavity, and a column, ribs, long bones or a skull. Organs are bent and tapered bodies with
    lobes, tubes, trees of vessels, loops and arches: what is one piece may show as several in a slice. They may hold
    lesions, vessels and patches of other intensity, most of which belong to the organ, and have a wall, whole or in
    pieces; in some volumes whole walls are targets of their own or no targets, as annotators decide. Many organs begin
    or end inside the volume. In ultrasound the slices may be moments of a sequence in which walls move to and from a
    centre.

    Source: not given in the paper; our choice, after ``RandAnatomy``, which makes images of the same kinds.

    Args:
        spatial_size: width, height and number of slices.
        num_organs: range of the number of organs, pairs counted once.
        radius: range of an organ's equivalent radius as a fraction of the shorter side, drawn log-uniformly.
        irregularity: range of the size of the bumps on a surface, relative to the radius.
        end_prob: probability that an organ is put where one of its ends lies inside the volume.
        wall_prob: probability that an organ has a wall.
        parts_prob: probability that an organ has parts.
        merged_prob: probability that the parts of an organ belong to it rather than being targets of their own.
        pair_prob: probability that an organ has a mirrored twin.
        like_prob: probability that an organ is of the tissue of another one.
        bones_prob: probability that a body has bones.
        filled_prob: probability that large organs besides the others fill a body.
        tissue_prob: probability that a mosaic of cells fills what lies between the organs.
        clutter_prob: probability that there are strands and specks that are no targets.
        motion_prob: probability that ultrasound is a sequence with moving walls.
        warp: range of the standard deviation of the displacement common to all, as a fraction of the side.
        tissue: generator of the mosaic's label map; ``RandSynthMorphLabels`` with 4 to 10 labels if None.
        device: where to compute.

    Returns:
        ``__call__`` and ``replay`` return a MetaTensor ``[1, W, H, slices]`` int64: 0 background, owners from 1.

    Raises:
        ValueError: when a range is not ordered or outside its limits, or ``spatial_size`` is not three numbers.

    Example:
        >>> labels = RandVolumeAnatomy((48, 48, 8)).set_random_state(seed=0)()
        >>> labels.shape, bool(labels.max() >= 1)
        (torch.Size([1, 48, 48, 8]), True)
    """

    params_type = VolumeAnatomyParams

    def __init__(
        self,
        spatial_size: Sequence[int],
        num_organs: Sequence[int] = (4, 18),
        radius: Sequence[float] = (0.025, 0.28),
        irregularity: Sequence[float] = (0.0, 0.2),
        end_prob: float = 0.7,
        wall_prob: float = 0.3,
        parts_prob: float = 0.5,
        merged_prob: float = 0.7,
        pair_prob: float = 0.2,
        like_prob: float = 0.35,
        bones_prob: float = 0.7,
        filled_prob: float = 0.6,
        tissue_prob: float = 0.25,
        clutter_prob: float = 0.5,
        motion_prob: float = 0.4,
        warp: Sequence[float] = (0.004, 0.025),
        tissue: RandSynthMorphLabels | None = None,
        device: torch.device | str = "cpu",
    ) -> None:
        super().__init__(device)
        if len(spatial_size) != 3:
            raise ValueError(f"spatial_size must be (width, height, slices), got {spatial_size!r}.")
        self.spatial_size = (int(spatial_size[0]), int(spatial_size[1]), int(spatial_size[2]))
        self.num_organs = check_range("num_organs", num_organs, low=1)
        self.radius = check_range("radius", radius, low=1e-3, high=1.0)
        self.irregularity = check_range("irregularity", irregularity, low=0.0, high=1.0)
        self.end_prob = check_probability("end_prob", end_prob)
        self.wall_prob = check_probability("wall_prob", wall_prob)
        self.parts_prob = check_probability("parts_prob", parts_prob)
        self.merged_prob = check_probability("merged_prob", merged_prob)
        self.pair_prob = check_probability("pair_prob", pair_prob)
        self.like_prob = check_probability("like_prob", like_prob)
        self.bones_prob = check_probability("bones_prob", bones_prob)
        self.filled_prob = check_probability("filled_prob", filled_prob)
        self.tissue_prob = check_probability("tissue_prob", tissue_prob)
        self.clutter_prob = check_probability("clutter_prob", clutter_prob)
        self.motion_prob = check_probability("motion_prob", motion_prob)
        self.warp = check_range("warp", warp, low=0.0, high=0.2)
        self.tissue = tissue or RandSynthMorphLabels(
            self.spatial_size, num_labels=(4, 10), noise_scales=(0.2, 0.4), warp_scales=(0.125, 0.25), grid_size=32
        )
        self.tissues: list[TissueRange | None] = []

    def randomize(
        self, preset: VolumePreset = VOLUME_PRESETS["ct"], spacing: Sequence[float] = (1.0, 1.0, 1.0)
    ) -> None:
        """Draw the parts; ``tissues`` then holds the kind of each, None for those that are drawn beside their
        parent."""
        width, height, slices = self.spatial_size
        side = min(width, height)
        step = spacing[2] / (spacing[0] * side)
        self._extent = np.array([width, height]) / side
        self._organs: list[int] = []
        self._walls = self.R.choice(["organ", "target", "nobody"], p=[0.6, 0.2, 0.2])
        moving = preset.ultrasound_prob > 0.0 and self.R.rand() < self.motion_prob
        parts = self._parts = PartList(self.R, preset, 0.0 if moving else slices * step)
        frame = Frame(0, self._extent / 2.0, self._extent / 2.0)
        if self.R.rand() < preset.body_prob:
            frame = draw_body(parts, self._extent, self.bones_prob)
        tissue_prob = self.tissue_prob if frame.part or not preset.body_prob else max(self.tissue_prob, 0.5)
        tissue = self._draw_tissue(frame.part, spacing) if self.R.rand() < tissue_prob and not moving else None
        if self.R.rand() < self.clutter_prob:
            self._draw_clutter(frame)
        radii = [draw_log_uniform(self.R, self.radius) for _ in range(draw_integer(self.R, self.num_organs))]
        if frame.part and self.R.rand() < self.filled_prob:  # as liver, spleen, stomach and bowel fill a trunk
            large = (0.4 * float(frame.half.min()), 0.75 * float(frame.half.min()))
            radii += [draw_log_uniform(self.R, large) for _ in range(draw_integer(self.R, (2, 6)))]
        for radius in sorted(radii, reverse=True):
            self._draw_organ(radius, frame)
        scale = float(self.R.uniform(0.06, 0.2))
        motion = self._draw_motion(parts.parts[self._organs[0] - 1]) if moving else None
        through = 1e3 if moving else scale / step
        warp = WarpParams(
            float(self.R.uniform(*self.warp)) * side, (scale * side, scale * side, through), draw_seed(self.R)
        )
        blur = BlurParams(
            sigma=float(self.R.uniform(*preset.blur)),
            slope=float(self.R.uniform(*preset.blur_range)) / slices,
            focus=float(self.R.uniform(0.0, slices)),
        )
        self.tissues = parts.tissues
        self.params = VolumeAnatomyParams(self.spatial_size, step, tuple(parts.parts), tissue, warp, blur, motion)

    def _draw_motion(self, organ: SolidPartParams) -> MotionParams:
        """Walls move to and from the middle of an organ."""
        x, y, _ = np.mean([solid_bounds(solid) for solid in _real(organ.solids)], axis=(0, 1))
        return MotionParams(
            center=(float(x), float(y)),
            spread=float(self.R.uniform(0.12, 0.3)),
            strength=float(self.R.uniform(0.05, 0.3)),
            period=draw_log_uniform(self.R, (8.0, 48.0)),
            phase=float(self.R.uniform(0.0, 2.0 * np.pi)),
            sway=float(self.R.uniform(0.0, 0.04)),
        )

    def _draw_clutter(self, frame: Frame) -> None:
        """Strands and specks that are no targets."""
        for _ in range(round(draw_log_uniform(self.R, (3.0, 20.0)))):
            x, y = frame.center + self.R.uniform(-0.9, 0.9, size=2) * frame.half
            center = (x, y, self.R.uniform(0.0, self._parts.depth))
            radius = draw_log_uniform(self.R, (0.004, 0.02))
            solid: BlobParams | TreeParams = draw_blob(self.R, center, radius, elongation=0.6)
            if self.R.rand() < 0.5:
                way = draw_direction(self.R)
                solid = draw_chain(self.R, center, way, float(self.R.uniform(0.05, 0.4)), 0.4 * radius, 0.3)
            self._parts.add((solid,), frame.part, 0.7 * radius, None)

    def _draw_tissue(self, part: int, spacing: Sequence[float]) -> VolumeTissueParams:
        width, height, depth = self.spatial_size
        subslices = 3 if spacing[2] >= 2.0 * spacing[0] and self._parts.depth else 1
        self.tissue.randomize((width, height, depth * subslices))
        label_map = self.tissue.params
        return VolumeTissueParams(part, ClusterParams(label_map, (0,) * label_map.num_labels, subslices))

    def _draw_organ(self, radius: float, frame: Frame) -> None:
        angle, distance = self.R.uniform(0.0, 2.0 * np.pi), np.sqrt(self.R.rand())
        reach = 0.6 if radius > 0.5 * frame.half.min() else 0.85
        x, y = frame.center + reach * distance * frame.half * (np.cos(angle), np.sin(angle))
        center = (float(x), float(y), 0.0)
        form = self.R.choice(["blob", "tube", "tree", "loop", "arch"], p=[0.58, 0.12, 0.12, 0.08, 0.1])
        radius = min(radius, 0.75 * float(frame.half.min()))
        solids: Solids
        if form == "blob":
            blob = draw_blob(self.R, center, radius)
            solids = (blob, *self._draw_lobes(blob, radius)) if self.R.rand() < 0.3 else (blob,)
        elif form == "arch":
            solids = (draw_arch(self.R, center, radius),)
            radius *= 0.3
        else:
            radius = draw_log_uniform(self.R, (0.008, 0.045) if form == "tree" else (0.012, 0.07))
            way = draw_direction(self.R, float(self.R.choice([0.0, 3.0])))
            if form == "tree":
                solids = (draw_tree(self.R, center, way, float(self.R.uniform(0.1, 0.3)), radius),)
            elif form == "tube":
                solids = (draw_chain(self.R, center, way, float(self.R.uniform(0.3, 1.5)), radius, 0.2),)
            else:
                solids = (draw_chain(self.R, center, way, 22.0 * radius, radius, 0.7, nodes=14),)
        tissue = self._draw_kind(hollow=form in ("tube", "tree", "loop"))
        solids = self._parts.place(solids, self.end_prob)
        twins = [solids]
        if self.R.rand() < self.pair_prob:
            middle = float(frame.center[0])
            twin = tuple(mirror_solid(solid, middle) for solid in solids)
            shift = (0.0, float(self.R.normal(0.0, 0.01)), float(self.R.normal(0.0, 0.2 * radius)))
            twins.append(tuple(move_solid(solid, shift) for solid in twin))
        like = int(self.R.choice(self._organs)) if self._organs and self.R.rand() < self.like_prob else 0
        walled = self.R.rand() < max(self.wall_prob, tissue.wall_prob)
        has_parts = form in ("blob", "arch") and self.R.rand() < self.parts_prob
        for one in twins:
            waves = self._parts.draw_waves(radius, float(self.R.uniform(*self.irregularity)))
            wall = (0.06 * radius, 0.35 * radius) if walled else None
            label = self._parts.new()
            wall_label = None
            if walled and self._walls != "organ":
                wall_label = self._parts.new() if self._walls == "target" else 0
            organ = self._parts.add(
                one, frame.part, radius, tissue, label, wall=wall, waves=waves, like=like, wall_label=wall_label
            )
            self._organs.append(organ)
            if has_parts:
                self._draw_parts(one, organ, radius, label)
            like = organ if self.R.rand() < 0.8 else like

    def _draw_lobes(self, organ: BlobParams, radius: float) -> list[BlobParams]:
        axes = Rotation.from_euler("ZYX", organ.angles).as_matrix()
        lobes = []
        for _ in range(draw_integer(self.R, (1, 3))):
            edge = axes @ (draw_direction(self.R) * organ.axes)
            lobes.append(draw_blob(self.R, np.asarray(organ.center) + edge, radius * float(self.R.uniform(0.3, 0.75))))
        return lobes

    def _draw_parts(self, solids: Solids, organ: int, radius: float, label: int) -> None:
        merged = self.R.rand() < self.merged_prob
        if self.R.rand() < 0.45:  # patches are never targets of their own
            for _ in range(draw_integer(self.R, (1, 3))):
                scale = radius * draw_log_uniform(self.R, (0.15, 0.8))
                mottle = MottleParams(scale, float(self.R.uniform(-0.2, 1.3)), draw_seed(self.R))
                self._parts.add((mottle,), organ, scale, None, label)
        bounds = np.stack([solid_bounds(solid) for solid in solids])
        low, high = bounds[:, 0].min(axis=0), bounds[:, 1].max(axis=0)
        for _ in range(draw_integer(self.R, (0, 4))):
            seen_low, seen_high = np.clip((low[2], high[2]), 0.0, self._parts.depth)
            center = 0.5 * (low + high) + 0.35 * (high - low) * self.R.uniform(-1.0, 1.0, size=3)
            center[2] = self.R.uniform(seen_low, seen_high) if self._parts.depth else 0.0
            own = label if merged else self._parts.new()
            if self.R.rand() < 0.35:
                width = radius * draw_log_uniform(self.R, (0.04, 0.12))
                vessel = draw_tree(self.R, center, draw_direction(self.R), 0.7 * radius, max(0.005, width))
                self._parts.add((vessel,), organ, max(0.005, width), None, own)
            else:
                size = radius * draw_log_uniform(self.R, (0.12, 0.6))
                lesion = draw_blob(self.R, center, size)
                waves = self._parts.draw_waves(size, float(self.R.uniform(*self.irregularity)))
                wall = (0.1 * size, 0.4 * size) if self.R.rand() < 0.2 else None
                self._parts.add((lesion,), organ, size, None, own, wall=wall, waves=waves)

    def _draw_kind(self, hollow: bool) -> TissueRange:
        kinds = self._parts.preset.tissues
        shares = np.array([kind.share * (kind.tube_prob + 0.02 if hollow else 1.0 - kind.tube_prob) for kind in kinds])
        return kinds[self.R.choice(len(kinds), p=shares / shares.sum())]

    def replay(self, params: Params | str | Mapping[str, Any]) -> MetaTensor:
        parsed = self.parse(params)
        owners = anatomy_owners(parsed)
        regions = paint_anatomy(parsed, (0.0,) * len(owners), self.device)[1]
        return self.as_meta_tensor(torch.tensor(owners, device=self.device)[regions.long()], parsed)


class RandVolumeAnatomyd(RandLabelGeneratord):
    """Dictionary twin of :class:`RandVolumeAnatomy`: adds the organs of an anatomy to a dictionary, which may be empty.

    Args:
        keys: name of the label map.
        prob: probability that an item gets one, or gets another one in the place of its own.
        allow_missing_keys: without effect: the key is made, not read.
        kwargs: of :class:`RandVolumeAnatomy`.

    Raises:
        ValueError: when ``keys`` are not one name.

    Example:
        >>> RandVolumeAnatomyd("label", spatial_size=(32, 32, 6))({})["label"].shape
        torch.Size([1, 32, 32, 6])
    """

    generator_type = RandVolumeAnatomy


RandVolumeAnatomyD = RandVolumeAnatomyDict = RandVolumeAnatomyd


def _real(solids: tuple[BlobParams | TreeParams | MottleParams, ...]) -> Solids:
    return tuple(solid for solid in solids if not isinstance(solid, MottleParams))
