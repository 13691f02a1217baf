# Copyright (c) monai_synthfm contributors
# Licensed under the Apache License, Version 2.0 (http://www.apache.org/licenses/LICENSE-2.0).
# SPDX-License-Identifier: Apache-2.0
"""Intensity preprocessing of MedSAM: a window for CT, percentiles for everything else."""

from __future__ import annotations

import copy
import logging
from collections.abc import Hashable, Mapping, Sequence
from typing import Any, ClassVar

import numpy as np
import torch
from monai.config import KeysCollection, NdarrayOrTensor
from monai.data import MetaTensor, get_track_meta
from monai.transforms import MapTransform, Transform
from monai.utils import TransformBackends, convert_to_dst_type, convert_to_numpy, convert_to_tensor

from monai_synthfm.transforms.twins import with_options

__all__ = [
    "CT_WINDOWS",
    "MODALITIES",
    "MedSAMIntensity",
    "MedSAMIntensityD",
    "MedSAMIntensityDict",
    "MedSAMIntensityd",
    "known_modality",
    "looks_like_ct",
]

MODALITIES = ("auto", "ct", "mr", "us", "xray", "mammography", "oct", "microscopy")

# level and width in HU as viewers preset them; the first is MedSAM's
CT_WINDOWS = {
    "soft_tissue": (40.0, 400.0),
    "lung": (-600.0, 1500.0),
    "bone": (400.0, 1800.0),
    "brain": (40.0, 80.0),
}
CT_FAT = -100.0
CT_SHARE = 0.05
CT_TOP = 3100.0

logger = logging.getLogger(__name__)


