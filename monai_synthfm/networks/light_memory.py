# Copyright (c) monai_synthfm contributors
# Licensed under the Apache License, Version 2.0 (http://www.apache.org/licenses/LICENSE-2.0).
# SPDX-License-Identifier: Apache-2.0
"""A memory light enough for a CPU: the parts of SAM 2's with an eighth of the arithmetic, for features of stride 16."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import nn
from torch.nn import functional as F

from monai_synthfm.networks.sam2_parts import CXBlock, MaskDownSampler

__all__ = ["LightMemoryAttention", "LightMemoryEncoder", "grid_places", "rotate", "rotation"]

_HEADS = 4
_ROPE_THETA = 10000.0


class LightMemoryEncoder(nn.Module):
    """Fuse the features of slices with masks of their objects, in as many channels as a memory has.

    ``out = CXBlock(CXBlock(W f + D(m)))`` with features f, masks m, a projection W and strided convolutions D. Upstream
    fuses in the channels of the features and reads masks at the input's size.

    Args:
        dim: channels of the features.
        memory_dim: channels of a memory.

    Source: the layout of SAM 2's memory encoder (arXiv 2408.00714, appendix); widths are our choice.

    Example:
        >>> LightMemoryEncoder(32, 16)(torch.rand(1, 32, 8, 8), torch.rand(3, 1, 32, 32)).shape
        torch.Size([3, 16, 8, 8])
    """

    def __init__(self, dim: int, memory_dim: int) -> None:
        super().__init__()
        self.mask_downsampler = MaskDownSampler(memory_dim, kernel_size=3, stride=2, padding=1, total_stride=4)
        self.pix_feat_proj = nn.Conv2d(dim, memory_dim, kernel_size=1)
        self.fuser = nn.Sequential(*(CXBlock(memory_dim, layer_scale_init_value=0.1) for _ in range(2)))

    def forward(self, features: torch.Tensor, masks: torch.Tensor) -> torch.Tensor:
        """Return memories ``[M, memory_dim, h, w]``.

        Args:
            features: of B slices ``[B, dim, h, w]``.
            masks: of M = B N objects ``[M, 1, 4 h, 4 w]``.
        """
        seen = self.pix_feat_proj(features).repeat_interleave(len(masks) // len(features), dim=0)
        return self.fuser(seen + self.mask_downsampler(masks))


class LightMemoryAttention(nn.Module):
    """Let the features of slices attend to what is remembered of objects.

    In each layer ``x + A(x, memory)``, then ``x + MLP(x)``, both of the normalised x; before the first layer the
    features attend to themselves, once for all objects of a slice. Rotary embeddings of queries and keys hold their
    places, which allows memories of a coarser grid. The last projection of every branch starts at zero, so that an
    untrained memory leaves the features as they are.

    Args:
        dim: channels of the features, a multiple of 16.
        memory_dim: channels of memories.
        layers: number of layers.
        mlp_dim: hidden units of a layer.

    Source: SAM 2's memory attention (arXiv 2408.00714, section 4) with coarser memories, as EfficientTAM (arXiv
    2411.18933) has them; widths, heads and the start at zero are our choice.

    Example:
        >>> attention = LightMemoryAttention(32, 8, layers=1, mlp_dim=64)
        >>> maps = [torch.rand(3, 8, 4, 4), torch.rand(3, 8, 2, 2)]
        >>> features = torch.rand(1, 32, 4, 4)
        >>> bool((attention(features, maps, torch.rand(3, 5, 8), torch.zeros(3, 25, 8)) == features).all())
        True
    """

    def __init__(self, dim: int, memory_dim: int, layers: int, mlp_dim: int) -> None:
        super().__init__()
        if dim % (4 * _HEADS):
            raise ValueError(f"dim must be a multiple of {4 * _HEADS}, got {dim}.")
        self.head_dim = dim // _HEADS
        self.itself = _Attention(dim, dim)
        self.layers = nn.ModuleList(_Layer(dim, memory_dim, mlp_dim) for _ in range(layers))

    def forward(
        self, features: torch.Tensor, maps: Sequence[torch.Tensor], others: torch.Tensor, positions: torch.Tensor
    ) -> torch.Tensor:
        """Return features ``[M, dim, h, w]``, one map for each object.

        Args:
            features: of B slices ``[B, dim, h, w]``.
            maps: memory maps of M = B N objects, each ``[M, memory_dim, h', w']``.
            others: memories without a place, ``[M, P, memory_dim]``.
            positions: what is added to the keys of all, maps first: ``[1 or M, K, memory_dim]``.
        """
        size = (features.shape[2], features.shape[3])
        here = rotation(grid_places(size, size, features.device), self.head_dim)
        x = features.flatten(2).transpose(1, 2)
        x = x + self.itself(x, x, x, here, here)
        memory = torch.cat([*(part.flatten(2).transpose(1, 2) for part in maps), others], dim=1)
        x = x.repeat_interleave(len(memory) // len(x), dim=0)
        known = torch.cat([grid_places((part.shape[2], part.shape[3]), size, features.device) for part in maps])
        there = rotation(known, self.head_dim)
        keys = memory + positions
        for layer in self.layers:
            x = layer(x, keys, memory, here, there)
        return x.transpose(1, 2).unflatten(2, size)


class _Layer(nn.Module):
    def __init__(self, dim: int, memory_dim: int, mlp_dim: int) -> None:
        super().__init__()
        self.attention = _Attention(dim, memory_dim)
        self.norm = nn.LayerNorm(dim)
        self.mlp = nn.Sequential(nn.Linear(dim, mlp_dim), nn.GELU(), _silent(nn.Linear(mlp_dim, dim)))

    def forward(
        self, x: torch.Tensor, keys: torch.Tensor, values: torch.Tensor, here: torch.Tensor, there: torch.Tensor
    ) -> torch.Tensor:
        x = x + self.attention(x, keys, values, here, there)
        return x + self.mlp(self.norm(x))


class _Attention(nn.Module):
    """Attention of normalised tokens to others, of which the first ones have places."""

    def __init__(self, dim: int, other_dim: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(dim)
        self.queries = nn.Linear(dim, dim)
        self.keys = nn.Linear(other_dim, dim)
        self.values = nn.Linear(other_dim, dim)
        self.out = _silent(nn.Linear(dim, dim))

    def forward(
        self, x: torch.Tensor, keys: torch.Tensor, values: torch.Tensor, here: torch.Tensor, there: torch.Tensor
    ) -> torch.Tensor:
        asking = self.norm(x)
        if keys is x:
            keys = values = asking
        read = F.scaled_dot_product_attention(
            rotate(_heads(self.queries(asking)), here),
            rotate(_heads(self.keys(keys)), there),
            _heads(self.values(values)),
        )
        return self.out(read.transpose(1, 2).flatten(2))


def grid_places(size: tuple[int, int], unit: tuple[int, int], device: torch.device | str = "cpu") -> torch.Tensor:
    """Return the centres ``[h w, 2]``, y first, of the cells of a grid in units of another over the same square.

    Example:
        >>> grid_places((1, 2), (2, 4)).tolist()
        [[0.5, 0.5], [0.5, 2.5]]
    """
    axes = ((torch.arange(n, device=device) + 0.5) * (of / n) - 0.5 for n, of in zip(size, unit, strict=True))
    return torch.stack(torch.meshgrid(*axes, indexing="ij"), dim=-1).flatten(0, 1)


def rotation(places: torch.Tensor, width: int) -> torch.Tensor:
    """Return the cosines and sines that :func:`rotate` turns tokens at P places by: ``[2, P, width / 2]``.

    Half of the pairs of channels is turned by ``y f_i``, the other by ``x f_i``; ``f_i = 10000^(-i / (width / 4))``.

    Args:
        places: ``[P, 2]``, y first.
        width: channels of a token, a multiple of 4.

    Source: SAM 2's RoPE attention (arXiv 2408.00714; arXiv 2403.13298).
    """
    quarter = width // 4
    frequency = _ROPE_THETA ** (-torch.arange(quarter, device=places.device) / quarter)
    angle = (places[:, :, None] * frequency).flatten(1)
    return torch.stack([angle.cos(), angle.sin()])


def rotate(heads: torch.Tensor, turns: torch.Tensor) -> torch.Tensor:
    """Turn pairs of channels of the first tokens (rotary embedding).

    Args:
        heads: tokens ``[M, heads, K, d]``.
        turns: :func:`rotation` of the first P <= K tokens, ``[2, P, d / 2]``.

    Example:
        >>> tokens = torch.rand(1, 1, 3, 8)
        >>> turned = rotate(tokens, rotation(torch.tensor([[0.0, 0.0], [2.0, 1.0]]), 8))
        >>> [bool(torch.allclose(a, b)) for a, b in zip(tokens[0, 0], turned[0, 0])]
        [True, False, True]
    """
    cosine, sine = turns.to(heads.dtype)
    placed, others = heads[:, :, : len(cosine)], heads[:, :, len(cosine) :]
    first, second = placed.chunk(2, dim=3)
    return torch.cat(
        [torch.cat([first * cosine - second * sine, first * sine + second * cosine], dim=3), others], dim=2
    )


def _heads(tokens: torch.Tensor) -> torch.Tensor:
    return tokens.unflatten(2, (_HEADS, -1)).transpose(1, 2)


def _silent(layer: nn.Linear) -> nn.Linear:
    nn.init.zeros_(layer.weight)
    nn.init.zeros_(layer.bias)
    return layer
