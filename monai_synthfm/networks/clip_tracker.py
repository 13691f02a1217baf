# Copyright (c) monai_synthfm contributors
# Licensed under the Apache License, Version 2.0 (http://www.apache.org/licenses/LICENSE-2.0).
# SPDX-License-Identifier: Apache-2.0
"""Objects prompted on one slice of a clip and followed to all of its slices, as one differentiable forward pass."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, fields, replace
from functools import partial

import torch
from monai.utils import convert_to_dst_type, convert_to_tensor
from torch import nn

from monai_synthfm.networks.error_clicks import draw_error_clicks
from monai_synthfm.networks.memory_bank import MemoryBank, SliceMemory, TrackedMasks
from monai_synthfm.networks.preprocessing import MASK_LOGIT
from monai_synthfm.networks.promptable import ImageEmbedding
from monai_synthfm.networks.sam2 import Sam2
from monai_synthfm.prompts.prompts import Prompts
from monai_synthfm.utils.switches import reads_switches

__all__ = ["ClipMasks", "ClipTracker"]

NUM_CANDIDATES = 4


@dataclass(frozen=True)
class ClipMasks:
    """What is found of N objects in each of B clips, in the form that a loss wants.

    Args:
        logits: of the masks ``[B, N, X, Y, Z]``, whether the object is thought to be on a slice or not.
        object_scores: logits of its being there ``[B, N, Z]``.
        candidates: the masks that were chosen among, booleans ``[B, N, Z, 4, h, w]`` at low resolution, rows along the
            second axis of the clip; None where nothing was chosen.
        iou: what the network predicts as their IoU with the object ``[B, N, Z, 4]``.
    """

    logits: torch.Tensor
    object_scores: torch.Tensor
    candidates: torch.Tensor | None = None
    iou: torch.Tensor | None = None

    def __iter__(self) -> Iterator[torch.Tensor]:
        """Yield the tensors, which MONAI's engines take apart by clips."""
        parts = (self.logits, self.object_scores, self.candidates, self.iou)
        return (part for part in parts if part is not None)

    def float(self) -> ClipMasks:
        """Return the same in float32."""
        iou = None if self.iou is None else self.iou.float()
        return replace(self, logits=self.logits.float(), object_scores=self.object_scores.float(), iou=iou)


