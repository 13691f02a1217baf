# Copyright (c) monai_synthfm contributors
# Licensed under the Apache License, Version 2.0 (http://www.apache.org/licenses/LICENSE-2.0).
# SPDX-License-Identifier: Apache-2.0
"""The preprocessing of MedSAM, which the paper names as its own: intensities, and small objects left out."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from scipy import ndimage

from monai_synthfm.transforms.medsam import MedSAMIntensity
from monai_synthfm.utils.switches import reads_switches

__all__ = ["MedSAMPreprocessing", "RemovedObjects"]


@dataclass(frozen=True)
class RemovedObjects:
    """
    What the filter of small objects took out of one structure of one volume.

    Args:
        components: 3D components.
        voxels: their voxels.
        largest: voxels of the largest of them.
        slice_components: 2D components, taken out afterwards.
        slice_pixels: their pixels.
        slice_largest: pixels of the largest of them.
        slices: slices that the structure was on before and is not on any more.
    """

    components: int = 0
    voxels: int = 0
    largest: int = 0
    slice_components: int = 0
    slice_pixels: int = 0
    slice_largest: int = 0
    slices: int = 0


@reads_switches
@dataclass(frozen=True)
class MedSAMPreprocessing:
    """
    Images in [0, 1] and targets as MedSAM prepares them, at their native resolution.

    - Volumes: :class:`~monai_synthfm.transforms.MedSAMIntensity` of the whole volume, before slices are chosen. Of each
      structure, 26-connected components of fewer than ``min_voxels`` voxels are removed, then, on each slice,
      8-connected components of fewer than ``min_pixels`` pixels.
    - Pictures: grey ones are clipped at the percentiles of their pixels above 0 and stretched to 0..255, which MedSAM
      leaves to the user; colours only if they exceed 255. Their objects are not filtered.

    The resize to the network's square input and MedSAM's stretching of single slices are the network's business
    (``preprocessing`` of :class:`~monai_synthfm.networks.Sam`); masks are scored at native resolution. Source: MedSAM
    (Nat Commun 15:654) and its scripts for CT and MR volumes and for pictures. Sizes of objects are counts of voxels,
    so their physical size differs between datasets; which sizes the paper used is not given, the defaults are MedSAM's.

    Args:
        min_voxels: smallest 3D component kept; 0 keeps all.
        min_pixels: smallest 2D component kept; 0 keeps all.
        level: centre of the CT window, HU.
        width: width of the CT window, HU.
        percentiles: for everything but CT volumes.
        clip_pictures: clip grey pictures at the percentiles; False treats them as colours are.

    Raises:
        ValueError: when an argument is out of its range.

    Example:
        >>> volume = torch.tensor([[[[-1000.0], [0.0], [240.0]]]])
        >>> [round(value, 3) for value in MedSAMPreprocessing()(volume, "ct", 3).flatten().tolist()]
        [0.0, 0.4, 1.0]
    """

    min_voxels: int = 1000
    min_pixels: int = 100
    level: float = 40.0
    width: float = 400.0
    percentiles: tuple[float, float] = (0.5, 99.5)
    clip_pictures: bool = True

    def __post_init__(self) -> None:
        for name in ("min_voxels", "min_pixels"):
            if getattr(self, name) < 0:
                raise ValueError(f"{name} must not be negative, got {getattr(self, name)}.")
        self._intensity("ct")

    def __call__(self, image: torch.Tensor, modality: str, dimensions: int) -> torch.Tensor:
        """
        Map the intensities of a volume or a picture.

        Args:
            image: volume [1, X, Y, Z], or picture [1 or 3, H, W].
            modality: one of :data:`~monai_synthfm.transforms.medsam.MODALITIES`.
            dimensions: 3 for a volume, 2 for a picture.

        Returns:
            float32 in [0, 1] of the same shape.

        Raises:
            ValueError: when the image is empty or shows nothing, or ``dimensions`` is neither.
        """
        if dimensions == 3:
            return self._intensity(modality)(image)
        if dimensions != 2:
            raise ValueError(f"dimensions must be 2 or 3, got {dimensions}.")
        # A picture has grey levels of a screen: a CT slice stored as such has no Hounsfield units to window.
        if self.clip_pictures and image.shape[0] == 1:
            return self._intensity("us")(image)
        low, high = float(image.min()), float(image.max())
        if low >= 0 and high <= 255:
            return image.float() / 255.0
        return ((image.float() - low) / (high - low) * 255.0).floor() / 255.0

    def keep_large(self, mask: np.ndarray, axis: int) -> tuple[np.ndarray, RemovedObjects]:
        """
        Remove the small objects of one structure.

        Args:
            mask: booleans [X, Y, Z].
            axis: the one across which slices are cut.

        Returns:
            The mask without them, and what was removed.
        """
        if not mask.any():
            return mask, RemovedObjects()
        kept = mask.copy()
        # Work within the bounding box: components of a structure are a small part of most volumes.
        window = ndimage.find_objects(mask.astype(np.uint8))[0]
        cropped = kept[window]
        in_volume = _remove_small(cropped, np.ones((3, 3, 3)), self.min_voxels)
        in_plane = np.zeros((3, 3, 3))
        in_plane[tuple(slice(1, 2) if a == axis else slice(None) for a in range(3))] = 1
        on_slices = _remove_small(cropped, in_plane, self.min_pixels)
        others = tuple(a for a in range(3) if a != axis)
        slices = np.count_nonzero(mask.any(axis=others) & ~kept.any(axis=others))
        return kept, RemovedObjects(*in_volume, *on_slices, int(slices))

    def why_nothing(self, removed: RemovedObjects) -> str:
        """
        Name the limit that left nothing of a structure, and how near its largest component came to it.

        Example:
            >>> MedSAMPreprocessing(min_voxels=1000).why_nothing(RemovedObjects(components=2, voxels=500, largest=412))
            'too small (min_voxels 1000: largest component has 412)'
        """
        if removed.slice_components:
            return f"too small (min_pixels {self.min_pixels}: largest slice has {removed.slice_largest})"
        return f"too small (min_voxels {self.min_voxels}: largest component has {removed.largest})"

    def _intensity(self, modality: str) -> MedSAMIntensity:
        return MedSAMIntensity(modality, self.level, self.width, (self.percentiles[0], self.percentiles[1]))


def _remove_small(mask: np.ndarray, connectivity: np.ndarray, smallest: int) -> tuple[int, int, int]:
    """Remove the components of fewer voxels than ``smallest`` in place; count them, their voxels, and the largest's."""
    parts, _ = ndimage.label(mask, structure=connectivity)
    sizes = np.bincount(parts.ravel())
    small = sizes < smallest
    small[0] = False
    mask[small[parts]] = False
    return int(np.count_nonzero(small)), int(sizes[small].sum()), int(sizes[small].max(initial=0))
