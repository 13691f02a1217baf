# Copyright (c) monai_synthfm contributors
# Licensed under the Apache License, Version 2.0 (http://www.apache.org/licenses/LICENSE-2.0).
# SPDX-License-Identifier: Apache-2.0
"""A promptable network without weights whose answer is known by hand: the bright blobs under the prompt."""

from __future__ import annotations

import torch
from scipy import ndimage

from monai_synthfm.networks import ImageEmbedding, NetworkSettings, Promptable
from monai_synthfm.prompts import Prompts


class BlobSegmenter(Promptable):
    """
    Segments the 4-connected blobs above 0.5 that the prompt touches; logits are +4 times the grey level, or -4.

    What touches are the positive clicks, else the inside of the mask prompt, else the box. Blobs with a negative click
    are left out. ``encoded`` counts images.
    """

    def __init__(self) -> None:
        super().__init__()
        self.encoded = 0

    def describe(self) -> NetworkSettings:
        return NetworkSettings("BlobSegmenter", {}, {})

    def encode(self, image: torch.Tensor) -> ImageEmbedding:
        self.encoded += len(image)
        size = (image.shape[2], image.shape[3])
        return ImageEmbedding(image[:, :1].clone(), size, size)

    def predict_masks(self, embedding: ImageEmbedding, prompts: Prompts) -> tuple[torch.Tensor, torch.Tensor]:
        grey = embedding.features[0, 0]
        numbered = torch.from_numpy(ndimage.label(grey.numpy() > 0.5)[0])
        logits = torch.full((1, prompts.num_objects, 1, *grey.shape), -4.0)
        for n in range(prompts.num_objects):
            found, excluded = self._touched(numbered, prompts, n)
            inside = torch.isin(numbered, found) & ~torch.isin(numbered, excluded) & (numbered > 0)
            logits[0, n, 0][inside] = 4 * grey[inside]
        return logits, torch.ones(1, prompts.num_objects, 1)

    @staticmethod
    def _touched(numbered: torch.Tensor, prompts: Prompts, n: int) -> tuple[torch.Tensor, torch.Tensor]:
        none = numbered.new_zeros(0)
        hit = {1: none, 0: none}
        if prompts.points is not None:
            for label in hit:
                x, y = prompts.points[0, n][prompts.point_labels[0, n] == label].round().long().T
                hit[label] = numbered[y, x]
        if len(hit[1]):
            return hit[1], hit[0]
        if prompts.masks is not None:
            return numbered[prompts.masks[0, n, 0] > 0], hit[0]
        x0, y0, x1, y1 = prompts.boxes[0, n].round().long().tolist()
        return numbered[y0 : y1 + 1, x0 : x1 + 1].flatten(), hit[0]

    def postprocess(self, logits: torch.Tensor, embedding: ImageEmbedding) -> torch.Tensor:
        return logits

    def mask_prompt(self, masks: torch.Tensor, embedding: ImageEmbedding) -> torch.Tensor:
        return masks[:, None].float() - 0.5 * (masks.dtype == torch.bool)