class MedSAMIntensity(Transform):
    r"""Map the intensities of a whole image or volume to grey levels as MedSAM does.

    With the clipped image :math:`c = clip(x, low, high)`,

    .. math:: y = \lfloor 255\,(c - \min c) / (\max c - \min c) \rfloor

    - CT: low, high = level -/+ width / 2.
    - Everything else: low, high = two percentiles of the voxels above 0 of the whole image. Voxels that were 0 stay 0,
      because low is above 0.

    Source: preprocessing of MedSAM (Nat Commun 15:654, its script for CT and MR volumes), which the paper names as its
    own. What ``modality="auto"`` decides is not given there; our choice: what ``meta["modality"]`` of a MetaTensor
    names, as a DICOM header does (``CT``, ``MR``, ...); without it, see :func:`looks_like_ct`.

    Where percentiles coincide, as in a binary image or one with a bright voxel on nothing, low is 0, so that what is 0
    stays 0 and shows beside the rest; without any 0 the image's own extremes are mapped.

    Args:
        modality: one of ``MODALITIES``.
        level: centre of the CT window in HU.
        width: width of the CT window in HU.
        percentiles: the two percentiles, for everything but CT.
        scale: the values that grey levels 0 and 255 become: (0, 1) for networks of this package, (0, 255) as MedSAM.
        quantize: round down to whole grey levels as MedSAM's cast to uint8 does.
        window: the CT window as a name of ``CT_WINDOWS`` or as (level, width), in the place of these two.

    Raises:
        ValueError: when an argument is out of its range.

    Example:
        >>> hounsfield = torch.tensor([[[-1000.0, -160.0, 40.0, 240.0]]])
        >>> MedSAMIntensity("ct", scale=(0, 255))(hounsfield).tolist()
        [[[0.0, 0.0, 127.0, 255.0]]]
    """

    backend: ClassVar[list[TransformBackends]] = [TransformBackends.NUMPY]

    def __init__(
        self,
        modality: str = "auto",
        level: float = 40.0,
        width: float = 400.0,
        percentiles: tuple[float, float] = (0.5, 99.5),
        scale: tuple[float, float] = (0.0, 1.0),
        quantize: bool = True,
        window: str | Sequence[float] | None = None,
    ) -> None:
        modality = known_modality(modality)
        if window is not None:
            level, width = _level_and_width(window)
        if not width > 0:
            raise ValueError(f"width must be a positive number of HU, got {width}.")
        if not 0 <= percentiles[0] < percentiles[1] <= 100:
            raise ValueError(f"percentiles must be two increasing numbers in [0, 100], got {percentiles}.")
        self.modality = modality
        self.level = level
        self.width = width
        self.window = (level - width / 2, level + width / 2)
        self.percentiles = percentiles
        self.scale = scale
        self.quantize = quantize

    def __call__(self, img: NdarrayOrTensor) -> NdarrayOrTensor:
        """Map the intensities of an image.

        Args:
            img: ``[C, *spatial]``, the whole volume, since its extremes and percentiles set the mapping.

        Returns:
            float32 of the same shape and type; a MetaTensor has in ``meta["medsam_intensity"]`` the modality asked for,
            the policy (``window`` or ``percentiles``), the reason for it, and the intensities ``low`` and ``high`` that
            were mapped to the ends of the scale.

        Raises:
            ValueError: when the image is empty, has voxels that are not finite, or is constant after clipping.
        """
        values = convert_to_numpy(img).astype(np.float64)
        if values.size == 0:
            raise ValueError(f"image of shape {values.shape} is empty.")
        broken = values.size - np.count_nonzero(np.isfinite(values))
        if broken:
            raise ValueError(
                f"image has {broken} NaN or infinite voxels out of {values.size}; expected finite numbers."
            )
        is_ct, reason = self._of_header(img) or self._decide(values)
        np.clip(values, *(self.window if is_ct else self._limits(values)), out=values)
        low, high = float(values.min()), float(values.max())
        policy = "window" if is_ct else "percentiles"
        if low == high:
            raise ValueError(f"image is constant ({low:g}) after clipping by the {policy} policy; it shows nothing.")
        values -= low
        values /= high - low
        values *= 255.0
        if self.quantize:
            np.floor(values, out=values)
        bottom, top = self.scale
        values *= (top - bottom) / 255.0
        values += bottom

        dtype = torch.float32 if isinstance(img, torch.Tensor) else np.float32
        result = convert_to_dst_type(values, img, dtype=dtype)[0]
        # a modality that was given is no news; one line for each of many images would drown a progress bar
        level = logging.INFO if self.modality == "auto" else logging.DEBUG
        logger.log(level, "MedSAM intensity: %s policy (%s), %g..%g", policy, reason, low, high)
        if isinstance(result, MetaTensor):
            record = {"modality": self.modality, "policy": policy, "reason": reason, "low": low, "high": high}
            result.meta = {**result.meta, "medsam_intensity": record}
            return convert_to_tensor(result, track_meta=get_track_meta())
        return result

    def _of_header(self, img: NdarrayOrTensor) -> tuple[bool, str] | None:
        """Decide by the modality that the file of an image names, such as (0008,0060) of DICOM."""
        named = img.meta.get("modality") if self.modality == "auto" and isinstance(img, MetaTensor) else None
        return (named == "CT", f"auto: the header of the file says {named}") if named else None

    def _decide(self, values: np.ndarray) -> tuple[bool, str]:
        if self.modality != "auto":
            return self.modality == "ct", f"modality given as {self.modality}"
        is_ct, reason = looks_like_ct(values)
        return is_ct, f"auto: {reason}"

    def _limits(self, values: np.ndarray) -> tuple[float, float]:
        positive = values[values > 0]
        if positive.size == 0:
            raise ValueError(
                f"image has no voxel above 0 (maximum {values.max():g}), so its percentiles are unknown; "
                "give the modality 'ct' if these are Hounsfield units."
            )
        low, high = (float(value) for value in np.percentile(positive, self.percentiles))
        if low < high:
            return low, high
        bottom = float(values.min())
        return (0.0, high) if bottom <= 0 else (bottom, float(values.max()))


