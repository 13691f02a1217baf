# Copyright (c) monai_synthfm contributors
# Licensed under the Apache License, Version 2.0 (http://www.apache.org/licenses/LICENSE-2.0).
# SPDX-License-Identifier: Apache-2.0
"""SAM's frame: images scaled to the longer side of a square input and padded, masks brought there and back."""

from __future__ import annotations

from typing import get_args

import torch
from torch import nn
from torch.nn import functional as F

from monai_synthfm.networks.preprocessing import MASK_LOGIT, Preprocessing, as_logits, medsam_input, sam_input
from monai_synthfm.networks.promptable import ImageEmbedding

__all__ = ["PaddedSquare"]


class PaddedSquare(nn.Module):
    """The part of a promptable network that places images, masks and logits on its square input.

    It holds ``image_size`` and ``preprocessing``; a network calls :meth:`_set_frame` in its constructor.
    """

    pixel_mean: torch.Tensor
    pixel_std: torch.Tensor
    image_size: int
    preprocessing: Preprocessing

    def _set_frame(self, image_size: int, preprocessing: Preprocessing) -> None:
        if preprocessing not in get_args(Preprocessing):
            raise ValueError(f"preprocessing must be one of {list(get_args(Preprocessing))}, got {preprocessing!r}.")
        self.image_size = image_size
        self.preprocessing = preprocessing
        self.register_buffer("pixel_mean", torch.tensor([123.675, 116.28, 103.53]).view(3, 1, 1), persistent=False)
        self.register_buffer("pixel_std", torch.tensor([58.395, 57.12, 57.375]).view(3, 1, 1), persistent=False)

    def _squared(self, image: torch.Tensor) -> tuple[torch.Tensor, tuple[int, int]]:
        """Turn images ``[B, 1 or 3, H, W]`` in [0, 1] into the square input, and return their size in it, too."""
        if self.preprocessing == "medsam":
            return medsam_input(image, self.image_size)
        contrast = self.preprocessing == "contrast"
        return sam_input(image, self.image_size, self.pixel_mean, self.pixel_std, contrast)

    def postprocess(self, logits: torch.Tensor, embedding: ImageEmbedding) -> torch.Tensor:
        """Upsample ``[B, N, h, w]`` to the square input, crop the padding, resize to the original image."""
        square = (self.image_size, self.image_size)
        logits = F.interpolate(logits, square, mode="bilinear", align_corners=False)
        logits = logits[..., : embedding.input_size[0], : embedding.input_size[1]]
        if embedding.input_size == embedding.original_size:
            return logits
        return F.interpolate(logits, embedding.original_size, mode="bilinear", align_corners=False)

    def mask_prompt(self, masks: torch.Tensor, embedding: ImageEmbedding) -> torch.Tensor:
        """Resize ``[N, H, W]`` to the square input with padding outside, then to a quarter: ``[N, 1, h, w]``.

        Booleans become logits of plus and minus 10.
        """
        # Antialiasing keeps the share of each coarse pixel that thin structures cover.
        logits = F.interpolate(as_logits(masks)[:, None], embedding.input_size, mode="bilinear", antialias=True)
        height, width = embedding.input_size
        logits = F.pad(logits, (0, self.image_size - width, 0, self.image_size - height), value=-MASK_LOGIT)
        return F.interpolate(logits, (self.image_size // 4, self.image_size // 4), mode="bilinear", antialias=True)
