# Copyright (c) monai_synthfm contributors
# Licensed under the Apache License, Version 2.0 (http://www.apache.org/licenses/LICENSE-2.0).
# SPDX-License-Identifier: Apache-2.0
"""What SAM and MobileSAM share: preprocessing, prompt encoder, mask decoder and loading of weights."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import get_args

import torch
from monai.utils import convert_to_tensor
from segment_anything.modeling import MaskDecoder, PromptEncoder, TwoWayTransformer
from torch import nn
from torch.nn import functional as F

from monai_synthfm.networks.preprocessing import Preprocessing, medsam_input, sam_input
from monai_synthfm.networks.prompt_tokens import PromptTokens, embed_tokens
from monai_synthfm.networks.promptable import ImageEmbedding, Multimask, Promptable
from monai_synthfm.networks.weights import find_weights, load_state
from monai_synthfm.prompts.prompts import Prompts

__all__ = ["EMBED_DIM", "PATCH_SIZE", "SamFamily", "checked_image_size"]

EMBED_DIM = 256
PATCH_SIZE = 16


def checked_image_size(value: int) -> int:
    """Return the side of a square input after checking that it is a positive multiple of the patch size."""
    if value < PATCH_SIZE or value % PATCH_SIZE:
        raise ValueError(f"image_size must be a positive multiple of {PATCH_SIZE} pixels, got {value}.")
    return value


class SamFamily(Promptable):
    """An image encoder with SAM's prompt encoder and mask decoder, under segment-anything's state dict keys.

    Args:
        image_encoder: ``[B, 3, image_size, image_size]`` to ``[B, 256, image_size / 16, image_size / 16]``.
        image_size: side of the square input in pixels, a multiple of 16.
        preprocessing: ``"sam"`` (longest side, mean and standard deviation, padding) or ``"medsam"`` (squashed,
            stretched to [0, 1]).
        multimask: see :class:`Promptable`.
        objects_per_pass: how many objects go through the mask decoder at once. Of 1, 2, 4, 8 and 16, 8 took the least
            CPU time per object in inference at 1024, 512 and 256 pixels.

    Raises:
        ValueError: when an argument is not as above.
    """

    pixel_mean: torch.Tensor
    pixel_std: torch.Tensor

    def __init__(
        self,
        image_encoder: nn.Module,
        image_size: int,
        preprocessing: Preprocessing,
        multimask: Multimask,
        objects_per_pass: int,
    ) -> None:
        super().__init__(multimask)
        if preprocessing not in get_args(Preprocessing):
            raise ValueError(f"preprocessing must be one of {list(get_args(Preprocessing))}, got {preprocessing!r}.")
        if objects_per_pass < 1:
            raise ValueError(f"objects_per_pass must be at least 1, got {objects_per_pass}.")
        self.image_size = image_size
        self.preprocessing = preprocessing
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
        self.register_buffer("pixel_mean", torch.tensor([123.675, 116.28, 103.53]).view(3, 1, 1), persistent=False)
        self.register_buffer("pixel_std", torch.tensor([58.395, 57.12, 57.375]).view(3, 1, 1), persistent=False)

    def _initialise(
        self,
        pretrained: str | Path | None,
        reset_decoder: bool,
        seed: int | None,
        checkpoint: str | Path | None,
        frozen: Sequence[str],
    ) -> None:
        """Load weights in the order of the constructors' documentation, then freeze."""
        if pretrained is not None:
            path = find_weights(pretrained)
            self._load_strictly(self, load_state(path), path)
        if reset_decoder:
            self.reset_decoder(seed)
        if checkpoint is not None:
            self.load_checkpoint(checkpoint)
        self.freeze(*frozen)

    def encode(self, image: torch.Tensor) -> ImageEmbedding:
        """Compute the embedding of images ``[B, 1 or 3, H, W]`` in [0, 1] of any size."""
        image = convert_to_tensor(image, track_meta=False)
        if image.ndim != 4 or image.shape[1] not in (1, 3) or not image.is_floating_point():
            raise ValueError(
                "image must be [B, 1 or 3, H, W], floating point in [0, 1], "
                f"got shape {tuple(image.shape)} of {image.dtype}."
            )
        image = image.to(self.pixel_mean.dtype)
        if self.preprocessing == "sam":
            square, input_size = sam_input(image, self.image_size, self.pixel_mean, self.pixel_std)
        else:
            square, input_size = medsam_input(image, self.image_size)
        trainable = any(parameter.requires_grad for parameter in self.image_encoder.parameters())
        with torch.set_grad_enabled(torch.is_grad_enabled() and trainable):
            features = self.image_encoder(square)
        return ImageEmbedding(features, (image.shape[2], image.shape[3]), input_size)

    def predict_masks(self, embedding: ImageEmbedding, prompts: Prompts) -> tuple[torch.Tensor, torch.Tensor]:
        """Predict logits ``[B, N, 4, h, w]`` and IoU ``[B, N, 4]``, h = w = image_size / 4; see :class:`Promptable`."""
        prompts = prompts.batched()
        batch, count = embedding.features.shape[0], prompts.num_objects
        height, width = embedding.original_size
        scale = (embedding.input_size[1] / width, embedding.input_size[0] / height)
        features = embedding.features
        tokens = PromptTokens.from_prompts(prompts, scale, features.device)
        if len(tokens.labels) != batch * count:
            raise ValueError(
                f"the embedding holds {batch} images but the prompts describe {len(tokens.labels) // count}."
            )
        masks = self._flat_masks(prompts)
        with torch.autocast(features.device.type, enabled=False):
            image_pe = self.prompt_encoder.get_dense_pe()

        indexes, logits, iou = [], [], []
        for index, coords, labels in tokens.chunks(self.objects_per_pass):
            # The decoder only adds its image embedding, one for all objects, to the dense prompt embeddings, one per
            # object. Objects of different images go through it together by handing the features over with the latter.
            dense = features[index // count] + self._dense_embeddings(masks, index)
            low, quality = self.mask_decoder.predict_masks(
                image_embeddings=torch.zeros_like(dense[:1]),
                image_pe=image_pe,
                sparse_prompt_embeddings=embed_tokens(self.prompt_encoder, coords, labels),
                dense_prompt_embeddings=dense,
            )
            indexes.append(index)
            logits.append(low.float())
            iou.append(quality.float())
        order = torch.cat(indexes).argsort()
        return (
            torch.cat(logits)[order].unflatten(0, (batch, count)),
            torch.cat(iou)[order].unflatten(0, (batch, count)),
        )

    def postprocess(self, logits: torch.Tensor, embedding: ImageEmbedding) -> torch.Tensor:
        """Upsample ``[B, N, h, w]`` to the square input, crop the padding, resize to the original image."""
        square = (self.image_size, self.image_size)
        logits = F.interpolate(logits, square, mode="bilinear", align_corners=False)
        logits = logits[..., : embedding.input_size[0], : embedding.input_size[1]]
        if embedding.input_size == embedding.original_size:
            return logits
        return F.interpolate(logits, embedding.original_size, mode="bilinear", align_corners=False)

    def reset_decoder(self, seed: int | None = None) -> None:
        """Draw the mask decoder's weights anew, as segment-anything's constructor would.

        Args:
            seed: of the weights; torch's global generators are then left as they were. None draws from the global
                generator.
        """
        if seed is None:
            fresh = _new_mask_decoder()
        else:
            with torch.random.fork_rng(devices=[]):
                # Not torch.manual_seed, which would also seed the generators of accelerators.
                torch.random.default_generator.manual_seed(seed)
                fresh = _new_mask_decoder()
        self.mask_decoder.load_state_dict(fresh.state_dict())

    def load_checkpoint(self, path: str | Path) -> None:
        """Load a state dict of this network or of some of its parts (say ``mask_decoder.*``), each part strictly.

        Args:
            path: file written by ``torch.save``.

        Raises:
            ValueError: when keys are unknown or a part is incomplete.
        """
        state = load_state(path)
        parts = dict(self.named_children())
        unknown = sorted(key for key in state if key.partition(".")[0] not in parts)
        if unknown:
            raise ValueError(
                f"{path}: unknown keys {unknown[:3]} ({len(unknown)} in all); expected those of {list(parts)}."
            )
        for name in {key.partition(".")[0] for key in state}:
            prefix = f"{name}."
            part = {key[len(prefix) :]: value for key, value in state.items() if key.startswith(prefix)}
            self._load_strictly(parts[name], part, path)

    @staticmethod
    def _load_strictly(module: nn.Module, state: dict[str, torch.Tensor], path: str | Path) -> None:
        message = f"{path}: these weights do not fit {type(module).__name__}"
        try:
            missing, unexpected = module.load_state_dict(state, strict=False)
        except RuntimeError as error:
            raise ValueError(f"{message}: {str(error)[:300]}") from error
        if missing or unexpected:
            raise ValueError(
                f"{message}: {len(missing)} keys are missing {missing[:3]}, "
                f"{len(unexpected)} are unknown {unexpected[:3]}."
            )

    def _flat_masks(self, prompts: Prompts) -> torch.Tensor | None:
        if prompts.masks is None:
            return None
        expected = tuple(self.prompt_encoder.mask_input_size)
        if tuple(prompts.masks.shape[-2:]) != expected:
            raise ValueError(
                f"masks must be low-resolution logits of {expected} pixels for image_size {self.image_size}, "
                f"got {tuple(prompts.masks.shape[-2:])}."
            )
        return convert_to_tensor(prompts.masks, track_meta=False).flatten(0, 1)

    def _dense_embeddings(self, masks: torch.Tensor | None, index: torch.Tensor) -> torch.Tensor:
        if masks is None:
            embedding: torch.Tensor = self.prompt_encoder.no_mask_embed.weight.reshape(1, -1, 1, 1)
            return embedding
        return self.prompt_encoder.mask_downscaling(masks.to(index.device)[index])


def _new_mask_decoder() -> MaskDecoder:
    return MaskDecoder(
        num_multimask_outputs=3,
        transformer=TwoWayTransformer(depth=2, embedding_dim=EMBED_DIM, mlp_dim=2048, num_heads=8),
        transformer_dim=EMBED_DIM,
        iou_head_depth=3,
        iou_head_hidden_dim=256,
    )
