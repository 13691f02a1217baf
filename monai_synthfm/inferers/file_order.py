# Copyright (c) monai_synthfm contributors
# Licensed under the Apache License, Version 2.0 (http://www.apache.org/licenses/LICENSE-2.0).
# SPDX-License-Identifier: Apache-2.0
"""Propagation whose direction counts slices as the file does."""

from __future__ import annotations

import copy
from typing import Any

import torch

from monai_synthfm.inferers.volume_inferer import VolumeInferer
from monai_synthfm.networks import Promptable

__all__ = ["FileOrderInferer", "turned"]

_TURNED = {"forward": "backward", "backward": "forward"}


def turned(direction: str, reverse: bool) -> str:
    """
    Return what a direction is called when slices are counted the other way round, if they are.

    Example:
        >>> turned("forward", True), turned("forward", False), turned("both", True)
        ('backward', 'forward', 'both')
    """
    return _TURNED.get(direction, direction) if reverse else direction


class FileOrderInferer(VolumeInferer):
    """
    A :class:`VolumeInferer` for volumes in the display frame, whose ``direction`` is that of the slices in the file.

    Networks are always shown a volume in the same frame, so that its segmentation does not depend on how it is stored;
    but people count slices as their file and viewer do.
    """

    def __call__(
        self,
        inputs: torch.Tensor,
        network: Promptable,
        *args: Any,
        reverse: bool | torch.Tensor = False,
        **kwargs: Any,
    ) -> torch.Tensor:
        """
        Segment B volumes, see :class:`VolumeInferer`.

        Args:
            inputs: volumes [B, C, X, Y, Z].
            network: a promptable network of 2D images.
            args: of :class:`VolumeInferer`.
            reverse: whether the files count slices the other way round than ``inputs``, the same for all [B].
            kwargs: of :class:`VolumeInferer`.

        Raises:
            ValueError: when ``reverse`` differs within the batch and ``direction`` is one-way.
        """
        flags = torch.as_tensor(reverse).flatten()
        if self.direction in _TURNED and bool(flags.any()) != bool(flags.all()):
            raise ValueError(f"direction {self.direction!r}: files of one batch count slices in different directions.")
        inferer = copy.copy(self)
        inferer.direction = turned(self.direction, bool(flags.any()))
        return super(FileOrderInferer, inferer).__call__(inputs, network, *args, **kwargs)
