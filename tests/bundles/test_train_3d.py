# Copyright (c) monai_synthfm contributors
# Licensed under the Apache License, Version 2.0 (http://www.apache.org/licenses/LICENSE-2.0).
# SPDX-License-Identifier: Apache-2.0
"""The 3D training bundle: MONAI's own checks, one short training, an exact resume, and two processes."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import torch
from monai.bundle import ConfigWorkflow
from monai.bundle.utils import DEPRECATED_ID_MAPPING
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from monai_synthfm.networks import Sam2, prepare
from tests.bundles.test_train import METADATA_SCHEMA
from tests.bundles.two_processes import run_in_two_processes

BUNDLE = Path(__file__).resolve().parents[2] / "bundles" / "synthfm_sam2_3d"
TINY_SAM2 = {
    "_target_": "monai_synthfm.networks.Sam2Size",
    "embed_dim": 8,
    "num_heads": 1,
    "stages": [1, 1, 2, 1],
    "global_att_blocks": [3],
    "window_pos_embed": [4, 4],
    "hidden_dim": 32,
    "memory_dim": 8,
    "memory_layers": 1,
    "mlp_dim": 32,
}
SMALL: dict[str, Any] = {
    "image_size": 32,
    "clip_slices": 3,
    "samples_per_epoch": 4,
    "validation_samples": 2,
    "batch_size": 2,
    "num_objects": 2,
    "num_workers": 0,
    "max_epochs": 2,
    "warmup_steps": 2,
    "learning_rate": 1e-3,
    "amp": False,
    "device": "cpu",
    "model": TINY_SAM2,
    "pretrained": "$None",
    "seed": 3,
}


def workflow(output_dir: Path, files: tuple[str, ...] = ("train.yaml",), **overrides: Any) -> ConfigWorkflow:
    return ConfigWorkflow(
        workflow_type="train",
        config_file=[str(BUNDLE / "configs" / name) for name in files],
        meta_file=str(BUNDLE / "configs" / "metadata.json"),
        logging_file=str(BUNDLE / "configs" / "logging.conf"),
        output_dir=str(output_dir),
        **{**SMALL, **overrides},
    )


def train(output_dir: Path, **overrides: Any) -> dict[str, torch.Tensor]:
    config = workflow(output_dir, **overrides)
    config.initialize()
    config.run()
    config.finalize()
    return torch.load(output_dir / "checkpoint.pt", weights_only=True)["network"]


def test_training_is_tracked_as_monai_tracks_it(tmp_path: Path) -> None:
    mlflow = pytest.importorskip("mlflow")
    train(tmp_path / "run", tracking="mlflow", experiment_name="mine")
    client = mlflow.MlflowClient(f"sqlite:///{tmp_path}/run/mlruns.db")
    (run,) = client.search_runs([client.get_experiment_by_name("mine").experiment_id])
    assert run.info.status == "FINISHED"
    losses = [entry.value for entry in client.get_metric_history(run.info.run_id, "train_loss")]
    shown = EventAccumulator(str(tmp_path / "run")).Reload().Scalars("train_loss")
    assert losses == pytest.approx([entry.value for entry in shown])
    assert 0 <= run.data.metrics["val_mean_dice"] <= 1


def test_metadata_is_valid_and_its_version_is_in_the_changelog() -> None:
    metadata = json.loads((BUNDLE / "configs" / "metadata.json").read_text())
    jsonschema.validate(metadata, METADATA_SCHEMA)
    assert not DEPRECATED_ID_MAPPING.keys() & metadata.keys()
    assert metadata["version"] in metadata["changelog"]


def test_the_bundle_has_what_the_model_zoo_asks_for() -> None:
    for name in ("LICENSE", "docs/README.md", "configs/metadata.json", "configs/inference.yaml", "configs/train.yaml"):
        assert (BUNDLE / name).is_file(), name


@pytest.mark.parametrize("override", [None, "train_quick.yaml", "train_tiny.yaml", "train_paper.yaml"])
def test_all_workflow_properties_are_found(tmp_path: Path, override: str | None) -> None:
    config = workflow(tmp_path, ("train.yaml", override) if override else ("train.yaml",))
    config.initialize()
    assert config.check_properties() == []


def test_the_paper_settings_train_on_ten_thousand_volumes(tmp_path: Path) -> None:
    with pytest.MonkeyPatch.context() as patch:
        for name in ("image_size", "samples_per_epoch", "batch_size", "max_epochs"):
            patch.delitem(SMALL, name)
        config = workflow(tmp_path, ("train.yaml", "train_paper.yaml"))
        config.initialize()
        trainer = config.parser.get_parsed_content("train#trainer")
        assert config.parser.get_parsed_content("network_def").image_size == 1024
    assert trainer.state.max_epochs * len(trainer.data_loader) == 10000


def test_memory_and_decoder_are_trained_and_the_frozen_encoders_are_not(tmp_path: Path) -> None:
    start = tmp_path / "start.pt"
    before = workflow(tmp_path)
    before.initialize()
    torch.save(before.parser.get_parsed_content("network_def").state_dict(), start)
    last = train(tmp_path, pretrained=str(start))
    first = torch.load(start, weights_only=True)
    changed = {name.split(".")[0] for name in last if not torch.equal(last[name], first[name])}
    assert {"memory_attention", "memory_encoder", "sam_mask_decoder", "obj_ptr_proj", "maskmem_tpos_enc"} <= changed
    assert not changed & {"image_encoder", "sam_prompt_encoder"}
    best = tmp_path / "model.pt"
    prepare(Sam2(before.parser.get_parsed_content("model"), image_size=32), pretrained=best)  # loads strictly
    curves: dict[str, int] = {}
    for path in tmp_path.glob("events.out.tfevents.*"):
        events = EventAccumulator(str(path)).Reload()
        curves |= {tag: len(events.Scalars(tag)) for tag in events.Tags()["scalars"]}
    assert curves["train_loss"] == 4
    assert curves["val_mean_dice"] == 2


def test_a_resumed_training_equals_one_that_was_never_interrupted(tmp_path: Path) -> None:
    # the schedule is that of three epochs in all runs: only the last epoch is missing in the first half
    schedule = {"frozen": [], "lr_scheduler#t_total": 6}
    whole = train(tmp_path / "whole", max_epochs=3, **schedule)
    train(tmp_path / "halves", max_epochs=2, **schedule)
    halves = train(tmp_path / "halves", max_epochs=3, resume=True, **schedule)
    assert all(torch.equal(whole[name], halves[name]) for name in whole)


@pytest.mark.slow
def test_two_processes_train_the_same_network_with_gloo(tmp_path: Path) -> None:
    configs = [BUNDLE / "configs" / name for name in ("train.yaml", "multi_gpu_train.yaml")]
    options = {**SMALL, "output_dir": tmp_path, "max_epochs": 1, "samples_per_epoch": 8}
    del options["device"]
    shown = run_in_two_processes(configs, options)
    assert sorted(path.name for path in tmp_path.glob("*.pt")) == ["checkpoint.pt", "model.pt"]
    # 8 samples, 2 processes, batches of 2: two steps each, shown by the one bar of the first process
    assert re.search(r"\b2/2\b", shown)
