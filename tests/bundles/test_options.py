# Copyright (c) monai_synthfm contributors
# Licensed under the Apache License, Version 2.0 (http://www.apache.org/licenses/LICENSE-2.0).
# SPDX-License-Identifier: Apache-2.0
"""Options of all configs: switches that can be switched off, names that exist, commands in the docs that work."""

from __future__ import annotations

import re
import shlex
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from monai.bundle import ConfigParser, ReferenceResolver

from monai_synthfm.commands import BundleOptions
from monai_synthfm.commands.values import Kind, read_value
from monai_synthfm.commands.words import split_words

ROOT = Path(__file__).resolve().parents[2]
SAM, SAM2 = (ROOT / "bundles" / name / "configs" for name in ("synthfm_sam", "synthfm_sam2_3d"))
RECIPES = [f"mobilesam_cpu{stage}.yaml" for stage in ("", "_faint", "_multimask", "_refine", "_correct")]
TRAIN = {
    folder: [path.name for path in sorted(folder.glob("*train*.yaml")) if path.name != "train.yaml"]
    for folder in (SAM, SAM2)
}
COMBINATIONS: list[list[Path]] = [
    *([folder / "inference.yaml"] for folder in (SAM, SAM2)),
    [SAM / "inference.yaml", SAM / "inference_tensorrt.yaml"],
    [SAM / "inference.yaml", SAM / "batch_inference.yaml"],
    [SAM / "inference.yaml", SAM / "batch_inference.yaml", SAM / "multi_gpu_batch_inference.yaml"],
    *([folder / "train.yaml"] for folder in (SAM, SAM2)),
    *([folder / "train.yaml", folder / name] for folder, names in TRAIN.items() for name in names),
    [SAM / "train.yaml", SAM / "finetune.yaml"],
    *([folder / f"{name}.yaml" for name in ("train", "multi_gpu_train", "restartable")] for folder in (SAM, SAM2)),
    [SAM / "train.yaml", SAM / "train_cached.yaml", SAM / "multi_gpu_train.yaml"],
    *(
        [
            *(SAM / f"{name}.yaml" for name in ("train", "train_cached", "multi_gpu_train")),
            *(ROOT / "configs" / "recipes" / name for name in RECIPES[:stages]),
        ]
        for stages in range(1, 6)
    ),
    [SAM2 / "train.yaml", ROOT / "configs" / "recipes" / "memory.yaml"],
    [SAM2 / "train.yaml", SAM2 / "train_windows.yaml", ROOT / "configs" / "recipes" / "windows.yaml"],
    [SAM / "train.yaml", SAM / "train_cached.yaml", ROOT / "configs" / "recipes" / "neighbours.yaml"],
    *([SAM / "evaluate.yaml", path] for path in sorted((SAM / "datasets").glob("*.yaml"))),
    [SAM / "evaluate.yaml", SAM / "datasets" / "amos_ct.yaml", SAM / "evaluate_volumes.yaml"],
    [SAM / "evaluate.yaml", SAM / "datasets" / "amos_ct.yaml", SAM / "multi_gpu_evaluate.yaml"],
    *([SAM / name] for name in ("generate.yaml", "check_data.yaml", "export_onnx.yaml")),
    [ROOT / "configs" / "dev_shared.yaml"],
    [ROOT / "configs" / "dev_shared.yaml", ROOT / "configs" / "dev_shared_volumes.yaml"],
    [ROOT / "configs" / "paper_table1.yaml"],
    *(
        [ROOT / "configs" / name for name in ("paper_table1.yaml", f"paper_{other}.yaml")]
        for other in ("table2_ablation", "table3_alfi")
    ),
]


def merged(files: list[Path]) -> dict[str, Any]:
    return ConfigParser.load_config_files([str(path) for path in files])


def leaves(config: Any, name: str = "") -> Iterator[tuple[str, Any]]:
    """All values of a config by id."""
    if isinstance(config, (dict, list)):
        for _, below, value in ReferenceResolver.iter_subconfigs(name, config):
            yield from leaves(value, below)
    else:
        yield name, config


def conditions(config: Any) -> set[str]:
    """Ids that an expression asks for as a switch: ``... if @name else ...`` and ``not @name``."""
    found = (re.findall(r"(?:\bif|\bnot) @([\w:#]+)\b(?! *(?:is|==|\.))", str(value)) for _, value in leaves(config))
    return {ReferenceResolver.normalize_id(name) for names in found for name in names}


