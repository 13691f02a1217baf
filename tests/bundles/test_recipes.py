# Copyright (c) monai_synthfm contributors
# Licensed under the Apache License, Version 2.0 (http://www.apache.org/licenses/LICENSE-2.0).
# SPDX-License-Identifier: Apache-2.0
"""Recipes of shipped weights: from nothing to a decoder file, and on after a kill, by one command."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from tests.bundles.test_train import SMALL
from tests.bundles.two_processes import run_in_two_processes

RECIPE = Path(__file__).resolve().parents[2] / "configs" / "recipes" / "mobilesam_cpu.yaml"


@pytest.mark.slow
def test_the_same_command_goes_on_and_writes_the_decoder(bundle_dir: Path, tmp_path: Path) -> None:
    names = ("train.yaml", "train_cached.yaml", "multi_gpu_train.yaml")
    configs = [*(bundle_dir / "configs" / name for name in names), RECIPE]
    ring = {"ring_gb": 0.01, "fresh_images": 4, "samples_per_epoch": 8, "val_interval": 1}
    options: dict[str, Any] = {**SMALL, **ring, "output_dir": tmp_path, "lr_scheduler#t_total": 20}
    del options["device"]
    run_in_two_processes(configs, {**options, "max_epochs": 1})
    first = torch.load(tmp_path / "checkpoint.pt", weights_only=True)
    run_in_two_processes(configs, {**options, "max_epochs": 2})
    second = torch.load(tmp_path / "checkpoint.pt", weights_only=True)
    assert (first["epoch"], second["epoch"]) == (1, 2)
    best = torch.load(tmp_path / "model.pt", weights_only=True)
    decoder = torch.load(tmp_path / "decoder.pt", weights_only=True)
    assert {key for key in best if key.startswith("mask_decoder.")} == set(decoder)
    assert all(torch.equal(value, best[key].half()) for key, value in decoder.items())
