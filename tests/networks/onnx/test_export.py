# Copyright (c) monai_synthfm contributors
# Licensed under the Apache License, Version 2.0 (http://www.apache.org/licenses/LICENSE-2.0).
# SPDX-License-Identifier: Apache-2.0
"""Exported encoders and decoders, run by ONNX Runtime, against the networks they come from."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from torch import nn

from monai_synthfm.networks import ImageEmbedding, Promptable, Sam, ViTSize, export_onnx
from monai_synthfm.networks.onnx import export as onnx_export
from monai_synthfm.networks.onnx.graphs import FINER_NAMES
from monai_synthfm.networks.weights.fingerprint import describe_network, state_sha256
from monai_synthfm.prompts import Prompts
from tests.networks.exported import NETWORKS, exported, new_network

onnxruntime = pytest.importorskip("onnxruntime", reason="exported files are run by onnxruntime")

SIZE = 64
CORNERS = [2, 3]


def run(path: Path, **inputs: torch.Tensor) -> list[np.ndarray]:
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    assert {entry.name for entry in session.get_inputs()} == set(inputs)
    return session.run(None, {name: value.numpy() for name, value in inputs.items()})


def embed(network: Promptable) -> tuple[ImageEmbedding, dict[str, torch.Tensor]]:
    """An image's embedding, and the same as the exported decoder's inputs."""
    image = torch.rand(1, 1, SIZE, SIZE, generator=torch.Generator().manual_seed(1))
    embedding = network.encode(image)
    named = dict(zip(FINER_NAMES, embedding.high_resolution, strict=False))
    return embedding, {"image_embeddings": embedding.features, **named}


def tokens_by_hand(name: str, points: torch.Tensor, labels: torch.Tensor, boxes: torch.Tensor) -> dict[str, Any]:
    """Lay out clicks ``[N, K, 2]`` and boxes ``[N, 4]`` (or ``[0, 4]``) as the decoder's inputs say."""
    count = max(len(points), len(boxes))
    parts = [(points, labels)] if len(points) else []
    if len(boxes):
        parts.append((boxes.reshape(-1, 2, 2), torch.tensor(CORNERS).expand(len(boxes), 2)))
    if not len(boxes) or name == "Sam2":
        parts.append((torch.zeros(count, 1, 2), torch.full((count, 1), -1)))
    coords, kinds = (torch.cat(part, dim=1) for part in zip(*parts, strict=True))
    return {"point_coords": coords, "point_labels": kinds}


def draw_prompts(clicks: tuple[int, int], boxes: int) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(2)
    points = torch.rand(*clicks, 2, generator=generator) * (SIZE - 1)
    labels = torch.randint(0, 2, clicks, generator=generator)
    low = torch.rand(boxes, 2, generator=generator) * SIZE / 2
    return points, labels, torch.cat([low, low + 5 + torch.rand(boxes, 2, generator=generator) * 20], dim=1)