def test_every_config_takes_part() -> None:
    files = {path for files in COMBINATIONS for path in files}
    folders = (SAM, SAM2, SAM / "datasets", ROOT / "configs", ROOT / "configs" / "recipes")
    assert files == {path for folder in folders for path in folder.glob("*.yaml")}


@pytest.mark.parametrize("path", sorted({path for files in COMBINATIONS for path in files}), ids=lambda path: path.stem)
def test_no_name_stands_twice_in_a_config(path: Path) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # MONAI warns of it, and takes the last
        ConfigParser.load_config_file(str(path))


@pytest.mark.parametrize("files", COMBINATIONS, ids=lambda files: "+".join(path.stem for path in files))
def test_every_switch_can_be_switched_off_by_text(files: list[Path]) -> None:
    config = merged(files)
    options = BundleOptions(config)
    switches = {name for name, value in leaves(config) if isinstance(value, bool)} | conditions(config)
    switches |= {"amp", "resume", "reset_decoder", "zoom"} & set(config)
    wrong = {name: kind for name in switches if (kind := options.kind(name)) is not Kind.SWITCH}
    assert not wrong
    for name in switches:
        options.check(name)
        assert [read_value(name, text, options.kind(name)) for text in ("false", "no", "0")] == [False] * 3


@pytest.mark.parametrize("files", COMBINATIONS, ids=lambda files: "+".join(path.stem for path in files))
def test_every_config_reads_the_command_line_first(files: list[Path]) -> None:
    assert merged(files)["initialize"][0] == {"_target_": "monai_synthfm.commands.run_as_typed"}


@pytest.mark.parametrize("files", COMBINATIONS, ids=lambda files: "+".join(path.stem for path in files))
def test_every_config_refuses_a_misspelled_option(files: list[Path]) -> None:
    options = BundleOptions(merged(files))
    for name in ("output_dr", "dvice"):
        with pytest.raises(ValueError, match=f"^there is no option '{name}'"):
            options.read({name: "cpu"})


@pytest.mark.parametrize("files", COMBINATIONS, ids=lambda files: "+".join(path.stem for path in files))
def test_folders_and_files_are_texts(files: list[Path]) -> None:
    config = merged(files)
    options = BundleOptions(config)
    endings = ("_dir", "checkpoint", "encoder_onnx", "_stage", "encoder")
    names = [
        name for name in config if name.endswith(endings) or name in ("image", "label", "shape", "boundary", "both")
    ]
    assert {name: options.kind(name) for name in names} == dict.fromkeys(names, Kind.TEXT)


def commands() -> Iterator[tuple[Path, str]]:
    """Commands in the docs and at the heads of the configs, with the folder that their configs are in."""
    pages = dict.fromkeys([ROOT / "README.md", *(ROOT / "docs").rglob("*.md")], ROOT)
    pages |= {folder.parent / "docs" / "README.md": folder.parent for folder in (SAM, SAM2)}
    pages |= {path: folder.parent for folder in (SAM, SAM2) for path in folder.rglob("*.yaml")}
    pages |= dict.fromkeys((ROOT / "configs").rglob("*.yaml"), ROOT)
    for page, home in pages.items():
        text = re.sub(r"\\\n#? *", " ", page.read_text())
        variable = ""
        for line in text.splitlines():
            variable = found[1] if (found := re.search(r"configs=(\S+)", line)) else variable
            for command in re.findall(r"(?:python|torchrun [^`]*?) ?-m monai\.bundle (run [^`]*)", line):
                yield home, command.replace("$configs", variable).replace("$B/", "")


def test_documented_commands_name_options_that_exist_and_do_something() -> None:
    checked = 0
    for home, line in commands():
        places, given = split_words(shlex.split(line.removesuffix(" ..."))[1:])
        names = re.findall(r"[\w/.]+\.yaml", given.pop("config_file", ""))
        given.pop("args_file", None)  # MONAI's own: a file of options
        if not names:
            continue
        files = [(ROOT if name.startswith("bundles/") else home) / name for name in names]
        files = [path if path.is_file() else SAM.parent / name for path, name in zip(files, names, strict=True)]
        BundleOptions(merged(files), ["initialize", "run", *places]).read(given)
        checked += 1
    assert checked > 25
