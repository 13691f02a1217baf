# Copyright (c) monai_synthfm contributors
# Licensed under the Apache License, Version 2.0 (http://www.apache.org/licenses/LICENSE-2.0).
# SPDX-License-Identifier: Apache-2.0
"""MobileSAM's image encoder with a memory: objects followed through volumes on a CPU."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import torch
from torch import nn
from torch.nn import functional as F

from monai_synthfm.networks.light_memory import LightMemoryAttention, LightMemoryEncoder
from monai_synthfm.networks.memory_bank import MemoryBank, RecalledMemory, SliceMemory, TrackedMasks
from monai_synthfm.networks.padded_square import PaddedSquare
from monai_synthfm.networks.preprocessing import MASK_LOGIT, Preprocessing, checked_image
from monai_synthfm.networks.promptable import CARRY_DECODER, ImageEmbedding, Multimask, NetworkSettings
from monai_synthfm.networks.sam2 import MEMORY_BIAS, MEMORY_SCALE, Sam2, time_slot
from monai_synthfm.networks.sam2_parts import MaskDecoder, MemorySize, new_mask_decoder
from monai_synthfm.networks.tiny_vit import TinyViT

__all__ = ["MobileSam2"]

_FINE_DIM, _MIDDLE_DIM = 64, 128
_SIZE = MemorySize(memory_layers=2)
_MEMORY_MLP_DIM = 512
_COARSER = 2
_REACH = 8
_OF_MOBILE_SAM = {"image_encoder", "sam_prompt_encoder", "sam_mask_decoder"}
# Objects are there until it is learned when they are not.
_PRESENT = 2.0
# SAM's keys of what SAM 2 names otherwise.
_RENAMED = {"prompt_encoder.": "sam_prompt_encoder.", "mask_decoder.": "sam_mask_decoder."}
_RENAMED_PARTS = {".mlp.lin1.": ".mlp.layers.0.", ".mlp.lin2.": ".mlp.layers.1."}


class MobileSam2(PaddedSquare, Sam2):
    """MobileSAM's TinyViT and SAM's frame under SAM 2's mask decoder, object score, object pointers and memory bank.

    The memory is a :mod:`light <monai_synthfm.networks.light_memory>` one: maps of prompted slices have the grid of the
    features, those of other slices half of it. A slice without prompts is prompted by the mask of the slice before it,
    which shows where the object is; the memory holds what it looks like and decides whether it is still there. Finer
    features of the encoder, at strides 4 and 8, join the decoder's upscaling. What a MobileSAM decoder does not have
    starts so that a prompted slice is segmented nearly as by that decoder.

    Its weights are random, see :class:`~monai_synthfm.networks.Sam`. Files of MobileSAM and of its mask decoder are
    understood, too; they leave the memory as it is.

    Args:
        image_size: side of the square input in pixels, a multiple of 32.
        preprocessing: ``"sam"``, ``"contrast"`` or ``"medsam"``, see :class:`SamFamily`.
        multimask: for images, see :class:`Promptable`.
        tracking_multimask: for volumes, see :class:`Sam2`.
        max_conditioning: see :class:`Sam2`.
        objects_per_pass: how many objects go through the mask decoder at once.
        skips: whether the decoder sees the finer features.
        carry_mask: whether the mask of the slice before is a prompt.

    Raises:
        ValueError: when an argument is not as above.

    Source: SAM 2 (arXiv 2408.00714) with a small encoder, as EdgeTAM (arXiv 2501.07256) and EfficientTAM (arXiv
    2411.18933) have it; the mask of the slice before as a prompt is our choice.

    Example:
        >>> from monai_synthfm.prompts.prompts import Prompts
        >>> net = MobileSam2(image_size=64).eval()
        >>> click = Prompts(torch.tensor([[[20.0, 30.0]]]), torch.tensor([[1]]))
        >>> first, second = (net.encode(torch.rand(1, 1, 40, 50)) for _ in range(2))
        >>> tracked = net.track(first, MemoryBank(num_slices=2), index=0, prompts=click)
        >>> bank = MemoryBank(num_slices=2).with_prompted(net.memorize(first, tracked, index=0, is_prompted=True))
        >>> net.track(second, bank, index=1).logits.shape
        torch.Size([1, 16, 16])
    """

    image_encoder: TinyViT
    memory_attention: LightMemoryAttention
    memory_encoder: LightMemoryEncoder
    remembers_across = False

    def __init__(
        self,
        image_size: int = 512,
        preprocessing: Preprocessing = "contrast",
        multimask: Multimask = "never",
        tracking_multimask: Multimask = "never",
        max_conditioning: int | None = None,
        objects_per_pass: int = 8,
        skips: bool = True,
        carry_mask: bool = True,
    ) -> None:
        super().__init__(
            _SIZE,
            image_size,
            multimask=multimask,
            tracking_multimask=tracking_multimask,
            max_conditioning=max_conditioning,
            objects_per_pass=objects_per_pass,
        )
        self._set_frame(image_size, preprocessing)
        self.skips = skips
        self.carry_mask = carry_mask
        nn.init.zeros_(self.no_mem_embed)
        del self.mask_downsample, self.no_mem_pos_enc  # here known masks are prompts like others

    def describe(self) -> NetworkSettings:
        """Return the settings; see :class:`Promptable`."""
        settings = super().describe()
        seen = {"image_size": self.image_size, "preprocessing": self.preprocessing, "skips": self.skips}
        return replace(settings, embeddings=seen, masks={**settings.masks, "carry_mask": self.carry_mask})

    def encode(self, image: torch.Tensor) -> ImageEmbedding:
        """Compute the embedding of images ``[B, 1 or 3, H, W]`` in [0, 1] of any size."""
        image = checked_image(image).to(self.pixel_mean.dtype)
        square, input_size = self._squared(image)
        trainable = any(parameter.requires_grad for parameter in self.image_encoder.parameters())
        with torch.set_grad_enabled(torch.is_grad_enabled() and trainable):
            fine, middle, features = self.image_encoder.pyramid(square)
        if not self.skips:
            fine, middle = (torch.zeros_like(part[:, :, :1, :1]) for part in (fine, middle))
        finer = (self.sam_mask_decoder.conv_s0(fine), self.sam_mask_decoder.conv_s1(middle))
        return ImageEmbedding(features, (image.shape[2], image.shape[3]), input_size, finer)

    def memorize(self, embedding: ImageEmbedding, tracked: TrackedMasks, index: int, is_prompted: bool) -> SliceMemory:
        """Make the memory of a slice from what was found on it; see :meth:`Sam2.memorize`."""
        logits = tracked.logits[:, None]
        masks = (logits > 0).to(logits.dtype) if is_prompted and not self.training else logits.sigmoid()
        maps = self.memory_encoder(embedding.features, MEMORY_SCALE * masks + MEMORY_BIAS)
        absent = (~tracked.present).to(maps.dtype)[:, None, None, None]
        maps = maps + absent * self.no_obj_embed_spatial[..., None, None]
        if not is_prompted:
            maps = F.avg_pool2d(maps, _COARSER)
        carried = logits.detach().clamp(-MASK_LOGIT, MASK_LOGIT) if self.carry_mask else None
        return SliceMemory(index, tracked.pointer, maps, carried)

    def own_keys(self, state: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
        """Give the keys of MobileSAM's weights the names that they have here; add what is new in the mask decoder."""
        renamed = {_renamed(key): value for key, value in state.items() if not key.startswith(f"{CARRY_DECODER}.")}
        if renamed.keys() == state.keys() or not any(key.startswith("sam_mask_decoder.") for key in renamed):
            return renamed
        own = {f"sam_mask_decoder.{key}": value for key, value in self.sam_mask_decoder.state_dict().items()}
        return {**{key: value for key, value in own.items() if _is_new(key)}, **renamed}

    def _load_whole(self, state: dict[str, torch.Tensor], path: str | Path) -> None:
        """Load strictly, but let weights of MobileSAM leave the memory as it is."""
        given = {key.partition(".")[0] for key in state}
        memory = {key: value for key, value in self.state_dict().items() if key.partition(".")[0] not in given}
        super()._load_whole({**memory, **state} if given == _OF_MOBILE_SAM else state, path)

    def _new_image_encoder(self) -> nn.Module:
        return TinyViT(self.size.hidden_dim)

    def _new_decoder(self) -> MaskDecoder:
        decoder = new_mask_decoder(self.size)
        decoder.iou_prediction_head.sigmoid_output = False  # as MobileSAM's
        decoder.conv_s0 = _silent(nn.Conv2d(_FINE_DIM, self.size.hidden_dim // 8, kernel_size=1))
        decoder.conv_s1 = _silent(nn.Conv2d(_MIDDLE_DIM, self.size.hidden_dim // 4, kernel_size=1))
        nn.init.zeros_(decoder.obj_score_token.weight)
        nn.init.constant_(decoder.pred_obj_score_head.layers[-1].bias, _PRESENT)
        return decoder

    def _new_memory_attention(self) -> LightMemoryAttention:
        return LightMemoryAttention(
            self.size.hidden_dim, self.size.memory_dim, self.size.memory_layers, _MEMORY_MLP_DIM
        )

    def _new_memory_encoder(self) -> LightMemoryEncoder:
        return LightMemoryEncoder(self.size.hidden_dim, self.size.memory_dim)

    def _with_memory(self, embedding: ImageEmbedding, recalled: RecalledMemory, reach: int) -> torch.Tensor:
        """Let the features of a slice attend to memories: ``[M, C, h, w]``, one map for each object."""
        maps = [part.to(embedding.features.dtype) for _, part in recalled.maps]
        positions = [
            self.maskmem_tpos_enc[time_slot(behind)].expand(-1, part[0, 0].numel(), -1)
            for behind, part in recalled.maps
        ]
        pointers = maps[0].new_zeros(len(maps[0]), 0, self.size.memory_dim)
        if recalled.pointers:
            # farther away than in training is as far as there
            near = [(max(-_REACH, min(behind, _REACH)), pointer) for behind, pointer in recalled.pointers]
            recalled = replace(recalled, pointers=tuple(near))
            pointers, places = (tokens.transpose(0, 1) for tokens in self._pointer_tokens(recalled, _REACH))
            positions.append(places)
        return self.memory_attention(embedding.features, maps, pointers, torch.cat(positions, dim=1))

    def _carried_mask(self, bank: MemoryBank, index: int, reverse: bool) -> torch.Tensor | None:
        mask = bank.mask_before(index, reverse) if self.carry_mask else None
        return None if mask is None else mask.to(self.pixel_mean.dtype)

    def _mask_as_prompt(self, masks: torch.Tensor, embedding: ImageEmbedding) -> tuple[torch.Tensor, torch.Tensor]:
        logits = self.mask_prompt(masks > 0, embedding)
        return logits, logits


def _renamed(key: str) -> str:
    for old, new in _RENAMED.items():
        if key.startswith(old):
            key = new + key.removeprefix(old)
    for old, new in _RENAMED_PARTS.items():
        key = key.replace(old, new)
    return key


def _is_new(key: str) -> bool:
    """Return whether SAM's mask decoder lacks this key of SAM 2's."""
    return any(part in key for part in (".conv_s", ".obj_score_token.", ".pred_obj_score_head."))


def _silent(convolution: nn.Conv2d) -> nn.Conv2d:
    for parameter in convolution.parameters():
        nn.init.zeros_(parameter)
    return convolution
