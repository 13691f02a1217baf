# Copyright (c) monai_synthfm contributors
# Licensed under the Apache License, Version 2.0 (http://www.apache.org/licenses/LICENSE-2.0).
# SPDX-License-Identifier: Apache-2.0
"""The training bundle: MONAI's own checks, one short training, an exact resume, and two processes."""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import torch
from monai.bundle import ConfigWorkflow, verify_net_in_out
from monai.bundle.utils import DEPRECATED_ID_MAPPING
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from monai_synthfm.networks import open_network
from monai_synthfm.networks.weights.files import read_weights
from tests.bundles.two_processes import run_in_two_processes

TINY_SAM = {
    "_target_": "monai_synthfm.networks.Sam",
    "model": {
        "_target_": "monai_synthfm.networks.ViTSize",
        "embed_dim": 32,
        "depth": 2,
        "num_heads": 2,
        "global_attn_indexes": [1],
    },
    "image_size": "@image_size",
}
SMALL: dict[str, Any] = {
    "image_size": 64,
    "generator#native_size": [48, 96],
    "samples_per_epoch": 6,
    "validation_samples": 4,
    "batch_size": 2,
    "num_objects": 2,
    "num_workers": 0,
    "max_epochs": 2,
    "warmup_steps": 2,
    "amp": False,
    "device": "cpu",
    "architecture": TINY_SAM,
    "pretrained": "$None",
    "seed": 3,
}
# the keys that the published schema of bundle metadata requires
METADATA_SCHEMA = {
    "type": "object",
    "required": [
        "schema",
        "version",
        "changelog",
        "monai_version",
        "pytorch_version",
        "numpy_version",
        "required_packages_version",
        "task",
        "description",
        "authors",
        "copyright",
        "network_data_format",
    ],
    "properties": {
        "version": {"type": "string", "pattern": r"^\d+\.\d+\.\d+$"},
        "changelog": {"type": "object"},
        "supported_apps": {"type": "object"},
        "required_packages_version": {"type": "object"},
        "network_data_format": {
            "type": "object",
            "required": ["inputs", "outputs"],
            "properties": {
                direction: {
                    "type": "object",
                    "additionalProperties": {
                        "type": "object",
                        "required": ["type", "format", "num_channels", "spatial_shape", "dtype", "value_range"],
                    },
                }
                for direction in ("inputs", "outputs")
            },
        },
    },
}


def workflow(
    bundle_dir: Path, output_dir: Path, files: tuple[str, ...] = ("train.yaml",), **overrides: Any
) -> ConfigWorkflow:
    return ConfigWorkflow(
        workflow_type="train",
        config_file=[str(bundle_dir / "configs" / name) for name in files],
        meta_file=str(bundle_dir / "configs" / "metadata.json"),
        logging_file=str(bundle_dir / "configs" / "logging.conf"),
        output_dir=str(output_dir),
        **{**SMALL, **overrides},
    )


def train(bundle_dir: Path, output_dir: Path, **overrides: Any) -> None:
    config = workflow(bundle_dir, output_dir, **overrides)
    config.initialize()
    config.run()
    config.finalize()


def weights(folder: Path) -> dict[str, torch.Tensor]:
    return torch.load(folder / "checkpoint.pt", weights_only=True)["network"]


def test_a_device_may_be_given_by_its_name(bundle_dir: Path, tmp_path: Path) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.delitem(SMALL, "amp")
        config = workflow(bundle_dir, tmp_path)
        config.initialize()
        assert config.parser.get_parsed_content("inferer").amp is False


def test_training_is_tracked_as_monai_tracks_it(bundle_dir: Path, tmp_path: Path) -> None:
    mlflow = pytest.importorskip("mlflow")
    train(bundle_dir, tmp_path / "run", tracking="mlflow", experiment_name="mine")
    client = mlflow.MlflowClient(f"sqlite:///{tmp_path}/run/mlruns.db")
    (run,) = client.search_runs([client.get_experiment_by_name("mine").experiment_id])
    assert run.info.status == "FINISHED"
    losses = [entry.value for entry in client.get_metric_history(run.info.run_id, "train_loss")]
    shown = EventAccumulator(str(tmp_path / "run")).Reload().Scalars("train_loss")
    assert losses == pytest.approx([entry.value for entry in shown])
    assert 0 <= run.data.metrics["val_mean_dice"] <= 1


