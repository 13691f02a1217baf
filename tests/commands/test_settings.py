# Copyright (c) monai_synthfm contributors
# Licensed under the Apache License, Version 2.0 (http://www.apache.org/licenses/LICENSE-2.0).
# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from monai.bundle import ConfigParser

from monai_synthfm.commands.catalogue import COMMANDS, configs_folder
from monai_synthfm.commands.settings import Setting, merged, settings

CONFIG = """
# A heading.
imports:
- $import torch

model: minisam
image_size: null # side of the square,
  # in pixels
note: 'a # b' # quoted
output_dir: $'runs' # a folder
device: "$'cuda' if @amp else 'cpu'"
amp: false
empty: ''
frozen: # what stays
- encoder
- prompts
options: {a: 1}
unused: 3
network:
  _target_: make
  inner: 1
below: 1
run:
- $@network(@model, @image_size, @note, @output_dir, @device, @empty, @frozen, @options, @below)
"""


def test_keys_above_the_first_component_are_listed_with_default_and_comment(tmp_path: Path) -> None:
    (tmp_path / "config.yaml").write_text(CONFIG)
    assert settings([tmp_path / "config.yaml"]) == [
        Setting("model", "minisam", ""),
        Setting("image_size", "null", "side of the square, in pixels"),
        Setting("note", "a # b", "quoted"),
        Setting("output_dir", "runs", "a folder"),
        Setting("device", "$'cuda' if @amp else 'cpu'", ""),
        Setting("amp", "false", ""),
        Setting("empty", "''", ""),
        Setting("frozen", "[encoder, prompts]", "what stays"),
        Setting("options", "{a: 1}", ""),
    ]


def test_a_later_config_gives_the_default_and_the_first_one_the_comment(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text("n: 1 # how many\nm: 2\nrun: ['$print(@n, @part, @m)']\npart: {_target_: dict}\n")
    (tmp_path / "b.yaml").write_text("n: 5\npart: null # not wanted\nm: 3 # more\n")
    assert settings([tmp_path / "a.yaml", tmp_path / "b.yaml"]) == [
        Setting("n", "5", "how many"),
        Setting("m", "3", "more"),
    ]


CHAINS = [
    *(list(command.configs) for command in COMMANDS.values()),
    ["train.yaml", "train_cached.yaml", "multi_gpu_train.yaml"],  # lists and mappings that grow
    ["train.yaml", "finetune.yaml", "datasets/folder.yaml"],
    ["inference.yaml", "batch_inference.yaml", "multi_gpu_batch_inference.yaml"],
]


@pytest.mark.parametrize("names", CHAINS, ids="+".join)
def test_configs_are_merged_as_monai_merges_them(names: list[str]) -> None:
    files = [configs_folder() / name for name in names]
    assert merged(files) == ConfigParser.load_config_files([str(file) for file in files])


FIRST = "network_def: {_target_: make, size: 1}\nrun: ['$print(@amp)']\namp: false\n"


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        (
            "mine.yaml",
            "amp:\n\ttrue",
            "config {file} is no YAML: while scanning for the next token\nfound character '\\t'",
        ),
        ("mine.json", '{{"amp": true,}}', "config {file} is no JSON: "),
        ("mine.yaml", "- amp: true", "config {file}: expected a mapping, as in 'max_epochs: 3', found a list."),
        ("mine.json", "3", "config {file}: expected a mapping, as in 'max_epochs: 3', found a int."),
        ("mine.yaml", "# amp: true", "config {file}: expected a mapping, as in 'max_epochs: 3', found nothing."),
        ("mine.yaml", "1: true", "config {file}: expected texts for keys, found 1."),
        (
            "mine.yaml",
            "netwrok_def#x: 1",
            "config {file}: there is no option 'netwrok_def::x'; did you mean 'network_def'?",
        ),
        ("mine.yaml", "amp#x: 1", "config {file}: there is no option 'amp::x'; did you mean 'amp'?"),
        ("mine.yaml", "run#1: x", "config {file}: there is no option 'run::1'."),
        ("mine.yaml", "run::first: x", "config {file}: there is no option 'run::first'."),
        ("mine.yaml", "run#3#x: 1", "config {file}: there is no option 'run::3::x'."),
        (
            "mine.yaml",
            "+run: x",
            "config {file}: +run adds a list to a list, or a mapping to a mapping, got 'x' for ['$print(@amp)'].",
        ),
        ("mine.yaml", "+amp: true", "config {file}: +amp adds a list to a list"),
    ],
)
def test_what_is_wrong_in_a_config_is_told_with_its_file(tmp_path: Path, name: str, text: str, message: str) -> None:
    (tmp_path / "first.yaml").write_text(FIRST)
    own = tmp_path / name
    own.write_text(text.format())
    for read in (merged, settings):
        with pytest.raises(ValueError, match="^" + re.escape(message.format(file=own))):
            read([tmp_path / "first.yaml", own])


def test_json_is_read_as_json(tmp_path: Path) -> None:
    (tmp_path / "first.yaml").write_text(FIRST)
    own = tmp_path / "mine.json"
    own.write_text(json.dumps({"amp": True, "network_def#size": 2}, indent="\t"))  # which is no YAML
    files = [tmp_path / "first.yaml", own]
    assert merged(files) == ConfigParser.load_config_files([str(file) for file in files])
    assert settings(files) == [Setting("amp", "true", "")]
    own.write_text(json.dumps({"amp": True, "run": ["$print(@amp, @note)"], "note": "a: b"}, indent="\t"))
    assert settings([own]) == [Setting("amp", "true", ""), Setting("note", "a: b", "")]
