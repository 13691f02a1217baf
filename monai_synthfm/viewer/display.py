# Copyright (c) monai_synthfm contributors
# Licensed under the Apache License, Version 2.0 (http://www.apache.org/licenses/LICENSE-2.0).
# SPDX-License-Identifier: Apache-2.0
"""The volume as the browser shows it: in the order of its file, coarser where a graphics card could not hold it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import nibabel as nib
import numpy as np

from monai_synthfm.inferers.session.volume import ChangedBox

__all__ = ["MOST_VOXELS", "DisplayGrid", "display_nifti"]

MOST_VOXELS = 2**27
"""NiiVue keeps 4 bytes a voxel on the graphics card, and browsers refuse textures of 2 GiB."""


@dataclass(frozen=True)
class DisplayGrid:
    """
    Every k-th voxel of a volume along each axis.

    Args:
        shape: (X, Y, Z) of the volume.
        strides: k of each axis.

    Example:
        >>> grid = DisplayGrid.fitting((600, 500, 10), most_side=256)
        >>> grid.strides, grid.sizes
        ((3, 2, 1), (200, 250, 10))
        >>> grid.box((slice(2, 7), slice(0, 1), slice(3, 4)))
        (slice(1, 2, None), slice(0, 1, None), slice(3, 4, None))
    """

    shape: tuple[int, int, int]
    strides: tuple[int, int, int]

    @classmethod
    def fitting(cls, shape: Sequence[int], most_side: int, most_voxels: int = MOST_VOXELS) -> DisplayGrid:
        """Return the finest grid whose sides and voxels are not too many."""
        x, y, z = shape
        strides = [-(-size // most_side) for size in shape]
        while np.prod([-(-size // k) for size, k in zip(shape, strides, strict=True)]) > most_voxels:
            longest = int(np.argmax([size / k for size, k in zip(shape, strides, strict=True)]))
            strides[longest] += 1
        return cls((x, y, z), (strides[0], strides[1], strides[2]))

    @cached_property
    def starts(self) -> tuple[int, ...]:
        """The first voxel of each axis, in the middle of its step."""
        return tuple(min((k - 1) // 2, size - 1) for size, k in zip(self.shape, self.strides, strict=True))

    @cached_property
    def steps(self) -> ChangedBox:
        """The voxels of the grid."""
        x, y, z = (slice(start, None, k) for start, k in zip(self.starts, self.strides, strict=True))
        return x, y, z

    @cached_property
    def sizes(self) -> tuple[int, ...]:
        """How many voxels of the grid each axis has."""
        return tuple(len(range(*step.indices(size))) for step, size in zip(self.steps, self.shape, strict=True))

    def affine(self, affine: np.ndarray) -> np.ndarray:
        """Return the affine of the grid in a volume with this ``affine``."""
        to_volume = np.diag([*map(float, self.strides), 1.0])
        to_volume[:3, 3] = self.starts
        return np.asarray(affine @ to_volume)

    def box(self, box: ChangedBox) -> ChangedBox:
        """Return which voxels of the grid lie in a box of the volume; none when a slice is empty."""

        def inside(part: slice, start: int, k: int, size: int) -> slice:
            return slice(max(0, -((start - part.start) // k)), min(size, -((start - part.stop) // k)))

        x, y, z = (inside(*axis) for axis in zip(box, self.starts, self.strides, self.sizes, strict=True))
        return x, y, z

    def in_volume(self, box: ChangedBox) -> ChangedBox:
        """Return the voxels of the volume that a box of the grid stands for, with steps."""
        x, y, z = (
            slice(start + part.start * k, start + max(part.stop - 1, part.start) * k + 1, k)
            for part, start, k in zip(box, self.starts, self.strides, strict=True)
        )
        return x, y, z


def display_nifti(voxels: np.ndarray, affine: np.ndarray, grid: DisplayGrid) -> bytes:
    """
    Return a volume on a grid as the bytes of a NIfTI file: int16 where it holds whole numbers in this range.

    Args:
        voxels: float32 [X, Y, Z].
        affine: voxel to RAS+ mm [4, 4].
        grid: what is shown of it.
    """
    shown = voxels[grid.steps]
    low, high = float(shown.min()), float(shown.max())
    if low >= -(2**15) and high < 2**15 and np.array_equal(shown, np.rint(shown)):
        shown = shown.astype(np.int16)
    image = nib.Nifti1Image(shown, grid.affine(affine))
    image.header.set_xyzt_units("mm")
    return image.to_bytes()