def test_a_training_without_tensorboard_says_that_it_writes_no_curves(
    bundle_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", None)
    train(bundle_dir, tmp_path)
    assert capsys.readouterr().out.count("TensorBoard is not installed: no curves") == 1
    assert (tmp_path / "model.pt").is_file()
    assert not list(tmp_path.glob("events.out.tfevents.*"))


def test_metadata_is_valid_and_its_version_is_in_the_changelog(bundle_dir: Path) -> None:
    metadata = json.loads((bundle_dir / "configs" / "metadata.json").read_text())
    jsonschema.validate(metadata, METADATA_SCHEMA)
    assert not DEPRECATED_ID_MAPPING.keys() & metadata.keys()
    assert metadata["version"] in metadata["changelog"]


def test_the_bundle_has_what_the_model_zoo_asks_for(bundle_dir: Path) -> None:
    for name in ("LICENSE", "docs/README.md", "configs/metadata.json", "configs/inference.yaml", "configs/train.yaml"):
        assert (bundle_dir / name).is_file(), name


@pytest.mark.parametrize("files", [("train.yaml",), ("train.yaml", "train_quick.yaml")])
def test_all_workflow_properties_are_found(bundle_dir: Path, tmp_path: Path, files: tuple[str, ...]) -> None:
    config = workflow(bundle_dir, tmp_path, files)
    config.initialize()
    assert config.check_properties() == []


@pytest.mark.parametrize("from_scratch", [True, False])
def test_only_a_decoder_from_scratch_starts_with_aligned_attention(
    bundle_dir: Path, tmp_path: Path, from_scratch: bool
) -> None:
    config = workflow(bundle_dir, tmp_path, reset_decoder=from_scratch)
    config.initialize()
    attention = config.parser.get_parsed_content("network_def").mask_decoder.transformer.final_attn_token_to_image
    assert torch.equal(attention.q_proj.weight, attention.k_proj.weight) is from_scratch


def test_the_paper_settings_build_the_paper_training(bundle_dir: Path, tmp_path: Path) -> None:
    kept = ("image_size", "samples_per_epoch", "batch_size", "max_epochs")
    with pytest.MonkeyPatch.context() as patch:
        for name in kept:
            patch.delitem(SMALL, name)
        config = workflow(bundle_dir, tmp_path, ("train.yaml", "train_paper.yaml"), samples_per_epoch=10000)
        config.initialize()
        trainer = config.parser.get_parsed_content("train#trainer")
        assert config.parser.get_parsed_content("image_size") == 1024
    assert trainer.state.max_epochs == 100
    assert len(trainer.data_loader) == 10000
    assert type(trainer.loss_function).__name__ == "DiceLoss"


def test_the_network_takes_an_image_alone_as_the_metadata_says(bundle_dir: Path) -> None:
    verify_net_in_out(
        net_id="network_def",
        meta_file=str(bundle_dir / "configs" / "metadata.json"),
        config_file=str(bundle_dir / "configs" / "inference.yaml"),
        device="cpu",
        n=1,
        any=64,
        network_def={**TINY_SAM, "image_size": 64},
    )


def test_only_the_decoder_is_trained_and_files_are_written(
    bundle_dir: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    train(bundle_dir, tmp_path)
    assert capsys.readouterr().out.splitlines()[-1].startswith(f"{tmp_path / 'model.pt'} is the best network; use it ")
    best, settings = read_weights(tmp_path / "model.pt")
    assert settings.items() >= {"network": "Sam", "image_size": 64, "preprocessing": "sam"}.items()
    opened = open_network(tmp_path / "model.pt")
    assert (opened.image_size, opened.combines_prompts) == (64, False)
    assert all(torch.equal(value, opened.state_dict()[name]) for name, value in best.items())
    before = workflow(bundle_dir, tmp_path)
    before.initialize()
    start = before.parser.get_parsed_content("network_def").state_dict()
    changed = {name.split(".")[0] for name in best if not torch.equal(best[name], start[name])}
    # the encoder is random here and built anew, so only its presence can be checked
    assert "mask_decoder" in changed
    assert set(best) == set(start)
    curves: dict[str, int] = {}
    for path in tmp_path.glob("events.out.tfevents.*"):
        events = EventAccumulator(str(path)).Reload()
        curves |= {tag: len(events.Scalars(tag)) for tag in events.Tags()["scalars"]}
    assert curves["train_loss"] == 6
    assert curves["val_mean_dice"] == 2


def test_a_resumed_training_equals_one_that_was_never_interrupted(bundle_dir: Path, tmp_path: Path) -> None:
    # the schedule is that of three epochs in all runs: only the last epoch is missing in the first half
    encoder = tmp_path / "start.pt"
    start = workflow(bundle_dir, tmp_path)
    start.initialize()
    torch.save(start.parser.get_parsed_content("network_def").state_dict(), encoder)
    schedule = {"pretrained": str(encoder), "lr_scheduler#t_total": 9}
    train(bundle_dir, tmp_path / "whole", max_epochs=3, **schedule)
    train(bundle_dir, tmp_path / "halves", max_epochs=2, **schedule)
    train(bundle_dir, tmp_path / "halves", max_epochs=3, resume=True, **schedule)
    one, other = weights(tmp_path / "whole"), weights(tmp_path / "halves")
    assert all(torch.equal(one[name], other[name]) for name in one)


@pytest.mark.slow
def test_two_processes_train_the_same_network_with_gloo(bundle_dir: Path, tmp_path: Path) -> None:
    configs = [bundle_dir / "configs" / name for name in ("train.yaml", "multi_gpu_train.yaml")]
    options = {**SMALL, "output_dir": tmp_path, "max_epochs": 1, "samples_per_epoch": 8}
    del options["device"]
    shown = run_in_two_processes(configs, options)
    assert sorted(path.name for path in tmp_path.glob("*.pt")) == ["checkpoint.pt", "model.pt"]
    # 8 samples, 2 processes, batches of 2: two steps each, shown by the one bar of the first process
    assert re.search(r"\b2/2\b", shown)
