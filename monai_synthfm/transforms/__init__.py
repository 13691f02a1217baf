# Copyright (c) monai_synthfm contributors
# Licensed under the Apache License, Version 2.0 (http://www.apache.org/licenses/LICENSE-2.0).
# SPDX-License-Identifier: Apache-2.0
"""MONAI transforms: generators, noise, prompts and intensities."""

from __future__ import annotations

from monai_synthfm.switches import exports_read_switches
from monai_synthfm.transforms.acquisition import RandAcquisition
from monai_synthfm.transforms.anatomy import RandAnatomy
from monai_synthfm.transforms.intensity import RandSynthFMIntensity, RandSynthFMIntensityd
from monai_synthfm.transforms.label_maps import RandBoundaryMask, RandSynthMorphLabels
from monai_synthfm.transforms.medsam import MedSAMIntensity, MedSAMIntensityd
from monai_synthfm.transforms.noise import (
    RandPerlinTexture,
    RandPerlinTextured,
    RandPoissonNoise,
    RandPoissonNoised,
    RandSpeckleNoise,
    RandSpeckleNoised,
)
from monai_synthfm.transforms.prompts import RandPrompts, RandPromptsd
from monai_synthfm.transforms.shapes import RandBezierShapes
from monai_synthfm.transforms.synthfm import RandSynthFM, RandSynthFMd
from monai_synthfm.transforms.volume_appearance import RandVolumeAppearance
from monai_synthfm.transforms.volume_structures import RandVolumeStructure
from monai_synthfm.transforms.volumes import RandSynthFM3D, RandSynthFM3Dd

__all__ = [
    "MedSAMIntensity",
    "MedSAMIntensityd",
    "RandAcquisition",
    "RandAnatomy",
    "RandBezierShapes",
    "RandBoundaryMask",
    "RandPerlinTexture",
    "RandPerlinTextured",
    "RandPoissonNoise",
    "RandPoissonNoised",
    "RandPrompts",
    "RandPromptsd",
    "RandSpeckleNoise",
    "RandSpeckleNoised",
    "RandSynthFM",
    "RandSynthFM3D",
    "RandSynthFM3Dd",
    "RandSynthFMIntensity",
    "RandSynthFMIntensityd",
    "RandSynthFMd",
    "RandSynthMorphLabels",
    "RandVolumeAppearance",
    "RandVolumeStructure",
]

exports_read_switches(globals())