def low_resolution_masks(count: int) -> torch.Tensor:
    return 5 * torch.randn(count, 1, SIZE // 4, SIZE // 4, generator=torch.Generator().manual_seed(3))


@pytest.mark.parametrize("batch", [1, 3])
@pytest.mark.parametrize("name", NETWORKS)
def test_encoder_file_gives_the_networks_embeddings(name: str, batch: int) -> None:
    network, encoder, _ = exported(name)
    squares: list[torch.Tensor] = []
    hook = network.get_submodule("image_encoder").register_forward_pre_hook(lambda _, given: squares.append(given[0]))
    expected = network.encode(torch.rand(batch, 3, 40, 50))
    hook.remove()
    found = run(encoder, image=squares[0])
    assert len(found) == 1 + len(expected.high_resolution)
    for values, wanted in zip(found, (expected.features, *expected.high_resolution), strict=True):
        np.testing.assert_allclose(values, wanted.numpy(), atol=1e-4, rtol=0)
    assert expected.features.std() > 0.1


@pytest.mark.parametrize(
    ("clicks", "boxes"),
    [((1, 1), 0), ((1, 3), 0), ((4, 2), 0), ((0, 0), 1), ((0, 0), 5), ((5, 3), 5)],
    ids=["click", "3 clicks", "4 objects", "box", "5 boxes", "boxes and clicks"],
)
@pytest.mark.parametrize("name", NETWORKS)
def test_decoder_file_gives_the_networks_masks(name: str, clicks: tuple[int, int], boxes: int) -> None:
    network, _, decoder = exported(name)
    embedding, features = embed(network)
    points, labels, corners = draw_prompts(clicks, boxes)
    count = max(len(points), len(corners))
    tokens = tokens_by_hand(name, points, labels, corners)
    logits, iou = run(
        decoder,
        **features,
        **tokens,
        mask_input=low_resolution_masks(count),
        has_mask_input=torch.zeros(count),
    )
    given = {"points": points, "point_labels": labels} if len(points) else {}
    wanted = network.predict_masks(embedding, Prompts(**given, boxes=corners if boxes else None))
    np.testing.assert_allclose(logits, wanted[0][0].numpy(), atol=1e-4, rtol=1e-4)
    np.testing.assert_allclose(iou, wanted[1][0].numpy(), atol=1e-4, rtol=0)
    assert logits.std() > 1e-3


@pytest.mark.parametrize("name", NETWORKS)
def test_decoder_file_uses_the_masks_of_those_objects_that_have_one(name: str) -> None:
    network, _, decoder = exported(name)
    embedding, features = embed(network)
    points, labels, none = draw_prompts((3, 1), 0)
    masks, given = low_resolution_masks(3), torch.tensor([True, False, True])
    tokens = tokens_by_hand(name, points, labels, none)
    logits, _ = run(decoder, **features, **tokens, mask_input=masks, has_mask_input=given.float())
    with_masks, _ = network.predict_masks(embedding, Prompts(points, labels, masks=masks))
    without, _ = network.predict_masks(embedding, Prompts(points, labels))
    assert (with_masks - without).abs().mean() > 1e-3
    expected = torch.where(given[:, None, None, None], with_masks[0], without[0])
    np.testing.assert_allclose(logits, expected.numpy(), atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("name", NETWORKS)
def test_decoder_file_takes_masks_alone(name: str) -> None:
    network, _, decoder = exported(name)
    embedding, features = embed(network)
    masks = low_resolution_masks(2)
    tokens = {"point_coords": torch.zeros(2, 0, 2), "point_labels": torch.zeros(2, 0, dtype=torch.int64)}
    logits, _ = run(decoder, **features, **tokens, mask_input=masks, has_mask_input=torch.ones(2))
    expected, _ = network.predict_masks(embedding, Prompts(masks=masks))
    np.testing.assert_allclose(logits, expected[0].numpy(), atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("name", NETWORKS)
def test_files_tell_which_network_they_hold(name: str) -> None:
    network, *paths = exported(name)
    for path in paths:
        metadata = {entry.key: entry.value for entry in onnx.load(path).metadata_props}
        assert {key: str(value) for key, value in describe_network(network).items()}.items() <= metadata.items()
        assert metadata["image_encoder_sha256"] == state_sha256(network.get_submodule("image_encoder"))


def small_sam() -> Sam:
    torch.manual_seed(0)
    return Sam(ViTSize(embed_dim=16, depth=1, num_heads=1, global_attn_indexes=()), image_size=32)


def test_network_is_left_as_it_was(tmp_path: Path) -> None:
    network = new_network("Sam2", image_size=32).train()
    network.freeze("image_encoder")
    modes = [module.training for module in network.modules()]
    image = torch.rand(1, 1, 32, 32)
    before = network.encode(image)
    export_onnx(network, tmp_path)
    after = network.encode(image)
    assert [module.training for module in network.modules()] == modes
    assert torch.equal(before.features, after.features)


def test_weights_above_the_limit_of_an_onnx_file_lie_beside_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(onnx_export, "_MOST_BYTES", 0)
    network = small_sam().eval()
    encoder, _ = export_onnx(network, tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "decoder.onnx",
        "decoder.onnx.data",
        "encoder.onnx",
        "encoder.onnx.data",
    ]
    image = torch.randn(1, 3, 32, 32)
    with torch.no_grad():
        np.testing.assert_allclose(run(encoder, image=image)[0], network.image_encoder(image), atol=1e-4, rtol=0)


def test_nothing_is_written_when_a_file_fails_its_check(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    check = onnx.checker.check_model

    def fail_on_decoder(path: str, **options: Any) -> None:
        check(path, **options)
        if Path(path).name == "decoder.onnx":
            raise onnx.checker.ValidationError("broken")

    monkeypatch.setattr(onnx.checker, "check_model", fail_on_decoder)
    with pytest.raises(onnx.checker.ValidationError, match="broken"):
        export_onnx(small_sam(), tmp_path / "out")
    assert list(tmp_path.iterdir()) == []


def test_other_networks_are_refused(tmp_path: Path) -> None:
    with pytest.raises(TypeError, match="must be a Sam, MobileSam or Sam2, got Identity"):
        export_onnx(nn.Identity(), tmp_path)


def test_missing_exporter_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(onnx_export, "optional_import", lambda name: (None, False))
    with pytest.raises(ImportError, match=r"needs onnxscript: pip install onnxscript"):
        export_onnx(small_sam(), tmp_path)
