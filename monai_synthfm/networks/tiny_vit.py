# Copyright (c) monai_synthfm contributors
# Licensed under the Apache License, Version 2.0 (http://www.apache.org/licenses/LICENSE-2.0).
# SPDX-License-Identifier: Apache-2.0
"""TinyViT-5M (arXiv 2207.10666) as MobileSAM (arXiv 2306.14289) changed it: stride 16, SAM's neck, MobileSAM's keys."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from typing import Any

import torch
from segment_anything.modeling.common import LayerNorm2d
from torch import nn
from torch.nn import functional as F

__all__ = ["TinyViT"]

_DIMS = (64, 128, 160, 320)
_DEPTHS = (2, 2, 6, 2)
_HEADS = (2, 4, 5, 10)
_WINDOWS = (7, 7, 14, 7)
_EXPANSION = 4
# Elements of an intermediate result in inference: 4 MiB of float32.
_STRIP = 2**20
# MobileSAM's files keep the classifier of TinyViT's pre-training, which no forward pass uses.
_UNUSED_KEYS = ("norm_head.weight", "norm_head.bias", "head.weight", "head.bias")


class TinyViT(nn.Module):
    """Image encoder of MobileSAM: ``[B, 3, S, S]`` to ``[B, out_channels, S / 16, S / 16]`` for any S divisible by 16.

    Batch normalisation always uses its stored statistics, in training too: a step sees one or a few images, and weights
    converted from an exported graph have the statistics folded into the convolutions.

    Args:
        out_channels: channels of the embedding.

    Example:
        >>> TinyViT().eval()(torch.zeros(1, 3, 64, 64)).shape
        torch.Size([1, 256, 4, 4])
    """

    def __init__(self, out_channels: int = 256) -> None:
        super().__init__()
        self.patch_embed = _PatchEmbed(_DIMS[0])
        stages: list[nn.Module] = []
        for i, (dim, depth) in enumerate(zip(_DIMS, _DEPTHS, strict=True)):
            blocks = [_MBConv(dim) if i == 0 else _Block(dim, _HEADS[i], _WINDOWS[i]) for _ in range(depth)]
            # The last of the three halvings is left out, so that the grid is 1/16 of the image as in SAM.
            down = _PatchMerging(dim, _DIMS[i + 1], stride=1 if i == 2 else 2) if i < 3 else nn.Identity()
            stages.append(nn.Sequential(OrderedDict(blocks=nn.Sequential(*blocks), downsample=down)))
        self.layers = nn.Sequential(*stages)
        self.neck = nn.Sequential(
            nn.Conv2d(_DIMS[-1], out_channels, 1, bias=False),
            LayerNorm2d(out_channels),
            nn.Conv2d(out_channels, out_channels, 3, padding=1, bias=False),
            LayerNorm2d(out_channels),
        )
        for module in self.modules():
            if isinstance(module, nn.Linear):
                nn.init.trunc_normal_(module.weight, std=0.02)
                nn.init.zeros_(module.bias)

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        """Encode normalised square images."""
        return self.pyramid(image)[2]

    def pyramid(self, image: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Encode normalised square images and return what is seen on the way, too.

        Returns:
            ``[B, 64, S / 4, S / 4]`` after the patch embedding, ``[B, 128, S / 8, S / 8]`` after the first stage, and
            the embedding.
        """
        # Channels last in memory: a pixel is a token without a copy, and depthwise convolutions are faster.
        image = image.contiguous(memory_format=torch.channels_last)
        fine: torch.Tensor = self.patch_embed(image)
        first, *others = self.layers
        middle: torch.Tensor = first(fine)
        features = middle
        for stage in (*others, self.neck):
            features = stage(features)
        return fine, middle, features.contiguous()

    def _load_from_state_dict(self, state_dict: dict[str, torch.Tensor], prefix: str, *args: Any) -> None:
        for key in _UNUSED_KEYS:
            state_dict.pop(prefix + key, None)
        super()._load_from_state_dict(state_dict, prefix, *args)


class _ConvNorm(nn.Sequential):
    def __init__(self, inputs: int, outputs: int, kernel: int = 1, stride: int = 1, groups: int = 1) -> None:
        super().__init__()
        self.c = nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, groups=groups, bias=False)
        self.bn = nn.BatchNorm2d(outputs)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Convolve with the stored statistics folded into weight and bias."""
        mean, variance = self.bn.running_mean, self.bn.running_var
        assert mean is not None
        assert variance is not None
        scale = self.bn.weight * torch.rsqrt(variance + self.bn.eps)
        bias = self.bn.bias - mean * scale
        weight = self.c.weight * scale[:, None, None, None]
        return F.conv2d(x, weight, bias, self.c.stride, self.c.padding, groups=self.c.groups)


class _PatchEmbed(nn.Module):
    def __init__(self, dim: int) -> None:
        super().__init__()
        self.seq = nn.Sequential(_ConvNorm(3, dim // 2, 3, 2), nn.GELU(), _ConvNorm(dim // 2, dim, 3, 2))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        # Half as many channels as come out, at half the height and width.
        return _by_rows(self.seq, x, stride=4, widest=_DIMS[0] // 8)


class _MBConv(nn.Module):
    """Inverted bottleneck: widen, filter each channel, narrow, add."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        wide = dim * _EXPANSION
        self.conv1 = _ConvNorm(dim, wide)
        self.conv2 = _ConvNorm(wide, wide, 3, groups=wide)
        self.conv3 = _ConvNorm(wide, dim)
        # A block starts as the identity.
        nn.init.zeros_(self.conv3.bn.weight)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return _by_rows(self._filter, x, stride=1, widest=self.conv1.c.out_channels)

    def _filter(self, x: torch.Tensor) -> torch.Tensor:
        return F.gelu(x + self.conv3(F.gelu(self.conv2(F.gelu(self.conv1(x))))))


