# Copyright (c) monai_synthfm contributors
# Licensed under the Apache License, Version 2.0 (http://www.apache.org/licenses/LICENSE-2.0).
# SPDX-License-Identifier: Apache-2.0
"""Random windows of a volume around its objects, for training networks that complete masks."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from typing import Any, ClassVar

import numpy as np
import torch
from monai.config import KeysCollection, NdarrayOrTensor
from monai.transforms import MapTransform, Transform
from monai.utils import TransformBackends, convert_to_tensor
from torch.nn import functional as F

from monai_synthfm.transforms.label_values import whole_labels
from monai_synthfm.transforms.mask_errors import RandMaskErrors
from monai_synthfm.transforms.object_choice import RandObjectChoice
from monai_synthfm.transforms.object_gap import RandObjectGap
from monai_synthfm.transforms.random_state import SharedRandomizable
from monai_synthfm.transforms.slice_drift import RandSliceDrift
from monai_synthfm.transforms.twins import with_options
from monai_synthfm.utils.switches import reads_switches
from monai_synthfm.windows.channels import NUM_CHANNELS, WINDOW_SIZE, WINDOW_SLICES, KnownGreys, window_channels
from monai_synthfm.windows.object_window import ObjectWindow

__all__ = ["RandObjectWindows", "RandObjectWindowsD", "RandObjectWindowsDict", "RandObjectWindowsd"]

_TRIES = 3  # for each window
_PLACES = 2  # of which the window takes the one that less of it lies beyond the volume
_FEWEST_PIXELS = 12  # of an object on the slice that its mask is known on
_LARGEST_SHARE = 0.5  # of the slice
_FEWEST_KNOWN = 4  # pixels of a known mask in the window
_OFF_CENTRE = 0.06  # of the window's side
_WEIGHT_OF_KNOWN = 0.2  # of a slice in a loss


class RandObjectWindows(SharedRandomizable, Transform):
    """
    Cut windows out of a volume, each around an object whose mask is known on some slices.

    An object is drawn, whatever its size (:class:`RandObjectChoice`), and a slice that holds it, with probability 0.3
    the one that holds most of it. Its mask is known on that slice alone, which lies in the middle of the window (0.35
    of all), on it and up to four slices beside it at one end of the window (0.5), or on it and one or two other slices
    of the window (0.15). Known masks have errors as a network makes them (:class:`RandMaskErrors`). The window is
    around the object on known slices, nearly in its middle. It may show every second slice, few slices, or few pixels:
    windows of 64 pixels are often enlarged from less. Some objects end at a gap (:class:`RandObjectGap`), and slices
    drift (:class:`RandSliceDrift`). Of two places for a window the one is taken that less of it lies beyond the volume.

    Args:
        num_windows: of each volume.
        factors: smallest and largest side of the window over that of the object's box.
        coarseness: largest number by which the pixels of a window are fewer along each axis, before it is enlarged.
        choice: of the object; None = ``RandObjectChoice()``.
        errors: of the known masks; None = ``RandMaskErrors()``.
        gap: at which an object ends before its like; None = ``RandObjectGap()``.
        drift: of slices; None = ``RandSliceDrift()``.

    Raises:
        ValueError: when an argument is out of its range.

    Source: not given in the papers; our choice.

    Example:
        >>> image, label = torch.rand(1, 40, 40, 12), torch.zeros(1, 40, 40, 12, dtype=torch.int32)
        >>> label[0, 8:24, 8:24, 2:9] = 1
        >>> windows = RandObjectWindows(num_windows=2).set_random_state(seed=0)(image, label)
        >>> [(tuple(shown.shape), tuple(wanted.shape)) for shown, wanted in windows]
        [((7, 16, 64, 64), (2, 16, 64, 64)), ((7, 16, 64, 64), (2, 16, 64, 64))]
    """

    backend: ClassVar[list[TransformBackends]] = [TransformBackends.TORCH]

    def __init__(
        self,
        num_windows: int = 6,
        factors: tuple[float, float] = (1.5, 2.8),
        coarseness: float = 3.0,
        choice: RandObjectChoice | None = None,
        errors: RandMaskErrors | None = None,
        gap: RandObjectGap | None = None,
        drift: RandSliceDrift | None = None,
    ) -> None:
        if num_windows < 1:
            raise ValueError(f"num_windows must be at least 1, got {num_windows}.")
        if not 1 <= factors[0] <= factors[1]:
            raise ValueError(f"factors must be two increasing numbers of at least 1, got {factors}.")
        if coarseness < 1:
            raise ValueError(f"coarseness must be at least 1, got {coarseness}.")
        self.num_windows = num_windows
        self.factors = factors
        self.coarseness = coarseness
        self.choice = choice or RandObjectChoice()
        self.errors = errors or RandMaskErrors()
        self.gap = gap or RandObjectGap()
        self.drift = drift or RandSliceDrift()

    def __call__(self, image: NdarrayOrTensor, label: NdarrayOrTensor) -> list[tuple[torch.Tensor, torch.Tensor]]:
        """
        Cut windows.

        Args:
            image: [1, X, Y, Z] in [0, 1].
            label: instances [1, X, Y, Z], 0 background, 1..K objects.

        Returns:
            of each window what the network is shown, [7, D, n, n]
            (:func:`~monai_synthfm.windows.channels.window_channels`), and [2, D, n, n] with the object's mask and the
            weights of slices in a loss: 1, 0.2 where the mask is known and 0 beyond the volume. Of a volume without a
            usable object one window in which nothing counts.

        Raises:
            ValueError: when image and label are not of one shape [1, X, Y, Z].
        """
        if image.ndim != 4 or image.shape[0] != 1 or image.shape != label.shape:
            raise ValueError(
                f"image and label must be one volume [1, X, Y, Z], got {tuple(image.shape)} and {tuple(label.shape)}."
            )
        pictures = convert_to_tensor(image, dtype=torch.float32, track_meta=False)[0].permute(2, 1, 0)
        instances = whole_labels("label", label)[0].permute(2, 1, 0)
        windows: list[tuple[torch.Tensor, torch.Tensor]] = []
        for _ in range(_TRIES * self.num_windows):
            window = self._window(pictures, instances)
            windows += [] if window is None else [window]
            if len(windows) == self.num_windows:
                break
        size = (WINDOW_SLICES, WINDOW_SIZE, WINDOW_SIZE)
        return windows or [(torch.zeros(NUM_CHANNELS, *size), torch.zeros(2, *size))]

    def _window(self, pictures: torch.Tensor, instances: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor] | None:
        """Cut one window; None where nothing usable was drawn."""
        kept = self._slices(len(pictures))
        pictures, instances = pictures[kept], instances[kept]
        masks = self.choice(instances)
        if masks is None:
            return None
        areas = masks.sum(dim=(1, 2)).numpy()
        usable = np.flatnonzero((areas >= _FEWEST_PIXELS) & (areas < _LARGEST_SHARE * masks[0].numel()))
        if not len(usable):
            return None
        largest = int(usable[areas[usable].argmax()])
        starts = [largest if self.R.rand() < 0.3 else int(self.R.choice(usable)) for _ in range(_PLACES)]
        places = [(start, *self._known(start)) for start in starts]
        start, first, known = min(places, key=lambda place: _num_beyond(place[1], len(pictures)))
        pictures, masks = self.gap(pictures, masks, start)
        indexes = np.arange(first, first + WINDOW_SLICES)
        counted = torch.from_numpy((indexes >= 0) & (indexes < len(masks)))
        is_known = torch.from_numpy(np.isin(indexes, known)) & counted
        within = torch.from_numpy(indexes.clip(0, len(masks) - 1))
        around = masks[within[is_known]].any(dim=0)
        moved = self.drift(WINDOW_SLICES, int(is_known.nonzero()[:, 0].float().mean()))
        shown = self._read(pictures[within], masks[within], around, moved)
        picture, mask = self._turned(shown).unbind(dim=1)
        given = torch.zeros_like(mask)
        given[is_known] = self.errors(mask[is_known]) if self.R.rand() < 0.75 else mask[is_known]
        if (given > 0.5).sum() < _FEWEST_KNOWN:
            return None
        greys = KnownGreys.of(picture[is_known], given[is_known])
        weights = counted * torch.where(is_known, _WEIGHT_OF_KNOWN, 1.0)
        target = torch.stack([(mask > 0.5).float(), weights[:, None, None].expand_as(mask)])
        return window_channels(picture, given, is_known, greys), target

    def _slices(self, depth: int) -> torch.Tensor:
        """Draw which slices of a volume there are: all, every second one, few."""
        step = int(self.R.choice([1, 1, 1, 2]))
        kept = torch.arange(self.R.randint(step), depth, step)
        if self.R.rand() < 0.08:
            count = self.R.randint(min(3, len(kept)), min(13, len(kept)) + 1)
            start = self.R.randint(len(kept) - count + 1)
            kept = kept[start : start + count]
        return kept

    def _known(self, start: int) -> tuple[int, np.ndarray]:
        """Draw the first slice of the window, and the slices where the mask is known."""
        kind, depth = self.R.rand(), WINDOW_SLICES
        if kind < 0.35:
            return start - depth // 2, np.array([start])
        if kind < 0.5:
            first = start - self.R.randint(depth)
            others = self.R.choice(depth, size=self.R.randint(1, 3), replace=False)
            return first, np.array([start, *(first + others)])
        count = self.R.randint(1, 6)
        if self.R.rand() < 0.5:
            return start - count + 1, np.arange(start - count + 1, start + 1)
        return start + count - depth, np.arange(start, start + count)

    def _read(
        self, pictures: torch.Tensor, masks: torch.Tensor, around: torch.Tensor, moved: torch.Tensor | None
    ) -> torch.Tensor:
        """Read pictures and masks [D, 2, n, n] in a window around the object."""
        window = ObjectWindow.around(around, float(self.R.uniform(*self.factors)))
        away = self.R.uniform(-_OFF_CENTRE, _OFF_CENTRE, size=2) * window.side
        window = ObjectWindow(window.left + float(away[0]), window.top + float(away[1]), window.side)
        coarse = float(self.R.uniform(1.0, self.coarseness)) if self.R.rand() < 0.6 else 1.0
        pixels = max(10, round(min(window.side, WINDOW_SIZE) / coarse))
        shown = window.read(pictures[:, None], WINDOW_SIZE, moved)
        if coarse > 1.0 and pixels < WINDOW_SIZE:
            few = window.read(pictures[:, None], pixels, moved)
            shown = F.interpolate(few, size=(WINDOW_SIZE, WINDOW_SIZE), mode="bilinear")
        return torch.cat([shown, window.read(masks[:, None].float(), WINDOW_SIZE, moved)], dim=1)

    def _turned(self, shown: torch.Tensor) -> torch.Tensor:
        """Mirror and transpose [D, 2, n, n] at random."""
        for axis in (2, 3):
            shown = shown.flip(axis) if self.R.rand() < 0.5 else shown
        return shown.mT if self.R.rand() < 0.5 else shown


def _num_beyond(first: int, depth: int) -> int:
    """Return how many slices of a window from ``first`` on lie beyond a volume of ``depth``."""
    return max(0, -first) + max(0, first + WINDOW_SLICES - depth)


@reads_switches
class RandObjectWindowsd(SharedRandomizable, MapTransform):
    """Dictionary twin of :class:`RandObjectWindows`: makes a list of items, one for each window.

    Args:
        keys: the key of the instance label map, and then of the object's mask and weights; exactly one.
        image_key: of the volume, and then of what the network is shown.
        allow_missing_keys: leave items without that key as they are.
        kwargs: arguments of :class:`RandObjectWindows`.

    Example:
        >>> item = {"image": torch.rand(1, 16, 16, 4), "label": torch.ones(1, 16, 16, 4, dtype=torch.uint8)}
        >>> [window["label"].shape[0] for window in RandObjectWindowsd(keys="label", num_windows=2)(item)]
        [2]
    """

    backend: ClassVar[list[TransformBackends]] = [TransformBackends.TORCH]

    def __init__(
        self,
        keys: KeysCollection = "label",
        image_key: Hashable = "image",
        allow_missing_keys: bool = False,
        **kwargs: Any,
    ) -> None:
        super().__init__(keys, allow_missing_keys)
        if len(self.keys) != 1:
            raise ValueError(f"keys must be the one key of the label map, got {self.keys}.")
        self.image_key = image_key
        self.windows = RandObjectWindows(**kwargs)

    def __call__(self, data: Mapping[Hashable, Any]) -> list[dict[Hashable, Any]]:
        """Return one item for each window, with all else that the item held."""
        for key in self.key_iterator(data):
            windows = self.windows(data[self.image_key], data[key])
            return [{**data, self.image_key: shown, key: wanted} for shown, wanted in windows]
        return [dict(data)]


RandObjectWindowsd.__signature__ = with_options(RandObjectWindowsd.__init__, RandObjectWindows)
RandObjectWindowsD = RandObjectWindowsDict = RandObjectWindowsd
