# Copyright (c) monai_synthfm contributors
# Licensed under the Apache License, Version 2.0 (http://www.apache.org/licenses/LICENSE-2.0).
# SPDX-License-Identifier: Apache-2.0
"""ONNX files of an image encoder and a mask decoder, for ONNX Runtime, TensorRT and programs without torch."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path

import onnx
import torch
from monai.networks import eval_mode
from monai.utils import optional_import
from torch import nn

from monai_synthfm.networks.onnx.graphs import FINER_NAMES, graphs_of
from monai_synthfm.networks.sam2_image import Sam2Image
from monai_synthfm.networks.sam_family import SamFamily
from monai_synthfm.networks.weights.fingerprint import describe_network, state_sha256
from monai_synthfm.utils.atomic_files import staged_files

__all__ = ["ENCODER_HASH", "export_onnx"]

ENCODER_HASH = "image_encoder_sha256"
"""Key of an ONNX file's metadata: the hash of the image encoder's weights."""

# A protobuf message, and so an ONNX file with its weights inside, must stay under 2 GiB.
_MOST_BYTES = 2**31 - 2**27


def export_onnx(network: SamFamily | Sam2Image, folder: str | Path) -> tuple[Path, Path]:
    """Write ``encoder.onnx`` and ``decoder.onnx`` of a Sam, a MobileSam or the image mode of a Sam2.

    The encoder starts where ``network.image_encoder`` does, at the square image of S = ``image_size`` pixels that is
    already resized, normalised and padded (:mod:`~monai_synthfm.networks.preprocessing`), since antialiased resizing
    has no counterpart in ONNX that gives the same values. The decoder takes prompts as SAM's own exported decoder does,
    for N objects with K points each:

    ========================  =====================  ==================================================================
    encoder's input           shape
    ========================  =====================  ==================================================================
    image                     ``[B, 3, S, S]``
    ========================  =====================  ==================================================================

    ========================  ======================  =================================================================
    passed on                 shape
    ========================  ======================  =================================================================
    image_embeddings          ``[B, C, S/16, S/16]``  the decoder takes B = 1, as for the next two
    high_res_features_0       ``[B, C/8, S/4, S/4]``  Sam2 only
    high_res_features_1       ``[B, C/4, S/8, S/8]``  Sam2 only
    ========================  ======================  =================================================================

    ========================  =====================  ==================================================================
    decoder's further inputs  shape
    ========================  =====================  ==================================================================
    point_coords              ``[N, K, 2]``          x, y in pixels of the square image
    point_labels              ``[N, K]`` int64       1 positive, 0 negative, 2 and 3 a box's corners, -1 padding
    mask_input                ``[N, 1, S/4, S/4]``   low-resolution logits of an earlier answer
    has_mask_input            ``[N]``                1 = use this object's mask_input, 0 = ignore it
    ========================  =====================  ==================================================================

    ========================  =====================  ==================================================================
    decoder's outputs         shape
    ========================  =====================  ==================================================================
    low_res_masks             ``[N, 4, S/4, S/4]``   logits; index 0 the unambiguous mask, then its alternatives
    iou_predictions           ``[N, 4]``             predicted IoU of each
    ========================  =====================  ==================================================================

    As SAM expects it, one point labelled -1 follows the clicks of an object without a box; for Sam2 it follows in any
    case. Everything is float32 but for the labels; B, N and K are free. A network above 2 GiB keeps its weights beside
    the graph, in ``encoder.onnx.data``. The metadata of both files state network, settings and hashes of the weights.

    Args:
        network: in any mode and on any device; it is left as it was.
        folder: where the files appear, both or none.

    Returns:
        the paths of encoder and decoder.

    Raises:
        TypeError: when the network is none of the three.
        ImportError: when onnxscript is missing, which torch's exporter needs.
    """
    encoder, decoder = graphs_of(network)
    if not optional_import("onnxscript")[1]:
        raise ImportError("exporting to ONNX needs onnxscript: pip install onnxscript")
    metadata = {key: str(value) for key, value in describe_network(network).items()}
    metadata[ENCODER_HASH] = state_sha256(network.image_encoder)
    with staged_files(folder) as stage, eval_mode(network), torch.no_grad():
        weight = next(encoder.parameters())
        # Two images and three objects: torch takes a size of one for a constant.
        image = torch.zeros(2, 3, network.image_size, network.image_size, device=weight.device, dtype=weight.dtype)
        # Run before it is traced, so that what sam2's modules keep for later calls are real tensors.
        found = encoder(image)
        embedding = [found] if isinstance(found, torch.Tensor) else list(found)
        names = ["image_embeddings", *FINER_NAMES][: len(embedding)]
        _write(encoder, {"image": (image, ("batch",))}, names, metadata, stage / "encoder.onnx")

        features = {name: (value[:1], ()) for name, value in zip(names, embedding, strict=True)}
        prompts = _example_prompts(network.image_size, image)
        _write(decoder, {**features, **prompts}, ["low_res_masks", "iou_predictions"], metadata, stage / "decoder.onnx")
    return Path(folder) / "encoder.onnx", Path(folder) / "decoder.onnx"


_Example = tuple[torch.Tensor, tuple[str, ...]]
"""A tensor, and the names of its leading dimensions, which are free."""


def _example_prompts(image_size: int, like: torch.Tensor) -> dict[str, _Example]:
    side = image_size // 4
    return {
        "point_coords": (like.new_zeros(3, 2, 2), ("objects", "points")),
        "point_labels": (like.new_ones(3, 2, dtype=torch.int64), ("objects", "points")),
        "mask_input": (like.new_zeros(3, 1, side, side), ("objects",)),
        "has_mask_input": (like.new_zeros(3), ("objects",)),
    }


def _write(
    module: nn.Module,
    examples: Mapping[str, _Example],
    outputs: Sequence[str],
    metadata: Mapping[str, str],
    path: Path,
) -> None:
    """Trace a module, write it and check what was written."""
    tensors = tuple(tensor for tensor, _ in examples.values())
    free = {name: torch.export.Dim(name) for _, names in examples.values() for name in names}
    shapes = tuple(dict(enumerate(free[name] for name in names)) for _, names in examples.values())
    with warnings.catch_warnings():
        # The exporter remarks on dimensions that two inputs share.
        warnings.filterwarnings("ignore", message="# The axis name")
        # Strict, because otherwise len() of a tensor fixes its size; and a fixed size is then an error.
        traced = torch.export.export(module.eval(), tensors, dynamic_shapes=shapes, strict=True)
        program = torch.onnx.export(
            traced,
            dynamic_shapes=shapes,
            dynamo=True,
            input_names=list(examples),
            output_names=list(outputs),
            verbose=False,
        )
    assert program is not None
    program.model.metadata_props.update(metadata)
    weights = sum(value.nbytes for value in traced.state_dict.values())
    program.save(path, external_data=weights > _MOST_BYTES)
    onnx.checker.check_model(str(path), full_check=True)
