# Copyright (c) monai_synthfm contributors
# Licensed under the Apache License, Version 2.0 (http://www.apache.org/licenses/LICENSE-2.0).
# SPDX-License-Identifier: Apache-2.0
"""Random intensities, textures and scanners of volumes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from monai_synthfm.synthesis.acquisition import AcquisitionParams, FieldOfViewParams
from monai_synthfm.synthesis.appearance import NoiseParams
from monai_synthfm.synthesis.volume_anatomy import VolumeAnatomyParams
from monai_synthfm.synthesis.volume_appearance import (
    BiasParams,
    TextureLayerParams,
    VolumeAppearanceParams,
)
from monai_synthfm.synthesis.volume_structures import VolumeStructureParams, region_layout
from monai_synthfm.transforms.acquisition import RandAcquisition
from monai_synthfm.transforms.appearance import RandSynthFMIntensity
from monai_synthfm.transforms.generator import check_probability, check_range, draw_log_uniform, draw_seed
from monai_synthfm.transforms.random_state import SharedRandomizable
from monai_synthfm.transforms.volume_presets import TissueRange, VolumePreset

__all__ = ["RandVolumeAppearance"]

_QUIETER = 0.5  # random contrasts may be small, and the display window enlarges texture and noise with them
_WIDE_SHARE = 400.0 / 2000.0  # of the soft-tissue window of the presets in the wide one


class RandVolumeAppearance(SharedRandomizable):
    """Draw the appearance of a volume's regions from a preset: a part of ``RandSynthFM3D``, no transform of its own.

    Source: SynthFM-3D: random intensity scale of every label and Gaussian textures of several scales. Every range is
    not given in the paper; our choice.

    Args:
        texture_scales: ranges of the correlation length of each scale of the texture in mm, drawn log-uniformly.
        texture_prob: probability that a scale is present.
        alike_prob: probability that all clusters of a volume share one intensity where gaps separate them.
        palette_prob: probability that the parts of an anatomy have the intensities of the preset's tissues rather than
            random contrasts to what they lie in.
        spread: range of the factor by which organs of the commonest kind differ less from each other, drawn
            log-uniformly.
        wide_prob: probability that an anatomy in CT is shown in a window of 2000 Hounsfield units instead of 400.
        intensity: draws the random contrasts; ``RandSynthFMIntensity(faint_prob=0.4)`` if None.
        acquisition: scanner of anatomies; ``RandAcquisition(field_prob=0.7)`` if None. The preset decides whether it
            makes ultrasound and shading.
    """

    def __init__(
        self,
        texture_scales: Sequence[Sequence[float]] = ((6.0, 25.0), (1.5, 5.0), (0.3, 1.2)),
        texture_prob: float = 0.7,
        alike_prob: float = 0.4,
        palette_prob: float = 0.7,
        spread: Sequence[float] = (0.15, 1.0),
        wide_prob: float = 0.2,
        intensity: RandSynthFMIntensity | None = None,
        acquisition: RandAcquisition | None = None,
    ) -> None:
        self.texture_scales = [check_range("texture_scales", scales, low=1e-3) for scales in texture_scales]
        self.texture_prob = check_probability("texture_prob", texture_prob)
        self.alike_prob = check_probability("alike_prob", alike_prob)
        self.palette_prob = check_probability("palette_prob", palette_prob)
        self.spread = check_range("spread", spread, low=1e-3, high=1.0)
        self.wide_prob = check_probability("wide_prob", wide_prob)
        self.intensity = intensity or RandSynthFMIntensity(faint_prob=0.4)
        self.acquisition = acquisition or RandAcquisition(field_prob=0.7)
        self.params: VolumeAppearanceParams

    def randomize(
        self,
        preset: VolumePreset,
        structure: VolumeStructureParams,
        tissues: Sequence[TissueRange],
        spacing: Sequence[float],
    ) -> None:
        """Draw the appearance of a structure whose organs are of the kinds ``tissues``."""
        values = self._draw_values(preset, structure, tissues)
        textures = self._draw_textures(preset, len(values), spacing)
        strength = float(self.R.uniform(*preset.bias))
        noise = NoiseParams(
            kind=preset.noises[self.R.randint(len(preset.noises))],
            strength=draw_log_uniform(self.R, preset.noise),
            scale=draw_log_uniform(self.R, preset.noise_scale),
            seed=draw_seed(self.R),
        )
        self.params = VolumeAppearanceParams(
            values=values,
            textures=textures,
            bias=BiasParams(strength, 3, draw_seed(self.R)) if strength > 0.0 else None,
            noises=(noise,),
            field=self._draw_fan(*structure.spatial_size[:2]) if self.R.rand() < preset.fan_prob else None,
            windowed=preset.windowed,
        )

    def randomize_anatomy(
        self,
        preset: VolumePreset,
        anatomy: VolumeAnatomyParams,
        tissues: Sequence[TissueRange | None],
        spacing: Sequence[float],
    ) -> None:
        """Draw the appearance of an anatomy whose parts are of the kinds ``tissues``; ``scanner`` then holds what
        displays it."""
        tissue = anatomy.tissue
        cells = (tissue.parent, tissue.clusters.label_map.num_labels) if tissue else (0, 0)
        palette = self.R.rand() < self.palette_prob
        if palette:
            values, quiet = self._draw_palette(preset, anatomy, tissues, *cells)
        else:
            values, quiet = self.intensity.draw_part_values(anatomy.parts, *cells)
            quiet *= _QUIETER
        width, height, _ = anatomy.spatial_size
        self.acquisition.randomize((height, width), preset.ultrasound_prob, preset.shading_prob)
        self.scanner: AcquisitionParams = self.acquisition.params
        if palette and not preset.windowed:
            low, high = float(self.R.uniform(-0.1, 0.1)), float(self.R.uniform(0.85, 1.2))
            self.scanner = replace(self.scanner, levels=(low, high))
            if self.R.rand() < self.wide_prob:
                values = tuple(_wide_window(value) for value in values)
                quiet *= _WIDE_SHARE
        strength = quiet * draw_log_uniform(self.R, preset.noise)
        kinds = [kind for kind in preset.noises if kind != "speckle"]  # the scanner of ultrasound has its own
        kind = kinds[self.R.randint(len(kinds))] if kinds else None
        noises = (NoiseParams(kind, strength, 0.0, draw_seed(self.R)),) if kind else ()
        textures = self._draw_textures(preset, len(values), spacing, quiet)
        self.params = VolumeAppearanceParams(values, textures, None, noises, None, preset.windowed)

    def _draw_palette(
        self,
        preset: VolumePreset,
        anatomy: VolumeAnatomyParams,
        tissues: Sequence[TissueRange | None],
        tissue_parent: int,
        num_cells: int,
    ) -> tuple[tuple[float, ...], float]:
        """Intensities of the preset's tissues, organs of the first kind nearer to each other in some volumes."""
        spread = draw_log_uniform(self.R, self.spread)
        middle = float(self.R.uniform(*preset.tissues[0].core))
        body = anatomy.parts[0].label == 0 and tissues[0] is not None  # strands and specks have no kind
        insides = [float(self.R.uniform(*(preset.outside if body else preset.cavity)))]
        walls: list[float] = []
        for part, tissue in zip(anatomy.parts, tissues, strict=True):
            if tissue is None:
                shift = draw_log_uniform(self.R, (0.06, 0.45)) * max(spread, 0.35) * self.R.choice([-1.0, 1.0])
                within = insides[part.parent]
                value = within - shift if within + shift < 0.0 else within + shift
                edge = max(0.0, value + shift * float(self.R.uniform(-1.0, 1.0)))
            else:
                value, edge = float(self.R.uniform(*tissue.core)), float(self.R.uniform(*tissue.wall))
                if tissue is preset.tissues[0]:
                    value = middle + spread * (value - middle)
            insides.append(insides[part.like] if part.like else value)
            walls.append(walls[part.like - 1] if part.like else edge)
        cells = [middle + spread * (float(self.R.uniform(*preset.cluster)) - middle) for _ in range(num_cells)]
        return (*insides, *walls, *cells), max(0.2, spread)

    def _draw_textures(
        self, preset: VolumePreset, count: int, spacing: Sequence[float], quiet: float = 1.0
    ) -> tuple[TextureLayerParams, ...]:
        textures = []
        for scales in self.texture_scales:
            if self.R.rand() < self.texture_prob:
                scale = draw_log_uniform(self.R, scales)
                amplitudes = self.R.uniform(*preset.texture, size=count) * self.R.choice([-quiet, quiet], count)
                sigma = (scale / spacing[0], scale / spacing[1], scale / spacing[2])
                textures.append(TextureLayerParams(sigma, tuple(amplitudes.tolist()), draw_seed(self.R)))
        return tuple(textures)

    def _draw_values(
        self, preset: VolumePreset, structure: VolumeStructureParams, tissues: Sequence[TissueRange]
    ) -> tuple[float, ...]:
        ranges = [preset.cavity]
        if structure.body is not None:
            ranges = [preset.outside, *(layer.intensity for layer in preset.layers), preset.cavity]
        if structure.clusters is not None:
            clusters = [preset.cluster] * structure.clusters.label_map.num_labels
            if any(structure.clusters.iterations) and self.R.rand() < self.alike_prob:
                value = float(self.R.uniform(*preset.cluster))
                clusters = [(value, value)] * len(clusters)
            ranges += [preset.cavity, *clusters]
        for organ, tissue in zip(structure.organs, tissues, strict=True):
            ranges += [*([tissue.wall] * len(organ.walls)), tissue.core]
        values = tuple(float(self.R.uniform(*pair)) for pair in ranges)
        if len(values) != len(region_layout(structure)[1]):
            raise ValueError(f"tissues must be those of the structure, got values for {len(values)} regions.")
        return values

    def _draw_fan(self, width: int, height: int) -> FieldOfViewParams:
        """The fan of a curved probe at the upper edge."""
        extent = np.array([width, height]) / min(width, height)
        near = draw_log_uniform(self.R, (0.02, 0.3))
        apex = (float(extent[0] * self.R.normal(0.5, 0.03)), float(self.R.uniform(0.0, 0.06)) - near)
        half = float(self.R.uniform(0.45, 0.8))
        far = near + float(extent[1] * self.R.uniform(0.8, 1.0))
        return FieldOfViewParams("fan", apex, (near, far), (-half, half), 0.0)


def _wide_window(value: float) -> float:
    """Intensity in a window from -1000 to 1000 HU of one in the window from -160 to 240 HU, where air is below all."""
    return 0.0 if value <= 0.02 else _WIDE_SHARE * value + 0.42
