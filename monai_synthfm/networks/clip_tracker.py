# Copyright (c) monai_synthfm contributors
# Licensed under the Apache License, Version 2.0 (http://www.apache.org/licenses/LICENSE-2.0).
# SPDX-License-Identifier: Apache-2.0
"""Objects prompted on one slice of a clip and followed to all of its slices, as one differentiable forward pass."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, fields, replace

import torch
from monai.utils import convert_to_dst_type, convert_to_tensor
from torch import nn

from monai_synthfm.networks.memory_bank import MemoryBank, SliceMemory, TrackedMasks
from monai_synthfm.networks.promptable import ImageEmbedding
from monai_synthfm.networks.sam2 import Sam2
from monai_synthfm.prompts.prompts import Prompts
from monai_synthfm.switches import reads_switches

__all__ = ["ClipMasks", "ClipTracker"]

NUM_CANDIDATES = 4


@dataclass(frozen=True)
class ClipMasks:
    """What is found of N objects in each of B clips, in the form that a loss wants.

    Args:
        logits: of the masks ``[B, N, X, Y, Z]``, whether the object is thought to be on a slice or not.
        object_scores: logits of its being there ``[B, N, Z]``.
        candidates: the masks that were chosen among, booleans ``[B, N, Z, 4, h, w]`` at low resolution, rows along the
            second axis of the clip.
        iou: what the network predicts as their IoU with the object ``[B, N, Z, 4]``.
    """

    logits: torch.Tensor
    object_scores: torch.Tensor
    candidates: torch.Tensor
    iou: torch.Tensor

    def __iter__(self) -> Iterator[torch.Tensor]:
        """Yield the tensors, which MONAI's engines take apart by clips."""
        return iter((self.logits, self.object_scores, self.candidates, self.iou))

    def float(self) -> ClipMasks:
        """Return the same in float32."""
        return replace(self, logits=self.logits.float(), object_scores=self.object_scores.float(), iou=self.iou.float())


