# Copyright (c) monai_synthfm contributors
# Licensed under the Apache License, Version 2.0 (http://www.apache.org/licenses/LICENSE-2.0).
# SPDX-License-Identifier: Apache-2.0
"""One whole SynthFM sample from its parameters: structure, appearance, and resampling to the size asked for."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F

from monai_synthfm.synthesis.acquisition import AcquisitionParams, acquire, field_of_view
from monai_synthfm.synthesis.anatomy import AnatomyParams, draw_anatomy
from monai_synthfm.synthesis.appearance import AppearanceParams, render_regions
from monai_synthfm.synthesis.bezier import BezierShapesParams, draw_shapes
from monai_synthfm.synthesis.boundaries import connected_instances, erode_labels
from monai_synthfm.synthesis.label_maps import LabelMapParams, synthmorph_labels
from monai_synthfm.synthesis.numbering import consecutive_labels
from monai_synthfm.synthesis.params import Params
from monai_synthfm.synthesis.visibility import visible_instances

__all__ = [
    "BoundaryParams",
    "SampleParams",
    "boundary_instances",
    "synthesize",
    "synthesize_batch",
]


@dataclass(frozen=True)
class BoundaryParams(Params):
    """A SynthMorph label map and how often each of its clusters is eroded."""

    label_map: LabelMapParams
    iterations: tuple[int, ...]


@dataclass(frozen=True)
class SampleParams(Params):
    """What ``synthesize`` needs; the structure's own size is the native one, ``spatial_size`` that of the result.
    Instances less visible than ``min_visibility`` are left out of the labels; with 0 all stay."""

    spatial_size: tuple[int, ...]
    structure: BezierShapesParams | BoundaryParams | AnatomyParams
    appearance: AppearanceParams
    acquisition: AcquisitionParams | None = None
    min_visibility: float = 0.0


def boundary_instances(params: BoundaryParams, device: torch.device | str = "cpu") -> torch.Tensor:
    """Draw a label map, erode its clusters apart and number the connected pieces.

    Returns:
        Instances ``[*spatial]`` int64, 0 in the gaps.

    Source: SynthFM, section 3.1 (boundary-aware module); keeping instances is our choice, since a click means one
    structure.

    Example:
        >>> label_map = LabelMapParams((32, 32), 4, (0.25,), (0.25,), 0.05, 32, seed=0)
        >>> int(boundary_instances(BoundaryParams(label_map, (2, 2, 2, 2))).max()) >= 2
        True
    """
    return connected_instances(erode_labels(synthmorph_labels(params.label_map, device), params.iterations))


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
        labels = visible_instances(image, labels, params.min_visibility)
    if labels.shape != params.spatial_size:
        image, labels = _resample(image, params.spatial_size), _resample_labels(labels, params.spatial_size)
    return image, consecutive_labels(labels)


def synthesize_batch(
    params: Sequence[SampleParams], device: torch.device | str = "cpu"
) -> tuple[torch.Tensor, torch.Tensor]:
    """Make a batch of samples on a device, each exactly as ``synthesize`` makes it.

    One after the other: samples differ in native size, number of labels and steps, so that little could be computed at
    once, and on a CPU one image at a time stays in its caches.

    Args:
        params: B samples of one ``spatial_size``.
        device: where to compute.

    Returns:
        Images ``[B, 1, *spatial_size]`` float32 in [0, 1] and instances ``[B, 1, *spatial_size]`` int64.

    Raises:
        ValueError: when there are no samples, or of several sizes.
    """
    sizes = {sample.spatial_size for sample in params}
    if len(sizes) != 1:
        raise ValueError(f"params must be samples of one spatial_size, got {sorted(sizes) or 'none'}.")
    size = (len(params), 1, *sizes.pop())
    images = torch.empty(size, dtype=torch.float32, device=device)
    labels = torch.empty(size, dtype=torch.int64, device=device)
    for index, sample in enumerate(params):
        images[index, 0], labels[index, 0] = synthesize(sample, device)
    return images, labels


def _resample(image: torch.Tensor, size: tuple[int, ...]) -> torch.Tensor:
    if len(size) == 2:
        # the antialiasing weights sum to 1 only up to rounding
        return F.interpolate(image[None, None], size, mode="bilinear", antialias=True)[0, 0].clamp(0.0, 1.0)
    return F.interpolate(image[None, None], size, mode="trilinear")[0, 0]


def _resample_labels(labels: torch.Tensor, size: tuple[int, ...]) -> torch.Tensor:
    # float32 holds instance numbers exactly up to 2^24
    return F.interpolate(labels[None, None].float(), size, mode="nearest-exact")[0, 0].long()
