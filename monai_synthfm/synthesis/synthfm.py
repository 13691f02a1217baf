# Copyright (c) monai_synthfm contributors
# Licensed under the Apache License, Version 2.0 (http://www.apache.org/licenses/LICENSE-2.0).
# SPDX-License-Identifier: Apache-2.0
"""One whole SynthFM sample from its parameters: structure, appearance, and resampling to the size asked for."""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F

from monai_synthfm.synthesis.acquisition import AcquisitionParams, acquire, field_of_view
from monai_synthfm.synthesis.anatomy import AnatomyParams, draw_anatomy
from monai_synthfm.synthesis.appearance import AppearanceParams, render_regions
from monai_synthfm.synthesis.bezier import BezierShapesParams, draw_shapes
from monai_synthfm.synthesis.boundaries import BoundaryParams, boundary_instances
from monai_synthfm.synthesis.numbering import consecutive_labels
from monai_synthfm.synthesis.params import Params
from monai_synthfm.synthesis.visibility import visible_instances

__all__ = [
    "SampleParams",
    "synthesize",
]


@dataclass(frozen=True)
class SampleParams(Params):
    """What ``synthesize`` needs; the structure's own size is the native one, ``spatial_size`` that of the result.
    Instances less visible than ``min_visibility`` are left out of the labels; with 0 all stay."""

    spatial_size: tuple[int, ...]
    structure: BezierShapesParams | BoundaryParams | AnatomyParams
    appearance: AppearanceParams
    acquisition: AcquisitionParams | None = None
    min_visibility: float = 0.0


def synthesize(params: SampleParams, device: torch.device | str = "cpu") -> tuple[torch.Tensor, torch.Tensor]:
    """Make the image and the instance labels of one sample: a pure function of the parameters and the device.

    Args:
        params: see ``SampleParams``. In the appearance of shapes, region 0 is the background, 1 ... N are the shapes
            and N + 1 is the phantom.
        device: where to compute.

    Returns:
        Image ``[*spatial_size]`` float32 in [0, 1] and instances ``[*spatial_size]`` int64, 1 ... K without gaps in the
        numbering.

    Source: SynthFM, section 3.1; generating at a native size and resampling is our choice, because scanners give 256 to
    512 pixels a side, not 1024.
    """
    structure = params.structure
    if isinstance(structure, BezierShapesParams):
        labels, phantom = (part.to(device) for part in draw_shapes(structure))
        regions = torch.where((labels == 0) & phantom, len(structure.outlines) + 1, labels)
    elif isinstance(structure, AnatomyParams):
        regions, labels = (part.to(device) for part in draw_anatomy(structure))
    else:
        labels = boundary_instances(structure, device)
        regions = (labels > 0).long()
    image = render_regions(regions, params.appearance)
    if params.acquisition is not None:
        image = acquire(image, params.acquisition)
        if params.acquisition.field is not None:
            labels = labels * field_of_view(params.acquisition.field, labels.shape, labels.device)
    if params.min_visibility:
        mixed = isinstance(structure, AnatomyParams) and structure.mixtures
        labels = visible_instances(image, labels, params.min_visibility, regions if mixed else None)
    if labels.shape != params.spatial_size:
        image, labels = _resample(image, params.spatial_size), _resample_labels(labels, params.spatial_size)
    return image, consecutive_labels(labels)


def _resample(image: torch.Tensor, size: tuple[int, ...]) -> torch.Tensor:
    if len(size) == 2:
        # the antialiasing weights sum to 1 only up to rounding
        return F.interpolate(image[None, None], size, mode="bilinear", antialias=True)[0, 0].clamp(0.0, 1.0)
    return F.interpolate(image[None, None], size, mode="trilinear")[0, 0]


def _resample_labels(labels: torch.Tensor, size: tuple[int, ...]) -> torch.Tensor:
    # float32 holds instance numbers exactly up to 2^24
    return F.interpolate(labels[None, None].float(), size, mode="nearest-exact")[0, 0].long()
