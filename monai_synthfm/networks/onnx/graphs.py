# Copyright (c) monai_synthfm contributors
# Licensed under the Apache License, Version 2.0 (http://www.apache.org/licenses/LICENSE-2.0).
# SPDX-License-Identifier: Apache-2.0
"""The two halves of a promptable network as functions of plain tensors, the form in which they become ONNX graphs."""

from __future__ import annotations

import torch
from segment_anything.modeling import PromptEncoder
from torch import nn

from monai_synthfm.networks.mask_decoding import SharedImage, predict_masks
from monai_synthfm.networks.prompt_tokens import embed_tokens
from monai_synthfm.networks.sam2_image import Sam2Image
from monai_synthfm.networks.sam_family import SamFamily

__all__ = ["FINER_NAMES", "graphs_of"]

FINER_NAMES = ("high_res_features_0", "high_res_features_1")
"""Names of SAM 2's finer feature maps, finest first."""


def graphs_of(network: SamFamily | Sam2Image) -> tuple[nn.Module, nn.Module]:
    """Return encoder and decoder of a network, sharing its weights.

    Raises:
        TypeError: when it is neither of SAM's family nor SAM 2.
    """
    if isinstance(network, SamFamily):
        return network.image_encoder, _SamDecoder(network)
    if isinstance(network, Sam2Image):
        return _Sam2Encoder(network), _Sam2Decoder(network)
    raise TypeError(f"network must be a Sam, MobileSam or Sam2, got {type(network).__name__}.")


class _SamDecoder(nn.Module):
    position: torch.Tensor

    def __init__(self, network: SamFamily) -> None:
        super().__init__()
        self.prompt_encoder = network.prompt_encoder
        self.mask_decoder = network.mask_decoder
        self.register_buffer("position", network.prompt_encoder.get_dense_pe().detach(), persistent=False)

    def forward(
        self,
        image_embeddings: torch.Tensor,
        point_coords: torch.Tensor,
        point_labels: torch.Tensor,
        mask_input: torch.Tensor,
        has_mask_input: torch.Tensor,
    ) -> tuple[torch.Tensor, torch.Tensor]:
        dense = _embed_masks(self.prompt_encoder, mask_input, has_mask_input)
        tokens = embed_tokens(self.prompt_encoder, point_coords, point_labels)
        image = SharedImage(self.mask_decoder, image_embeddings + dense, self.position)
        owner = torch.arange(point_coords.shape[0], device=point_coords.device)
        return predict_masks(self.mask_decoder, image, owner, tokens)


class _Sam2Encoder(nn.Module):
    def __init__(self, network: Sam2Image) -> None:
        super().__init__()
        self.image_encoder = network.image_encoder
        self.finest = network.sam_mask_decoder.conv_s0
        self.finer = network.sam_mask_decoder.conv_s1

    def forward(self, image: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        fine, middle, features = self.image_encoder(image)["backbone_fpn"]
        return features, self.finest(fine), self.finer(middle)


class _Sam2Decoder(nn.Module):
    position: torch.Tensor

    def __init__(self, network: Sam2Image) -> None:
        super().__init__()
        self.prompt_encoder = network.sam_prompt_encoder
        self.mask_decoder = network.sam_mask_decoder
        self.no_memory = network.no_mem_embed
        self.register_buffer("position", network.sam_prompt_encoder.get_dense_pe().detach(), persistent=False)

    def forward(
        self,
        image_embeddings: torch.Tensor,
        high_res_features_0: torch.Tensor,
        high_res_features_1: torch.Tensor,
        point_coords: torch.Tensor,
        point_labels: torch.Tensor,
        mask_input: torch.Tensor,
        has_mask_input: torch.Tensor,
    ) -> tuple[torch.Tensor, torch.Tensor]:
        features = image_embeddings + self.no_memory.view(1, -1, 1, 1)
        logits, iou, _, _ = self.mask_decoder.predict_masks(
            image_embeddings=features.expand(point_coords.shape[0], -1, -1, -1),
            image_pe=self.position,
            sparse_prompt_embeddings=embed_tokens(self.prompt_encoder, point_coords, point_labels),
            dense_prompt_embeddings=_embed_masks(self.prompt_encoder, mask_input, has_mask_input),
            repeat_image=False,
            high_res_features=[high_res_features_0, high_res_features_1],
        )
        return logits, iou


def _embed_masks(prompt_encoder: PromptEncoder, masks: torch.Tensor, given: torch.Tensor) -> torch.Tensor:
    """Embed masks ``[N, 1, 4 h, 4 w]`` as ``[N, C, h, w]``, or what stands for no mask where ``given`` is 0."""
    no_mask = prompt_encoder.no_mask_embed.weight[..., None, None]
    return torch.where(given[:, None, None, None] > 0, prompt_encoder.mask_downscaling(masks), no_mask)
