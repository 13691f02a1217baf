# Copyright (c) monai_synthfm contributors
# Licensed under the Apache License, Version 2.0 (http://www.apache.org/licenses/LICENSE-2.0).
# SPDX-License-Identifier: Apache-2.0
"""Prompts for an image made from masks of the objects in a similar one, such as the slice beside it."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np
import torch
from scipy import ndimage

from monai_synthfm.networks.promptable import ImageEmbedding, Promptable
from monai_synthfm.prompts import Prompts
from monai_synthfm.prompts.boxes import padded_box
from monai_synthfm.prompts.clicks import ClickSimulator
from monai_synthfm.utils.switches import reads_switches

__all__ = ["MaskPrompter"]

_SMALLEST_PART = 0.02


@reads_switches
@dataclass(frozen=True)
class MaskPrompter:
    """
    Find objects where their masks say that they were in a similar image.

    Every 8-connected part of a mask is prompted on its own, and an object is the union of what its parts give.

    The defaults suit decoders that were trained with masks, and with boxes and clicks together. A decoder that was
    trained with clicks or a box alone does best with the box alone (``clicks=None, mask=False``).

    Source: not given in the papers; our choice. Measurements are in ``docs/experiments.md``, section "What carries a
    mask to the next slice".

    Args:
        box: prompt with the box of the part.
        box_margin: what is added to the box on every side, in pixels; 0.5 goes from pixel centres to their edges.
        clicks: prompt with clicks on the part, made by these rules from a fixed seed; None = without clicks.
        mask: prompt with the mask's logits.
        max_parts: how many parts of an object are followed, the largest ones; parts of less than 2 % of the largest one
            are not.

    Raises:
        ValueError: when an argument is out of its range, or there is neither box nor clicks: a mask alone would be
            given back as it is.
    """

    box: bool = True
    box_margin: float = 0.5
    clicks: ClickSimulator | None = field(default_factory=ClickSimulator)
    mask: bool = True
    max_parts: int = 4

    def __post_init__(self) -> None:
        if not (self.box or self.clicks):
            raise ValueError("box or clicks must be used: a mask alone is given back as it is.")
        if not self.box_margin >= 0:
            raise ValueError(f"box_margin must not be negative, got {self.box_margin}.")
        if self.max_parts < 1:
            raise ValueError(f"max_parts must be at least 1, got {self.max_parts}.")

    def __call__(self, network: Promptable, embedding: ImageEmbedding, masks: torch.Tensor) -> torch.Tensor:
        """
        Segment n objects in an image.

        Args:
            network: that segments.
            embedding: of the image.
            masks: logits [n, H, W] of the objects in the similar image, each above 0 somewhere.

        Returns:
            logits [n, H, W].
        """
        parts = [self._parts(inside) for inside in (masks > 0).cpu().numpy()]
        every = [part for of_object in parts for part in of_object]
        owners = torch.tensor([n for n, of_object in enumerate(parts) for _ in of_object], device=masks.device)
        prompts = Prompts.stack([self._prompts(part) for part in every])
        if self.mask:
            known = network.mask_prompt(_without_others(masks[owners], every), embedding)
            prompts = replace(prompts, masks=known)
        low = network.carry(embedding, prompts.to(masks.device).batched())
        logits = network.postprocess(low, embedding)[0]
        return torch.stack([logits[owners == n].amax(dim=0) for n in range(len(masks))])

    def _parts(self, inside: np.ndarray) -> list[np.ndarray]:
        numbered, _ = ndimage.label(inside, structure=np.ones((3, 3)))
        areas = np.bincount(numbered.ravel())[1:]
        largest = np.argsort(-areas, kind="stable")[: self.max_parts]
        return [numbered == k + 1 for k in largest if areas[k] >= _SMALLEST_PART * areas.max()]

    def _prompts(self, part: np.ndarray) -> Prompts:
        box = torch.from_numpy(padded_box(part, self.box_margin))[None] if self.box else None
        if self.clicks is None:
            return Prompts(boxes=box)
        # a part of few pixels gets fewer clicks
        points, labels = self.clicks(part, np.random.default_rng(0))
        return Prompts(torch.from_numpy(points)[None], torch.from_numpy(labels)[None], box)


def _without_others(logits: torch.Tensor, parts: list[np.ndarray]) -> torch.Tensor:
    """Turn logits of objects [m, H, W] into those of one part of each, by making the other parts negative."""
    inside = torch.from_numpy(np.stack(parts)).to(logits.device)
    return torch.where(inside, logits, -logits.abs())
