# Copyright (c) monai_synthfm contributors
# Licensed under the Apache License, Version 2.0 (http://www.apache.org/licenses/LICENSE-2.0).
# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

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
