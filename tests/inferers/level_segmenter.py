# Copyright (c) monai_synthfm contributors
# Licensed under the Apache License, Version 2.0 (http://www.apache.org/licenses/LICENSE-2.0).
# SPDX-License-Identifier: Apache-2.0
"""A promptable network without weights that has alternatives: the bright blob, a core of it, and it with a margin."""

from __future__ import annotations

import time

import torch
import torch.nn.functional as F

from monai_synthfm.networks import ImageEmbedding
from monai_synthfm.prompts import Prompts

from .blob_segmenter import BlobSegmenter


class LevelSegmenter(BlobSegmenter):
    """
    As :class:`BlobSegmenter`; the alternatives are, in this order, the blob grown, shrunk, and as it is, by a pixel.

    Args:
        seconds: that it takes to encode a slice.
    """

    def __init__(self, seconds: float = 0.0) -> None:
        super().__init__()
        self.seconds = seconds

    def encode(self, image: torch.Tensor) -> ImageEmbedding:
        time.sleep(self.seconds)
        return super().encode(image)

    def predict_masks(self, embedding: ImageEmbedding, prompts: Prompts) -> tuple[torch.Tensor, torch.Tensor]:
        blob = super().predict_masks(embedding, prompts)[0][:, :, 0]
        grown, shrunk = F.max_pool2d(blob, 3, 1, 1), -F.max_pool2d(-blob, 3, 1, 1)
        logits = torch.stack([blob, grown, shrunk, blob], dim=2)
        return logits, torch.ones(logits.shape[:3])
