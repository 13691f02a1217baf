# Copyright (c) monai_synthfm contributors
# Licensed under the Apache License, Version 2.0 (http://www.apache.org/licenses/LICENSE-2.0).
# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import json
import sys
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import yaml
from monai.bundle import ConfigWorkflow

from monai_synthfm.commands import run_as_typed, run_bundle

CONFIG = """
imports:
- $import json
- $import pathlib
output_dir: out
zoom: false
checkpoint: model.pt
seeds: [0]
initialize:
- _target_: monai_synthfm.commands.run_as_typed
run:
- $pathlib.Path(@record).write_text(json.dumps([@output_dir, @zoom, @checkpoint, @seeds]))
again:
- $pathlib.Path(@record).write_text(@output_dir)
finalize:
- $pathlib.Path(@record).write_text(pathlib.Path(@record).read_text() + ' end')
"""


@pytest.fixture
def config(tmp_path: Path) -> Path:
    path = tmp_path / "config.yaml"
    path.write_text(f"record: {tmp_path / 'record'}\n{CONFIG}")
    return path


def record(tmp_path: Path) -> Any:
    return json.loads((tmp_path / "record").read_text().removesuffix(" end"))


def typed(monkeypatch: pytest.MonkeyPatch, *words: str) -> None:
    """Run the config as ``python -m monai.bundle`` does, after Fire, whose values do not matter."""
    monkeypatch.setitem(sys.modules, "__main__", SimpleNamespace(__spec__=ModuleSpec("monai.bundle.__main__", None)))
    monkeypatch.setattr(sys, "argv", ["monai.bundle", *words])
    run_as_typed()


def test_a_workflow_gets_what_was_typed(config: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    words = ["--output_dir", "exp#4", "--zoom", "no", "--checkpoint", "None", "--seeds=0,1"]
    with pytest.raises(SystemExit) as caught:
        typed(monkeypatch, "run", "--config_file", str(config), *words)
    assert caught.value.code == 0
    assert record(tmp_path) == ["exp#4", False, None, [0, 1]]
    assert (tmp_path / "record").read_text().endswith(" end")


def test_what_to_run_may_stand_before_the_options(
    config: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(SystemExit):
        typed(monkeypatch, "run", "again", "--config_file", f"['{config}']", "--output_dir", "0x10")
    assert (tmp_path / "record").read_text() == "0x10 end"


def test_the_other_command_that_runs_workflows_is_taken_over_too(
    config: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    words = ["run_workflow", "ConfigWorkflow", "--config_file", str(config), "--output_dir", "x#1"]
    with pytest.raises(SystemExit) as caught:
        typed(monkeypatch, *words)
    assert caught.value.code == 0
    assert record(tmp_path)[0] == "x#1"


def test_a_file_of_arguments_is_read_as_the_command_line(
    config: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    args = tmp_path / "args.yaml"
    args.write_text(yaml.safe_dump({"config_file": str(config), "zoom": "on", "output_dir": "a"}))
    with pytest.raises(SystemExit):
        typed(monkeypatch, "run", "--args_file", str(args), "--output_dir", "b#c")
    assert record(tmp_path) == ["b#c", True, "model.pt", [0]]


def test_a_misspelled_option_ends_the_program_before_anything_is_run(
    config: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as caught:
        typed(monkeypatch, "run", "--config_file", str(config), "--outputdir", "a")
    assert caught.value.code == 1
    assert (
        capsys.readouterr().err.splitlines()[-1] == "error: there is no option 'outputdir'; did you mean 'output_dir'?"
    )
    assert not (tmp_path / "record").exists()


def test_other_commands_and_programs_are_left_alone(
    config: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    typed(monkeypatch, "verify_metadata", "--config_file", str(config))
    monkeypatch.undo()
    workflow = ConfigWorkflow(config_file=str(config), meta_file="", logging_file=False, output_dir="mine")
    workflow.initialize()
    workflow.run()
    assert record(tmp_path) == ["mine", False, "model.pt", [0]]


def test_programs_run_bundles_with_values_or_texts(config: Path, tmp_path: Path) -> None:
    run_bundle(config, {"zoom": "yes", "checkpoint": None, "seeds": [3]})
    assert record(tmp_path) == ["out", True, None, [3]]


@pytest.mark.parametrize(("rank", "tracking"), [(None, "mlflow"), ("0", "mlflow"), ("1", None)])
def test_of_many_processes_the_first_alone_is_tracked(
    config: Path, monkeypatch: pytest.MonkeyPatch, rank: str | None, tracking: str | None
) -> None:
    given: dict[str, Any] = {}
    monkeypatch.setattr("monai.bundle.run", lambda **options: given.update(options))
    monkeypatch.delenv("RANK", raising=False)
    if rank is not None:
        monkeypatch.setenv("RANK", rank)
    run_bundle(config, {"experiment_name": "mine", "zoom": "yes"}, tracking="mlflow")
    assert given.get("tracking") == tracking
    assert given["zoom"] is True
