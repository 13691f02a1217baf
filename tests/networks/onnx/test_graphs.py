# Copyright (c) monai_synthfm contributors
# Licensed under the Apache License, Version 2.0 (http://www.apache.org/licenses/LICENSE-2.0).
# SPDX-License-Identifier: Apache-2.0
"""Halves of networks as functions of plain tensors, against segment-anything's own model for export."""

from __future__ import annotations

import pytest
import torch
from segment_anything import SamPredictor
from segment_anything.utils.onnx import SamOnnxModel
from torch import nn

from monai_synthfm.networks import Sam
from monai_synthfm.networks.onnx.graphs import FINER_NAMES, graphs_of
from monai_synthfm.networks.sam2_image import Sam2Image
from monai_synthfm.prompts import Prompts
from tests.networks.exported import NETWORKS, new_network

LABELS = torch.tensor([[1, 0, -1], [2, 3, -1], [-1, -1, -1]])


def decoder_inputs(channels: int, image_size: int) -> dict[str, torch.Tensor]:
    """Three objects of three tokens in one image; the second and the third have a mask."""
    generator = torch.Generator().manual_seed(4)
    grid = image_size // 16
    return {
        "image_embeddings": torch.randn(1, channels, grid, grid, generator=generator),
        "point_coords": image_size * torch.rand(3, 3, 2, generator=generator),
        "point_labels": LABELS,
        "mask_input": 5 * torch.randn(3, 1, 4 * grid, 4 * grid, generator=generator),
        "has_mask_input": torch.tensor([0.0, 1.0, 1.0]),
    }


def test_the_decoder_is_segment_anythings_own_for_export(sam: Sam, upstream: SamPredictor) -> None:
    theirs = SamOnnxModel(upstream.model, return_single_mask=False)
    inputs = decoder_inputs(256, 128)
    with torch.no_grad():
        logits, iou = graphs_of(sam)[1](**inputs)
        for n in range(3):
            # one by one: upstream's has one flag for all objects
            alone = {name: value if name == "image_embeddings" else value[n : n + 1] for name, value in inputs.items()}
            _, quality, low = theirs(**alone, orig_im_size=torch.tensor([128, 128]))
            torch.testing.assert_close(logits[n : n + 1], low, atol=1e-4, rtol=1e-4)
            torch.testing.assert_close(iou[n : n + 1], quality, atol=1e-4, rtol=1e-4)
    assert (logits[0] - logits[1]).abs().max() > 1e-2


def test_the_encoder_of_sam_2_takes_in_the_decoders_own_convolutions() -> None:
    network = new_network("Sam2")
    assert isinstance(network, Sam2Image)
    image = torch.rand(2, 3, 64, 64)
    features, finest, finer = graphs_of(network)[0](image)
    maps = network.image_encoder(image)["backbone_fpn"]
    decoder = network.sam_mask_decoder
    assert torch.equal(features, maps[2])
    for found, convolution, given in ((finest, decoder.conv_s0, maps[0]), (finer, decoder.conv_s1, maps[1])):
        # a convolution of one pixel is a matrix product of the channels
        expected = torch.einsum("oc,bchw->bohw", convolution.weight[:, :, 0, 0], given)
        torch.testing.assert_close(found, expected + convolution.bias[:, None, None], atol=1e-5, rtol=1e-4)
    assert (finest.shape[2], finer.shape[2], features.shape[2]) == (16, 8, 4)


def test_the_decoder_of_sam_2_is_told_that_nothing_is_remembered() -> None:
    network = new_network("Sam2")
    embedding = network.encode(torch.rand(1, 1, 64, 64))
    inputs = {**decoder_inputs(32, 64), "image_embeddings": embedding.features, "has_mask_input": torch.zeros(3)}
    finer = dict(zip(FINER_NAMES, embedding.high_resolution, strict=True))
    logits, iou = graphs_of(network)[1](**inputs, **finer)
    # the first object by its clicks; sam2 pads clicks with one token
    wanted, quality = network.predict_masks(embedding, Prompts(inputs["point_coords"][:1, :2], torch.tensor([[1, 0]])))
    torch.testing.assert_close(logits[:1], wanted[0], atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(iou[:1], quality[0], atol=1e-4, rtol=1e-4)
    network.no_mem_embed.zero_()
    assert not torch.allclose(graphs_of(network)[1](**inputs, **finer)[0], logits, atol=1e-3)


@pytest.mark.parametrize("name", NETWORKS)
def test_graphs_share_the_networks_weights_and_have_no_others(name: str) -> None:
    network = new_network(name)
    known = {id(parameter) for parameter in network.parameters()}
    own = [parameter for graph in graphs_of(network) for parameter in graph.parameters()]
    assert {id(parameter) for parameter in own} <= known
    # what remembers and what fuses masks with memories is no part of a single image
    left_out = known - {id(parameter) for parameter in own}
    names = {key.partition(".")[0] for key, parameter in network.named_parameters() if id(parameter) in left_out}
    assert all(part.startswith(("mem", "mask_downsample", "obj_ptr", "no_", "maskmem")) for part in names)
    assert (names == set()) == (name != "Sam2")
    assert not any(key.endswith("position") for key in graphs_of(network)[1].state_dict())


@pytest.mark.parametrize(("wrong", "name"), [(nn.Linear(1, 1), "Linear"), (None, "NoneType")])
def test_other_networks_are_named(wrong: object, name: str) -> None:
    with pytest.raises(TypeError, match=f"network must be a Sam, MobileSam or Sam2, got {name}"):
        graphs_of(wrong)  # type: ignore[arg-type]
