# Copyright (c) monai_synthfm contributors
# Licensed under the Apache License, Version 2.0 (http://www.apache.org/licenses/LICENSE-2.0).
# SPDX-License-Identifier: Apache-2.0
"""MobileSAM (arXiv 2306.14289): SAM with a TinyViT image encoder, light enough for a CPU."""

from __future__ import annotations

from monai_synthfm.networks.preprocessing import Preprocessing
from monai_synthfm.networks.promptable import Multimask
from monai_synthfm.networks.sam_family import EMBED_DIM, SamFamily, checked_image_size
from monai_synthfm.networks.tiny_vit import TinyViT

__all__ = ["MobileSam"]


class MobileSam(SamFamily):
    """MobileSAM behind the :class:`Promptable` interface, with MobileSAM's state dict keys.

    Its weights are random, see :class:`~monai_synthfm.networks.Sam`. The same ones serve every ``image_size``.

    Args:
        image_size: side of the square input in pixels, a multiple of 16. 1024 is MobileSAM's.
        preprocessing: ``"sam"``, ``"contrast"`` or ``"medsam"``, see :class:`SamFamily`.
        multimask: ``"never"``, ``"single_click"`` or ``"always"``, see :class:`Promptable`.
        objects_per_pass: how many objects go through the mask decoder at once, see :class:`SamFamily`.

    Raises:
        ValueError: when an argument is not as above.

    Example:
        >>> import torch
        >>> MobileSam(image_size=64)(torch.rand(1, 1, 40, 50)).shape
        torch.Size([1, 1, 40, 50])
    """

    def __init__(
        self,
        image_size: int = 1024,
        preprocessing: Preprocessing = "sam",
        multimask: Multimask = "never",
        objects_per_pass: int = 8,
    ) -> None:
        super().__init__(TinyViT(EMBED_DIM), checked_image_size(image_size), preprocessing, multimask, objects_per_pass)
