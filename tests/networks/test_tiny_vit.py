# Copyright (c) monai_synthfm contributors
# Licensed under the Apache License, Version 2.0 (http://www.apache.org/licenses/LICENSE-2.0).
# SPDX-License-Identifier: Apache-2.0
"""TinyViT against timm's implementation, stage by stage, with the same random weights."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from monai_synthfm.networks import MobileSam, tiny_vit
from monai_synthfm.networks.tiny_vit import TinyViT

timm = pytest.importorskip("timm")


@pytest.fixture(scope="module")
def ours() -> TinyViT:
    """Our network with every parameter and statistic random."""
    torch.manual_seed(0)
    net = TinyViT()
    with torch.no_grad():
        for name, value in net.named_parameters():
            if value.ndim < 2 or "attention_biases" in name:
                value.add_(torch.randn_like(value), alpha=0.3)
        for module in net.modules():
            if isinstance(module, nn.BatchNorm2d):
                module.running_mean.normal_(std=0.1)
                module.running_var.uniform_(0.5, 2.0)
    return net.eval()


@pytest.fixture(scope="module")
def theirs(ours: TinyViT) -> nn.Module:
    """timm's network with our weights, and with MobileSAM's stride of 1 in the last halving."""
    net = timm.create_model("tiny_vit_5m_224", pretrained=False, num_classes=0).eval()
    net.stages[3].downsample.conv2.conv.stride = (1, 1)
    state = {}
    for key, value in ours.state_dict().items():
        if key.startswith("neck."):
            continue
        if key.startswith("patch_embed.seq"):
            key = key.replace("seq.0", "conv1").replace("seq.2", "conv2")
        elif ".downsample." in key:
            stage = int(key.split(".")[1])
            key = key.replace(f"layers.{stage}", f"stages.{stage + 1}")
        key = key.replace("layers.", "stages.") if key.startswith("layers.") else key
        state[key.replace(".c.", ".conv.")] = value
    missing, unexpected = net.load_state_dict(state, strict=False)
    assert not unexpected
    assert {key.partition(".")[0] for key in missing} <= {"head"}
    return net


@pytest.mark.parametrize("size", [64, 224, 256])
def test_every_stage_equals_timms(ours: TinyViT, theirs: nn.Module, size: int) -> None:
    x = torch.randn(2, 3, size, size)
    with torch.no_grad():
        a, b = ours.patch_embed(x), theirs.patch_embed(x)
        torch.testing.assert_close(a, b, atol=1e-5, rtol=1e-4)
        for i in range(4):
            a, b = ours.layers[i].blocks(a), theirs.stages[i].blocks(b) if i == 0 else _blocks(theirs.stages[i], b)
            torch.testing.assert_close(a, b, atol=1e-4, rtol=1e-4)
            if i < 3:
                a, b = ours.layers[i].downsample(a), theirs.stages[i + 1].downsample(b)
    assert a.shape == (2, 320, size // 16, size // 16)


def _blocks(stage: nn.Module, x: torch.Tensor) -> torch.Tensor:
    return stage.blocks(x.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)


def test_training_mode_uses_and_keeps_the_stored_statistics(ours: TinyViT) -> None:
    x = torch.randn(1, 3, 64, 64)
    with torch.no_grad():
        expected = ours(x)
        found = ours.train()(x)
    ours.eval()
    assert torch.equal(found, expected)


@pytest.mark.parametrize(("batch", "size", "strip"), [(1, 64, 1), (2, 80, 2**14), (1, 240, 2**15)])
def test_inference_in_strips_gives_what_training_computes_at_once(
    ours: TinyViT, monkeypatch: pytest.MonkeyPatch, batch: int, size: int, strip: int
) -> None:
    # 1280 hidden units are the most, whose strip must hold one token
    monkeypatch.setattr(tiny_vit, "_STRIP", max(strip, 1280))
    x = torch.randn(batch, 3, size, size)
    with torch.no_grad():
        found = ours(x)
    assert found.is_contiguous()
    torch.testing.assert_close(found, ours(x).detach(), atol=1e-4, rtol=1e-4)


def test_mobilesams_unused_classifier_is_ignored_and_nothing_else() -> None:
    net = MobileSam(image_size=64)
    assert len(net.state_dict()) == 435
    state = dict(net.state_dict())
    state["image_encoder.norm_head.weight"] = state["image_encoder.norm_head.bias"] = torch.zeros(320)
    state["image_encoder.head.weight"], state["image_encoder.head.bias"] = torch.zeros(1000, 320), torch.zeros(1000)
    assert len(state) == 439
    net.load_state_dict(state)
    with pytest.raises(RuntimeError, match="Unexpected key"):
        net.load_state_dict({**state, "image_encoder.tail.weight": torch.zeros(1)})
    del state["image_encoder.neck.0.weight"]
    with pytest.raises(RuntimeError, match="Missing key"):
        net.load_state_dict(state)


def test_weights_serve_every_image_size() -> None:
    small, large = MobileSam(image_size=64), MobileSam(image_size=128)
    large.load_state_dict(small.state_dict())
    assert large.encode(torch.rand(1, 1, 50, 50)).features.shape == (1, 256, 8, 8)
