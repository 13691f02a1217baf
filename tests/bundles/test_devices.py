# Copyright (c) monai_synthfm contributors
# Licensed under the Apache License, Version 2.0 (http://www.apache.org/licenses/LICENSE-2.0).
# SPDX-License-Identifier: Apache-2.0
"""Which GPU a process of torchrun takes, and when it may leave."""

from __future__ import annotations

from pathlib import Path
from unittest.mock import MagicMock

import pytest
import torch
from monai.bundle import ConfigParser

from tests.conftest import ROOT

WITH = {"evaluate": ("evaluate", "datasets/hc18"), "batch_inference": ("inference", "batch_inference")}
OVERLAYS = sorted(ROOT.glob("bundles/*/configs/multi_gpu_*.yaml"))


EACH_OVERLAY = pytest.mark.parametrize("overlay", OVERLAYS, ids=lambda path: f"{path.parts[-3]}-{path.stem}")


def settings(overlay: Path) -> ConfigParser:
    """The configs that an overlay is for, under it."""
    kind = overlay.stem.removeprefix("multi_gpu_")
    files = [overlay.parent / f"{name}.yaml" for name in WITH.get(kind, (kind,))]
    return ConfigParser(ConfigParser.load_config_files([str(path) for path in (*files, overlay)]))


@EACH_OVERLAY
def test_each_process_keeps_its_gpu_whatever_becomes_of_the_local_rank(
    overlay: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Under Slurm ignite sets LOCAL_RANK to the number of the task, which is torchrun itself."""
    chosen: list[torch.device] = []
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "set_device", chosen.append)
    monkeypatch.setattr(torch.distributed, "init_process_group", lambda *backend, **options: None)
    monkeypatch.setattr("monai.utils.set_determinism", lambda seed: None)
    for name, value in (("LOCAL_RANK", "3"), ("RANK", "7"), ("WORLD_SIZE", "8")):
        monkeypatch.setenv(name, value)
    parser = settings(overlay)
    parser.get_parsed_content("initialize")
    monkeypatch.setenv("LOCAL_RANK", "0")
    assert chosen == [torch.device("cuda", 3)]
    assert parser.get_parsed_content("device", lazy=True) == torch.device("cuda", 3)


@EACH_OVERLAY
def test_nobody_leaves_while_gloo_may_hold_a_tensor(overlay: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A process whose interpreter ends before gloo's threads let go is aborted (pytorch issue 190489)."""
    group = MagicMock()
    monkeypatch.setattr(torch.distributed, "barrier", group.barrier)
    monkeypatch.setattr(torch.distributed, "destroy_process_group", group.destroy)
    parser = settings(overlay)
    for expression in parser["finalize"][-2:]:
        ConfigParser({"imports": parser["imports"], "end": expression}).get_parsed_content("end")
    assert [call[0] for call in group.mock_calls] == ["barrier", "destroy"]
