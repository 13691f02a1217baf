# Copyright (c) monai_synthfm contributors
# Licensed under the Apache License, Version 2.0 (http://www.apache.org/licenses/LICENSE-2.0).
# SPDX-License-Identifier: Apache-2.0
"""MONAI transforms: generators, noise, prompts and intensities, each with its dictionary twin under MONAI's three
names."""

from __future__ import annotations

from monai_synthfm.transforms.acquisition import (
    RandAcquisition,
    RandAcquisitionD,
    RandAcquisitiond,
    RandAcquisitionDict,
)
from monai_synthfm.transforms.anatomy import RandAnatomy, RandAnatomyD, RandAnatomyd, RandAnatomyDict
from monai_synthfm.transforms.appearance import (
    RandSynthFMIntensity,
    RandSynthFMIntensityD,
    RandSynthFMIntensityd,
    RandSynthFMIntensityDict,
)
from monai_synthfm.transforms.bezier import RandBezierShapes, RandBezierShapesD, RandBezierShapesd, RandBezierShapesDict
from monai_synthfm.transforms.boundaries import (
    RandBoundaryMask,
    RandBoundaryMaskD,
    RandBoundaryMaskd,
    RandBoundaryMaskDict,
)
from monai_synthfm.transforms.clip_prompts import (
    RandClipPrompts,
    RandClipPromptsD,
    RandClipPromptsd,
    RandClipPromptsDict,
)
from monai_synthfm.transforms.label_maps import (
    RandSynthMorphLabels,
    RandSynthMorphLabelsD,
    RandSynthMorphLabelsd,
    RandSynthMorphLabelsDict,
)
from monai_synthfm.transforms.medsam import MedSAMIntensity, MedSAMIntensityD, MedSAMIntensityd, MedSAMIntensityDict
from monai_synthfm.transforms.noise import (
    RandPerlinTexture,
    RandPerlinTextureD,
    RandPerlinTextured,
    RandPerlinTextureDict,
    RandPoissonNoise,
    RandPoissonNoiseD,
    RandPoissonNoised,
    RandPoissonNoiseDict,
    RandSpeckleNoise,
    RandSpeckleNoiseD,
    RandSpeckleNoised,
    RandSpeckleNoiseDict,
)
from monai_synthfm.transforms.prompts import RandPrompts, RandPromptsD, RandPromptsd, RandPromptsDict
from monai_synthfm.transforms.synthfm import RandSynthFM, RandSynthFMD, RandSynthFMd, RandSynthFMDict
from monai_synthfm.transforms.synthfm_3d import RandSynthFM3D, RandSynthFM3DD, RandSynthFM3Dd, RandSynthFM3DDict
from monai_synthfm.transforms.volume_anatomy import (
    RandVolumeAnatomy,
    RandVolumeAnatomyD,
    RandVolumeAnatomyd,
    RandVolumeAnatomyDict,
)
from monai_synthfm.transforms.volume_structures import (
    RandVolumeStructure,
    RandVolumeStructureD,
    RandVolumeStructured,
    RandVolumeStructureDict,
)
from monai_synthfm.utils.switches import exports_read_switches

__all__ = [
    "MedSAMIntensity",
    "MedSAMIntensityD",
    "MedSAMIntensityDict",
    "MedSAMIntensityd",
    "RandAcquisition",
    "RandAcquisitionD",
    "RandAcquisitionDict",
    "RandAcquisitiond",
    "RandAnatomy",
    "RandAnatomyD",
    "RandAnatomyDict",
    "RandAnatomyd",
    "RandBezierShapes",
    "RandBezierShapesD",
    "RandBezierShapesDict",
    "RandBezierShapesd",
    "RandBoundaryMask",
    "RandBoundaryMaskD",
    "RandBoundaryMaskDict",
    "RandBoundaryMaskd",
    "RandClipPrompts",
    "RandClipPromptsD",
    "RandClipPromptsDict",
    "RandClipPromptsd",
    "RandPerlinTexture",
    "RandPerlinTextureD",
    "RandPerlinTextureDict",
    "RandPerlinTextured",
    "RandPoissonNoise",
    "RandPoissonNoiseD",
    "RandPoissonNoiseDict",
    "RandPoissonNoised",
    "RandPrompts",
    "RandPromptsD",
    "RandPromptsDict",
    "RandPromptsd",
    "RandSpeckleNoise",
    "RandSpeckleNoiseD",
    "RandSpeckleNoiseDict",
    "RandSpeckleNoised",
    "RandSynthFM",
    "RandSynthFM3D",
    "RandSynthFM3DD",
    "RandSynthFM3DDict",
    "RandSynthFM3Dd",
    "RandSynthFMD",
    "RandSynthFMDict",
    "RandSynthFMIntensity",
    "RandSynthFMIntensityD",
    "RandSynthFMIntensityDict",
    "RandSynthFMIntensityd",
    "RandSynthFMd",
    "RandSynthMorphLabels",
    "RandSynthMorphLabelsD",
    "RandSynthMorphLabelsDict",
    "RandSynthMorphLabelsd",
    "RandVolumeAnatomy",
    "RandVolumeAnatomyD",
    "RandVolumeAnatomyDict",
    "RandVolumeAnatomyd",
    "RandVolumeStructure",
    "RandVolumeStructureD",
    "RandVolumeStructureDict",
    "RandVolumeStructured",
]

exports_read_switches(globals())
