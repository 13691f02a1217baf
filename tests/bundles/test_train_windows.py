# Copyright (c) monai_synthfm contributors
# Licensed under the Apache License, Version 2.0 (http://www.apache.org/licenses/LICENSE-2.0).
# SPDX-License-Identifier: Apache-2.0
"""The training of the U-Net for windows: short, resumed exactly, in two processes, and from its one command."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from monai.bundle import ConfigWorkflow

from monai_synthfm.inferers import WindowPropagation
from monai_synthfm.networks.window_unet import open_window_unet
from tests.bundles.two_processes import run_in_two_processes
from tests.conftest import ROOT

CONFIGS = ROOT / "bundles" / "synthfm_sam2_3d" / "configs"
SMALL: dict[str, Any] = {
    "slice_size": 32,
    "clip_slices": 8,
    "samples_per_epoch": 2,
    "validation_samples": 1,
    "batch_size": 1,
    "windows_per_volume": 1,
    "num_workers": 0,
    "max_epochs": 2,
    "warmup_steps": 1,
    "amp": False,
    "device": "cpu",
    "seed": 3,
}


def train(output_dir: Path, **overrides: Any) -> dict[str, torch.Tensor]:
    config = ConfigWorkflow(
        workflow_type="train",
        config_file=[str(CONFIGS / name) for name in ("train.yaml", "train_windows.yaml")],
        meta_file=str(CONFIGS / "metadata.json"),
        logging_file=str(CONFIGS / "logging.conf"),
        output_dir=str(output_dir),
        **{**SMALL, **overrides},
    )
    config.initialize()
    assert config.check_properties() == []
    config.run()
    config.finalize()
    return torch.load(output_dir / "checkpoint.pt", weights_only=True)["network"]


def test_all_weights_are_trained_and_the_last_are_written(tmp_path: Path) -> None:
    torch.manual_seed(0)
    start = open_window_unet().state_dict()
    torch.save(start, tmp_path / "start.pt")
    last = train(tmp_path, pretrained=str(tmp_path / "start.pt"))
    assert [name for name, value in last.items() if torch.equal(value, start[name])] == []
    written = open_window_unet(tmp_path / "windows.pt").state_dict()
    assert all(torch.equal(written[name], value.half().float()) for name, value in last.items())


def test_a_resumed_training_equals_one_that_was_never_interrupted(tmp_path: Path) -> None:
    schedule = {"lr_scheduler#t_total": 4}
    whole = train(tmp_path / "whole", **schedule)
    train(tmp_path / "halves", max_epochs=1, **schedule)
    halves = train(tmp_path / "halves", resume=True, **schedule)
    assert all(torch.equal(whole[name], halves[name]) for name in whole)


@pytest.mark.slow
def test_two_processes_train_the_same_network_with_gloo(tmp_path: Path) -> None:
    options = {**SMALL, "output_dir": tmp_path, "max_epochs": 1, "samples_per_epoch": 4, "validation_samples": 2}
    del options["device"]
    names = ("train.yaml", "multi_gpu_train.yaml", "train_windows.yaml")
    shown = run_in_two_processes([CONFIGS / name for name in names], options)
    assert sorted(path.name for path in tmp_path.glob("*.pt")) == ["checkpoint.pt", "model.pt", "windows.pt"]
    # 4 volumes, 2 processes, batches of 1: two steps each, shown by the one bar of the first process
    assert re.search(r"\b2/2\b", shown)


@pytest.mark.slow
def test_one_command_trains_and_goes_on(tmp_path: Path) -> None:
    small = {**SMALL, "validation_samples": 2}  # one for each process
    words = [f"--{name}={value}" for name, value in small.items() if name != "max_epochs"]
    environment = {**os.environ, "PYTHON": sys.executable}
    command = ["bash", str(ROOT / "scripts" / "train_windows.sh"), f"--output_dir={tmp_path}", *words]
    for epochs in (1, 2):
        subprocess.run([*command, f"--max_epochs={epochs}"], check=True, env=environment, capture_output=True)
        assert torch.load(tmp_path / "checkpoint.pt", weights_only=True)["epoch"] == epochs
    WindowPropagation(open_window_unet(tmp_path / "windows.pt"))
