# Copyright (c) monai_synthfm contributors
# Licensed under the Apache License, Version 2.0 (http://www.apache.org/licenses/LICENSE-2.0).
# SPDX-License-Identifier: Apache-2.0
"""The Slurm scripts, run by bash as a node would, with what a cluster has and this machine has not stood in for."""

from __future__ import annotations

import ast
import csv
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml
from monai.bundle import ConfigParser
from torch.distributed.run import get_args_parser

from monai_synthfm.commands.options import BundleOptions
from monai_synthfm.commands.program import main
from monai_synthfm.commands.words import split_words
from monai_synthfm.evaluation.results_table import read_rows
from tests.bundles.stored_volumes import ORIENTATIONS, STRAIGHT, store
from tests.bundles.test_train import TINY_SAM
from tests.conftest import ROOT
from tests.evaluation.stand_ins import tiny_sam
from tests.replicas.hc18 import write_hc18

Script = Callable[..., list[list[str]]]
SCRIPTS = ROOT / "examples" / "slurm"


@pytest.fixture
def script(tmp_path: Path) -> Script:
    """Run a script and return the command lines that it gives to srun, as words."""
    programs = {
        "srun": f'printf "%s\\0" "$@" >> {tmp_path}/words; printf "\\n" >> {tmp_path}/words',
        # two writes with time between them: a reader that is content with the first line must not end the job
        "scontrol": 'test "$*" = "show hostnames node[1-2]" && echo node1 && sleep 0.2 && echo node2',
        "python": f'exec {sys.executable} "$@"',
    }
    (tmp_path / "bin").mkdir()
    for name, body in programs.items():
        (tmp_path / "bin" / name).write_text(f"#!/bin/bash\n{body}\n")
        (tmp_path / "bin" / name).chmod(0o755)

    def run(name: str, *words: str, **variables: str) -> list[list[str]]:
        (tmp_path / "words").unlink(missing_ok=True)
        environment = {"PATH": f"{tmp_path}/bin:/usr/bin:/bin", "PYTHONPATH": str(ROOT), **variables}
        subprocess.run(["bash", str(SCRIPTS / f"{name}.sbatch"), *words], env=environment, check=True, cwd=tmp_path)
        lines = (tmp_path / "words").read_text().splitlines()
        return [line.removesuffix("\0").split("\0") for line in lines]

    return run


def array(script: Script, name: str, count: int, *words: str) -> list[list[str]]:
    """The words of the synthfm commands of an array of tasks, and of the job that follows it."""
    tasks = [{"SLURM_ARRAY_TASK_ID": str(task), "SLURM_ARRAY_TASK_COUNT": str(count)} for task in range(1, count + 1)]
    commands = [command for variables in [*tasks, {}] for command in script(name, *words, **variables)]
    assert [command[:2] for command in commands] == [["synthfm", name]] * (count + 1)
    return [command[1:] for command in commands]


@pytest.mark.parametrize("path", sorted(SCRIPTS.glob("*.sbatch")), ids=lambda path: path.stem)
def test_options_of_sbatch_stand_before_the_first_command(path: Path) -> None:
    head, _, body = path.read_text().partition("set -euo pipefail")
    assert re.findall(r"^#SBATCH --[a-z-]+(?:=\S+)?$", head, re.M) == re.findall(r"^#SBATCH.*$", path.read_text(), re.M)
    assert body.strip()


def test_a_training_starts_on_all_gpus_of_all_nodes(script: Script) -> None:
    variables = {"SLURM_NNODES": "2", "SLURM_GPUS_ON_NODE": "4", "SLURM_JOB_ID": "7"}
    words = ("--output_dir", "runs/a b", "--max_epochs", "3")
    ((launcher, *command),) = script("train", *words, **variables, SLURM_JOB_NODELIST="node[1-2]")
    assert launcher == "torchrun"
    given = get_args_parser().parse_args(command)
    assert (given.nnodes, given.nproc_per_node) == ("2", "4")
    assert (given.rdzv_backend, given.rdzv_endpoint, given.rdzv_id) == ("c10d", "node1:29500", "7")
    assert (given.module, given.training_script) == (True, "monai.bundle")
    # the head of the script says what becomes of a process that fails, and of a job whose node failed
    head = " ".join(line.removeprefix("# ") for line in (SCRIPTS / "train.sbatch").read_text().splitlines())
    assert given.max_restarts == 0
    assert "A process that fails ends the job: the same command, or scontrol requeue" in head
    assert "#SBATCH --requeue" in head
    assert "A job whose node failed is queued again" in head
    assert given.training_script_args[0] == "run"
    _, typed = split_words(given.training_script_args[1:])
    config = ConfigParser.load_config_files(ast.literal_eval(typed.pop("config_file")))
    assert BundleOptions(config).read(typed) == {"output_dir": "runs/a b", "max_epochs": 3}
    assert "init_process_group" in str(config["initialize"])
    assert "checkpoint.pt" in config["resume"]


def test_an_array_of_evaluations_ends_with_the_tables_of_one(script: Script, tmp_path: Path) -> None:
    torch.save(tiny_sam().state_dict(), tmp_path / "tiny.pt")
    network = {"_target_": "monai_synthfm.networks.prepare", "network": {**TINY_SAM, "image_size": 64}}
    settings: dict[str, Any] = {"network_def": {**network, "pretrained": str(tmp_path / "tiny.pt")}, "device": "cpu"}
    settings |= {"label": "tiny", "min_voxels": 8, "min_pixels": 2, "on_fault": "skip", "runner#report": None}
    (tmp_path / "tiny.yaml").write_text(yaml.safe_dump(settings))
    words = ["hc18", str(write_hc18(tmp_path)), "--config", str(tmp_path / "tiny.yaml")]
    *parts, last = array(script, "evaluate", 2, *words, "--output", str(tmp_path / "parts"))
    main(parts[1])  # the first part died
    assert not (tmp_path / "parts" / "rows.parquet").exists()
    main(last)
    main(["evaluate", *words, "--output", str(tmp_path / "one")])
    assert read_rows(tmp_path / "parts").equals(read_rows(tmp_path / "one"))


def test_an_array_of_batches_ends_with_a_table_of_all_images(script: Script, tmp_path: Path) -> None:
    voxels = np.zeros((9, 8, 3), dtype=np.int16)
    voxels[2:6, 3:7] = 100
    for name in ("a", "b", "c"):
        store(tmp_path / f"{name}.nii.gz", voxels, STRAIGHT, ORIENTATIONS[0])
    (tmp_path / "prompts.csv").write_text("image,clicks\n" + "".join(f"{name}.nii.gz,3 4 1\n" for name in "abc"))
    network = {"network_def": {"_target_": "tests.inferers.region_grower.RegionGrower"}, "device": "cpu"}
    (tmp_path / "grower.yaml").write_text(yaml.safe_dump(network))
    words = [str(tmp_path / "prompts.csv"), "--config", str(tmp_path / "grower.yaml"), "--dataset_dir", str(tmp_path)]
    *parts, last = array(script, "batch", 2, *words, "--output", str(tmp_path / "out"))
    for command, images in ((parts[1], "b"), (last, "abc")):
        main(command)
        with (tmp_path / "out" / "summary.csv").open(newline="") as file:
            assert [row["image"] for row in csv.DictReader(file)] == [f"{name}.nii.gz" for name in images]