@reads_switches
class ClipTracker(nn.Module):
    """Train a network with a memory on clips: encode all slices at once, prompt one, propagate upwards and downwards.

    A clip is a volume with its slices along the last axis; slices are shown to the network with the first axis as width
    and the second as height, as everywhere. Gradients flow through the memory from every slice to all before it. Slices
    above the prompted one do not see those below and vice versa, which is how volumes are propagated in inference, too.
    Everything is in ``forward``, so that the module can be wrapped for data-parallel training.

    Args:
        network: tracks and memorizes; its weights are those to be saved.
        detach_memory: cut the gradients between slices: less memory, but the memory encoder is then not trained.

    Example:
        >>> from monai_synthfm.networks.sam2_parts import Sam2Size
        >>> tiny = Sam2Size(8, 1, (1, 1, 2, 1), (3,), (4, 4), hidden_dim=32, memory_dim=8, memory_layers=1, mlp_dim=32)
        >>> tracker = ClipTracker(Sam2(tiny, image_size=32))
        >>> found = tracker(torch.rand(2, 1, 32, 24, 3))
        >>> found.logits.shape, found.object_scores.shape, tracker.eval()(torch.rand(1, 1, 32, 24, 3)).shape
        (torch.Size([2, 1, 32, 24, 3]), torch.Size([2, 1, 3]), torch.Size([1, 1, 32, 24, 3]))
    """

    def __init__(self, network: Sam2, detach_memory: bool = False) -> None:
        super().__init__()
        self.network = network
        self.detach_memory = detach_memory

    def forward(
        self,
        image: torch.Tensor,
        points: torch.Tensor | None = None,
        point_labels: torch.Tensor | None = None,
        boxes: torch.Tensor | None = None,
        masks: torch.Tensor | None = None,
        prompt_slice: torch.Tensor | None = None,
    ) -> ClipMasks | torch.Tensor:
        """Follow the objects prompted on one slice of each clip; with no prompt at all, the object at the centre.

        Args:
            image: clips ``[B, 1 or 3, X, Y, Z]`` in [0, 1].
            points: clicks ``[B, N, K, 2]`` in pixels of the prompted slice, x along the first axis, y along the second.
            point_labels: ``[B, N, K]``, 1 positive, 0 negative, -1 padding.
            boxes: ``[B, N, 4]`` as x0 y0 x1 y1; a row of NaN means no box.
            masks: known masks ``[B, N, Y, X]`` of the prompted slice, above 0 inside. Clips with any True are prompted
                by them alone, the others by clicks and boxes.
            prompt_slice: ``[B]`` index of the prompted slice; the middle one if None.

        Returns:
            in training mode :class:`ClipMasks`; else logits ``[B, N, X, Y, Z]`` that are -1024 on slices where the
            object is not found, a MetaTensor when ``image`` is one.
        """
        clips = convert_to_tensor(image, track_meta=False)
        if clips.ndim != 5:
            raise ValueError(f"image must be clips [B, 1 or 3, X, Y, Z], got shape {tuple(clips.shape)}.")
        batch, _, width, height, slices = clips.shape
        if prompt_slice is None:
            prompt_slice = torch.full((batch,), (slices - 1) // 2)
        if points is None and boxes is None:
            count = 1 if masks is None else masks.shape[1]
            points = clips.new_tensor([(width - 1) / 2, (height - 1) / 2]).expand(batch, count, 1, 2)
            point_labels = torch.ones(batch, count, 1, dtype=torch.int64, device=clips.device)
        prompts = Prompts.from_mapping({"points": points, "point_labels": point_labels, "boxes": boxes})

        embedding = self.network.encode(clips.permute(0, 4, 1, 3, 2).flatten(0, 1))
        by_mask = torch.zeros_like(prompt_slice, dtype=torch.bool) if masks is None else masks.flatten(1).any(dim=1)
        groups: dict[tuple[int, bool], list[int]] = {}
        for clip, kind in enumerate(zip(prompt_slice.tolist(), by_mask.tolist(), strict=True)):
            groups.setdefault(kind, []).append(clip)
        found = []
        for (start, known), members in groups.items():
            embeddings = [_pick(embedding, [clip * slices + z for clip in members]) for z in range(slices)]
            given = masks[members].flatten(0, 1) if known and masks is not None else None
            found.append(self._track(embeddings, start, _of_clips(prompts, members), given))
        order = torch.tensor([clip for members in groups.values() for clip in members]).argsort()
        result = ClipMasks(
            *(torch.cat([getattr(part, field.name) for part in found])[order] for field in fields(ClipMasks))
        )
        if self.training:
            return result
        return convert_to_dst_type(result.logits, image, dtype=result.logits.dtype)[0]

    def _track(
        self, embeddings: list[ImageEmbedding], start: int, prompts: Prompts, masks: torch.Tensor | None
    ) -> ClipMasks:
        """Follow the objects of clips that are prompted on the same slice, by masks ``[B N, Y, X]`` or by prompts."""
        if not 0 <= start < len(embeddings):
            raise ValueError(f"prompt_slice must be one of the {len(embeddings)} slices of a clip, got {start}.")
        bank = MemoryBank(len(embeddings))
        given = {"prompts": prompts} if masks is None else {"masks": masks}
        tracked = {start: self.network.track(embeddings[start], bank, start, **given)}
        prompted = bank.with_prompted(self._memorize(embeddings[start], tracked[start], start, is_prompted=True))
        for step, end in ((1, len(embeddings)), (-1, -1)):
            bank = prompted
            for index in range(start + step, end, step):
                tracked[index] = self.network.track(embeddings[index], bank, index, reverse=step < 0)
                if index + step != end:
                    memory = self._memorize(embeddings[index], tracked[index], index, is_prompted=False)
                    bank = bank.with_tracked(memory, coming=index + step)
        return self._collect([tracked[index] for index in range(len(embeddings))], embeddings, prompts.num_objects)

    def _collect(self, tracked: list[TrackedMasks], embeddings: list[ImageEmbedding], objects: int) -> ClipMasks:
        """Stack what is found on the slices, objects by clip."""
        logits, scores, candidates, iou = [], [], [], []
        for on, embedding in zip(tracked, embeddings, strict=True):
            found = on.decoded if self.training else on.logits
            logits.append(self.network.postprocess(found.unflatten(0, (-1, objects)), embedding))
            scores.append(on.object_score.unflatten(0, (-1, objects)))
            # a known mask is the only candidate on its slice
            candidates.append((on.candidates > 0).expand(-1, NUM_CANDIDATES, -1, -1).unflatten(0, (-1, objects)))
            iou.append(on.iou.expand(-1, NUM_CANDIDATES).unflatten(0, (-1, objects)))
        return ClipMasks(
            torch.stack(logits, dim=-1).transpose(2, 3),
            torch.stack(scores, dim=-1),
            torch.stack(candidates, dim=2),
            torch.stack(iou, dim=2),
        )

    def _memorize(self, embedding: ImageEmbedding, tracked: TrackedMasks, index: int, is_prompted: bool) -> SliceMemory:
        memory = self.network.memorize(embedding, tracked, index, is_prompted)
        if not self.detach_memory or memory.features is None:
            return memory
        return replace(memory, pointer=memory.pointer.detach(), features=memory.features.detach())


def _pick(embedding: ImageEmbedding, images: list[int]) -> ImageEmbedding:
    finer = tuple(features[images] for features in embedding.high_resolution)
    return replace(embedding, features=embedding.features[images], high_resolution=finer)


def _of_clips(prompts: Prompts, clips: list[int]) -> Prompts:
    return Prompts.from_mapping({name: value[clips] for name, value in vars(prompts).items() if value is not None})
