# Copyright (c) monai_synthfm contributors
# Licensed under the Apache License, Version 2.0 (http://www.apache.org/licenses/LICENSE-2.0).
# SPDX-License-Identifier: Apache-2.0
"""SAM (Segment Anything, arXiv 2304.02643) over segment-anything's modules, at any input size."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from functools import partial
from typing import Any

import torch
from segment_anything.modeling import ImageEncoderViT
from torch import nn
from torch.nn import functional as F

from monai_synthfm.networks.preprocessing import Preprocessing
from monai_synthfm.networks.promptable import Multimask, NetworkSettings
from monai_synthfm.networks.sam_family import EMBED_DIM, PATCH_SIZE, SamFamily, checked_image_size

__all__ = ["SAM_ENCODERS", "ResizableImageEncoder", "Sam", "ViTSize"]


@dataclass(frozen=True)
class ViTSize:
    """Sizes of SAM's vision transformer.

    Args:
        embed_dim: channels.
        depth: number of blocks.
        num_heads: attention heads of a block.
        global_attn_indexes: blocks that attend to the whole image; the others attend to windows of 14 x 14 tokens.
    """

    embed_dim: int
    depth: int
    num_heads: int
    global_attn_indexes: tuple[int, ...]


SAM_ENCODERS: Mapping[str, ViTSize] = {
    "vit_b": ViTSize(768, 12, 12, (2, 5, 8, 11)),
    "vit_l": ViTSize(1024, 24, 16, (5, 11, 17, 23)),
    "vit_h": ViTSize(1280, 32, 16, (7, 15, 23, 31)),
}


class ResizableImageEncoder(ImageEncoderViT):
    """segment-anything's image encoder that also loads weights made for another image size.

    While loading, absolute position embeddings are resized with antialiased bicubic and relative ones with linear
    interpolation (the latter as SAM itself does at run time). Not part of SAM; our choice.
    """

    def _load_from_state_dict(self, state_dict: dict[str, torch.Tensor], prefix: str, *args: Any) -> None:
        for name, own in self.state_dict().items():
            given = state_dict.get(prefix + name)
            if given is None or given.shape == own.shape:
                continue
            if name == "pos_embed":
                grid = given.permute(0, 3, 1, 2)
                resized = F.interpolate(grid, own.shape[1:3], mode="bicubic", align_corners=False, antialias=True)
                state_dict[prefix + name] = resized.permute(0, 2, 3, 1)
            elif name.endswith(("rel_pos_h", "rel_pos_w")):
                line = given.T[None]
                state_dict[prefix + name] = F.interpolate(line, own.shape[0], mode="linear", align_corners=False)[0].T
        super()._load_from_state_dict(state_dict, prefix, *args)


class Sam(SamFamily):
    """SAM with a ViT image encoder behind the :class:`Promptable` interface.

    Its weights are random; :func:`~monai_synthfm.networks.open_network` gives a network with published or trained ones,
    :func:`~monai_synthfm.networks.prepare` one to train. Upstream's 1024-pixel checkpoints load strictly at any
    ``image_size``.

    Args:
        model: ``"vit_b"``, ``"vit_l"``, ``"vit_h"`` or the sizes of another transformer.
        image_size: side of the square input in pixels, a multiple of 16. 1024 is SAM's.
        preprocessing: ``"sam"``, ``"contrast"`` or ``"medsam"``, see :class:`SamFamily`.
        multimask: ``"never"``, ``"single_click"`` or ``"always"``, see :class:`Promptable`.
        objects_per_pass: how many objects go through the mask decoder at once, see :class:`SamFamily`.

    Raises:
        ValueError: when an argument is not as above.

    Example:
        >>> tiny = ViTSize(embed_dim=32, depth=2, num_heads=2, global_attn_indexes=(1,))
        >>> Sam(tiny, image_size=64)(torch.rand(1, 1, 40, 50)).shape
        torch.Size([1, 1, 40, 50])
    """

    def __init__(
        self,
        model: str | ViTSize = "vit_b",
        image_size: int = 1024,
        preprocessing: Preprocessing = "sam",
        multimask: Multimask = "never",
        objects_per_pass: int = 8,
    ) -> None:
        size = _vit_size(model)
        encoder = ResizableImageEncoder(
            img_size=checked_image_size(image_size),
            patch_size=PATCH_SIZE,
            embed_dim=size.embed_dim,
            depth=size.depth,
            num_heads=size.num_heads,
            mlp_ratio=4.0,
            out_chans=EMBED_DIM,
            qkv_bias=True,
            norm_layer=partial(nn.LayerNorm, eps=1e-6),
            use_rel_pos=True,
            window_size=14,
            global_attn_indexes=size.global_attn_indexes,
        )
        super().__init__(encoder, image_size, preprocessing, multimask, objects_per_pass)
        self.size = size

    def describe(self) -> NetworkSettings:
        """Return the settings, sizes of the transformer that shapes of weights do not show among them."""
        settings = super().describe()
        return replace(settings, embeddings={**settings.embeddings, "size": asdict(self.size)})


def _vit_size(model: str | ViTSize) -> ViTSize:
    if isinstance(model, ViTSize):
        return model
    if model not in SAM_ENCODERS:
        raise ValueError(f"model must be one of {list(SAM_ENCODERS)} or a ViTSize, got {model!r}.")
    return SAM_ENCODERS[model]
