# Copyright (c) monai_synthfm contributors
# Licensed under the Apache License, Version 2.0 (http://www.apache.org/licenses/LICENSE-2.0).
# SPDX-License-Identifier: Apache-2.0
"""Training on two nodes: what is written where, and going on after a process died."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml

from tests.bundles.test_train import SMALL, weights, workflow
from tests.bundles.two_processes import run_in_two_processes, run_on_two_nodes

pytestmark = pytest.mark.slow


@pytest.fixture
def options(bundle_dir: Path, tmp_path: Path) -> dict[str, Any]:
    """Overrides of a short training whose random encoder is the same in all runs: four steps in two epochs."""
    start = workflow(bundle_dir, tmp_path)
    start.initialize()
    torch.save(start.parser.get_parsed_content("network_def").state_dict(), tmp_path / "start.pt")
    options = {**SMALL, "pretrained": tmp_path / "start.pt", "samples_per_epoch": 8, "max_epochs": 2}
    del options["device"]
    return options


def configs(bundle_dir: Path, *names: str) -> list[Path]:
    return [bundle_dir / "configs" / f"{name}.yaml" for name in ("train", *names)]


def test_a_training_with_a_process_that_died_goes_on_and_gives_the_same_network(
    bundle_dir: Path, tmp_path: Path, options: dict[str, Any]
) -> None:
    run_in_two_processes(configs(bundle_dir, "multi_gpu_train"), {**options, "output_dir": tmp_path / "whole"})

    killing = {"_target_": "tests.bundles.two_processes.KilledOnce", "rank": 1, "step": 3}
    handlers = [{**killing, "mark": str(tmp_path / "was killed")}]
    (tmp_path / "killing.yaml").write_text(yaml.safe_dump({"+train#handlers": handlers}))
    files = [*configs(bundle_dir, "multi_gpu_train", "restartable"), tmp_path / "killing.yaml"]
    run_in_two_processes(files, {**options, "output_dir": tmp_path / "killed"}, check=False)
    shown = run_in_two_processes(files, {**options, "output_dir": tmp_path / "killed"})

    assert (tmp_path / "was killed").exists()
    assert re.findall(r"\b(\d)/4 \[00:00<\?", shown) == ["2"]  # the step that it goes on from
    one, other = weights(tmp_path / "whole"), weights(tmp_path / "killed")
    assert all(torch.equal(one[name], other[name]) for name in one)


def test_nodes_with_folders_of_their_own_keep_rings_of_their_own_and_one_checkpoint(
    bundle_dir: Path, tmp_path: Path, options: dict[str, Any]
) -> None:
    files = configs(bundle_dir, "train_cached", "multi_gpu_train")
    options |= {"ring_gb": 0.01, "fresh_images": 3}
    folders = [tmp_path / "first", tmp_path / "second"]
    for more in ({"max_epochs": 1}, {"max_epochs": 2, "resume": True}):
        run_on_two_nodes(files, {**options, **more}, [{"output_dir": folder} for folder in folders])

    written = {folder: {path.name for path in folder.iterdir()} for folder in folders}
    (leader,) = (folder for folder in folders if "checkpoint.pt" in written[folder])
    (other,) = (folder for folder in folders if folder != leader)
    assert written[other] == {"ring"}
    assert {"checkpoint.pt", "model.pt", "ring"} < written[leader]
    assert torch.load(leader / "checkpoint.pt", weights_only=True)["epoch"] == 2
    rings = [{path.name: path.read_bytes() for path in (folder / "ring" / "train").iterdir()} for folder in folders]
    assert rings[0] == rings[1]
    assert len(rings[0]) == 6 + 1  # and the manifest
