# Copyright (c) monai_synthfm contributors
# Licensed under the Apache License, Version 2.0 (http://www.apache.org/licenses/LICENSE-2.0).
# SPDX-License-Identifier: Apache-2.0
"""The sizes of SAM 2 and its modules from the sam2 package, built without Hydra.

Importing sam2 initialises Hydra for the whole process, after which a program's own ``hydra.main`` fails. Here that is
undone; whoever needs sam2's own builders initialises Hydra for them.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Literal

from hydra.core.global_hydra import GlobalHydra


@contextmanager
def _hydra_left_as_it_was() -> Iterator[None]:
    was_initialized = GlobalHydra.instance().is_initialized()
    yield
    if not was_initialized:
        GlobalHydra.instance().clear()


with _hydra_left_as_it_was():
    from sam2.modeling.backbones.hieradet import Hiera
    from sam2.modeling.backbones.image_encoder import FpnNeck, ImageEncoder
    from sam2.modeling.memory_attention import MemoryAttention, MemoryAttentionLayer
    from sam2.modeling.memory_encoder import CXBlock, Fuser, MaskDownSampler, MemoryEncoder
    from sam2.modeling.position_encoding import PositionEmbeddingSine
    from sam2.modeling.sam.mask_decoder import MaskDecoder
    from sam2.modeling.sam.prompt_encoder import PromptEncoder
    from sam2.modeling.sam.transformer import RoPEAttention, TwoWayTransformer
    from sam2.modeling.sam2_utils import MLP, get_1d_sine_pe

__all__ = [
    "MLP",
    "PATCH_SIZE",
    "SAM2_SIZES",
    "CXBlock",
    "MaskDecoder",
    "MaskDownSampler",
    "MemorySize",
    "Sam2Size",
    "get_1d_sine_pe",
    "new_image_encoder",
    "new_mask_decoder",
    "new_memory_attention",
    "new_memory_encoder",
    "new_prompt_encoder",
]

PATCH_SIZE = 16
_DROPOUT = 0.1


@dataclass(frozen=True, kw_only=True)
class MemorySize:
    """Sizes of what SAM 2 has behind its image encoder; the defaults are those of all published ones.

    Args:
        hidden_dim: channels of the embedding and of the mask decoder, a multiple of 16.
        memory_dim: channels of memories, a multiple of 4 that divides ``hidden_dim``.
        memory_layers: layers of the memory attention.
        mlp_dim: hidden units of the memory attention's and the mask decoder's layers.
        version: ``"2.0"`` or ``"2.1"``, which also tells the memory how far away pointers are and where an object is
            hidden.
    """

    hidden_dim: int = 256
    memory_dim: int = 64
    memory_layers: int = 4
    mlp_dim: int = 2048
    version: Literal["2.0", "2.1"] = "2.1"


@dataclass(frozen=True)
class Sam2Size(MemorySize):
    """Sizes of SAM 2: those of :class:`MemorySize`, by keyword, and of its image encoder.

    Args:
        embed_dim: channels of the image encoder's first stage; each of the next three has twice as many.
        num_heads: attention heads of its first stage, doubling likewise.
        stages: number of blocks of its four stages.
        global_att_blocks: blocks that attend to the whole image, none of them the first of a stage; the others attend
            to windows.
        window_pos_embed: height and width of the position embedding that is stretched over the image.
        window_spec: side of the windows of each stage in tokens.

    Raises:
        ValueError: when a block of the whole image is none or the first of a stage.
    """

    embed_dim: int
    num_heads: int
    stages: tuple[int, int, int, int]
    global_att_blocks: tuple[int, ...]
    window_pos_embed: tuple[int, int]
    window_spec: tuple[int, int, int, int] = (8, 4, 14, 7)

    def __post_init__(self) -> None:
        depth = sum(self.stages)
        allowed = set(range(depth)) - {sum(self.stages[:stage]) for stage in range(1, 4)}
        wrong = set(self.global_att_blocks) - allowed
        if wrong:
            raise ValueError(
                f"global_att_blocks {sorted(wrong)} must be among the {depth} blocks and not start one of the "
                f"stages {self.stages}."
            )


def _published(version: Literal["2.0", "2.1"]) -> dict[str, Sam2Size]:
    prefix = "sam2_hiera" if version == "2.0" else "sam2.1_hiera"
    return {
        f"{prefix}_tiny": Sam2Size(96, 1, (1, 2, 7, 2), (5, 7, 9), (7, 7), version=version),
        f"{prefix}_small": Sam2Size(96, 1, (1, 2, 11, 2), (7, 10, 13), (7, 7), version=version),
        f"{prefix}_base_plus": Sam2Size(112, 2, (2, 3, 16, 3), (12, 16, 20), (14, 14), version=version),
        f"{prefix}_large": Sam2Size(144, 2, (2, 6, 36, 4), (23, 33, 43), (7, 7), (8, 4, 16, 8), version=version),
    }


SAM2_SIZES: Mapping[str, Sam2Size] = {**_published("2.1"), **_published("2.0")}


def new_image_encoder(size: Sam2Size) -> ImageEncoder:
    """Build the Hiera encoder with its feature pyramid: maps of 1/4, 1/8 and 1/16 of the image."""
    return ImageEncoder(
        trunk=Hiera(
            embed_dim=size.embed_dim,
            num_heads=size.num_heads,
            stages=size.stages,
            global_att_blocks=size.global_att_blocks,
            window_pos_embed_bkg_spatial_size=size.window_pos_embed,
            window_spec=size.window_spec,
        ),
        neck=FpnNeck(
            position_encoding=PositionEmbeddingSine(size.hidden_dim),
            d_model=size.hidden_dim,
            backbone_channel_list=[size.embed_dim * factor for factor in (8, 4, 2, 1)],
            fpn_top_down_levels=[2, 3],
            fpn_interp_model="nearest",
        ),
        scalp=1,
    )


def new_prompt_encoder(size: MemorySize, image_size: int) -> PromptEncoder:
    """Build the encoder of clicks, boxes and low-resolution masks."""
    grid = image_size // PATCH_SIZE
    return PromptEncoder(
        embed_dim=size.hidden_dim,
        image_embedding_size=(grid, grid),
        input_image_size=(image_size, image_size),
        mask_in_chans=16,
    )


def new_mask_decoder(size: MemorySize) -> MaskDecoder:
    """Build the decoder of masks, predicted IoU, object score and object tokens."""
    return MaskDecoder(
        num_multimask_outputs=3,
        transformer=TwoWayTransformer(depth=2, embedding_dim=size.hidden_dim, mlp_dim=size.mlp_dim, num_heads=8),
        transformer_dim=size.hidden_dim,
        iou_head_depth=3,
        iou_head_hidden_dim=256,
        use_high_res_features=True,
        iou_prediction_use_sigmoid=True,
        pred_obj_scores=True,
        pred_obj_scores_mlp=True,
        use_multimask_token_for_obj_ptr=True,
    )


def new_memory_attention(size: MemorySize, image_size: int) -> MemoryAttention:
    """Build the transformer in which a slice's features attend to memories."""
    grid = image_size // PATCH_SIZE
    # Rotation angles for this very grid: those that upstream computes when it meets another grid can no longer be
    # trained with when they were first computed in inference mode.
    attention = {
        "rope_theta": 10000.0,
        "feat_sizes": (grid, grid),
        "embedding_dim": size.hidden_dim,
        "num_heads": 1,
        "downsample_rate": 1,
        "dropout": _DROPOUT,
    }
    layer = MemoryAttentionLayer(
        activation="relu",
        d_model=size.hidden_dim,
        dim_feedforward=size.mlp_dim,
        dropout=_DROPOUT,
        pos_enc_at_attn=False,
        self_attention=RoPEAttention(**attention),
        pos_enc_at_cross_attn_keys=True,
        pos_enc_at_cross_attn_queries=False,
        cross_attention=RoPEAttention(**attention, rope_k_repeat=True, kv_in_dim=size.memory_dim),
    )
    return MemoryAttention(d_model=size.hidden_dim, pos_enc_at_input=True, layer=layer, num_layers=size.memory_layers)


def new_memory_encoder(size: MemorySize) -> MemoryEncoder:
    """Build the fusion of a slice's features with a mask into a memory."""
    return MemoryEncoder(
        in_dim=size.hidden_dim,
        out_dim=size.memory_dim,
        position_encoding=PositionEmbeddingSine(size.memory_dim),
        mask_downsampler=MaskDownSampler(embed_dim=size.hidden_dim, kernel_size=3, stride=2, padding=1),
        fuser=Fuser(CXBlock(size.hidden_dim, kernel_size=7, padding=3, layer_scale_init_value=1e-6), num_layers=2),
    )
