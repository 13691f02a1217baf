# Copyright (c) monai_synthfm contributors
# Licensed under the Apache License, Version 2.0 (http://www.apache.org/licenses/LICENSE-2.0).
# SPDX-License-Identifier: Apache-2.0
"""One whole SynthFM-3D sample from its parameters: tissue, scan and the instances that make usable targets."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from scipy import ndimage

from monai_synthfm.synthesis.acquisition import AcquisitionParams
from monai_synthfm.synthesis.params import Params
from monai_synthfm.synthesis.visibility import stands_out
from monai_synthfm.synthesis.volume_anatomy import VolumeAnatomyParams, anatomy_owners, paint_anatomy
from monai_synthfm.synthesis.volume_appearance import (
    VolumeAppearanceParams,
    render_volume,
    scan_slices,
    visible_pixels,
)
from monai_synthfm.synthesis.volume_structures import VolumeStructureParams, paint_structure, region_layout
from monai_synthfm.utils.one_thread import one_thread

__all__ = ["VolumeParams", "connected_targets", "synthesize_volume"]


@dataclass(frozen=True)
class VolumeParams(Params):
    """What ``synthesize_volume`` needs.

    Args:
        spacing: size of a voxel in mm; slices lie along the last axis.
        structure: body, clusters and organs, or an anatomy.
        appearance: intensities and scanner.
        min_voxels: pieces of organs and clusters with fewer are no targets.
        min_slices: nor those in fewer slices.
        acquisition: scanner of an anatomy; None for other structures, whose scanner stands in ``appearance``.
        min_visibility: of the instances of an anatomy, see :func:`.visibility.visible_instances`; 0 keeps all.
    """

    spacing: tuple[float, float, float]
    structure: VolumeStructureParams | VolumeAnatomyParams
    appearance: VolumeAppearanceParams
    min_voxels: int
    min_slices: int
    acquisition: AcquisitionParams | None = None
    min_visibility: float = 0.0


@one_thread()
def synthesize_volume(params: VolumeParams, device: torch.device | str = "cpu") -> tuple[torch.Tensor, torch.Tensor]:
    """Make the image and the instances of one volume: a pure function of the parameters and the device.

    Args:
        params: see ``VolumeParams``.
        device: where to compute; connected pieces are found on the CPU.

    Returns:
        Image ``[W, H, slices]`` float32 in [0, 1] and instances ``[W, H, slices]`` int64, 1 ... K without gaps in the
        numbering, each a connected piece with one number through all its slices.

    Raises:
        ValueError: when an anatomy has no acquisition.

    Source: SynthFM-3D; see ``evolution``, ``volume_structures`` and ``volume_appearance`` for what is the paper's.
    """
    structure, appearance = params.structure, params.appearance
    if isinstance(structure, VolumeAnatomyParams):
        if params.acquisition is None:
            raise ValueError("acquisition must be given for an anatomy, got None.")
        tissue, regions = paint_anatomy(structure, appearance.values, device)
        distance = params.spacing[2] / params.spacing[0]
        image = scan_slices(tissue, regions, appearance, params.acquisition, distance)
        owners, field = anatomy_owners(structure), params.acquisition.field
    else:
        tissue, regions = paint_structure(structure, appearance.values, device)
        image = render_volume(tissue, regions, appearance)
        owners, field = region_layout(structure)[1], appearance.field
    del tissue
    regions *= visible_pixels(field, image.shape, image.device)[..., None]
    pieces = np.array(owners, dtype=np.int16)[regions.cpu().numpy()]
    labels = connected_targets(pieces, params.min_voxels, params.min_slices)
    if params.min_visibility and labels.any():
        # every target shows in one of these slices
        some = np.ascontiguousarray(labels[..., :: max(1, params.min_slices)].transpose(2, 1, 0), dtype=np.int32)
        slices = image[..., :: max(1, params.min_slices)].permute(2, 1, 0).contiguous()
        seen = stands_out(slices, torch.from_numpy(some).to(device), params.min_visibility).cpu().numpy()
        seen[0] = False
        labels = (np.cumsum(seen) * seen)[labels]
    return image, torch.from_numpy(labels).to(device)


def connected_targets(owners: np.ndarray, min_voxels: int, min_slices: int) -> np.ndarray:
    """Number the connected pieces of every owner that are large enough to be targets.

    Args:
        owners: ``[W, H, slices]`` int, 0 = nobody's.
        min_voxels: smallest number of voxels of a piece.
        min_slices: smallest number of slices of a piece.

    Returns:
        Instances ``[W, H, slices]`` int64; pieces touch by their faces.

    Source: not given in the paper; our choice, since a prompt means one structure, and covering organs by others can
    cut them apart.

    Example:
        >>> connected_targets(np.array([[[1, 1, 0, 1, 2, 2]]]), min_voxels=2, min_slices=2).tolist()
        [[[1, 1, 0, 0, 2, 2]]]
    """
    result = np.zeros(owners.shape, dtype=np.int64)
    number = 0
    for owner, box in enumerate(ndimage.find_objects(owners), start=1):
        if box is None:
            continue
        mask = owners[box] == owner
        pieces, count = ndimage.label(mask)
        depth = mask.shape[2]
        inside = np.flatnonzero(mask)
        found = pieces.ravel()[inside]
        # voxels of each piece in each slice; a piece is connected, so that its slices follow one another
        voxels = np.bincount(found * depth + inside % depth, minlength=(count + 1) * depth).reshape(count + 1, depth)
        kept = (voxels.sum(axis=1) >= min_voxels) & ((voxels > 0).sum(axis=1) >= min_slices)
        kept[0] = False
        names = np.where(kept, number + np.cumsum(kept), 0)
        number += int(kept.sum())
        result[box][mask] = names[found]
    return result
