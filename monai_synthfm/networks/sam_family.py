# Copyright (c) monai_synthfm contributors
# Licensed under the Apache License, Version 2.0 (http://www.apache.org/licenses/LICENSE-2.0).
# SPDX-License-Identifier: Apache-2.0
"""What SAM and MobileSAM share: preprocessing, prompt encoder, mask decoder and loading of weights."""

from __future__ import annotations

from collections.abc import Set
from copy import deepcopy

import torch
from segment_anything.modeling import MaskDecoder, PromptEncoder, TwoWayTransformer
from torch import nn

from monai_synthfm.networks.mask_decoding import SharedImage, predict_masks
from monai_synthfm.networks.padded_square import PaddedSquare
from monai_synthfm.networks.preprocessing import Preprocessing, checked_image
from monai_synthfm.networks.pretrained import PretrainedPromptable
from monai_synthfm.networks.prompt_tokens import embed_tokens, flat_masks, tokens_on
from monai_synthfm.networks.promptable import (
    CARRY_DECODER,
    ImageEmbedding,
    Multimask,
    NetworkSettings,
    keep_masks_alone,
)
from monai_synthfm.prompts.prompts import Prompts

__all__ = ["EMBED_DIM", "PATCH_SIZE", "SamFamily", "checked_image_size"]

EMBED_DIM = 256
PATCH_SIZE = 16


def checked_image_size(value: int) -> int:
    """Return the side of a square input after checking that it is a positive multiple of the patch size."""
    if value < PATCH_SIZE or value % PATCH_SIZE:
        raise ValueError(f"image_size must be a positive multiple of {PATCH_SIZE} pixels, got {value}.")
    return value


class SamFamily(PaddedSquare, PretrainedPromptable):
    """An image encoder with SAM's prompt encoder and mask decoder, under segment-anything's state dict keys.

    Args:
        image_encoder: ``[B, 3, image_size, image_size]`` to ``[B, 256, image_size / 16, image_size / 16]``.
        image_size: side of the square input in pixels, a multiple of 16.
        preprocessing: ``"sam"`` (longest side, mean and standard deviation, padding), ``"contrast"`` (the same of the
            :func:`~monai_synthfm.networks.contrast_channels.contrast_channels`) or ``"medsam"`` (squashed, stretched to
            [0, 1]).
        multimask: see :class:`Promptable`.
        objects_per_pass: how many objects go through the mask decoder at once. Of 1, 2, 4, 8 and 16, 8 took the least
            CPU time per object in inference at 1024, 512 and 256 pixels.

    Raises:
        ValueError: when an argument is not as above.
    """

    def __init__(
        self,
        image_encoder: nn.Module,
        image_size: int,
        preprocessing: Preprocessing,
        multimask: Multimask,
        objects_per_pass: int,
    ) -> None:
        super().__init__(multimask)
        self._set_frame(image_size, preprocessing)
        if objects_per_pass < 1:
            raise ValueError(f"objects_per_pass must be at least 1, got {objects_per_pass}.")
        self.objects_per_pass = objects_per_pass
        grid = image_size // PATCH_SIZE
        self.image_encoder = image_encoder
        self.prompt_encoder = PromptEncoder(
            embed_dim=EMBED_DIM,
            image_embedding_size=(grid, grid),
            input_image_size=(image_size, image_size),
            mask_in_chans=16,
        )
        self.mask_decoder = _new_mask_decoder()
        self.carry_decoder: MaskDecoder | None

    def describe(self) -> NetworkSettings:
        """Return the settings; see :class:`Promptable`."""
        return NetworkSettings(
            type(self).__name__,
            {"image_size": self.image_size, "preprocessing": self.preprocessing},
            {"multimask": self.multimask, "combines_prompts": self.combines_prompts},
        )

    def encode(self, image: torch.Tensor) -> ImageEmbedding:
        """Compute the embedding of images ``[B, 1 or 3, H, W]`` in [0, 1] of any size."""
        image = checked_image(image).to(self.pixel_mean.dtype)
        square, input_size = self._squared(image)
        trainable = any(parameter.requires_grad for parameter in self.image_encoder.parameters())
        with torch.set_grad_enabled(torch.is_grad_enabled() and trainable):
            features = self.image_encoder(square)
        return ImageEmbedding(features, (int(image.shape[2]), int(image.shape[3])), input_size)

    def predict_masks(self, embedding: ImageEmbedding, prompts: Prompts) -> tuple[torch.Tensor, torch.Tensor]:
        """Predict logits ``[B, N, 4, h, w]`` and IoU ``[B, N, 4]``, h = w = image_size / 4; see :class:`Promptable`."""
        return self._predict_masks(self.mask_decoder, embedding, prompts)

    def carry(self, embedding: ImageEmbedding, prompts: Prompts) -> torch.Tensor:
        """Predict with the decoder for that, where there is one; see :class:`Promptable`."""
        if self.carry_decoder is None:
            return self.decode(embedding, prompts)
        logits, _ = self._predict_masks(self.carry_decoder, embedding, prompts)
        return keep_masks_alone(logits[:, :, 0], prompts)

    def _predict_masks(
        self, decoder: MaskDecoder, embedding: ImageEmbedding, prompts: Prompts
    ) -> tuple[torch.Tensor, torch.Tensor]:
        prompts = prompts.batched()
        batch, count = int(embedding.features.shape[0]), prompts.num_objects
        features = embedding.features
        tokens = tokens_on(embedding, prompts)
        masks = flat_masks(prompts, self.prompt_encoder)
        with torch.autocast(features.device.type, enabled=False):
            image_pe = self.prompt_encoder.get_dense_pe()
        if masks is None:
            no_mask = self.prompt_encoder.no_mask_embed.weight[..., None, None]
            shared = SharedImage(decoder, features + no_mask, image_pe)

        indexes, logits, iou = [], [], []
        for index, coords, labels in tokens.chunks(self.objects_per_pass):
            owner = index // count
            if masks is not None:
                # with masks every object reads an image of its own
                marked = features[owner] + self.prompt_encoder.mask_downscaling(masks.to(features.device)[index])
                shared, owner = SharedImage(decoder, marked, image_pe), torch.arange(len(index)).to(owner)
            prompted = embed_tokens(self.prompt_encoder, coords, labels)
            low, quality = predict_masks(decoder, shared, owner, prompted)
            indexes.append(index)
            logits.append(low.float())
            iou.append(quality.float())
        order = torch.cat(indexes).argsort()
        return (
            torch.cat(logits)[order].unflatten(0, (batch, count)),
            torch.cat(iou)[order].unflatten(0, (batch, count)),
        )

    @property
    def decoder(self) -> nn.Module:
        """The mask decoder."""
        return self.mask_decoder

    def _new_decoder(self) -> nn.Module:
        return _new_mask_decoder()

    def _make_room(self, parts: Set[str]) -> None:
        if CARRY_DECODER in parts:
            self.carry_decoder = self.carry_decoder or deepcopy(self.mask_decoder)
        elif "mask_decoder" in parts:
            self.carry_decoder = None


def _new_mask_decoder() -> MaskDecoder:
    return MaskDecoder(
        num_multimask_outputs=3,
        transformer=TwoWayTransformer(depth=2, embedding_dim=EMBED_DIM, mlp_dim=2048, num_heads=8),
        transformer_dim=EMBED_DIM,
        iou_head_depth=3,
        iou_head_hidden_dim=256,
    )
