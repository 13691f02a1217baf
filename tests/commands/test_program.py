# Copyright (c) monai_synthfm contributors
# Licensed under the Apache License, Version 2.0 (http://www.apache.org/licenses/LICENSE-2.0).
# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import re
import shlex
import subprocess
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from monai.bundle import ConfigParser

from monai_synthfm import __version__, bundle_path
from monai_synthfm.commands import BundleOptions, bundle_run, program
from monai_synthfm.commands.catalogue import COMMANDS
from monai_synthfm.commands.program import main
from tests.conftest import ROOT

CONFIGS = bundle_path("synthfm_sam") / "configs"


@pytest.fixture
def ran(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """What would be run, in place of running it."""
    seen: dict[str, Any] = {}

    def run_bundle(files: list[Path], options: dict[str, Any], run_id: str, **more: Any) -> None:
        seen.update(files=files, options=options, run_id=run_id, **more)

    monkeypatch.setattr(bundle_run, "run_bundle", run_bundle)
    monkeypatch.setattr(program, "check_inputs", lambda *given, **known: None)
    return seen


def failed(capsys: pytest.CaptureFixture[str], *words: str) -> str:
    with pytest.raises(SystemExit) as caught:
        main(words)
    assert caught.value.code == 1
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    return error


def test_segment_hands_prompts_and_options_to_the_config(ran: dict[str, Any]) -> None:
    main(
        [
            "segment",
            "ct#1.nii",
            "--click",
            "1",
            "2",
            "3",
            "--output",
            "1e5",
            "--keep-largest",
            "yes",
            "--network_def::image_size",
            "64",
        ]
    )
    assert ran == {
        "files": [CONFIGS / "inference.yaml"],
        "options": {
            "image": "ct#1.nii",
            "output_dir": "1e5",
            "keep_largest": "yes",
            "network_def::image_size": "64",
            "points": [[[1, 2, 3]]],
            "point_labels": [[1]],
        },
        "run_id": "run",
    }


@pytest.mark.parametrize("bundle", ["synthfm_sam", "synthfm_sam2_3d"])
@pytest.mark.parametrize("words", ["--window lung", "--level -600 --width=1500", "--level 7 --window lung"])
def test_the_window_of_a_ct_is_told_by_name_or_by_level_and_width(ran: dict[str, Any], bundle: str, words: str) -> None:
    main(["segment", "ct.nii", "--click", "1", "2", "3", *words.split()])
    config = ConfigParser()
    config.read_config(bundle_path(bundle) / "configs" / "inference.yaml")
    config.update(
        BundleOptions(config.get()).read({name: ran["options"][name] for name in ran["options"] if name in words})
    )
    assert config.get_parsed_content("preprocessing").intensity.window == (-1350.0, 150.0)


@pytest.mark.parametrize("command", ["segment", "batch"])
def test_the_window_is_an_option_of_every_segmentation(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    main([command, "--help"])
    assert "--window" in capsys.readouterr().out


def test_a_dataset_names_its_config(ran: dict[str, Any]) -> None:
    main(["evaluate", "amos_ct", "/data/amos", "--config", "evaluate_volumes", "--dry-run"])
    assert ran["files"] == [
        CONFIGS / name for name in ("evaluate.yaml", "datasets/amos_ct.yaml", "evaluate_volumes.yaml")
    ]
    assert ran["options"] == {"dataset_dir": "/data/amos"}
    assert ran["run_id"] == "dry_run"


def test_configs_of_the_bundle_and_files_override(ran: dict[str, Any], tmp_path: Path) -> None:
    own = tmp_path / "own.yaml"
    own.write_text("max_epochs: 1\n")
    main(["train", "--config", "train_quick", f"--config={own}", "--tracking", "mlflow"])
    assert ran["files"] == [CONFIGS / "train.yaml", CONFIGS / "train_quick.yaml", own]
    assert ran["tracking"] == "mlflow"
    assert ran["options"] == {}


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("segmnt ct.nii", "there is no command 'segmnt'; did you mean 'segment'?"),
        ("segment ct.nii mr.nii", "segment takes image, but 'mr.nii' belongs to no option."),
        ("train 3", "train takes options alone, but '3' belongs to no option."),
        ("segment ct.nii --image mr.nii", "image is given twice: 'ct.nii' and 'mr.nii'."),
        ("segment {image} --click 1 2 3 --modalty mr", "there is no option 'modalty'; did you mean 'modality'?"),
        (
            "segment {image}",
            "nothing is prompted: say where the object is, in voxels counted from 0, with --click x y z",
        ),
        ("segment {image} --modality mr", "or --mask file, such as --click 120 200 45."),
        ("segment", "segment: image is missing, as in: synthfm segment ct.nii.gz --click 120 200 45 "),
        ("batch", "batch: prompts is missing, as in: synthfm batch prompts.csv"),
        ("evaluate amos_ct", "evaluate: dataset_dir is missing, as in: synthfm evaluate amos_ct /data/amos22 "),
        ("check-data amos_ct", "check-data: dataset_dir is missing, as in: synthfm check-data "),
        ("check-data folder . --structurs liver", "there is no option 'structurs'; did you mean 'structures'?"),
        ("segment no.nii.gz --click 1 2 3", "error: image no.nii.gz: no such file."),
        ("evaluate amos", "dataset_name 'amos' is neither a file nor one of the bundle"),
        ("evaluate", "evaluate: dataset_name is missing: one of alfi, amos_ct"),
        ("evaluate ../evaluate", "dataset_name '../evaluate' is neither a file nor one of the bundle"),
        ("train --config", "--config must be followed by a file"),
        ("train --config train_quik", "did you mean 'train_quick'?"),
        ("info now", "info takes no options, got now."),
    ],
)
def test_what_is_wrong_is_told_in_one_line(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, line: str, message: str
) -> None:
    (tmp_path / "ct.nii").write_text("something")
    assert message in failed(capsys, *line.format(image=tmp_path / "ct.nii").split())