def known_modality(modality: Any) -> str:
    """
    Return a modality as :data:`MODALITIES` has it.

    Raises:
        ValueError: when it is none of these, whatever the case of its letters.

    Example:
        >>> known_modality("CT")
        'ct'
    """
    if str(modality).lower() not in MODALITIES:
        raise ValueError(f"modality must be one of {MODALITIES}, got {modality!r}.")
    return str(modality).lower()


def _level_and_width(window: str | Sequence[float]) -> Sequence[float]:
    found = CT_WINDOWS.get(window) if isinstance(window, str) else window
    if found is None or len(found) != 2:
        raise ValueError(f"window must be one of {', '.join(CT_WINDOWS)}, or (level, width) in HU, got {window!r}.")
    return found


def looks_like_ct(values: np.ndarray) -> tuple[bool, str]:
    """Return whether intensities are those of a CT in Hounsfield units, and why.

    They are if at least 5 % of the voxels are at most -100, which is fat, lung, air or the lower end of a clipped CT,
    and 99.5 % are at most 3100, where 12 bits from -1024 on end. Voxels of 0 are left out: they are padding. Few
    voxels far below 0 are interpolation or noise of another modality. A CT without fat and air (a skull-stripped head)
    is not recognised, and an image of differences may be taken for one; give the modality of such.

    Source: our choice. In six CT 11 % (a lumbar vertebra and what surrounds it) to 75 % (legs) were at most -100, in
    seven MR none.

    Args:
        values: of a whole image, finite, of any shape.

    Example:
        >>> looks_like_ct(np.array([-1000.0, -90.0, 40.0, 60.0]))
        (True, '25% of the voxels are at most -100 (5% or more in CT) and 99.5% at most 59.7 (3100 in CT)')
    """
    shown = values[values != 0]
    if shown.size == 0:
        return False, "every voxel is 0"
    share = float(np.count_nonzero(shown <= CT_FAT) / shown.size)
    reason = f"{100 * share:.3g}% of the voxels are at most {CT_FAT:g} ({CT_SHARE:.0%} or more in CT)"
    if share < CT_SHARE:
        return False, reason
    top = float(np.percentile(shown, 99.5))
    return top <= CT_TOP, f"{reason} and 99.5% at most {top:.4g} ({CT_TOP:g} in CT)"


class MedSAMIntensityd(MapTransform):
    """Dictionary twin of :class:`MedSAMIntensity`.

    Args:
        keys: the keys of the images.
        allow_missing_keys: leave out keys that an item does not have.
        modality_key: of the modality of an item, which goes before that of all where the item has one.
        kwargs: arguments of :class:`MedSAMIntensity`.

    Raises:
        ValueError: when the modality of an item is none of ``MODALITIES``.

    Example:
        >>> item = MedSAMIntensityd(keys="image", modality="mr", scale=(0, 255))({"image": np.arange(5.0)[None]})
        >>> item["image"].tolist()
        [[0.0, 0.0, 84.0, 170.0, 255.0]]
    """

    backend: ClassVar[list[TransformBackends]] = MedSAMIntensity.backend

    def __init__(
        self,
        keys: KeysCollection,
        allow_missing_keys: bool = False,
        modality_key: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(keys, allow_missing_keys)
        self.modality_key = modality_key
        self.intensity = MedSAMIntensity(**kwargs)

    __signature__ = with_options(__init__, MedSAMIntensity)

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """Return the item with its images mapped."""
        item = dict(data)
        intensity = self.intensity
        if self.modality_key is not None and (modality := item.get(self.modality_key)):
            modality = known_modality(modality)
            intensity = copy.copy(intensity)
            intensity.modality = modality
        for key in self.key_iterator(item):
            item[key] = intensity(item[key])
        return item


MedSAMIntensityD = MedSAMIntensityDict = MedSAMIntensityd
