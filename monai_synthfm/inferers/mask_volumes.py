# Copyright (c) monai_synthfm contributors
# Licensed under the Apache License, Version 2.0 (http://www.apache.org/licenses/LICENSE-2.0).
# SPDX-License-Identifier: Apache-2.0
"""Merging of the masks of many objects into one volume while they arrive."""

from __future__ import annotations

from abc import ABC, abstractmethod

import numpy as np
import torch
from scipy import ndimage

from monai_synthfm.inferers.propagation.propagation import SliceMasks
from monai_synthfm.prompts.masks import largest_component

__all__ = ["LabelVolume", "LogitVolume", "MaskVolume", "label_map", "largest_components"]


class MaskVolume(ABC):
    """
    A volume that masks of slices are put into.

    Args:
        shape: (X, Y, Z) of the volume.
        axis: the axis across which it is cut.
        num_objects: N.
        device: of the result.
    """

    values: torch.Tensor
    """The volumes merged so far, [channels, X, Y, Z]."""

    @abstractmethod
    def __init__(self, shape: tuple[int, ...], axis: int, num_objects: int, device: torch.device) -> None:
        self.axis = axis

    @abstractmethod
    def add(self, found: SliceMasks) -> None:
        """Put the masks of some objects on one slice into the volume."""

    @abstractmethod
    def keep_largest(self) -> None:
        """Reduce every object to its largest 26-connected part."""


class LabelVolume(MaskVolume):
    """
    One volume of labels: ``1 + argmax_n logit_n`` where the largest logit is above 0, else 0.

    Of equal logits the first object's wins, whatever the order in which they arrive. Memory does not depend on the
    number of objects: beside the labels (uint8, or int32 for more than 255 objects) the best logit is kept, in half
    precision like those of :class:`LogitVolume`, so that both give the same labels.

    Example:
        >>> merged = LabelVolume((2, 1, 1), axis=2, num_objects=2, device=torch.device("cpu"))
        >>> merged.add(SliceMasks(0, [1], torch.tensor([[[3.0, 1.0]]])))
        >>> merged.add(SliceMasks(0, [0], torch.tensor([[[2.0, 2.0]]])))
        >>> merged.values.flatten().tolist()
        [2, 1]
    """

    def __init__(self, shape: tuple[int, ...], axis: int, num_objects: int, device: torch.device) -> None:
        super().__init__(shape, axis, num_objects, device)
        dtype = torch.uint8 if num_objects <= 255 else torch.int32
        self.values = torch.zeros((1, *shape), dtype=dtype, device=device)
        self._best = torch.zeros(shape, dtype=torch.float16, device=device)

    def add(self, found: SliceMasks) -> None:
        """Give pixels to the objects whose logits are the largest so far."""
        labels = self.values[0].select(self.axis, found.index)
        best = self._best.select(self.axis, found.index)
        objects, order = torch.tensor(found.objects).sort()
        logits, winners = found.logits[order.to(labels.device)].transpose(-1, -2).to(best.dtype).max(dim=0)
        numbers = (objects.to(labels.device) + 1)[winners].to(labels.dtype)
        wins = (logits > best) | ((logits == best) & (numbers < labels))
        labels.copy_(torch.where(wins, numbers, labels))
        best.copy_(torch.where(wins, logits, best))

    def keep_largest(self) -> None:
        """Reduce every label to its largest 26-connected part."""
        kept = largest_components(self.values[0].cpu().numpy())
        self.values = torch.from_numpy(kept)[None].to(self.values.device)


class LogitVolume(MaskVolume):
    """
    A volume of logits for each object, -infinity where an object was not looked for.

    Kept in half precision. :func:`label_map` gives the labels of :class:`LabelVolume`.
    """

    def __init__(self, shape: tuple[int, ...], axis: int, num_objects: int, device: torch.device) -> None:
        super().__init__(shape, axis, num_objects, device)
        self.values = torch.full((num_objects, *shape), -torch.inf, dtype=torch.float16, device=device)

    def add(self, found: SliceMasks) -> None:
        """Set the logits of some objects on one slice."""
        slices = self.values.select(self.axis + 1, found.index)
        slices[found.objects] = found.logits.transpose(-1, -2).to(slices.dtype)

    def keep_largest(self) -> None:
        """Set all logits above 0 to -infinity where a label lies outside of its largest 26-connected part."""
        labels = label_map(self.values)
        kept = torch.from_numpy(largest_components(labels.cpu().numpy())).to(labels.device)
        for values in self.values:
            values[(labels != kept) & (values > 0)] = -torch.inf


def label_map(logits: torch.Tensor) -> torch.Tensor:
    """
    Return the labels ``1 + argmax_n logit_n`` where the largest logit is above 0, else 0.

    Args:
        logits: [N, X, Y, Z]. Of equal ones the first object's wins.

    Example:
        >>> label_map(torch.tensor([[[[1.0, 2.0, -1.0]]], [[[3.0, 2.0, -2.0]]]])).tolist()
        [[[2, 1, 0]]]
    """
    best, winners = logits.max(dim=0)
    return torch.where(best > 0, winners + 1, 0).to(torch.uint8 if len(logits) <= 255 else torch.int32)


def largest_components(labels: np.ndarray) -> np.ndarray:
    """
    Reduce every label to its largest 26-connected part; of equally large ones, the first in memory order stays.

    Args:
        labels: [X, Y, Z] of a type of integers, 0 background.

    Example:
        >>> largest_components(np.array([[[1, 1, 0, 1, 2]]])).tolist()
        [[[1, 1, 0, 0, 2]]]
    """
    kept = np.zeros_like(labels)
    for number, window in enumerate(ndimage.find_objects(labels), 1):
        if window is not None:
            kept[window][largest_component(labels[window] == number)] = number
    return kept
