# Copyright (c) monai_synthfm contributors
# Licensed under the Apache License, Version 2.0 (http://www.apache.org/licenses/LICENSE-2.0).
# SPDX-License-Identifier: Apache-2.0
"""From prompts to the tokens that SAM's mask decoder reads, however many each object has."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import torch
from monai.utils import convert_to_tensor
from segment_anything.modeling import PromptEncoder

from monai_synthfm.networks.promptable import ImageEmbedding
from monai_synthfm.prompts.prompts import Prompts
from monai_synthfm.prompts.tracing import int_sizes, is_traced

__all__ = ["PromptTokens", "embed_tokens", "flat_masks", "tokens_on"]

# Labels of SAM's prompt encoder: -1 padding, 0 negative, 1 positive, 2 and 3 the corners of a box.
_PADDING, _TOP_LEFT, _BOTTOM_RIGHT = -1, 2, 3


@dataclass(frozen=True)
class PromptTokens:
    """Tokens of M objects in a common layout, of which each object uses some.

    While torch traces, what values say is unknown: every click and box that is there counts as given.

    An object's tokens are its clicks, then the corners of its box or, without a box, one padding token, exactly those
    that segment-anything's ``PromptEncoder`` makes for this object alone. An object without click and box has none.

    Args:
        coords: ``[M, T, 2]`` as x, y in pixels of the network's input.
        labels: ``[M, T]``, -1 to 3 as in SAM's prompt encoder.
        used: ``[M, T]``, which tokens are the object's.
        columns: which of the T tokens are used by every object and no other by any, known while torch traces alone.
    """

    coords: torch.Tensor
    labels: torch.Tensor
    used: torch.Tensor
    columns: tuple[int, ...] | None = None

    @classmethod
    def from_prompts(cls, prompts: Prompts, scale: tuple[float, float], device: torch.device) -> PromptTokens:
        """Lay out the tokens of batched prompts, the objects of all images one after the other (M = B N).

        Args:
            prompts: batched, in pixels of the original image.
            scale: factors on x and y that lead to the network's input.
            device: where the tokens shall be.

        Raises:
            ValueError: when clicks or boxes are not two-dimensional, nothing is prompted, or ``torch.jit.trace`` is
                given padding to follow.
        """
        given = [value for value in (prompts.points, prompts.boxes, prompts.masks) if value is not None]
        if prompts.num_objects == 0:
            raise ValueError("nothing is prompted: give points, boxes or masks of at least one object.")
        total = int(given[0].shape[0]) * prompts.num_objects
        points = torch.zeros(total, 0, 2) if prompts.points is None else prompts.points
        labels = torch.zeros(total, 0) if prompts.point_labels is None else prompts.point_labels
        boxes = torch.full((total, 4), torch.nan) if prompts.boxes is None else prompts.boxes
        points, labels, boxes = (convert_to_tensor(value, track_meta=False) for value in (points, labels, boxes))
        if points.shape[-1] != 2 or boxes.shape[-1] != 4:
            raise ValueError("a 2D network takes points as (x, y) and boxes as (x0, y0, x1, y1).")
        count = int(points.shape[-2])
        points = points.to(device, torch.float32).reshape(total, count, 2)
        labels = labels.to(device, torch.int64).reshape(total, count)
        corners = boxes.to(device, torch.float32).reshape(total, 2, 2)

        if torch.jit.is_tracing() and ((labels < 0).any() or (prompts.boxes is not None and corners.isnan().any())):
            raise ValueError(
                "a trace holds for prompts like its example: give it no padding clicks and no absent boxes."
            )
        has_click = (labels >= 0).any(dim=1, keepdim=True)
        has_box = ~corners.isnan().any(dim=2).any(dim=1, keepdim=True)
        fixed = torch.tensor([_TOP_LEFT, _BOTTOM_RIGHT, _PADDING], device=device).expand(total, 3)
        coords = torch.cat([points, corners, torch.zeros(total, 1, 2, device=device)], dim=1)
        return cls(
            coords=coords * coords.new_tensor(scale),
            labels=torch.cat([labels, fixed], dim=1),
            used=torch.cat([labels >= 0, has_box, has_box, has_click & ~has_box], dim=1),
            columns=_columns(count, prompts.boxes is not None) if is_traced() else None,
        )

    def always_padded(self) -> PromptTokens:
        """Return the tokens with the padding token for every object that has any token, as SAM 2 wants it."""
        last = self.labels.shape[1] - 1
        used = torch.cat([self.used[:, :-1], self.used.any(dim=1, keepdim=True)], dim=1)
        columns = self.columns if not self.columns or last in self.columns else (*self.columns, last)
        return replace(self, used=used, columns=columns)

    def chunks(self, size: int) -> Iterator[tuple[torch.Tensor, torch.Tensor, torch.Tensor]]:
        """Yield indexes ``[G]``, coordinates ``[G, t, 2]``, labels ``[G, t]`` of G <= ``size`` objects, alike in t."""
        if self.columns is not None:
            columns = torch.tensor(self.columns, dtype=torch.int64, device=self.labels.device)
            for index in torch.arange(int(self.labels.shape[0]), device=self.labels.device).split(size):
                yield index, self.coords[index][:, columns], self.labels[index][:, columns]
            return
        counts = self.used.sum(dim=1)
        for number in counts.unique().tolist():
            for index in torch.nonzero(counts == number).flatten().split(size):
                used = self.used[index]
                yield (
                    index,
                    self.coords[index][used].reshape(len(index), number, 2),
                    self.labels[index][used].reshape(len(index), number),
                )


def _columns(clicks: int, has_boxes: bool) -> tuple[int, ...]:
    """Return the columns of the clicks and, after them, those of the box or that of the padding."""
    last = (clicks, clicks + 1) if has_boxes else (clicks + 2,) if clicks else ()
    return (*range(clicks), *last)


def tokens_on(embedding: ImageEmbedding, prompts: Prompts) -> PromptTokens:
    """Lay out the clicks and boxes of batched prompts on the images of an embedding.

    Args:
        embedding: of B images.
        prompts: batched, in pixels of the original images.

    Raises:
        ValueError: as :meth:`PromptTokens.from_prompts`, or when the prompts are not those of B images.
    """
    height, width = embedding.original_size
    scale = (embedding.input_size[1] / width, embedding.input_size[0] / height)
    tokens = PromptTokens.from_prompts(prompts, scale, embedding.features.device)
    batch, count = int(embedding.features.shape[0]), prompts.num_objects
    total = int(tokens.labels.shape[0])
    if total != batch * count:
        raise ValueError(f"the embedding holds {batch} images but the prompts describe {total // count}.")
    return tokens


def flat_masks(prompts: Prompts, prompt_encoder: PromptEncoder) -> torch.Tensor | None:
    """Return the mask prompts of all images one after the other, ``[M, 1, h, w]``, after checking their size."""
    if prompts.masks is None:
        return None
    found, expected = int_sizes(prompts.masks.shape[-2:]), tuple(prompt_encoder.mask_input_size)
    if found != expected:
        raise ValueError(
            f"masks must be low-resolution logits of {expected} pixels for image_size "
            f"{prompt_encoder.input_image_size[0]}, got {found}."
        )
    return convert_to_tensor(prompts.masks, track_meta=False).flatten(0, 1)


def embed_tokens(prompt_encoder: PromptEncoder, coords: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    """Embed tokens with the weights of SAM's ``PromptEncoder``: ``[label >= 0] PE(coords) + table[label]``.

    All embedding tables take part whatever labels occur, so that data-parallel training sees the same graph in every
    process. The position encoding is always float32: in bfloat16 a coordinate has 8 bits.

    Args:
        prompt_encoder: segment-anything's.
        coords: ``[G, t, 2]`` as x, y in pixels of the network's input.
        labels: ``[G, t]``, -1 to 3.

    Returns:
        ``[G, t, C]``.
    """
    with torch.autocast(coords.device.type, enabled=False):
        position = prompt_encoder.pe_layer.forward_with_coords(coords + 0.5, prompt_encoder.input_image_size)
    tables = [prompt_encoder.not_a_point_embed, *prompt_encoder.point_embeddings]
    table = torch.cat([embedding.weight for embedding in tables])
    return position * (labels >= 0)[..., None] + table[labels + 1]
