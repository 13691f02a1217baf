# Copyright (c) monai_synthfm contributors
# Licensed under the Apache License, Version 2.0 (http://www.apache.org/licenses/LICENSE-2.0).
# SPDX-License-Identifier: Apache-2.0
"""Random intensities, textures and scanners of volumes."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from monai_synthfm.synthesis.acquisition import FieldOfViewParams
from monai_synthfm.synthesis.appearance import NoiseParams
from monai_synthfm.synthesis.volume_appearance import (
    BiasParams,
    TextureLayerParams,
    VolumeAppearanceParams,
)
from monai_synthfm.synthesis.volume_structures import VolumeStructureParams, region_layout
from monai_synthfm.transforms.generator import check_probability, check_range, draw_log_uniform, draw_seed
from monai_synthfm.transforms.random_state import SharedRandomizable
from monai_synthfm.transforms.volume_presets import TissueRange, VolumePreset

__all__ = ["RandVolumeAppearance"]


class RandVolumeAppearance(SharedRandomizable):
    """Draw the appearance of a volume's regions from a preset: a part of ``RandSynthFM3D``, no transform of its own.

    Source: SynthFM-3D: random intensity scale of every label and Gaussian textures of several scales. Every range is
    not given in the paper; our choice.

    Args:
        texture_scales: ranges of the correlation length of each scale of the texture in mm, drawn log-uniformly.
        texture_prob: probability that a scale is present.
        alike_prob: probability that all clusters of a volume share one intensity where gaps separate them.
    """

    def __init__(
        self,
        texture_scales: Sequence[Sequence[float]] = ((6.0, 25.0), (1.5, 5.0), (0.3, 1.2)),
        texture_prob: float = 0.7,
        alike_prob: float = 0.4,
    ) -> None:
        self.texture_scales = [check_range("texture_scales", scales, low=1e-3) for scales in texture_scales]
        self.texture_prob = check_probability("texture_prob", texture_prob)
        self.alike_prob = check_probability("alike_prob", alike_prob)
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
        textures = []
        for scales in self.texture_scales:
            if self.R.rand() < self.texture_prob:
                scale = draw_log_uniform(self.R, scales)
                amplitudes = self.R.uniform(*preset.texture, size=len(values)) * self.R.choice([-1.0, 1.0], len(values))
                sigma = (scale / spacing[0], scale / spacing[1], scale / spacing[2])
                textures.append(TextureLayerParams(sigma, tuple(amplitudes.tolist()), draw_seed(self.R)))
        strength = float(self.R.uniform(*preset.bias))
        noise = NoiseParams(
            kind=preset.noises[self.R.randint(len(preset.noises))],
            strength=draw_log_uniform(self.R, preset.noise),
            scale=draw_log_uniform(self.R, preset.noise_scale),
            seed=draw_seed(self.R),
        )
        self.params = VolumeAppearanceParams(
            values=values,
            textures=tuple(textures),
            bias=BiasParams(strength, 3, draw_seed(self.R)) if strength > 0.0 else None,
            noises=(noise,),
            field=self._draw_fan(*structure.spatial_size[:2]) if self.R.rand() < preset.fan_prob else None,
            windowed=preset.windowed,
        )

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
