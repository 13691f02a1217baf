# Copyright (c) monai_synthfm contributors
# Licensed under the Apache License, Version 2.0 (http://www.apache.org/licenses/LICENSE-2.0).
# SPDX-License-Identifier: Apache-2.0
"""The help of a command."""

from __future__ import annotations

import re

import pytest

from monai_synthfm.commands.catalogue import COMMANDS, configs_folder
from monai_synthfm.commands.help_page import help_page
from monai_synthfm.commands.settings import Setting, settings


def rows(page: str) -> dict[str, str]:
    """What stands behind each option of a help."""
    return dict(re.findall(r"^  --(\w+)(?: +|$)(.*(?:\n {10,}.*)*)", page, re.M))


@pytest.mark.parametrize(
    ("name", "wanted"),
    [
        ("segment", {"model", "device", "output_dir", "boxes", "image_size", "cache_dir"}),
        ("train", {"device", "max_epochs", "seed", "batch_size", "learning_rate", "frozen"}),
        ("evaluate", {"model", "device", "label", "box", "shard", "dataset_dir"}),
        ("check-data", {"require_complete", "options"}),
        ("generate", {"number", "format", "device"}),
    ],
)
def test_every_key_that_is_meant_to_be_changed_is_there_with_its_default(name: str, wanted: set[str]) -> None:
    shown = rows(help_page(name, COMMANDS[name]))
    assert wanted <= shown.keys()
    for setting in settings([configs_folder() / file for file in COMMANDS[name].configs]):
        assert shown[setting.name].startswith(setting.default)
    assert not {"imports", "network", "network_def", "run", "initialize"} & shown.keys()


@pytest.mark.parametrize("name", ["evaluate", "check-data"])
def test_datasets_are_named(name: str) -> None:
    page = help_page(name, COMMANDS[name])
    named = re.search(r"^  dataset_name  (.*(?:\n {10,}.*)*)", page, re.M)
    assert named is not None
    assert set(re.split(r",\s*", named[1])) == {path.stem for path in (configs_folder() / "datasets").glob("*.yaml")}
    assert "folder" in named[1]


def test_what_does_nothing_is_left_out() -> None:
    shown = rows(help_page("batch", COMMANDS["batch"]))
    assert {"prompts", "on_fault", "modality"} <= shown.keys()
    assert not {"image", "points", "mask", "cache_dir", "cache"} & shown.keys()


@pytest.mark.parametrize("columns", [40, 80, 110, 400])
def test_no_line_is_wider_than_the_terminal_and_columns_stand_under_each_other(
    columns: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", str(columns))
    page = help_page("segment", COMMANDS["segment"])
    comment = "for each object a list of clicks [x, y, z]; [] for an object without clicks"
    *_, table = page.split("\n\n")
    widest = max(len(line) for line in table.splitlines() if not re.search(r"^  --\w+ +\$", line))
    assert widest <= min(max(columns, 80), 160)
    first = table.index("default"), table.index("meaning")
    (line,) = [line for line in table.splitlines() if line.startswith("  --points ")]
    assert (line.index("null"), line.index(comment[:20])) == first
    assert comment in " ".join(page.split())


def test_further_configs_and_settings_take_part() -> None:
    page = help_page("train", COMMANDS["train"], [configs_folder() / "finetune.yaml"], [Setting("mine", "7", "own")])
    assert "training, validation" not in page
    shown = rows(page)
    assert shown["checkpoint"].startswith("null")
    assert re.fullmatch(r"7 +own", shown["mine"])
