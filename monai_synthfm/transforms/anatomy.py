# Copyright (c) monai_synthfm contributors
# Licensed under the Apache License, Version 2.0 (http://www.apache.org/licenses/LICENSE-2.0).
# SPDX-License-Identifier: Apache-2.0
"""Random anatomies: bodies, layers, organs with walls and parts of their own."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from monai.data import MetaTensor

from monai_synthfm.synthesis.anatomy import AnatomyParams, MixtureParams, PartParams, TissueParams, draw_anatomy
from monai_synthfm.synthesis.outlines import OutlineParams
from monai_synthfm.synthesis.params import Params
from monai_synthfm.transforms.generator import (
    RandGenerator,
    RandLabelGeneratord,
    check_probability,
    check_range,
    draw_integer,
    draw_log_uniform,
)
from monai_synthfm.transforms.label_maps import RandSynthMorphLabels
from monai_synthfm.transforms.organ_interiors import draw_classes, draw_core, draw_hilum, draw_sinus, draw_vessels

__all__ = ["RandAnatomy", "RandAnatomyD", "RandAnatomyDict", "RandAnatomyd"]

_MIXED_RADIUS = 0.05  # smaller organs have no room for an inside of their own
_GROUND = OutlineParams((0.5, 0.5), 0.7, 1.0, 2.0, (), 0.0, 0.0, False)


class RandAnatomy(RandGenerator):
    """Generate an instance label map of organs in a body, or in tissue that fills the image.

    A body may have a wall (skin, fat) and a cavity with a wall (ribs, skull); tissue may come in layers, as a mosaic of
    cells that touch each other, or with clutter in it (strands, specks). Organs lie in the innermost of these, alone or
    as mirrored pairs. An organ may have a wall, whole or in pieces; lobes that make one target with it, as processes of
    a vertebra do; and parts, such as lesions, vessels or chambers. Most lobes and twins have the tissue of their organ.
    Some organs have the tissue of another one. Whether walls belong to the target is drawn for each sample, whether
    parts do for each organ, since annotations differ in this as well.

    Source: not given in the paper; our choice, for targets that the paper's modules do not have: large ones, ones with
    bright or interrupted walls, ones that look like their surroundings, heterogeneous ones.

    Args:
        spatial_size: height and width in pixels.
        body_prob: probability of a body on an empty ground; otherwise tissue fills the image.
        num_organs: range of the number of organs, pairs counted once.
        radius: range of an organ's equivalent radius as a fraction of the shorter side, drawn log-uniformly.
        irregularity: range of the size of the waves on an outline.
        wall_prob: probability that a body, a cavity or an organ has a wall.
        parts_prob: probability that an organ has parts.
        pair_prob: probability that an organ has a mirrored twin.
        whole_prob: probability that a body is the only target, with all that it holds. Such a body lies in tissue and
            is not wider than 0.84 of the image: nobody asks for a whole patient.
        lobes_prob: probability that an organ has one to four lobes at its edge.
        like_prob: probability that an organ looks like another one.
        tissue_prob: probability that the tissue between the organs is a mosaic, whose cells are targets too.
        clutter_prob: probability that there is clutter below the organs.
        tissue: generator of the mosaic's label map; ``RandSynthMorphLabels`` with 4 to 12 labels and larger, smoother
            cells than its default if None.
        device: where the label map is put; polygons are filled on the CPU.
        joint_prob: probability that two organs that look alike, twins among them, are one target of several pieces.
        mixed_prob: probability that an organ is not of one grey: patches of up to four sub-classes, a core below a
            rind, vessels, a sinus and a capsule belong to it.

    Returns:
        ``__call__`` and ``replay`` return a MetaTensor ``[1, H, W]`` int64, 0 background, instances from 1.

    Raises:
        ValueError: when a range is not ordered or outside its limits, or ``spatial_size`` is not two numbers.

    Example:
        >>> anatomy = RandAnatomy((64, 64)).set_random_state(seed=1)
        >>> labels = anatomy()
        >>> labels.shape, bool((anatomy.replay(labels.meta["synthfm"]) == labels).all())
        (torch.Size([1, 64, 64]), True)
    """

    params_type = AnatomyParams

    def __init__(
        self,
        spatial_size: Sequence[int],
        body_prob: float = 0.5,
        num_organs: Sequence[int] = (1, 12),
        radius: Sequence[float] = (0.02, 0.38),
        irregularity: Sequence[float] = (0.0, 0.35),
        wall_prob: float = 0.4,
        parts_prob: float = 0.4,
        pair_prob: float = 0.2,
        whole_prob: float = 0.3,
        lobes_prob: float = 0.2,
        like_prob: float = 0.3,
        tissue_prob: float = 0.3,
        clutter_prob: float = 0.5,
        tissue: RandSynthMorphLabels | None = None,
        device: torch.device | str = "cpu",
        joint_prob: float = 0.0,
        mixed_prob: float = 0.0,
    ) -> None:
        super().__init__(device)
        if len(spatial_size) != 2:
            raise ValueError(f"spatial_size must be (height, width), got {spatial_size!r}.")
        self.spatial_size = (int(spatial_size[0]), int(spatial_size[1]))
        self.body_prob = check_probability("body_prob", body_prob)
        self.num_organs = check_range("num_organs", num_organs, low=1)
        self.radius = check_range("radius", radius, low=1e-3, high=1.0)
        self.irregularity = check_range("irregularity", irregularity, low=0.0, high=1.0)
        self.wall_prob = check_probability("wall_prob", wall_prob)
        self.parts_prob = check_probability("parts_prob", parts_prob)
        self.pair_prob = check_probability("pair_prob", pair_prob)
        self.whole_prob = check_probability("whole_prob", whole_prob)
        self.lobes_prob = check_probability("lobes_prob", lobes_prob)
        self.like_prob = check_probability("like_prob", like_prob)
        self.joint_prob = check_probability("joint_prob", joint_prob)
        self.mixed_prob = check_probability("mixed_prob", mixed_prob)
        self.tissue_prob = check_probability("tissue_prob", tissue_prob)
        self.clutter_prob = check_probability("clutter_prob", clutter_prob)
        self.tissue = tissue or RandSynthMorphLabels(
            spatial_size, num_labels=(4, 12), noise_scales=(0.2, 0.4), warp_scales=(0.125, 0.25), warp_std=(0.0, 0.04)
        )

    def randomize(self, spatial_size: Sequence[int] | None = None) -> None:
        """Draw the parts, for a canvas of another size than the constructor's if one is given."""
        size = self.spatial_size if spatial_size is None else (int(spatial_size[0]), int(spatial_size[1]))
        self._size = size
        self._extent = np.array([size[1], size[0]]) / min(size)
        self._parts: list[PartParams] = []
        self._organs: list[int] = []
        self._labels = 0
        self._joint: set[int] = set()
        self._mixtures: list[MixtureParams] = []
        self._walls_count = self.R.rand() < 0.6
        body = self.R.rand() < self.body_prob
        whole = body and self.R.rand() < self.whole_prob
        if whole:
            self._add(replace(_GROUND, center=tuple(self._extent / 2), radius=float(self._extent.max())), 0)
        if whole or not body or self.R.rand() < 0.4:
            self._draw_layers()
        first = len(self._parts)
        container = self._draw_body((0.1, 0.42) if whole else (0.2, 0.52), parent=int(whole)) if body else 0
        frame = self._parts[container - 1].outline if container else replace(_GROUND, center=tuple(self._extent / 2))
        crowded = self.R.rand() < 0.5
        tissue = self._draw_tissue(size, container) if self.R.rand() < self.tissue_prob else None
        if self.R.rand() < self.clutter_prob:
            self._draw_clutter(container, frame)
        for radius in sorted(self._draw_radii(), reverse=True):
            self._draw_organ(radius, container, frame, crowded)
        if whole:
            self._parts[first:] = [replace(part, label=1, wall_label=1) for part in self._parts[first:]]
            tissue = tissue and replace(tissue, label=1)
        joint = () if whole else tuple(sorted(self._joint))
        self.params = AnatomyParams(size, tuple(self._parts), tissue, joint, tuple(self._mixtures))

    def _draw_radii(self) -> list[float]:
        return [draw_log_uniform(self.R, self.radius) for _ in range(draw_integer(self.R, self.num_organs))]

    def _draw_body(self, radii: tuple[float, float], parent: int) -> int:
        """A body and its cavity, if it has one; returns the number of the innermost."""
        radius = float(self.R.uniform(*radii))
        center = self._extent / 2.0 + self.R.normal(0.0, 0.3 * (0.6 - radius), size=2)
        outline = self._draw_outline(center, radius, elongation=(1.0, 1.7), exponent=(1.8, 3.5), waves=0.08, bend=0.0)
        if self.R.rand() < 0.7:
            outline = replace(outline, angle=float(self.R.normal(0.0, 0.15)))
        self._add(outline, parent, wall=(0.005, 0.06), wall_prob=0.7)
        if self.R.rand() < 0.4:
            cavity = replace(
                outline,
                radius=outline.radius * float(self.R.uniform(0.55, 0.9)),
                harmonics=self._draw_waves(0.12),
            )
            self._add(cavity, len(self._parts), wall=(0.01, 0.06), wall_prob=0.6)
        return len(self._parts)

    def _draw_layers(self) -> None:
        """Bands that cross the image, roughly parallel; organs lie over them."""
        if self.R.rand() < 0.5:
            direction = self.R.choice([0.0, np.pi / 2.0]) + self.R.normal(0.0, 0.2)
            for _ in range(draw_integer(self.R, (1, 6))):
                outline = self._draw_outline(
                    self.R.uniform(0.0, 1.0, size=2) * self._extent,
                    float(self.R.uniform(0.15, 0.5)),
                    elongation=(4.0, 15.0),
                    exponent=(2.0, 5.0),
                    waves=0.1,
                    bend=0.6,
                )
                self._add(replace(outline, angle=float(direction + self.R.normal(0.0, 0.15))), 0)

    def _draw_tissue(self, size: tuple[int, int], container: int) -> TissueParams:
        self.tissue.randomize(size)
        return TissueParams(container, self.tissue.params, None)

    def _draw_clutter(self, container: int, frame: OutlineParams) -> None:
        for _ in range(round(draw_log_uniform(self.R, (2.0, 40.0)))):
            outline = self._draw_outline(
                np.asarray(frame.center) + self._draw_offset(frame.radius),
                draw_log_uniform(self.R, (0.004, 0.03)),
                elongation=(1.0, 10.0),
                exponent=(1.7, 3.0),
                waves=0.0,
                bend=1.0,
            )
            self._add(outline, container)

    def _draw_organ(self, radius: float, container: int, frame: OutlineParams, crowded: bool) -> None:
        tube = self.R.rand() < 0.12
        if tube:
            radius = min(radius, 0.15)
        offset = self._draw_offset(frame.radius * (0.95 if crowded else 0.75))
        if radius > 0.5 * frame.radius:
            offset *= 0.4
        outline = self._draw_outline(
            np.asarray(frame.center) + offset,
            radius,
            elongation=(4.0, 14.0) if tube else (1.0, 3.0),
            exponent=(1.7, 2.6) if self.R.rand() < 0.75 else (2.6, 6.0),
            waves=float(self.R.uniform(*self.irregularity)),
            bend=2.5 if tube or self.R.rand() < 0.25 else 0.0,
        )
        twins = [outline]
        if self.R.rand() < self.pair_prob:
            x, y = outline.center
            twin = replace(outline, center=(2.0 * frame.center[0] - x, y), mirrored=True, angle=outline.angle)
            twins.append(replace(twin, radius=outline.radius * float(self.R.uniform(0.85, 1.15))))
        has_wall, has_parts = self.R.rand() < self.wall_prob, self.R.rand() < self.parts_prob
        like = int(self.R.choice(self._organs)) if self._organs and self.R.rand() < self.like_prob else 0
        lobes = draw_integer(self.R, (1, 4)) if self.R.rand() < self.lobes_prob else 0
        mixed = bool(self.mixed_prob) and radius >= _MIXED_RADIUS and self.R.rand() < self.mixed_prob
        num_classes = draw_integer(self.R, (1, 4)) if mixed else 1
        for one in twins:
            label = self._draw_label(like)
            self._add(one, container, label, (0.03 * radius, 0.3 * radius), float(has_wall), like)
            organ = len(self._parts)
            self._organs.append(organ)
            for _ in range(lobes):
                self._draw_lobe(one, container, label, like=organ if self.R.rand() < 0.7 else 0)
            if mixed:
                self._draw_interior(one, organ, label, num_classes)
            elif has_parts:
                self._draw_parts(one, organ, label)
            like = organ if self.R.rand() < 0.8 else like

    def _draw_label(self, like: int) -> int:
        """The label of another organ: its own, or that of the organ that it looks like."""
        if like and self.joint_prob and self.R.rand() < self.joint_prob:
            label = self._parts[like - 1].label
            self._joint.add(label)
            return label
        self._labels += 1
        return self._labels

    def _draw_lobe(self, organ: OutlineParams, container: int, label: int, like: int) -> None:
        angle = self.R.uniform(0.0, 2.0 * np.pi)
        outline = self._draw_outline(
            np.asarray(organ.center) + organ.radius * np.array([np.cos(angle), np.sin(angle)]),
            organ.radius * float(self.R.uniform(0.25, 0.7)),
            elongation=(1.0, 5.0),
            exponent=(1.7, 3.0),
            waves=float(self.R.uniform(*self.irregularity)),
            bend=1.0,
        )
        along = angle + self.R.normal(0.0, 0.4)
        self._add(replace(outline, angle=float(along)), container, label, like=like)

    def _draw_parts(self, organ: OutlineParams, parent: int, label: int) -> None:
        merged = self.R.rand() < 0.65
        for _ in range(draw_integer(self.R, (1, 6))):
            radius = organ.radius * draw_log_uniform(self.R, (0.08, 0.6))
            outline = self._draw_outline(
                np.asarray(organ.center) + self._draw_offset(organ.radius * 0.8),
                radius,
                elongation=(1.0, 6.0),
                exponent=(1.7, 3.0),
                waves=float(self.R.uniform(*self.irregularity)),
                bend=2.0 if self.R.rand() < 0.3 else 0.0,
            )
            if not merged:
                self._labels += 1
            own = label if merged else self._labels
            self._add(outline, parent, own, wall=(0.05 * radius, 0.3 * radius), wall_prob=0.2)

    def _draw_interior(self, organ: OutlineParams, number: int, label: int, num_classes: int) -> None:
        """Make an organ of several greys, all of them its own."""
        if self._parts[number - 1].wall == 0.0 and self.R.rand() < 0.3:
            capsule = organ.radius * float(self.R.uniform(0.02, 0.07))
            self._parts[number - 1] = replace(self._parts[number - 1], wall=capsule, wall_label=label)
        self._mixtures.append(MixtureParams(number, draw_classes(self.R, organ, self._size, num_classes)))
        if self.R.rand() < 0.3:
            self._add(draw_core(self.R, organ), number, label)
        hilum = draw_hilum(self.R, organ)
        if self.R.rand() < 0.35:
            for outline in draw_sinus(self.R, organ, hilum):
                self._add(outline, number, label)
        for _ in range(draw_integer(self.R, (0, 2))):
            like = 0
            for outline in draw_vessels(self.R, organ, hilum):
                self._add(outline, number, label, like=like)
                like = like or len(self._parts)

    def _add(
        self,
        outline: OutlineParams,
        parent: int,
        label: int = 0,
        wall: tuple[float, float] = (0.0, 0.0),
        wall_prob: float = 0.0,
        like: int = 0,
    ) -> None:
        thickness = float(self.R.uniform(*wall)) if self.R.rand() < wall_prob else 0.0
        gaps: tuple[tuple[float, float], ...] = ()
        if thickness and self.R.rand() < 0.6:
            gaps = tuple(
                (float(self.R.rand()), float(self.R.uniform(0.05, 0.35))) for _ in range(draw_integer(self.R, (1, 3)))
            )
        wall_label = label if gaps or self._walls_count else 0
        self._parts.append(PartParams(outline, parent, thickness, gaps, label, wall_label, like))

    def _draw_outline(
        self,
        center: np.ndarray,
        radius: float,
        elongation: tuple[float, float],
        exponent: tuple[float, float],
        waves: float,
        bend: float,
    ) -> OutlineParams:
        return OutlineParams(
            center=(float(center[0]), float(center[1])),
            radius=radius,
            elongation=draw_log_uniform(self.R, elongation),
            exponent=float(self.R.uniform(*exponent)),
            harmonics=self._draw_waves(waves),
            bend=float(self.R.uniform(-bend, bend)),
            angle=float(self.R.uniform(0.0, np.pi)),
            mirrored=False,
        )

    def _draw_offset(self, reach: float) -> np.ndarray:
        """A vector (x, y) uniformly distributed in a disc."""
        angle, distance = self.R.uniform(0.0, 2.0 * np.pi), reach * np.sqrt(self.R.rand())
        return distance * np.array([np.cos(angle), np.sin(angle)])

    def _draw_waves(self, size: float) -> tuple[tuple[float, float], ...]:
        if not size:
            return ()
        return tuple(
            (float(self.R.normal(0.0, size / (k - 0.5))), float(self.R.uniform(0.0, 2.0 * np.pi))) for k in range(2, 9)
        )

    def replay(self, params: Params | str | Mapping[str, Any]) -> MetaTensor:
        parsed = self.parse(params)
        return self.as_meta_tensor(draw_anatomy(parsed)[1].to(self.device), parsed)


class RandAnatomyd(RandLabelGeneratord):
    """Dictionary twin of :class:`RandAnatomy`: adds instances of organs in a body or in tissue to a dictionary, which
    may be empty.

    Args:
        keys: name of the label map.
        prob: probability that an item gets one, or gets another one in the place of its own.
        allow_missing_keys: without effect: the key is made, not read.
        kwargs: of :class:`RandAnatomy`.

    Raises:
        ValueError: when ``keys`` are not one name.

    Example:
        >>> RandAnatomyd("label", spatial_size=(32, 32))({})["label"].shape
        torch.Size([1, 32, 32])
    """

    generator_type = RandAnatomy


RandAnatomyD = RandAnatomyDict = RandAnatomyd
