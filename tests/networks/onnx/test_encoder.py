# Copyright (c) monai_synthfm contributors
# Licensed under the Apache License, Version 2.0 (http://www.apache.org/licenses/LICENSE-2.0).
# SPDX-License-Identifier: Apache-2.0
"""Networks that encode through ONNX Runtime against the same networks in torch."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from monai_synthfm.networks import OnnxImageEncoder, use_onnx_encoder
from monai_synthfm.networks.onnx import encoder as onnx_encoder
from monai_synthfm.networks.weights.fingerprint import describe_network
from tests.networks.exported import exported, new_network

pytest.importorskip("onnxruntime", reason="ONNX encoders are run by onnxruntime")


@pytest.mark.parametrize("shape", [(1, 1, 64, 64), (2, 3, 40, 50), (3, 1, 90, 31)])
@pytest.mark.parametrize("name", ["Sam", "MobileSam"])
def test_embeddings_and_masks_equal_torchs(name: str, shape: tuple[int, ...]) -> None:
    network, encoder, _ = exported(name)
    image = torch.rand(shape)
    through_onnx = use_onnx_encoder(new_network(name), encoder)
    expected, found = network.encode(image), through_onnx.encode(image)
    assert (found.original_size, found.input_size) == (expected.original_size, expected.input_size)
    torch.testing.assert_close(found.features, expected.features, atol=1e-4, rtol=0)
    torch.testing.assert_close(through_onnx(image), network(image), atol=1e-3, rtol=1e-3)


def test_kept_embeddings_of_torch_and_onnx_are_told_apart() -> None:
    network, encoder, _ = exported("MobileSam")
    described = describe_network(use_onnx_encoder(new_network("MobileSam"), encoder))
    assert described["state_sha256"] != describe_network(network)["state_sha256"]


def test_kept_embeddings_of_two_providers_are_told_apart() -> None:
    """Here both are the CPU; on a GPU one computes in half precision."""
    _, encoder, _ = exported("MobileSam")
    described = [
        describe_network(use_onnx_encoder(new_network("MobileSam"), encoder, providers))["state_sha256"]
        for providers in (None, None, ["CPUExecutionProvider"], [("CPUExecutionProvider", {"one": "1"})])
    ]
    assert described[0] == described[1]
    assert len(set(described)) == 3


def test_no_path_leaves_the_network_in_torch() -> None:
    network = new_network("Sam")
    encoder = network.get_submodule("image_encoder")
    assert use_onnx_encoder(network, None).get_submodule("image_encoder") is encoder


def test_file_of_other_weights_is_refused() -> None:
    _, encoder, _ = exported("MobileSam")
    with pytest.raises(ValueError, match="holds other weights than the network's image encoder"):
        use_onnx_encoder(new_network("MobileSam", seed=1), encoder)


def test_file_of_another_image_size_is_refused() -> None:
    _, encoder, _ = exported("MobileSam")
    with pytest.raises(ValueError, match="image_size of 64, the network's is 96"):
        use_onnx_encoder(new_network("MobileSam", image_size=96), encoder)


def test_decoder_in_place_of_an_encoder_is_refused() -> None:
    _, _, decoder = exported("MobileSam")
    with pytest.raises(ValueError, match=r"decoder\.onnx is not the encoder of a Sam or MobileSam"):
        OnnxImageEncoder(decoder)


def test_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"no ONNX encoder at .*none\.onnx"):
        use_onnx_encoder(new_network("Sam"), tmp_path / "none.onnx")
    with pytest.raises(FileNotFoundError, match=rf"no ONNX encoder at {Path.home()}/none\.onnx"):
        use_onnx_encoder(new_network("Sam"), "~/none.onnx")


def test_sam2_is_refused() -> None:
    _, encoder, _ = exported("MobileSam")
    with pytest.raises(TypeError, match="only Sam and MobileSam encode through ONNX Runtime, not Sam2"):
        use_onnx_encoder(new_network("Sam2"), encoder)


def test_provider_that_is_not_there_is_refused() -> None:
    _, encoder, _ = exported("MobileSam")
    with pytest.raises(ValueError, match=r"no NoneExecutionProvider here, only .*onnxruntime-gpu"):
        OnnxImageEncoder(encoder, [("NoneExecutionProvider", {"fast": True})])


@pytest.mark.filterwarnings("ignore:Specified provider .* is not in available:UserWarning")
def test_provider_whose_libraries_do_not_load_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    _, encoder, _ = exported("MobileSam")
    monkeypatch.setattr(onnx_encoder.onnxruntime, "get_available_providers", lambda: ["TensorrtExecutionProvider"])
    with pytest.raises(ValueError, match="no TensorrtExecutionProvider here"):
        OnnxImageEncoder(encoder, ["TensorrtExecutionProvider"])


def test_missing_runtime_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    _, encoder, _ = exported("MobileSam")
    monkeypatch.setattr(onnx_encoder, "_has_onnxruntime", False)
    with pytest.raises(ImportError, match=r"needs onnxruntime: pip install onnxruntime"):
        OnnxImageEncoder(encoder)
