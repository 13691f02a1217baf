# Copyright (c) monai_synthfm contributors
# Licensed under the Apache License, Version 2.0 (http://www.apache.org/licenses/LICENSE-2.0).
# SPDX-License-Identifier: Apache-2.0
"""The inference bundle of SAM 2 as MONAI and users see it."""

from __future__ import annotations

import json
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
import torch
from monai.bundle import ConfigParser, ConfigWorkflow

from monai_synthfm.networks import Sam2, Sam2Size
from monai_synthfm.networks.weights.fingerprint import file_settings

TINY = Sam2Size(8, 1, (1, 1, 2, 1), (3,), (4, 4), hidden_dim=32, memory_dim=8, memory_layers=1, mlp_dim=32)


@pytest.fixture
def model(tmp_path: Path) -> str:
    """A file of a tiny SAM 2 as a training writes it."""
    torch.manual_seed(0)
    network = Sam2(TINY, image_size=64)
    torch.save({"model": network.state_dict(), "settings": file_settings(network)}, tmp_path / "model.pt")
    return str(tmp_path / "model.pt")


def workflow(bundle_dir: Path, *more: Path, **override: object) -> ConfigWorkflow:
    configs = bundle_dir.parent / "synthfm_sam2_3d" / "configs"
    made = ConfigWorkflow(
        config_file=[str(configs / "inference.yaml"), *map(str, more)],
        meta_file=str(configs / "metadata.json"),
        workflow_type="infer",
        logging_file=False,
        device=torch.device("cpu"),
        **{"inferer::progress": False, **override},
    )
    made.initialize()
    return made


def test_config_has_the_properties_of_an_inference_bundle(bundle_dir: Path, model: str) -> None:
    made = workflow(bundle_dir, model=model)
    assert made.check_properties() == []
    assert isinstance(made.network_def, Sam2)
    assert made.network_def.tracking_multimask == "single_click"
    assert workflow(bundle_dir, model=model, tracking_multimask="never").network_def.tracking_multimask == "never"


def test_other_prompts_on_a_volume_need_no_encoding(bundle_dir: Path, tmp_path: Path, model: str) -> None:
    voxels = np.random.default_rng(0).integers(1, 99, (20, 18, 5)).astype(np.int16)
    nib.save(nib.Nifti1Image(voxels, np.diag([-1.0, 1.0, 3.0, 1.0])), tmp_path / "in.nii.gz")
    common = {"image": str(tmp_path / "in.nii.gz"), "cache_dir": str(tmp_path / "cache"), "modality": "mr"}
    for box, used in (([3, 3, 2, 12, 12, 2], (5, 0)), ([6, 2, 1, 15, 9, 1], (0, 5))):
        made = workflow(bundle_dir, boxes=[box], model=model, output_dir=str(tmp_path / "out"), **common)
        made.run()
        report = json.loads((tmp_path / "out" / "in_report.json").read_text())
        assert (report["embeddings"]["encoded"], report["embeddings"]["reused"]) == used
        assert report["network"] == "Sam2"
        written = nib.load(tmp_path / "out" / "in_segmentation.nii.gz")
        np.testing.assert_array_equal(written.affine, nib.load(tmp_path / "in.nii.gz").affine)


def test_it_differs_from_the_2d_bundle_in_its_defaults_alone(bundle_dir: Path) -> None:
    two, three = (
        ConfigParser.load_config_file(str(folder / "configs" / "inference.yaml"))
        for folder in (bundle_dir, bundle_dir.parent / "synthfm_sam2_3d")
    )
    assert list(two) == list(three)
    assert {key for key in two if two[key] != three[key]} == {"model", "bundle_root"}


def test_many_images_are_segmented_in_one_run(bundle_dir: Path, tmp_path: Path, model: str) -> None:
    for name, seed in (("a", 0), ("b", 1)):
        voxels = np.random.default_rng(seed).integers(1, 99, (20, 18, 5)).astype(np.int16)
        nib.save(nib.Nifti1Image(voxels, np.diag([-1.0, 1.0, 3.0, 1.0])), tmp_path / f"{name}.nii.gz")
    (tmp_path / "prompts.csv").write_text("image,clicks,modality\na.nii.gz,9 9 2,ct\nb.nii.gz,8 7 1,\n")
    common = {"prompts": str(tmp_path / "prompts.csv"), "dataset_dir": str(tmp_path), "modality": "mr"}
    workflow(
        bundle_dir, bundle_dir / "configs" / "batch_inference.yaml", model=model, output_dir=str(tmp_path), **common
    ).run()
    summary = (tmp_path / "summary.csv").read_text().splitlines()
    assert [line.split(",")[0] for line in summary] == ["image", "a.nii.gz", "b.nii.gz"]
    reports = [json.loads((tmp_path / f"{name}_report.json").read_text()) for name in "ab"]
    assert [(one["network"], one["intensity"]["modality"]) for one in reports] == [("Sam2", "ct"), ("Sam2", "mr")]
