# Copyright (c) monai_synthfm contributors
# Licensed under the Apache License, Version 2.0 (http://www.apache.org/licenses/LICENSE-2.0).
# SPDX-License-Identifier: Apache-2.0
"""SAM 2 (arXiv 2408.00714): prompted objects on images, and their tracks through the slices of a volume."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import torch
from torch import nn
from torch.nn import functional as F

from monai_synthfm.networks.memory_bank import NUM_MEMORIES, MemoryBank, RecalledMemory, SliceMemory, TrackedMasks
from monai_synthfm.networks.preprocessing import Preprocessing, as_logits
from monai_synthfm.networks.prompt_tokens import PromptTokens, flat_masks, tokens_on
from monai_synthfm.networks.promptable import ImageEmbedding, Multimask, NetworkSettings, checked_multimask
from monai_synthfm.networks.sam2_image import DecodedMasks, Sam2Image
from monai_synthfm.networks.sam2_parts import (
    MLP,
    SAM2_SIZES,
    MemorySize,
    get_1d_sine_pe,
    new_memory_attention,
    new_memory_encoder,
)
from monai_synthfm.prompts.prompts import Prompts

__all__ = ["MEMORY_BIAS", "MEMORY_SCALE", "Sam2", "time_slot"]

# Scale and bias of masks in the memory encoder (sam2's configs).
MEMORY_SCALE, MEMORY_BIAS = 20.0, -10.0
# An unambiguous mask is stable when this share of its area stays as the threshold moves by this logit either way.
_STABILITY_LOGIT, _STABLE = 0.05, 0.98


class Sam2(Sam2Image):
    """SAM 2 and 2.1 behind the :class:`Promptable` interface, with a memory for volumes, and sam2's state dict keys.

    A volume is a sequence of slices. Each is encoded once by :meth:`encode`; :meth:`track` finds objects on it, by
    their prompts or by the :class:`MemoryBank` of the slices before; :meth:`memorize` makes the memory of it. All
    three are differentiable and keep no state.

    Its weights are random, see :class:`~monai_synthfm.networks.Sam`. The same ones serve every ``image_size``.

    Args:
        model: ``"sam2.1_hiera_tiny"``, ``..._small``, ``..._base_plus`` or ``..._large``, the same with ``sam2_hiera``
            for SAM 2.0, or the sizes of another network.
        image_size: side of the square input in pixels, a multiple of 32. 1024 is SAM 2's.
        preprocessing: ``"sam"`` or ``"contrast"``, see :class:`Sam2Image`.
        multimask: for images: ``"never"``, ``"single_click"`` or ``"always"``, see :class:`Promptable`.
        tracking_multimask: the same for volumes, where a slice without prompts counts as ambiguous like a single
            click, and in evaluation an unambiguous mask that is not stable gives way to the best alternative. The
            default is SAM 2's own; ``"never"`` is for decoders without a trained IoU head.
        max_conditioning: how many prompted slices, the closest, a slice looks at; None = at all of them, SAM 2's
            default. Worth setting when a box prompts tens of slices.
        objects_per_pass: how many objects go through the mask decoder at once.

    Raises:
        ValueError: when an argument is not as above.

    Example:
        >>> from monai_synthfm.networks.sam2_parts import Sam2Size
        >>> tiny = Sam2Size(8, 1, (1, 1, 2, 1), (3,), (4, 4), hidden_dim=32, memory_dim=8, memory_layers=1, mlp_dim=32)
        >>> net = Sam2(tiny, image_size=64).eval()
        >>> click = Prompts(torch.tensor([[[20.0, 30.0]]]), torch.tensor([[1]]))
        >>> first, second = (net.encode(torch.rand(1, 1, 40, 50)) for _ in range(2))
        >>> tracked = net.track(first, MemoryBank(num_slices=2), index=0, prompts=click)
        >>> bank = MemoryBank(num_slices=2).with_prompted(net.memorize(first, tracked, index=0, is_prompted=True))
        >>> net.track(second, bank, index=1).logits.shape
        torch.Size([1, 16, 16])
    """

    memory_attention: Any
    memory_encoder: Any
    # Whether the way down from a prompted slice begins with memories of the way up, as in sam2's predictor.
    remembers_across = True

    def __init__(
        self,
        model: str | MemorySize = "sam2.1_hiera_tiny",
        image_size: int = 1024,
        preprocessing: Preprocessing = "sam",
        multimask: Multimask = "never",
        tracking_multimask: Multimask = "single_click",
        max_conditioning: int | None = None,
        objects_per_pass: int = 8,
    ) -> None:
        size = _checked_size(model)
        super().__init__(size, image_size, preprocessing, multimask, objects_per_pass)
        if max_conditioning is not None and max_conditioning < 2:
            raise ValueError(f"max_conditioning must be at least 2, one on either side, got {max_conditioning}.")
        self.tracking_multimask = checked_multimask(tracking_multimask)
        self.max_conditioning = max_conditioning
        self.memory_attention = self._new_memory_attention()
        self.memory_encoder = self._new_memory_encoder()
        self.maskmem_tpos_enc = _random_parameter(NUM_MEMORIES, 1, 1, size.memory_dim)
        # Part of every published state dict, but not of any computation.
        self.no_mem_pos_enc = _random_parameter(1, 1, size.hidden_dim).requires_grad_(False)
        self.mask_downsample = nn.Conv2d(1, 1, kernel_size=4, stride=4)
        self.obj_ptr_proj = MLP(size.hidden_dim, size.hidden_dim, size.hidden_dim, 3)
        self.no_obj_ptr = _random_parameter(1, size.hidden_dim)
        if size.version == "2.1":
            self.obj_ptr_tpos_proj = nn.Linear(size.hidden_dim, size.memory_dim)
            self.no_obj_embed_spatial = _random_parameter(1, size.memory_dim)

    def _new_memory_attention(self) -> nn.Module:
        return new_memory_attention(self.size, self.image_size)

    def _new_memory_encoder(self) -> nn.Module:
        return new_memory_encoder(self.size)

    def describe(self) -> NetworkSettings:
        """Return the settings, with those of the memory."""
        settings = super().describe()
        tracking = {"tracking_multimask": self.tracking_multimask, "max_conditioning": self.max_conditioning}
        return replace(settings, masks={**settings.masks, **tracking})

    def track(
        self,
        embedding: ImageEmbedding,
        bank: MemoryBank,
        index: int,
        prompts: Prompts | None = None,
        masks: torch.Tensor | None = None,
        reverse: bool = False,
    ) -> TrackedMasks:
        """Find objects on one slice of B volumes.

        Args:
            embedding: of the slice of each of the B volumes.
            bank: memories of the same M = B N objects. An empty one makes the prompts speak for themselves, as on the
                slice that an object is prompted on first; otherwise prompts correct what the memories say.
            index: of the slice, in the numbers of the bank.
            prompts: of N objects on this slice in each volume, in pixels of the slice; None on a slice without prompts.
            masks: known masks ``[M, H, W]`` in pixels of the slice, above 0 inside; they are taken as they are, and the
                decoder only finds the pointer to the object.
            reverse: True when slices are gone through downwards.

        Raises:
            ValueError: when there is neither a prompt nor a memory, both ``prompts`` and ``masks``, or prompts and
                memories of different objects.
        """
        if masks is not None:
            if prompts is not None:
                raise ValueError("give prompts or masks, not both: a known mask is not corrected by prompts.")
            return self._known(embedding, masks)
        if bank.is_empty:
            if prompts is None:
                raise ValueError("slice without prompts and without memory: give prompts, masks or a filled bank.")
            features = self._without_memory(embedding)
        else:
            recalled = bank.recall(index, reverse, past_only=not self.training, max_prompted=self.max_conditioning)
            features = self._with_memory(embedding, recalled, bank.pointer_reach)
        if prompts is None:
            tokens = _no_tokens(len(features), features.device)
            prompted_masks = self._carried_mask(bank, index, reverse)
        else:
            prompts = prompts.batched()
            tokens = _padded(tokens_on(embedding, prompts))
            prompted_masks = flat_masks(prompts, self.sam_prompt_encoder)
            if not bank.is_empty and len(tokens.labels) != len(features):
                raise ValueError(
                    f"the memory is of {len(features)} objects, the prompts of {len(tokens.labels)}: give the same."
                )
        decoded = self._decode_objects(features, embedding, tokens, prompted_masks)
        mask, token = self._chosen(decoded, tokens)
        rows = torch.arange(len(mask), device=mask.device)
        return TrackedMasks(
            decoded=decoded.logits[rows, mask],
            candidates=decoded.logits,
            iou=decoded.iou,
            object_score=decoded.object_score,
            pointer=self._pointer(decoded.tokens[rows, token], decoded.object_score),
        )

    def memorize(self, embedding: ImageEmbedding, tracked: TrackedMasks, index: int, is_prompted: bool) -> SliceMemory:
        """Make the memory of a slice from what was found on it.

        In evaluation the masks of prompted slices are remembered without grey: ``20 [logit > 0] - 10``; all others
        as ``20 sigmoid(logit) - 10``.

        Args:
            embedding: of the slice.
            tracked: what was found.
            index: of the slice.
            is_prompted: whether the objects were prompted there.
        """
        square = (self.image_size, self.image_size)
        logits = F.interpolate(tracked.logits[:, None], square, mode="bilinear", align_corners=False)
        masks = (logits > 0).float() if is_prompted and not self.training else logits.sigmoid()
        features = _per_object(embedding.features, len(masks))
        remembered = self.memory_encoder(features, MEMORY_SCALE * masks + MEMORY_BIAS, skip_mask_sigmoid=True)
        maps = remembered["vision_features"]
        if self.size.version == "2.1":
            absent = (~tracked.present).to(maps.dtype)[:, None, None, None]
            maps = maps + absent * self.no_obj_embed_spatial[..., None, None]
        return SliceMemory(index, tracked.pointer, maps)

    def _carried_mask(self, bank: MemoryBank, index: int, reverse: bool) -> torch.Tensor | None:
        """Return what a slice without prompts is prompted with: nothing, in SAM 2."""
        return None

    def _mask_as_prompt(self, masks: torch.Tensor, embedding: ImageEmbedding) -> tuple[torch.Tensor, torch.Tensor]:
        """Return known masks ``[M, H, W]`` as logits ``[M, 1, h, w]`` and as the prompt that finds their pointers."""
        square = (self.image_size, self.image_size)
        given = masks.float()[:, None]
        if given.shape[-2:] != square:
            given = F.interpolate(given, square, mode="bilinear", align_corners=False, antialias=True)
            given = (given >= 0.5).float()
        return self.mask_prompt(given[:, 0] > 0, embedding), self.mask_downsample(given)

    def _known(self, embedding: ImageEmbedding, masks: torch.Tensor) -> TrackedMasks:
        """Take masks ``[M, H, W]`` as the result, and let the decoder find the pointers."""
        masks = masks.to(embedding.features.device)
        logits, prompt = self._mask_as_prompt(masks, embedding)
        tokens = _no_tokens(len(masks), masks.device)
        decoded = self._decode_objects(embedding.features, embedding, tokens, prompt)
        present = (masks > 0).flatten(1).any(dim=1)
        pointer = self._pointer(decoded.tokens[:, 0], decoded.object_score)
        return TrackedMasks(
            decoded=logits[:, 0],
            candidates=logits,
            iou=torch.ones_like(logits[:, :, 0, 0]),
            object_score=as_logits(present),
            pointer=torch.where(present[:, None], pointer, self.no_obj_ptr),
        )

    def _with_memory(self, embedding: ImageEmbedding, recalled: RecalledMemory, reach: int) -> torch.Tensor:
        """Let the features of a slice attend to memories: ``[M, C, h, w]``, one map for each object."""
        tokens, positions = [], []
        for behind, maps in recalled.maps:
            tokens.append(_as_tokens(maps))
            positions.append(
                _as_tokens(self.memory_encoder.position_encoding(maps)) + self.maskmem_tpos_enc[time_slot(behind)]
            )
        objects = tokens[0].shape[1]
        num_pointer_tokens = 0
        if recalled.pointers:
            pointer_tokens, places = self._pointer_tokens(recalled, reach)
            tokens.append(pointer_tokens)
            positions.append(places.expand(-1, objects, -1))
            num_pointer_tokens = len(pointer_tokens)
        features = _per_object(embedding.features, objects)
        attended = self.memory_attention(
            curr=_as_tokens(features),
            curr_pos=_as_tokens(self.image_encoder.neck.position_encoding(features)),
            memory=torch.cat(tokens),
            memory_pos=torch.cat(positions),
            num_obj_ptr_tokens=num_pointer_tokens,
        )
        return attended.permute(1, 2, 0).reshape(features.shape)

    def _pointer_tokens(self, recalled: RecalledMemory, reach: int) -> tuple[torch.Tensor, torch.Tensor]:
        """Cut pointers to tokens as wide as memories: ``[P, M, C']`` and their positions ``[P, 1, C']``."""
        split = self.size.hidden_dim // self.size.memory_dim
        distances, pointers = zip(*recalled.pointers, strict=True)
        tokens = torch.stack(pointers).unflatten(2, (split, -1)).transpose(1, 2).flatten(0, 1)
        places = self._pointer_positions(tokens.new_tensor(distances) / reach)
        return tokens, places.repeat_interleave(split, dim=0)[:, None]

    def _pointer_positions(self, distances: torch.Tensor) -> torch.Tensor:
        """Encode distances ``[P]`` of pointers as ``[P, C']``; SAM 2.0 does not encode them."""
        if self.size.version == "2.0":
            return distances.new_zeros(len(distances), self.size.memory_dim)
        return self.obj_ptr_tpos_proj(get_1d_sine_pe(distances, dim=self.size.hidden_dim))

    def _pointer(self, tokens: torch.Tensor, object_score: torch.Tensor) -> torch.Tensor:
        present = (object_score > 0)[:, None]
        return torch.where(present, self.obj_ptr_proj(tokens), self.no_obj_ptr)

    def _chosen(self, decoded: DecodedMasks, tokens: PromptTokens) -> tuple[torch.Tensor, torch.Tensor]:
        """Choose among the masks of each object, and among their tokens: two indexes ``[M]``."""
        best = decoded.iou[:, 1:].argmax(dim=1) + 1
        if self.tracking_multimask == "never":
            best = torch.zeros_like(best)
        if self.tracking_multimask != "single_click":
            return best, best
        clicks = (tokens.used & (tokens.labels >= 0)).sum(dim=1)
        token = torch.where(clicks <= 1, best, 0)
        if self.training:
            return token, token
        return torch.where(_is_stable(decoded.logits[:, 0]), token, best), token


def time_slot(behind: int) -> int:
    """Number the temporal position of a memory map that lies so many slices behind, 0 for a prompted slice."""
    return NUM_MEMORIES - 1 if behind == 0 else behind - 1


def _checked_size(model: str | MemorySize) -> MemorySize:
    if isinstance(model, MemorySize):
        return model
    if model not in SAM2_SIZES:
        raise ValueError(f"model must be one of {list(SAM2_SIZES)} or a Sam2Size, got {model!r}.")
    return SAM2_SIZES[model]


def _random_parameter(*shape: int) -> nn.Parameter:
    return nn.Parameter(nn.init.trunc_normal_(torch.zeros(shape), std=0.02))


def _no_tokens(objects: int, device: torch.device) -> PromptTokens:
    """Return two padding tokens for each object, SAM 2's way to prompt nothing."""
    shape = (objects, 2)
    return PromptTokens(
        coords=torch.zeros(*shape, 2, device=device),
        labels=torch.full(shape, -1, device=device),
        used=torch.ones(shape, dtype=torch.bool, device=device),
    )


def _padded(tokens: PromptTokens) -> PromptTokens:
    """Give one padding token to each object with clicks or a box, and two to the others."""
    nothing = _no_tokens(len(tokens.labels), tokens.labels.device)
    used = tokens.used[:, :-1]
    return PromptTokens(
        coords=torch.cat([tokens.coords[:, :-1], nothing.coords], dim=1),
        labels=torch.cat([tokens.labels[:, :-1], nothing.labels], dim=1),
        used=torch.cat([used, nothing.used[:, :1], ~used.any(dim=1, keepdim=True)], dim=1),
    )


def _is_stable(logits: torch.Tensor) -> torch.Tensor:
    """Return which masks ``[M, h, w]`` hardly change with the threshold."""
    inner, outer = ((logits > limit).sum(dim=(1, 2)) for limit in (_STABILITY_LOGIT, -_STABILITY_LOGIT))
    return torch.where(outer > 0, inner / outer, 1.0) >= _STABLE


def _per_object(features: torch.Tensor, objects: int) -> torch.Tensor:
    """Repeat the features of B images ``[B, ...]`` for the objects of each: ``[M, ...]``."""
    return features.repeat_interleave(objects // len(features), dim=0)


def _as_tokens(maps: torch.Tensor) -> torch.Tensor:
    """Turn maps ``[M, C, h, w]`` into tokens ``[h w, M, C]``."""
    return maps.flatten(2).permute(2, 0, 1)
