# Copyright (c) monai_synthfm contributors
# Licensed under the Apache License, Version 2.0 (http://www.apache.org/licenses/LICENSE-2.0).
# SPDX-License-Identifier: Apache-2.0
"""SAM 2 on single images: encoding, and decoding of any number of prompted objects."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import nn
from torch.nn import functional as F

from monai_synthfm.networks.preprocessing import Preprocessing, as_logits, checked_image, square_input
from monai_synthfm.networks.pretrained import PretrainedPromptable
from monai_synthfm.networks.prompt_tokens import PromptTokens, embed_tokens, flat_masks, tokens_on
from monai_synthfm.networks.promptable import ImageEmbedding, Multimask, NetworkSettings
from monai_synthfm.networks.sam2_parts import (
    MaskDecoder,
    MemorySize,
    Sam2Size,
    new_image_encoder,
    new_mask_decoder,
    new_prompt_encoder,
)
from monai_synthfm.prompts.prompts import Prompts

__all__ = ["DecodedMasks", "Sam2Image"]

_STRIDE = 32
_CHANNELS = ("sam", "contrast")


@dataclass(frozen=True)
class DecodedMasks:
    """What the mask decoder says of M objects.

    Args:
        logits: of the unambiguous mask and its alternatives ``[M, 4, h, w]``.
        iou: predicted ``[M, 4]``.
        tokens: output token of each mask ``[M, 4, C]``.
        object_score: logit of the object being there ``[M]``.
    """

    logits: torch.Tensor
    iou: torch.Tensor
    tokens: torch.Tensor
    object_score: torch.Tensor


class Sam2Image(PretrainedPromptable):
    """The parts of SAM 2 that work on single images, under sam2's state dict keys.

    Args:
        size: of the network.
        image_size: side of the square input in pixels, a multiple of 32.
        preprocessing: ``"sam"`` (the image in all channels, as sam2) or ``"contrast"`` (its
            :func:`~monai_synthfm.networks.contrast_channels.contrast_channels`); either is squashed to the square.
        multimask: see :class:`Promptable`.
        objects_per_pass: how many objects go through the mask decoder at once.

    Raises:
        ValueError: when an argument is not as above.
    """

    pixel_mean: torch.Tensor
    pixel_std: torch.Tensor
    image_encoder: Any
    preprocessing: Preprocessing

    def __init__(
        self,
        size: MemorySize,
        image_size: int,
        preprocessing: Preprocessing,
        multimask: Multimask,
        objects_per_pass: int,
    ) -> None:
        super().__init__(multimask)
        if image_size < _STRIDE or image_size % _STRIDE:
            raise ValueError(f"image_size must be a positive multiple of {_STRIDE} pixels, got {image_size}.")
        if objects_per_pass < 1:
            raise ValueError(f"objects_per_pass must be at least 1, got {objects_per_pass}.")
        if preprocessing not in _CHANNELS:
            raise ValueError(f"preprocessing must be one of {list(_CHANNELS)}, got {preprocessing!r}.")
        self.size = size
        self.image_size = image_size
        self.preprocessing = preprocessing
        self.objects_per_pass = objects_per_pass
        self.image_encoder = self._new_image_encoder()
        self.sam_prompt_encoder = new_prompt_encoder(size, image_size)
        self.sam_mask_decoder = self._new_decoder()
        self.no_mem_embed = nn.Parameter(nn.init.trunc_normal_(torch.zeros(1, 1, size.hidden_dim), std=0.02))
        self.register_buffer("pixel_mean", torch.tensor([0.485, 0.456, 0.406]).view(3, 1, 1), persistent=False)
        self.register_buffer("pixel_std", torch.tensor([0.229, 0.224, 0.225]).view(3, 1, 1), persistent=False)

    @property
    def decoder(self) -> nn.Module:
        """The mask decoder."""
        return self.sam_mask_decoder

    def _new_decoder(self) -> MaskDecoder:
        return new_mask_decoder(self.size)

    def _new_image_encoder(self) -> nn.Module:
        if not isinstance(self.size, Sam2Size):
            raise ValueError(f"size must have sizes of the image encoder, got {self.size}.")
        return new_image_encoder(self.size)

    def describe(self) -> NetworkSettings:
        """Return the settings; see :class:`Promptable`."""
        return NetworkSettings(
            type(self).__name__,
            {"image_size": self.image_size, "preprocessing": self.preprocessing, "size": asdict(self.size)},
            {"multimask": self.multimask, "combines_prompts": self.combines_prompts},
        )

    def encode(self, image: torch.Tensor) -> ImageEmbedding:
        """Compute the embedding of images ``[B, 1 or 3, H, W]`` in [0, 1] of any size, squashed to a square."""
        image = checked_image(image).to(self.pixel_mean.dtype)
        contrast = self.preprocessing == "contrast"
        square = square_input(image, self.image_size, self.pixel_mean, self.pixel_std, contrast)
        trainable = any(parameter.requires_grad for parameter in self.image_encoder.parameters())
        with torch.set_grad_enabled(torch.is_grad_enabled() and trainable):
            fine, middle, features = self.image_encoder(square)["backbone_fpn"]
        finer = (self.sam_mask_decoder.conv_s0(fine), self.sam_mask_decoder.conv_s1(middle))
        size = (int(image.shape[2]), int(image.shape[3]))
        return ImageEmbedding(features, size, (self.image_size, self.image_size), finer)

    def predict_masks(self, embedding: ImageEmbedding, prompts: Prompts) -> tuple[torch.Tensor, torch.Tensor]:
        """Predict logits ``[B, N, 4, h, w]`` and IoU ``[B, N, 4]``, h = w = image_size / 4; see :class:`Promptable`."""
        prompts = prompts.batched()
        # Unlike SAM, SAM 2 gives a box a padding token, too.
        tokens = tokens_on(embedding, prompts).always_padded()
        decoded = self._decode_objects(
            self._without_memory(embedding),
            embedding,
            tokens,
            flat_masks(prompts, self.sam_prompt_encoder),
        )
        shape = (int(embedding.features.shape[0]), prompts.num_objects)
        return decoded.logits.unflatten(0, shape), decoded.iou.unflatten(0, shape)

    def postprocess(self, logits: torch.Tensor, embedding: ImageEmbedding) -> torch.Tensor:
        """Resize ``[B, N, h, w]`` to the original image."""
        return F.interpolate(logits, embedding.original_size, mode="bilinear", align_corners=False)

    def mask_prompt(self, masks: torch.Tensor, embedding: ImageEmbedding) -> torch.Tensor:
        """Resize ``[N, H, W]`` to ``[N, 1, h, w]``; booleans become logits of plus and minus 10."""
        size = tuple(self.sam_prompt_encoder.mask_input_size)
        return F.interpolate(as_logits(masks)[:, None], size, mode="bilinear", align_corners=False, antialias=True)

    def _without_memory(self, embedding: ImageEmbedding) -> torch.Tensor:
        return embedding.features + self.no_mem_embed.view(1, -1, 1, 1)

    def _decode_objects(
        self, features: torch.Tensor, embedding: ImageEmbedding, tokens: PromptTokens, masks: torch.Tensor | None
    ) -> DecodedMasks:
        """Run the mask decoder.

        Args:
            features: ``[B, C, h, w]``, one for the objects of an image, or ``[M, C, h, w]``, one for each.
            embedding: of the B images, for its finer features.
            tokens: of the M = B N objects.
            masks: prompts ``[M, 1, 4 h, 4 w]``; None = no mask is prompted.
        """
        total = int(tokens.labels.shape[0])
        with torch.autocast(features.device.type, enabled=False):
            image_pe = self.sam_prompt_encoder.get_dense_pe()
        indexes, parts = [], []
        for index, coords, labels in tokens.chunks(self.objects_per_pass):
            if masks is None:
                dense = self.sam_prompt_encoder.no_mask_embed.weight.reshape(1, -1, 1, 1)
            else:
                dense = self.sam_prompt_encoder.mask_downscaling(masks.to(index.device)[index])
            parts.append(
                self.sam_mask_decoder.predict_masks(
                    image_embeddings=_of_objects(features, index, total),
                    image_pe=image_pe,
                    sparse_prompt_embeddings=embed_tokens(self.sam_prompt_encoder, coords, labels),
                    dense_prompt_embeddings=dense,
                    repeat_image=False,
                    # One image's finer features are broadcast to its objects.
                    high_res_features=[
                        finer if finer.shape[0] == 1 else _of_objects(finer, index, total)
                        for finer in embedding.high_resolution
                    ],
                )
            )
            indexes.append(index)
        order = torch.cat(indexes).argsort()
        logits, iou, output_tokens, score = (torch.cat(part)[order].float() for part in zip(*parts, strict=True))
        return DecodedMasks(logits, iou, output_tokens, score[:, 0])


def _of_objects(features: torch.Tensor, index: torch.Tensor, total: int) -> torch.Tensor:
    """Pick, for the objects of these indexes out of ``total``, the features of their image or their own."""
    return features[index // (total // int(features.shape[0]))]
