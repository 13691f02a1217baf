# Copyright (c) monai_synthfm contributors
# Licensed under the Apache License, Version 2.0 (http://www.apache.org/licenses/LICENSE-2.0).
# SPDX-License-Identifier: Apache-2.0
"""A second look at each object: its surroundings, enlarged to the network's input."""

from __future__ import annotations

import math
from dataclasses import replace
from itertools import product

import numpy as np
import torch
from scipy import ndimage

from monai_synthfm.networks.preprocessing import as_logits, checked_image
from monai_synthfm.networks.promptable import (
    ImageEmbedding,
    Multimask,
    NetworkSettings,
    Promptable,
    is_mask_alone,
    is_single_click,
    keep_masks_alone,
)
from monai_synthfm.prompts.boxes import tight_box
from monai_synthfm.prompts.masks import largest_component
from monai_synthfm.prompts.prompts import Prompts
from monai_synthfm.prompts.tracing import is_traced

__all__ = ["Zoom"]

_SMALLEST_SIDE = 24  # pixels; smaller windows hold too little of an image
_LIMIT = 8.0  # of logits, so that neither look outvotes the other by being sure of itself
_LEAK = 1e-3  # of what is beyond the limit, so that objects that overlap still differ


class Zoom(Promptable):
    """Look at an image twice: at all of it, then at a window around each object; the logits are averaged.

    The window is a square, clipped to the image: around the object's box, or else around the mask that prompts it and
    the pieces of its first mask that it touches or that are clicked (the largest piece if there is none), with its
    positive clicks in any case. There the result is ``mean(limit(first), limit(second))``, outside it is background.
    Objects whose window would be as long as the image keep their first mask, and so do those that have no box and that
    neither the first look nor a prompted mask shows.

    Masks have the image's own pixels, those that :meth:`decode` returns and those that prompt, not the low resolution
    that other networks have. Each look normalises the pixels that it sees, and chooses its own alternative where
    ``multimask`` lets it choose.

    For inference. Every call of :meth:`decode` encodes one window for each object; caches keep the image alone.

    Source: not given in the papers; our choice: a network of coarse features sees small vessels better once they are
    large. Measurements are in ``docs/experiments.md``, section "A second look".

    Args:
        network: what looks, with its weights and settings. Of a network with a memory it is the single images that are
            looked at twice: a volume is then followed without the memory.
        margin: side of the window over the longer side of what it is drawn around, above 1.

    Raises:
        ValueError: when ``margin`` is not a number above 1.

    Example:
        >>> from monai_synthfm.networks import MobileSam
        >>> zoom = Zoom(MobileSam(image_size=64)).eval()
        >>> zoom(torch.rand(1, 1, 80, 60), boxes=torch.tensor([[10.0, 10.0, 20.0, 25.0]])).shape
        torch.Size([1, 1, 80, 60])
    """

    def __init__(self, network: Promptable, margin: float = 3.0) -> None:
        super().__init__(network.multimask)
        if not 1.0 < margin < math.inf:
            raise ValueError(f"margin must be a number above 1, got {margin}.")
        self.network = network
        self.margin = float(margin)

    @property
    def combines_prompts(self) -> bool | None:
        """Whether the decoder of the network reads masks, and a box with clicks."""
        return self.network.combines_prompts

    @combines_prompts.setter
    def combines_prompts(self, value: bool | None) -> None:
        self.network.combines_prompts = value

    @property
    def core(self) -> Promptable:
        """The network within."""
        return self.network.core

    def describe(self) -> NetworkSettings:
        """Return the network's settings with those of the second look, which changes no embedding."""
        inner = self.network.describe()
        masks = {**inner.masks, "multimask": self.multimask, "margin": self.margin}
        return NetworkSettings(f"{type(self).__name__}({inner.name})", inner.embeddings, masks)

    def encode(self, image: torch.Tensor) -> ImageEmbedding:
        """Compute the features of the whole images, and keep these as the finest of all features."""
        plain = checked_image(image).clone()
        embedding = self.network.encode(plain)
        return replace(embedding, high_resolution=(plain, *embedding.high_resolution))

    def predict_masks(self, embedding: ImageEmbedding, prompts: Prompts) -> tuple[torch.Tensor, torch.Tensor]:
        """Predict logits ``[B, N, 1 + M, H, W]`` of the first look alone, and IoU ``[B, N, 1 + M]``."""
        whole = _of_whole(embedding)
        logits, iou = self.network.predict_masks(whole, self._in_frame(prompts.batched(), whole))
        return self.network.postprocess(logits.flatten(1, 2), whole).unflatten(1, iou.shape[1:]), iou

    def decode(self, embedding: ImageEmbedding, prompts: Prompts, multimask: Multimask | None = None) -> torch.Tensor:
        """Predict logits ``[B, N, H, W]`` of both looks; see :class:`Promptable`."""
        if is_traced():
            raise RuntimeError(
                "where Zoom looks again depends on values, which no trace follows: trace the network within."
            )
        prompts = prompts.batched()
        multimask = self.multimask if multimask is None else multimask
        whole, images = _of_whole(embedding), embedding.high_resolution[0]
        logits = self.network.decode(whole, self._in_frame(prompts, whole), multimask)
        logits = _limited(self.network.postprocess(logits, whole))
        for b, n in product(*map(range, logits.shape[:2])):
            one = prompts.image(b).objects([n])
            if is_mask_alone(one.batched()).any():
                continue
            window = self._window(logits[b, n] > 0.0, one)
            if window is None:
                continue
            near = self.network.encode(images[b : b + 1, :, window[0], window[1]])
            moved = self._in_frame(_moved(one, window).batched(), near)
            second = self.network.decode(near, moved, _same_choice(multimask, one))
            both = (logits[b, n][window] + _limited(self.network.postprocess(second, near)[0, 0])) / 2.0
            logits[b, n] = -_LIMIT
            logits[b, n][window] = both
        return keep_masks_alone(logits, prompts)

    def carry(self, embedding: ImageEmbedding, prompts: Prompts) -> torch.Tensor:
        """Predict logits ``[B, N, H, W]``, of one look where the network has a decoder for this."""
        if self.core.carry_decoder is None:
            return self.decode(embedding, prompts)
        whole = _of_whole(embedding)
        logits = self.network.carry(whole, self._in_frame(prompts.batched(), whole))
        return self.network.postprocess(logits, whole)

    def postprocess(self, logits: torch.Tensor, embedding: ImageEmbedding) -> torch.Tensor:
        """Return the logits, which have the image's own pixels."""
        return logits

    def mask_prompt(self, masks: torch.Tensor, embedding: ImageEmbedding) -> torch.Tensor:
        """Return masks ``[N, H, W]`` as logits ``[N, 1, H, W]``, which prompt in the image's own pixels."""
        return as_logits(masks)[:, None]

    def _in_frame(self, prompts: Prompts, embedding: ImageEmbedding) -> Prompts:
        """Bring masks ``[B, N, 1, H, W]`` in pixels of the image to the frame of the network."""
        if prompts.masks is None:
            return prompts
        if prompts.masks.shape[-2:] != embedding.original_size:
            raise ValueError(
                f"masks must have the {embedding.original_size} pixels of the image, got {tuple(prompts.masks.shape)}."
            )
        flat = self.network.mask_prompt(prompts.masks.flatten(0, 2), embedding)
        return replace(prompts, masks=flat.unflatten(0, prompts.masks.shape[:2]))

    def _window(self, first: torch.Tensor, prompts: Prompts) -> tuple[slice, slice] | None:
        """Rows and columns of the window of one object, None where a second look shows nothing new."""
        clicks = torch.zeros(0, 2)
        if prompts.points is not None and prompts.point_labels is not None:
            clicks = prompts.points[prompts.point_labels == 1].cpu().float()
        known = torch.zeros_like(first) if prompts.masks is None else (prompts.masks[0, 0] > 0.0).to(first.device)
        if prompts.boxes is not None and prompts.has_box.all():
            corners = prompts.boxes.cpu().float().view(2, 2)
        elif known.any() or (first.any() and len(clicks)):
            corners = torch.from_numpy(tight_box(_pieces(first.cpu().numpy(), clicks.numpy(), known.cpu().numpy())))
            corners = corners.view(2, 2)
        else:
            return None
        corners = torch.cat([corners, clicks])
        low, high = corners.amin(0) - 0.5, corners.amax(0) + 0.5
        side = max(_SMALLEST_SIDE, math.ceil(self.margin * float((high - low).max())))
        if side >= max(first.shape):
            return None
        x, y = ((low + high) / 2.0).tolist()
        return _span(y, side, first.shape[0]), _span(x, side, first.shape[1])


