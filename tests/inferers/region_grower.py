# Copyright (c) monai_synthfm contributors
# Licensed under the Apache License, Version 2.0 (http://www.apache.org/licenses/LICENSE-2.0).
# SPDX-License-Identifier: Apache-2.0
"""A deterministic promptable network without weights that treats no two directions alike."""

from __future__ import annotations

import numpy as np
import torch
from scipy import ndimage

from monai_synthfm.networks import ImageEmbedding, NetworkSettings, Promptable
from monai_synthfm.prompts import Prompts

LEFT, RIGHT, UP, DOWN = 3, 7, 2, 5
TOLERANCE = 0.15


def grow(
    image: np.ndarray, clicks: np.ndarray, labels: np.ndarray, box: np.ndarray, mask: np.ndarray | None = None
) -> np.ndarray:
    """
    Logits [H, W] of one object: pixels like its seeds and connected to them, within a lopsided window or a box.

    Seeds are the positive clicks, else where the mask prompt is largest, else the middle of the box.
    """
    height, width = image.shape
    y, x = np.mgrid[:height, :width]
    allowed = np.ones(image.shape, dtype=bool)
    positive = clicks[labels == 1].round().astype(int)
    if not np.isnan(box).any():
        allowed &= (x >= box[0]) & (x <= box[2]) & (y >= box[1]) & (y <= box[3])
    if not len(positive) and mask is not None:
        positive = np.argwhere(mask == mask.max())[:1, ::-1]
    elif not len(positive):
        positive = np.array([[(box[0] + box[2]) // 2, (box[1] + box[3]) // 2]]).astype(int)
    logits = np.full(image.shape, -1.0)
    for px, py in positive:
        near = (x >= px - LEFT) & (x <= px + RIGHT) & (y >= py - UP) & (y <= py + DOWN)
        parts, _ = ndimage.label(near & allowed & (np.abs(image - image[py, px]) < TOLERANCE))
        inside = (parts == parts[py, px]) & (parts > 0)
        logits = np.maximum(logits, np.where(inside, 2.0 - 0.05 * np.abs(x - px) - 0.01 * np.abs(y - py), -1.0))
    for nx, ny in clicks[labels == 0].round().astype(int):
        logits[(np.abs(x - nx) <= 1) & (np.abs(y - ny) <= 2)] = -2.0
    return logits


class RegionGrower(Promptable):
    """Grows regions at full resolution; counts how many images it encoded."""

    def __init__(self) -> None:
        super().__init__()
        self.encoded = 0

    def describe(self) -> NetworkSettings:
        return NetworkSettings("RegionGrower", {}, {})

    def encode(self, image: torch.Tensor) -> ImageEmbedding:
        self.encoded += len(image)
        size = (image.shape[2], image.shape[3])
        return ImageEmbedding(image[:, :1].clone(), size, size)

    def predict_masks(self, embedding: ImageEmbedding, prompts: Prompts) -> tuple[torch.Tensor, torch.Tensor]:
        prompts = prompts.batched()
        batch, count = len(embedding.features), prompts.num_objects
        logits = torch.zeros(batch, count, 1, *embedding.original_size)
        for b in range(batch):
            for n in range(count):
                clicks = np.zeros((0, 2)) if prompts.points is None else prompts.points[b, n].numpy()
                labels = np.zeros(0) if prompts.point_labels is None else prompts.point_labels[b, n].numpy()
                box = np.full(4, np.nan) if prompts.boxes is None else prompts.boxes[b, n].numpy()
                mask = None if prompts.masks is None else prompts.masks[b, n, 0].numpy()
                image = embedding.features[b, 0].numpy()
                logits[b, n, 0] = torch.from_numpy(grow(image, clicks, labels, box, mask))
        return logits, torch.ones(batch, count, 1)

    def postprocess(self, logits: torch.Tensor, embedding: ImageEmbedding) -> torch.Tensor:
        return logits

    def mask_prompt(self, masks: torch.Tensor, embedding: ImageEmbedding) -> torch.Tensor:
        return torch.where(masks, 1.0, -1.0)[:, None] if masks.dtype == torch.bool else masks[:, None]
