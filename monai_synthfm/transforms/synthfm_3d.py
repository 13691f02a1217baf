# Copyright (c) monai_synthfm contributors
# Licensed under the Apache License, Version 2.0 (http://www.apache.org/licenses/LICENSE-2.0).
# SPDX-License-Identifier: Apache-2.0
"""Random SynthFM-3D samples: volumes of evolving organs, of SynthMorph clusters, both, or anatomies."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from monai.data import MetaTensor

from monai_synthfm.synthesis.params import Params
from monai_synthfm.synthesis.synthfm_3d import VolumeParams, synthesize_volume
from monai_synthfm.transforms.generator import (
    RandGenerator,
    RandGeneratord,
    check_probability,
    check_range,
    draw_log_uniform,
)
from monai_synthfm.transforms.volume_anatomy import RandVolumeAnatomy
from monai_synthfm.transforms.volume_appearance import RandVolumeAppearance
from monai_synthfm.transforms.volume_presets import VOLUME_PRESETS, VolumePreset
from monai_synthfm.transforms.volume_structures import RandVolumeStructure

__all__ = ["VOLUME_MODULES", "RandSynthFM3D", "RandSynthFM3DD", "RandSynthFM3DDict", "RandSynthFM3Dd"]

VOLUME_MODULES: dict[str, tuple[tuple[bool, bool], ...]] = {
    "shape": ((True, False),),
    "boundary": ((False, True),),
    "both": ((True, False), (False, True), (True, True)),
    "anatomy": (),
    "all": ((True, False), (False, True), (True, True)),
}  # whether organs and clusters are drawn; one of the pairs for each sample that is no anatomy
_PIXELS_OF_PRESETS = 256  # side of the slices that the presets' pixels are meant for


ANY_PRESET = ("ct", "mr", "us")
"""What ``preset="any"`` draws from; written out, since a longer list would change every sample."""


class RandSynthFM3D(RandGenerator):
    """Generate a SynthFM-3D volume and its instance labels.

    Source: SynthFM-3D: label volumes that evolve slice by slice, textures times per-label intensity scales, partial
    volume, noise. Clusters, presets and all ranges are our choice, since the paper's formulas are not public.

    Args:
        spatial_size: width, height and number of slices.
        module: "shape" (evolving organs), "boundary" (SynthMorph clusters), "both", which draws organs, clusters, or
            organs in front of clusters for each sample, "anatomy" (bodies, bones, organs with parts of their own, seen
            by a random scanner), or "all".
        preset: "ct", "mr" or "us", or "any", which draws one of these three for each sample.
        in_plane: range of the pixel size in mm; the preset's if None, which for anatomies is that of slices of 256
            pixels: larger ones show the same in more detail.
        through_plane: range of the distance and thickness of slices in mm; the preset's if None.
        min_voxels: pieces of organs and clusters with fewer voxels are not labelled.
        min_slices: nor those in fewer slices.
        structure: generator of tissue; ``RandVolumeStructure(spatial_size)`` if None.
        appearance: generator of intensities; ``RandVolumeAppearance()`` if None.
        anatomy: generator of anatomies; ``RandVolumeAnatomy(spatial_size)`` if None.
        anatomy_prob: probability of an anatomy with ``module="all"``.
        min_visibility: anatomies' instances that stand out less are no targets, see
            :func:`monai_synthfm.synthesis.visibility.visible_instances`; 0 keeps all.
        device: where to compute.

    Returns:
        ``__call__`` and ``replay`` return the image, a MetaTensor ``[1, W, H, slices]`` float32 in [0, 1], and the
        instances ``[1, W, H, slices]`` int64, 1 ... K. Their affine holds the spacing, centred, with the axes to the
        patient's left, back and head. ``image.meta["synthfm"]`` holds the parameters as JSON text.

    Raises:
        ValueError: when ``module`` or ``preset`` is unknown, a range is wrong, ``min_visibility`` is negative, or
            ``structure`` or ``anatomy`` has another size.

    Example:
        >>> generator = RandSynthFM3D((48, 48, 8), preset="mr").set_random_state(seed=0)
        >>> image, labels = generator()
        >>> again, _ = generator.replay(image.meta["synthfm"])
        >>> image.shape, bool((image == again).all())
        (torch.Size([1, 48, 48, 8]), True)
    """

    params_type = VolumeParams

    def __init__(
        self,
        spatial_size: Sequence[int],
        module: str = "both",
        preset: str = "any",
        in_plane: Sequence[float] | None = None,
        through_plane: Sequence[float] | None = None,
        min_voxels: int = 64,
        min_slices: int = 2,
        structure: RandVolumeStructure | None = None,
        appearance: RandVolumeAppearance | None = None,
        anatomy: RandVolumeAnatomy | None = None,
        anatomy_prob: float = 0.6,
        min_visibility: float = 1.3,
        device: torch.device | str = "cpu",
    ) -> None:
        super().__init__(device)
        if module not in VOLUME_MODULES:
            raise ValueError(f"module must be one of {', '.join(VOLUME_MODULES)}, got {module!r}.")
        if preset not in (*VOLUME_PRESETS, "any"):
            raise ValueError(f"preset must be one of {', '.join(VOLUME_PRESETS)} or any, got {preset!r}.")
        self.module = module
        self.preset = preset
        self.in_plane = None if in_plane is None else check_range("in_plane", in_plane, low=1e-3)
        self.through_plane = None if through_plane is None else check_range("through_plane", through_plane, low=1e-3)
        self.min_voxels = min_voxels
        self.min_slices = min_slices
        self.structure = structure or RandVolumeStructure(spatial_size)
        self.spatial_size = self.structure.spatial_size
        if self.spatial_size != tuple(spatial_size):
            raise ValueError(f"spatial_size {tuple(spatial_size)} is not the structure's {self.spatial_size}.")
        self.appearance = appearance or RandVolumeAppearance()
        self.anatomy = anatomy or RandVolumeAnatomy(spatial_size)
        if self.anatomy.spatial_size != self.spatial_size:
            raise ValueError(f"spatial_size {self.spatial_size} is not the anatomy's {self.anatomy.spatial_size}.")
        anatomy_prob = check_probability("anatomy_prob", anatomy_prob)
        self.anatomy_prob = {"anatomy": 1.0, "all": anatomy_prob}.get(module, 0.0)
        if min_visibility < 0.0:
            raise ValueError(f"min_visibility must be at least 0, got {min_visibility}.")
        self.min_visibility = float(min_visibility)

    def randomize(self, data: Any = None) -> None:
        """Draw modality, spacing, structure and appearance."""
        names = ANY_PRESET if self.preset == "any" else (self.preset,)
        preset = VOLUME_PRESETS[names[self.R.randint(len(names))]]
        pixel = draw_log_uniform(self.R, self.in_plane or preset.in_plane)
        anatomy = bool(self.anatomy_prob) and self.R.rand() < self.anatomy_prob
        if anatomy and self.in_plane is None:
            pixel *= _PIXELS_OF_PRESETS / min(self.spatial_size[:2])
        spacing = (pixel, pixel, draw_log_uniform(self.R, self.through_plane or preset.through_plane))
        if anatomy:
            self._randomize_anatomy(preset, spacing)
            return
        choices = VOLUME_MODULES[self.module]
        organs, clusters = choices[self.R.randint(len(choices))]
        self.structure.randomize(preset, spacing, organs, clusters)
        self.appearance.randomize(preset, self.structure.params, self.structure.tissues, spacing)
        self.params = VolumeParams(
            spacing, self.structure.params, self.appearance.params, self.min_voxels, self.min_slices
        )

    def _randomize_anatomy(self, preset: VolumePreset, spacing: tuple[float, float, float]) -> None:
        anatomy, appearance = self.anatomy, self.appearance
        anatomy.randomize(preset, spacing)
        appearance.randomize_anatomy(preset, anatomy.params, anatomy.tissues, spacing)
        self.params = VolumeParams(
            spacing,
            anatomy.params,
            appearance.params,
            self.min_voxels,
            self.min_slices,
            appearance.scanner,
            self.min_visibility,
        )

    def replay(self, params: Params | str | Mapping[str, Any]) -> tuple[MetaTensor, MetaTensor]:
        parsed = self.parse(params)
        image, labels = synthesize_volume(parsed, self.device)
        affine = _centered_affine(parsed.spacing, parsed.structure.spatial_size)
        return self.as_meta_tensor(image, parsed, affine=affine), self.as_meta_tensor(labels, parsed, affine=affine)


class RandSynthFM3Dd(RandGeneratord):
    """Dictionary twin of :class:`RandSynthFM3D`: adds a generated volume and its instance labels to a dictionary, which
    may be empty.

    Args:
        keys: names of image and label.
        prob: probability that an item gets them, or gets others in the place of its own.
        allow_missing_keys: without effect: keys are made, not read.
        kwargs: of :class:`RandSynthFM3D`.

    Raises:
        ValueError: when ``keys`` are not two names.

    Example:
        >>> sample = RandSynthFM3Dd(spatial_size=(32, 32, 6), module="shape").set_random_state(seed=0)({})
        >>> sample["image"].shape, sample["label"].shape
        (torch.Size([1, 32, 32, 6]), torch.Size([1, 32, 32, 6]))
    """

    generator_type = RandSynthFM3D


RandSynthFM3DD = RandSynthFM3DDict = RandSynthFM3Dd


def _centered_affine(spacing: Sequence[float], spatial_size: Sequence[int]) -> torch.Tensor:
    """Voxels to RAS+ mm: x to the left, y to the back, z to the head, the volume's centre at 0."""
    axes = torch.tensor([-spacing[0], -spacing[1], spacing[2]], dtype=torch.float64)
    affine = torch.diag(torch.cat([axes, axes.new_ones(1)]))
    affine[:3, 3] = -axes * (torch.tensor(spatial_size, dtype=torch.float64) - 1.0) / 2.0
    return affine
