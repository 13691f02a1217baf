# Copyright (c) monai_synthfm contributors
# Licensed under the Apache License, Version 2.0 (http://www.apache.org/licenses/LICENSE-2.0).
# SPDX-License-Identifier: Apache-2.0
"""The interface of every way to carry objects from prompted slices through a volume."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import torch

from monai_synthfm.prompts.slice_prompts import SlicePrompts
from monai_synthfm.slices.sliced_volume import SlicedVolume

__all__ = ["DIRECTIONS", "Progress", "Propagation", "PropagationStopped", "SliceMasks"]

DIRECTIONS = ("both", "forward", "backward", "none")

Progress = Callable[[int, int], bool]
"""Called with the number of slices that are done and their largest number; returns whether to go on."""


class PropagationStopped(Exception):  # noqa: N818
    """A :data:`Progress` said that the propagation should not go on."""


@dataclass(frozen=True)
class SliceMasks:
    """
    Masks found on one slice.

    Args:
        index: of the slice.
        objects: indexes (0..N-1) of the n objects that the masks belong to.
        logits: [n, H, W] float32 of the stored slice or of its picture; above 0 is inside.
    """

    index: int
    objects: list[int]
    logits: torch.Tensor


class Propagation(ABC):
    """A way to carry objects from the slices where they are prompted to the others."""

    @property
    def weight_files(self) -> tuple[Path, ...]:
        """Files of weights that it needs beside the network's, for reports."""
        return ()

    @abstractmethod
    def __call__(
        self, slices: SlicedVolume, prompts: Mapping[int, SlicePrompts], direction: str, slice_range: range
    ) -> Iterator[SliceMasks]:
        """
        Segment the objects, picture after picture.

        Args:
            slices: of the volume.
            prompts: on pictures, by slice, each within ``slice_range`` and saying where its object is, not only where
                it is not.
            direction: ``forward`` goes to higher slice indexes from the first prompted slice of an object, ``backward``
                to lower ones from the last, ``both`` both ways; ``none`` stays on the prompted slices.
            slice_range: consecutive slices not to be left.

        Yields:
            Masks as soon as they are final: no object twice on one slice, in whatever order suits, an object left out
            where it was not found. At no time more than a constant number of slices is held, apart from the store.
        """
