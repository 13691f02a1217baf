# Copyright (c) monai_synthfm contributors
# Licensed under the Apache License, Version 2.0 (http://www.apache.org/licenses/LICENSE-2.0).
# SPDX-License-Identifier: Apache-2.0
"""Exporting the bundle's network, and its inference through ONNX Runtime and TensorRT."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest
import torch
from monai.bundle import ConfigWorkflow

from monai_synthfm.networks import MobileSam, OnnxImageEncoder
from monai_synthfm.networks.weights.fingerprint import file_settings

onnxruntime = pytest.importorskip("onnxruntime", reason="exported files are run by onnxruntime")
pytest.importorskip("onnxscript", reason="torch exports to ONNX with onnxscript")


def run(bundle_dir: Path, *files: str, **options: Any) -> ConfigWorkflow:
    workflow = ConfigWorkflow(
        config_file=[str(bundle_dir / "configs" / file) for file in files],
        workflow_type="infer",
        logging_file=False,
        **options,
    )
    workflow.initialize()
    workflow.run()
    return workflow


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.manual_seed(0)
    path = tmp_path_factory.mktemp("weights") / "network.pt"
    network = MobileSam(image_size=64)
    torch.save({"model": network.state_dict(), "settings": file_settings(network)}, path)
    return path


@pytest.fixture(scope="module")
def onnx_dir(bundle_dir: Path, weights: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("onnx")
    run(bundle_dir, "export_onnx.yaml", output_dir=str(folder), model=str(weights))
    return folder


@pytest.fixture
def request_of_user(tmp_path: Path, weights: Path) -> dict[str, Any]:
    """A volume and a click on it, as options of the inference."""
    values = np.random.default_rng(0).normal(100, 30, (40, 36, 3)).astype(np.float32)
    nib.save(nib.Nifti1Image(values, np.diag([1.0, 1.0, 4.0, 1.0])), tmp_path / "in.nii.gz")
    return {
        "image": str(tmp_path / "in.nii.gz"),
        "points": [[[20, 18, 1]]],
        "point_labels": [[1]],
        "model": str(weights),
        "device": torch.device("cpu"),
        "inferer::progress": False,
    }


def test_inference_through_onnx_runtime_gives_torchs_segmentation(
    bundle_dir: Path, onnx_dir: Path, request_of_user: dict[str, Any], tmp_path: Path
) -> None:
    encoder = onnx_dir / "encoder.onnx"
    torchs = run(bundle_dir, "inference.yaml", output_dir=str(tmp_path / "torch"), **request_of_user)
    onnxs = run(
        bundle_dir, "inference.yaml", output_dir=str(tmp_path / "onnx"), encoder_onnx=str(encoder), **request_of_user
    )
    assert isinstance(onnxs.evaluator.network.image_encoder, OnnxImageEncoder)
    assert not isinstance(torchs.evaluator.network.image_encoder, OnnxImageEncoder)
    expected, found = (
        np.asarray(nib.load(tmp_path / name / "in_segmentation.nii.gz").dataobj) for name in ("torch", "onnx")
    )
    assert 0 < expected.sum() < expected.size
    # pixels on the border of an object may differ by rounding
    assert (found != expected).mean() < 1e-3
    report = json.loads((tmp_path / "onnx" / "in_report.json").read_text())
    assert hashlib.sha256(encoder.read_bytes()).hexdigest() in {entry["sha256"] for entry in report["weights"]}


@pytest.mark.skipif(
    "TensorrtExecutionProvider" in onnxruntime.get_available_providers(), reason="ONNX Runtime has TensorRT here"
)
def test_tensorrt_stops_with_one_message_where_it_is_missing(
    bundle_dir: Path, onnx_dir: Path, request_of_user: dict[str, Any], tmp_path: Path
) -> None:
    with pytest.raises(RuntimeError) as caught:
        run(
            bundle_dir,
            "inference.yaml",
            "inference_tensorrt.yaml",
            encoder_onnx=str(onnx_dir / "encoder.onnx"),
            engine_dir=str(tmp_path),
            **request_of_user,
        )
    root: BaseException = caught.value
    while isinstance(root, RuntimeError) and root.__cause__ is not None:
        root = root.__cause__
    assert isinstance(root, ValueError)
    assert str(root).startswith("ONNX Runtime has no TensorrtExecutionProvider here")


@pytest.mark.skipif(
    not torch.cuda.is_available() or "TensorrtExecutionProvider" not in onnxruntime.get_available_providers(),
    reason="needs an NVIDIA GPU and onnxruntime-gpu with TensorRT",
)
def test_inference_in_tensorrt_gives_nearly_torchs_segmentation(
    bundle_dir: Path, onnx_dir: Path, request_of_user: dict[str, Any], tmp_path: Path
) -> None:
    run(bundle_dir, "inference.yaml", output_dir=str(tmp_path / "torch"), **request_of_user)
    run(
        bundle_dir,
        "inference.yaml",
        "inference_tensorrt.yaml",
        output_dir=str(tmp_path / "tensorrt"),
        encoder_onnx=str(onnx_dir / "encoder.onnx"),
        engine_dir=str(tmp_path),
        **request_of_user,
    )
    expected, found = (
        np.asarray(nib.load(tmp_path / name / "in_segmentation.nii.gz").dataobj) for name in ("torch", "tensorrt")
    )
    assert (found != expected).mean() < 0.02