@reads_switches
class ClipTracker(nn.Module):
    """Train a network with a memory on clips: encode all slices at once, prompt one, propagate upwards and downwards.

    A clip is a volume with its slices along the last axis; slices are shown to the network with the first axis as width
    and the second as height, as everywhere. Gradients flow through the memory from every slice to all before it. Slices
    above the prompted one do not see those below and vice versa, which is how volumes are propagated in inference, too.
    All clips of a batch, whatever slice they are prompted on, go both ways at once: in step k the network works on the
    slices that lie k away from the prompted ones. Everything is in ``forward``, so that the module can be wrapped for
    data-parallel training.

    Args:
        network: tracks and memorizes; its weights are those to be saved.
        detach_memory: cut the gradients between slices: less memory, but the memory encoder is then not trained.
        correct_prob: probability that in training, in one random step, all objects are prompted again: by what was
            found and a click where it is wrong. The answer to that is what is found and remembered. It needs
            ``target``.

    Raises:
        ValueError: when ``correct_prob`` is no probability.

    Source: SAM 2's training (arXiv 2408.00714, section 4 and appendix); its corrections are given beside the memory,
    here they are what a user does in inference.

    Example:
        >>> from monai_synthfm.networks.sam2_parts import Sam2Size
        >>> tiny = Sam2Size(8, 1, (1, 1, 2, 1), (3,), (4, 4), hidden_dim=32, memory_dim=8, memory_layers=1, mlp_dim=32)
        >>> tracker = ClipTracker(Sam2(tiny, image_size=32))
        >>> found = tracker(torch.rand(2, 1, 32, 24, 3))
        >>> found.logits.shape, found.object_scores.shape, tracker.eval()(torch.rand(1, 1, 32, 24, 3)).shape
        (torch.Size([2, 1, 32, 24, 3]), torch.Size([2, 1, 3]), torch.Size([1, 1, 32, 24, 3]))
    """

    def __init__(self, network: Sam2, detach_memory: bool = False, correct_prob: float = 0.0) -> None:
        super().__init__()
        if not 0.0 <= correct_prob <= 1.0:
            raise ValueError(f"correct_prob must be in [0, 1], got {correct_prob}.")
        self.network = network
        self.detach_memory = detach_memory
        self.correct_prob = correct_prob

    def forward(
        self,
        image: torch.Tensor,
        points: torch.Tensor | None = None,
        point_labels: torch.Tensor | None = None,
        boxes: torch.Tensor | None = None,
        masks: torch.Tensor | None = None,
        prompt_slice: torch.Tensor | None = None,
        target: torch.Tensor | None = None,
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
            target: true masks ``[B, N, X, Y, Z]``, for corrections in training.

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
        starts = prompt_slice.cpu()
        outside = [start for start in starts.tolist() if not 0 <= start < slices]
        if outside:
            raise ValueError(f"prompt_slice must be one of the {slices} slices of a clip, got {outside[0]}.")
        if points is None and boxes is None:
            count = 1 if masks is None else masks.shape[1]
            points = clips.new_tensor([(width - 1) / 2, (height - 1) / 2]).expand(batch, count, 1, 2)
            point_labels = torch.ones(batch, count, 1, dtype=torch.int64, device=clips.device)
        prompts = Prompts.from_mapping({"points": points, "point_labels": point_labels, "boxes": boxes})
        # a MetaTensor among the inputs would make one of everything that is computed from it, slowly
        known = None if masks is None else convert_to_tensor(masks, track_meta=False)

        embedding = self.network.encode(clips.permute(0, 4, 1, 3, 2).flatten(0, 1))
        drawn = self.training and self.correct_prob > 0 and target is not None
        corrected = None
        if drawn and target is not None and float(torch.rand(())) < self.correct_prob:
            corrected = convert_to_tensor(target, track_meta=False).permute(0, 4, 1, 3, 2).flatten(0, 1) > 0
        result = self._track(embedding, starts, slices, prompts, known, corrected)
        if self.training:
            return result
        return convert_to_dst_type(result.logits, image, dtype=result.logits.dtype)[0]

    def _track(
        self,
        embedding: ImageEmbedding,
        starts: torch.Tensor,
        slices: int,
        prompts: Prompts,
        masks: torch.Tensor | None,
        corrected: torch.Tensor | None,
    ) -> ClipMasks:
        """Follow the objects of B clips both ways; ``corrected`` are true masks ``[B Z, N, Y, X]`` or None."""
        batch, objects = len(starts), prompts.num_objects
        first = torch.arange(batch) * slices + starts
        begun = _pick(embedding, first)
        tracked = self._prompted(begun, prompts, masks)
        found, places = [tracked], [first]
        memory = self._memorize(begun, tracked, 0, is_prompted=True)
        # a track is one clip in one direction; all of them count slices from the prompted one on
        clip, step = torch.arange(batch).repeat(2), torch.tensor([1, -1]).repeat_interleave(batch)
        bank = MemoryBank(slices).with_prompted(memory.of(_rows(clip, objects, embedding)))
        longest = int(torch.maximum(starts, slices - 1 - starts).max())
        again = int(torch.randint(1, longest + 1, ())) if corrected is not None and longest else 0
        for distance in range(1, longest + 1):
            slice_index = starts[clip] + step * distance
            inside = (slice_index >= 0) & (slice_index < slices)
            if not inside.all():
                going = inside.nonzero()[:, 0]
                bank = bank.of(_rows(going, objects, embedding))
                clip, step, slice_index = clip[going], step[going], slice_index[going]
            place = clip * slices + slice_index
            here = _pick(embedding, place)
            tracked = self.network.track(here, bank, distance)
            if distance == again and corrected is not None:
                tracked = self._corrected(here, tracked, corrected[place.to(corrected.device)].flatten(0, 1))
            found.append(tracked)
            places.append(place)
            if distance < longest:
                memory = self._memorize(here, tracked, distance, is_prompted=distance == again)
                add = bank.with_prompted if distance == again else partial(bank.with_tracked, coming=distance + 1)
                bank = add(memory)
        return self._collect(found, places, embedding, (batch, slices, objects))

    def _prompted(self, embedding: ImageEmbedding, prompts: Prompts, masks: torch.Tensor | None) -> TrackedMasks:
        """Find the objects of B clips on their prompted slices, by masks ``[B, N, Y, X]`` where there are any."""
        bank = MemoryBank(1)
        known = torch.zeros(len(embedding.features), dtype=torch.bool)
        if masks is not None:
            known = masks.flatten(1).any(dim=1).cpu()
        parts, members = [], []
        for by_mask in (True, False):
            clips = (known == by_mask).nonzero()[:, 0]
            if len(clips):
                asked = None if by_mask else _of_clips(prompts, clips)
                given = masks[clips].flatten(0, 1) if by_mask and masks is not None else None
                parts.append(self.network.track(_pick(embedding, clips), bank, 0, asked, given))
                members.append(clips)
        order = torch.cat(members).argsort()
        return _joined([_candidates(part) for part in parts], _rows(order, prompts.num_objects, embedding))

    def _corrected(self, embedding: ImageEmbedding, tracked: TrackedMasks, target: torch.Tensor) -> TrackedMasks:
        """Prompt with what was found and a random click where it differs from masks ``[M, Y, X]``."""
        with torch.no_grad():
            wanted = self.network.mask_prompt(target, embedding)
            logits = tracked.logits.detach()[:, None].clamp(-MASK_LOGIT, MASK_LOGIT)
            points, labels = draw_error_clicks(logits[:, 0] > 0, wanted[:, 0] > 0, self.network.image_size)
            factor = [of / size for of, size in zip(embedding.original_size, embedding.input_size, strict=True)]
            points = points * points.new_tensor(factor[::-1])
        shape = (len(embedding.features), -1)
        prompts = Prompts(points.unflatten(0, shape), labels.unflatten(0, shape), None, logits.unflatten(0, shape))
        return self.network.track(embedding, MemoryBank(1), 0, prompts=prompts)

    def _collect(
        self,
        found: list[TrackedMasks],
        places: list[torch.Tensor],
        embedding: ImageEmbedding,
        shape: tuple[int, int, int],
    ) -> ClipMasks:
        """Put what is found in the order of the clips, given its places in B clips of Z slices, N objects each."""
        batch, slices, objects = shape
        order = _rows(torch.cat(places).argsort(), objects, embedding)
        on = _joined([_candidates(part) for part in found], order)
        logits = on.decoded if self.training else on.logits
        masks = self.network.postprocess(logits.unflatten(0, (-1, objects)), embedding)
        # B, Z, N, ... to B, N, Z, ...
        by_object = [
            value.unflatten(0, (batch, slices, objects)).transpose(1, 2)
            for value in (masks.flatten(0, 1), on.object_score, on.candidates > 0, on.iou)
        ]
        return ClipMasks(by_object[0].permute(0, 1, 4, 3, 2), *by_object[1:])

    def _memorize(self, embedding: ImageEmbedding, tracked: TrackedMasks, index: int, is_prompted: bool) -> SliceMemory:
        memory = self.network.memorize(embedding, tracked, index, is_prompted)
        return memory.detach() if self.detach_memory else memory


def _pick(embedding: ImageEmbedding, images: torch.Tensor) -> ImageEmbedding:
    images = images.to(embedding.features.device)
    finer = tuple(features[images] for features in embedding.high_resolution)
    return replace(embedding, features=embedding.features[images], high_resolution=finer)


def _of_clips(prompts: Prompts, clips: torch.Tensor) -> Prompts:
    return Prompts.from_mapping(
        {name: value[clips.to(value.device)] for name, value in vars(prompts).items() if value is not None}
    )


def _rows(groups: torch.Tensor, objects: int, embedding: ImageEmbedding) -> torch.Tensor:
    """Return the indexes of the objects of groups that have so many each."""
    rows = groups[:, None] * objects + torch.arange(objects)
    return rows.flatten().to(embedding.features.device)


def _candidates(tracked: TrackedMasks) -> TrackedMasks:
    """Repeat a known mask, the only candidate on its slice."""
    return replace(
        tracked,
        candidates=tracked.candidates.expand(-1, NUM_CANDIDATES, -1, -1),
        iou=tracked.iou.expand(-1, NUM_CANDIDATES),
    )


def _joined(parts: list[TrackedMasks], order: torch.Tensor) -> TrackedMasks:
    """Put the objects of several slices together, in a given order."""
    return TrackedMasks(
        *(torch.cat([getattr(part, field.name) for part in parts])[order] for field in fields(TrackedMasks))
    )