class _PatchMerging(nn.Module):
    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.stride = stride
        self.conv1 = _ConvNorm(inputs, outputs)
        self.conv2 = _ConvNorm(outputs, outputs, 3, stride, groups=outputs)
        self.conv3 = _ConvNorm(outputs, outputs)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return _by_rows(self._merge, x, self.stride, widest=self.conv1.c.out_channels)

    def _merge(self, x: torch.Tensor) -> torch.Tensor:
        x = self.conv3(F.gelu(self.conv2(F.gelu(self.conv1(x)))))
        return x


class _WindowAttention(nn.Module):
    """Self-attention within a window, with one learned bias per head and absolute offset (|dy|, |dx|)."""

    attention_bias_idxs: torch.Tensor

    def __init__(self, dim: int, heads: int, window: int) -> None:
        super().__init__()
        self.heads = heads
        self.norm = nn.LayerNorm(dim)
        self.qkv = nn.Linear(dim, 3 * dim)
        self.proj = nn.Linear(dim, dim)
        self.attention_biases = nn.Parameter(torch.zeros(heads, window * window))
        y, x = torch.meshgrid(torch.arange(window), torch.arange(window), indexing="ij")
        y, x = y.flatten(), x.flatten()
        offsets = (y[:, None] - y).abs() * window + (x[:, None] - x).abs()
        self.register_buffer("attention_bias_idxs", offsets, persistent=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        windows, tokens, dim = x.shape
        # Each head's query, key and value lie side by side in the projection.
        qkv = self.qkv(self.norm(x)).view(windows, tokens, self.heads, 3, dim // self.heads)
        query, key, value = qkv.permute(3, 0, 2, 1, 4)
        # Four dimensions, without which torch takes an attention kernel three times slower.
        bias = self.attention_biases[None, :, self.attention_bias_idxs].to(query.dtype)
        x = F.scaled_dot_product_attention(query, key, value, attn_mask=bias)
        x = self.proj(x.transpose(1, 2).reshape(windows, tokens, dim))
        return x


class _Mlp(nn.Module):
    def __init__(self, dim: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(dim)
        self.fc1 = nn.Linear(dim, dim * _EXPANSION)
        self.fc2 = nn.Linear(dim * _EXPANSION, dim)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if _in_one_piece(x):
            return self._mix(x)
        tokens = x.flatten(0, -2).split(_STRIP // self.fc1.out_features)
        return torch.cat([self._mix(part) for part in tokens]).view(x.shape)

    def _mix(self, x: torch.Tensor) -> torch.Tensor:
        x = self.fc2(F.gelu(self.fc1(self.norm(x))))
        return x


class _Block(nn.Module):
    def __init__(self, dim: int, heads: int, window: int) -> None:
        super().__init__()
        self.window = window
        self.attn = _WindowAttention(dim, heads, window)
        self.local_conv = _ConvNorm(dim, dim, 3, groups=dim)
        self.mlp = _Mlp(dim)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = x + self._attend(x)
        x = self.local_conv(x)
        return x + self.mlp(x.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)

    def _attend(self, x: torch.Tensor) -> torch.Tensor:
        x = x.permute(0, 2, 3, 1)
        batch, height, width, dim = x.shape
        side = self.window
        x = F.pad(x, (0, 0, 0, -width % side, 0, -height % side))
        rows, columns = x.shape[1] // side, x.shape[2] // side
        x = x.view(batch, rows, side, columns, side, dim).transpose(2, 3)
        x = self.attn(x.reshape(-1, side * side, dim))
        x = x.view(batch, rows, columns, side, side, dim).transpose(2, 3)
        x = x.reshape(batch, rows * side, columns * side, dim)[:, :height, :width]
        return x.permute(0, 3, 1, 2)


def _by_rows(block: Callable[[torch.Tensor], torch.Tensor], x: torch.Tensor, stride: int, widest: int) -> torch.Tensor:
    """Compute ``block(x)``, and where no gradient is asked for, in strips whose intermediate results stay in the cache.

    Args:
        block: 3 x 3 convolutions that make ``[B, C, ceil(H / stride), ceil(W / stride)]`` of ``[B, c, H, W]`` and of
            which an output row depends on ``stride`` rows of ``x`` before and after its own at most.
        x: ``[B, c, H, W]``.
        stride: of the block.
        widest: channels that the largest intermediate result has per position of ``x``.
    """
    if _in_one_piece(x):
        return block(x)
    rows = max(_STRIP // (x.shape[0] * widest * x.shape[3] * stride), 1)
    parts = []
    for top in range(0, -(-x.shape[2] // stride), rows):
        # One more output row on either side, which the strip's own zero padding spoils.
        first = max(top - 1, 0)
        part = block(x[:, :, first * stride : (top + rows + 1) * stride])
        parts.append(part[:, :, top - first : top - first + rows])
    return torch.cat(parts, dim=2)


def _in_one_piece(x: torch.Tensor) -> bool:
    """Return whether strips gain nothing: on accelerators, which want large pieces, where gradients keep all
    intermediate results, and where operations are recorded for another runtime."""
    return x.device.type != "cpu" or torch.is_grad_enabled() or torch.compiler.is_compiling()
