# Copyright (c) monai_synthfm contributors
# Licensed under the Apache License, Version 2.0 (http://www.apache.org/licenses/LICENSE-2.0).
# SPDX-License-Identifier: Apache-2.0
"""Which slices of a segmented volume its overlay shows."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from monai.data import MetaTensor
from monai.transforms import Orientation

from monai_synthfm.pictures.overlay import OverlayPanel
from monai_synthfm.prompts import Prompts
from monai_synthfm.prompts.slice_prompts import SlicePrompts
from monai_synthfm.slices.planes import DISPLAY_AXCODES, EDGES, PLANES, stored_axis, stored_slice

__all__ = ["volume_panels"]

_MAX_PROMPTED = 13
_NOTHING = SlicePrompts([], Prompts())


def volume_panels(
    image: MetaTensor, labels: MetaTensor, prompts: Mapping[int, SlicePrompts], axis: int
) -> list[OverlayPanel]:
    """
    Choose three planes through the middle of the largest object, and prompted slices, 13 of them at most.

    Args:
        image: grey values [1, X, Y, Z] in [0, 1], in the display frame; ``meta["original_affine"]`` is the file's.
        labels: label map [1, X, Y, Z] in the orientation of the file.
        prompts: by slice of the display frame.
        axis: the axis of the display frame across which the volume was cut.

    Returns:
        The three planes, unless the image is a single slice, and the prompted slices in the order of the file.
    """
    shown = Orientation(axcodes=DISPLAY_AXCODES, labels=None)(labels)
    affine = np.asarray(image.meta["original_affine"])
    to_voxel = np.linalg.inv(affine) @ np.asarray(image.affine)

    def panel(a: int, index: int, here: SlicePrompts) -> OverlayPanel:
        across, down = (other for other in range(3) if other != a)
        # sides and planes are the patient's
        in_patient = bool(image.meta.get("has_position", True))
        letter, number = "ijk"[stored_axis(affine, a)], stored_slice(index, a, to_voxel, affine)
        return OverlayPanel(
            image=_picture(image, a, index),
            labels=_picture(shown, a, index),
            prompts=here,
            title=f"{PLANES[a]}, {letter} = {number}" if in_patient else f"{letter} = {number}",
            edges=EDGES[across] + EDGES[down] if in_patient else "",
            aspect=float(image.pixdim[down] / image.pixdim[across]),
        )

    planes = []
    if min(image.shape[1:]) > 1:
        # axial, coronal, sagittal
        planes = [panel(a, index, _NOTHING) for a, index in reversed([*enumerate(_middle(np.asarray(shown[0])))])]
    indexes = sorted(prompts, key=lambda index: stored_slice(index, axis, to_voxel, affine))
    chosen = np.unique(np.linspace(0, len(indexes) - 1, min(len(indexes), _MAX_PROMPTED)).round().astype(int))
    return planes + [panel(axis, indexes[i], prompts[indexes[i]]) for i in chosen]


def _middle(labels: np.ndarray) -> list[int]:
    """Return the median position of the largest object along each axis, where its planes surely cut it."""
    counts = np.bincount(labels[labels > 0], minlength=1)
    if not counts.any():
        return [size // 2 for size in labels.shape]
    return [int(np.sort(where)[len(where) // 2]) for where in np.nonzero(labels == counts.argmax())]


def _picture(volume: MetaTensor, axis: int, index: int) -> np.ndarray:
    return np.asarray(volume[0].select(axis, index)).T