def _pieces(first: np.ndarray, clicks: np.ndarray, known: np.ndarray) -> np.ndarray:
    """Add the pieces of a mask that are clicked or touched to what is known; without any, take the largest piece."""
    pieces, _ = ndimage.label(first, np.ones((3, 3)))
    x, y = np.clip(np.rint(clicks).astype(int), 0, np.array(first.shape[::-1]) - 1).T
    chosen = np.union1d(pieces[y, x], pieces[known])
    found: np.ndarray = known | (first & np.isin(pieces, chosen))
    return found if found.any() else largest_component(first)


def _limited(logits: torch.Tensor) -> torch.Tensor:
    clipped = logits.clamp(-_LIMIT, _LIMIT)
    return clipped + _LEAK * (logits - clipped)


def _same_choice(multimask: Multimask, prompts: Prompts) -> Multimask:
    """Choose among alternatives again where the first look did, whatever clicks the second one lacks."""
    if multimask != "single_click":
        return multimask
    return "always" if bool(is_single_click(prompts.batched()).any()) else "never"


def _of_whole(embedding: ImageEmbedding) -> ImageEmbedding:
    return replace(embedding, high_resolution=embedding.high_resolution[1:])


def _span(centre: float, side: int, size: int) -> slice:
    """Give the ``side`` pixels around a coordinate, pushed into the image and clipped to it."""
    first = max(0, min(math.floor(centre + 0.5 - side / 2.0), size - side))
    return slice(first, min(size, first + side))


def _moved(prompts: Prompts, window: tuple[slice, slice]) -> Prompts:
    """Prompts ``[1, ...]`` in a window; negative clicks outside it, where all is background, are left out."""
    rows, columns = window
    origin = torch.tensor([columns.start, rows.start])
    size = torch.tensor([columns.stop, rows.stop]) - origin
    points, labels, boxes, masks = prompts.points, prompts.point_labels, prompts.boxes, prompts.masks
    if points is not None and labels is not None:
        points = points - origin.to(points)
        inside = ((points >= -0.5) & (points <= size.to(points) - 0.5)).all(dim=-1)
        labels = torch.where(inside | (labels != 0), labels, -1)
    return Prompts(
        points=points,
        point_labels=labels,
        boxes=None if boxes is None else boxes - origin.repeat(2).to(boxes),
        masks=None if masks is None else masks[:, :, rows, columns],
    )