@pytest.mark.parametrize(
    "line",
    [
        "",
        *(f"{name} --help" for name in COMMANDS),
        "info --help",
        "info -h",
        "evaluate folder --help",
        "segment no.nii.gz --click 1 2 3",
        "batch no.csv",
        "evaluate amos_ct no",
        "view --help",
        "view no.nii.gz",
        "view no.nii.gz --modalty mr",
        "train --max_epoch 3",
        "train --output setup.py",
    ],
)
def test_a_help_and_a_missing_file_wait_for_no_import(line: str) -> None:
    program = f"""
import sys
from monai_synthfm.commands.program import main
try:
    main({line.split()!r})
except SystemExit:
    pass
sys.exit(", ".join({{"torch", "monai", "SimpleITK", "scipy"}} & sys.modules.keys()) or 0)
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    asks_for_help = not line or line.endswith(("--help", "-h"))
    assert done.stdout.startswith("usage: synthfm") if asks_for_help else "error: " in done.stderr


def test_what_a_config_says_need_not_be_typed(
    ran: dict[str, Any], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    own = tmp_path / "own.yaml"
    own.write_text("image: ct.nii\nmask: known.nii\n")
    main(["segment", "--config", str(own)])
    assert ran["options"] == {}
    own.write_text("image: ct.nii\n")
    assert "nothing is prompted" in failed(capsys, "segment", "--config", str(own))


def test_images_are_looked_for_where_a_config_says(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "own.yaml").write_text(f"dataset_dir: {tmp_path}\n")
    words = ("segment", "no.nii", "--click", "1", "2", "3", "--config", str(tmp_path / "own.yaml"))
    assert failed(capsys, *words) == f"error: image {tmp_path / 'no.nii'}: no such file.\n"


def test_the_arguments_of_a_reader_are_options_of_the_check(ran: dict[str, Any]) -> None:
    main(["check-data", "folder", "mine", "--structures", "liver,spleen", "--other-values", "true", "--output", "x"])
    assert ran["options"] == {
        "dataset_name": "folder",
        "dataset_dir": "mine",
        "output_dir": "x",
        "options": {"section": None, "structures": "liver,spleen", "other_values": True},
    }


def test_the_help_of_a_named_dataset_has_its_options(capsys: pytest.CaptureFixture[str]) -> None:
    for command in ("check-data", "evaluate"):
        main([command, "folder", "--help"])
        shown = capsys.readouterr().out
        assert all(f"  --{name} " in shown for name in ("structures", "other_values", "image_suffix", "modality"))
    main(["train", "--config", "finetune", "--help"])
    assert "  --checkpoint " in capsys.readouterr().out


def test_the_overview_names_every_command(capsys: pytest.CaptureFixture[str]) -> None:
    main([])
    overview = capsys.readouterr().out
    assert [line.split()[0] for line in overview.splitlines() if line.startswith("  ")] == [*COMMANDS, "view", "info"]
    main(["--version"])
    assert capsys.readouterr().out.strip() == __version__


def test_the_viewer_is_asked_for_when_it_is_needed(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "monai_synthfm.viewer.__main__", None)
    assert "error: view needs the extra of that name: pip install 'monai-synthfm[view]'" in failed(capsys, "view", "x")

    seen: list[list[str]] = []
    module = ModuleType("viewer")
    module.main = lambda words: seen.append(words) or 0  # type: ignore[attr-defined, func-returns-value]
    monkeypatch.setitem(sys.modules, "monai_synthfm.viewer.__main__", module)
    with pytest.raises(SystemExit) as ended:
        main(["view", "007.nii", "--port", "8080", "--no-browser"])
    assert ended.value.code == 0
    assert seen == [["007.nii", "--port", "8080", "--no-browser"]]


def test_documented_commands_name_options_that_exist_and_do_something(monkeypatch: pytest.MonkeyPatch) -> None:
    def check(files: list[Path], options: dict[str, Any], run_id: str, **more: Any) -> None:
        config = ConfigParser.load_config_files([str(path) for path in files])
        BundleOptions(config, ["initialize", run_id]).read(options)

    monkeypatch.setattr(bundle_run, "run_bundle", check)
    monkeypatch.setattr(program, "check_inputs", lambda *given, **known: None)
    pages = [ROOT / "README.md", *(ROOT / "docs").rglob("*.md")]
    text = "\n".join(re.sub(r"\\\n *", " ", page.read_text()) for page in pages)
    lines = re.findall(r"^ *synthfm (.+)$|`synthfm ([^`]+ [^`]+)`", text, re.M)
    lines = [block or inline for block, inline in lines]
    lines = [line for line in lines if line.split()[0] in COMMANDS and "..." not in line]
    assert len(lines) >= 20
    for line in [*lines, *(f"{name} {command.example}" for name, command in COMMANDS.items())]:
        main(shlex.split(line))


@pytest.mark.parametrize(("typed", "meant"), [("clik", "click"), ("negative-clik", "negative_click"), ("boxx", "box")])
def test_a_misspelled_click_is_named_with_the_nearest(
    typed: str, meant: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit):
        main(["segment", "ct.nii", f"--{typed}", "1", "2", "3"])
    name = typed.replace("-", "_")
    assert capsys.readouterr().err == f"error: there is no option {name!r}; did you mean {meant!r}?\n"
    with pytest.raises(SystemExit):
        main(["segment", "ct.nii", "stray", "--modality", "mr"])
    assert "'stray' belongs to no option" in capsys.readouterr().err
