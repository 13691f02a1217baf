# Copyright (c) monai_synthfm contributors
# Licensed under the Apache License, Version 2.0 (http://www.apache.org/licenses/LICENSE-2.0).
# SPDX-License-Identifier: Apache-2.0
"""Which slices of a segmented volume its overlay shows."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch
from monai.data import MetaTensor

from monai_synthfm.pictures.overlay import OverlayPanel
from monai_synthfm.prompts import Prompts
from monai_synthfm.prompts.slice_prompts import SlicePrompts
from monai_synthfm.slices.planes import EDGES, PLANES, plane_of, stored_axis
from monai_synthfm.slices.slice_frame import SliceFrame

__all__ = ["volume_panels"]

_MAX_PROMPTED = 13
_NOTHING = SlicePrompts([], Prompts())


def volume_panels(
    image: MetaTensor, labels: np.ndarray, prompts: Mapping[int, SlicePrompts], axis: int
) -> list[OverlayPanel]:
    """
    Choose three planes through the middle of the largest object, and prompted slices, 13 of them at most.

    Args:
        image: grey values [1, X, Y, Z] in [0, 1] as stored, with its affine.
        labels: label map [X, Y, Z] on the same voxels.
        prompts: on stored slices, by slice.
        axis: across which the volume was cut.

    Returns:
        The three planes, unless the image is a single slice, and the prompted slices in their order.
    """
    affine, numbers = np.asarray(image.affine), torch.from_numpy(labels)
    frames = [SliceFrame.of(affine, a) for a in range(3)]

    def panel(a: int, index: int, here: SlicePrompts) -> OverlayPanel:
        frame, plane = frames[a], plane_of(affine, a)
        across, down = (shown for shown in range(3) if PLANES[shown] != plane)
        # sides and planes are the patient's
        in_patient = bool(image.meta.get("has_position", True))
        grey = frame.stored(image.as_tensor()[0], index)
        spacing = [float(image.pixdim[stored_axis(affine, shown)]) for shown in (across, down)]
        return OverlayPanel(
            image=frame.turn(grey).numpy(),
            labels=frame.turn(frame.stored(numbers, index)).numpy(),
            prompts=frame.turn_all({index: here}, (grey.shape[0], grey.shape[1]))[index],
            title=f"{plane}, {'ijk'[a]} = {index}" if in_patient else f"{'ijk'[a]} = {index}",
            edges=EDGES[across] + EDGES[down] if in_patient else "",
            aspect=spacing[1] / spacing[0],
        )

    planes = []
    if min(image.shape[1:]) > 1:
        middle = [_middle(labels, frame) for frame in frames]
        # axial, coronal, sagittal
        planes = [panel(a, middle[a], _NOTHING) for a in (stored_axis(affine, shown) for shown in (2, 1, 0))]
    indexes = sorted(prompts)
    chosen = np.unique(np.linspace(0, len(indexes) - 1, min(len(indexes), _MAX_PROMPTED)).round().astype(int))
    return planes + [panel(axis, indexes[i], prompts[indexes[i]]) for i in chosen]


def _middle(labels: np.ndarray, frame: SliceFrame) -> int:
    """Return the median slice of the largest object, which surely cuts it; of two, the later one of the pictures."""
    counts = np.bincount(labels[labels > 0], minlength=1)
    where = np.arange(labels.shape[frame.axis])
    if counts.any():
        where = np.sort(np.nonzero(labels == counts.argmax())[frame.axis])
    return int(where[:: -1 if frame.reversed else 1][len(where) // 2])
