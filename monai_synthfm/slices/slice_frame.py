# Copyright (c) monai_synthfm contributors
# Licensed under the Apache License, Version 2.0 (http://www.apache.org/licenses/LICENSE-2.0).
# SPDX-License-Identifier: Apache-2.0
"""How the slices of a stored volume become the pictures that are shown, and what is found on pictures goes back."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import nibabel as nib
import numpy as np
import torch

from monai_synthfm.prompts import Prompts
from monai_synthfm.prompts.slice_prompts import SlicePrompts
from monai_synthfm.slices.planes import DISPLAY_AXCODES

__all__ = ["SliceFrame"]


@dataclass(frozen=True)
class SliceFrame:
    """
    Slices of a volume [..., X, Y, Z] as they are stored, and the same as pictures.

    A stored slice is an image [..., H, W] whose x runs along the first axis that the slice leaves of the volume and
    whose y along the second. The picture is the stored slice transposed, if it is, and then flipped. Without further
    arguments a picture is the stored slice.

    Args:
        axis: the axis (0, 1 or 2) of the stored array across which it is cut.
        transposed: whether the picture's x is the y of the stored slice.
        flips: whether the picture's x and its y then run the other way round.
        reversed: whether pictures follow one another from the last slice to the first.

    Example:
        >>> frame = SliceFrame(2, transposed=True, flips=(True, False))
        >>> frame.turn(torch.tensor([[1, 2, 3], [4, 5, 6]])).tolist()
        [[4, 1], [5, 2], [6, 3]]
        >>> frame.inverse.turn(frame.turn(torch.tensor([[1, 2, 3], [4, 5, 6]]))).tolist()
        [[1, 2, 3], [4, 5, 6]]
    """

    axis: int
    transposed: bool = False
    flips: tuple[bool, bool] = (False, False)
    reversed: bool = False

    @classmethod
    def of(cls, affine: np.ndarray, axis: int) -> SliceFrame:
        """
        Return the frame in which radiologists see a volume (:mod:`monai_synthfm.slices.planes`).

        Args:
            affine: voxel to RAS+ mm [4, 4] of the stored array, in any orientation, oblique or sheared.
            axis: of the stored array, across which it is cut.

        Raises:
            ValueError: when the axes of the volume do not span a space.

        Example:
            >>> SliceFrame.of(np.diag([-1.0, -1.0, -1.0, 1.0]), 2) == SliceFrame(2)
            True
        """
        orientation = nib.io_orientation(affine)
        if np.isnan(orientation).any():
            raise ValueError(f"affine {np.asarray(affine).tolist()}: the axes of the volume do not span a space.")
        shown = orientation[:, 0].astype(int)
        against = orientation[:, 1] != nib.orientations.axcodes2ornt(DISPLAY_AXCODES)[shown, 1]
        first, second = (a for a in range(3) if a != axis)
        transposed = bool(shown[first] > shown[second])
        across, down = (second, first) if transposed else (first, second)
        return cls(axis, transposed, (bool(against[across]), bool(against[down])), bool(against[axis]))

    @property
    def inverse(self) -> SliceFrame:
        """The way back from pictures to stored slices."""
        return replace(self, flips=self.flips[::-1]) if self.transposed else self

    def stored(self, volume: torch.Tensor, index: int) -> torch.Tensor:
        """Return slice ``index`` of a volume [..., X, Y, Z] as it is stored, a view [..., H, W]."""
        return volume.select(self.axis - 3, index).transpose(-1, -2)

    def turn(self, images: torch.Tensor) -> torch.Tensor:
        """Turn stored slices [..., H, W] into pictures."""
        turned = images.transpose(-1, -2) if self.transposed else images
        dims = [dim for dim, flipped in zip((-1, -2), self.flips, strict=True) if flipped]
        return turned.flip(dims) if dims else turned

    def turn_prompts(self, prompts: Prompts, size: tuple[int, int]) -> Prompts:
        """
        Turn clicks and boxes on stored slices into those on pictures, in float32.

        Args:
            prompts: ``points`` [N, K, 2], ``boxes`` [N, 4], or both, in pixels.
            size: height and width of the stored slice.

        Example:
            >>> box = Prompts(boxes=torch.tensor([[0.0, 1.0, 2.0, 5.0]]))
            >>> SliceFrame(2, flips=(True, False)).turn_prompts(box, (10, 8)).boxes.tolist()
            [[5.0, 1.0, 7.0, 5.0]]
        """
        last = torch.tensor(size[::-1]) - 1
        last = last.flip(0) if self.transposed else last
        flipped = torch.tensor(self.flips)

        def moved(places: torch.Tensor) -> torch.Tensor:
            places = places.flip(-1) if self.transposed else places
            return torch.where(flipped, last - places, places)

        points, boxes = prompts.points, prompts.boxes
        if points is not None:
            points = moved(points).float()
        if boxes is not None:
            ends = moved(boxes.unflatten(-1, (2, 2)))
            boxes = torch.cat([ends.amin(dim=-2), ends.amax(dim=-2)], dim=-1).float()
        return replace(prompts, points=points, boxes=boxes)

    def turn_all(self, prompts: Mapping[int, SlicePrompts], size: tuple[int, int]) -> dict[int, SlicePrompts]:
        """Turn the prompts on stored slices of ``size`` (height, width), with their masks, into those on pictures."""
        return {
            index: SlicePrompts(
                here.objects,
                self.turn_prompts(here.prompts, size),
                None if here.masks is None else self.turn(here.masks),
            )
            for index, here in prompts.items()
        }
