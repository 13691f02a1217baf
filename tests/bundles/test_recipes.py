# Copyright (c) monai_synthfm contributors
# Licensed under the Apache License, Version 2.0 (http://www.apache.org/licenses/LICENSE-2.0).
# SPDX-License-Identifier: Apache-2.0
"""Recipes of shipped weights: from nothing to a decoder file, and on after a kill, by one command."""

from __future__ import annotations

import ast
import hashlib
import os
import subprocess
from pathlib import Path
from typing import Any

import pytest
import torch
from monai.bundle import ConfigParser, run

import monai_synthfm.networks as networks
from tests.bundles.test_train import SMALL
from tests.bundles.two_processes import run_in_two_processes

RECIPES = Path(__file__).resolve().parents[2] / "configs" / "recipes"
RECIPE = RECIPES / "mobilesam_cpu.yaml"
SECOND_STAGE = RECIPES / "mobilesam_cpu_faint.yaml"
THIRD_STAGE = RECIPES / "mobilesam_cpu_multimask.yaml"
FOURTH_STAGE = RECIPES / "mobilesam_cpu_refine.yaml"
FIFTH_STAGE = RECIPES / "mobilesam_cpu_correct.yaml"


def settings_of(bundle_dir: Path, **options: Any) -> tuple[list[Path], dict[str, Any]]:
    names = ("train.yaml", "train_cached.yaml", "multi_gpu_train.yaml")
    ring = {"ring_gb": 0.01, "fresh_images": 4, "samples_per_epoch": 8, "val_interval": 1}
    settings: dict[str, Any] = {**SMALL, **ring, "lr_scheduler#t_total": 20, **options}
    del settings["device"]
    return [*(bundle_dir / "configs" / name for name in names), RECIPE], settings


def stage_that_stands_still(bundle_dir: Path, folder: Path, name: str) -> tuple[list[Path], dict[str, Any]]:
    """Settings of a stage that learns nothing, and in ``folder`` the ``decoder.pt`` of the stage before it."""
    still = {"max_epochs": 1, "learning_rate": 0.0}
    configs, options = settings_of(bundle_dir, output_dir=folder / name, **still)
    del options["architecture"]
    network = networks.MobileSam(image_size=options["image_size"])
    torch.save(network.state_dict(), folder / "model.pt")
    networks.export_decoder(folder / "model.pt", folder / "decoder.pt")
    return configs, options


@pytest.mark.slow
def test_the_same_command_goes_on_and_writes_the_decoder(bundle_dir: Path, tmp_path: Path) -> None:
    configs, options = settings_of(bundle_dir, output_dir=tmp_path)
    run_in_two_processes(configs, {**options, "max_epochs": 1})
    first = torch.load(tmp_path / "checkpoint.pt", weights_only=True)
    run_in_two_processes(configs, {**options, "max_epochs": 2})
    second = torch.load(tmp_path / "checkpoint.pt", weights_only=True)
    assert (first["epoch"], second["epoch"]) == (1, 2)
    best = networks.load_state(tmp_path / "model.pt")
    decoder = networks.load_state(tmp_path / "decoder.pt")
    assert {key for key in best if key.startswith("mask_decoder.")} == set(decoder)
    assert all(torch.equal(value, best[key].half()) for key, value in decoder.items())
    # a training that is at its end stays there: a script that runs two stages passes by the first one
    run_in_two_processes(configs, {**options, "max_epochs": 2})
    third = torch.load(tmp_path / "checkpoint.pt", weights_only=True)
    assert third["epoch"] == 2
    assert all(torch.equal(value, third["network"][key]) for key, value in second["network"].items())


@pytest.mark.slow
def test_the_second_stage_begins_with_the_decoder_of_the_first(bundle_dir: Path, tmp_path: Path) -> None:
    configs, options = stage_that_stands_still(bundle_dir, tmp_path, "second")
    run_in_two_processes([*configs, SECOND_STAGE], {**options, "first_stage": tmp_path / "decoder.pt"})
    first, second = (networks.load_state(folder / "decoder.pt") for folder in (tmp_path, tmp_path / "second"))
    assert all(torch.equal(value, first[key]) for key, value in second.items())


@pytest.mark.slow
def test_the_third_stage_begins_with_the_decoder_of_the_second_and_alternatives_near_its_mask(
    bundle_dir: Path, tmp_path: Path
) -> None:
    configs, options = stage_that_stands_still(bundle_dir, tmp_path, "third")
    stages = {"second_stage": tmp_path / "decoder.pt"}
    run_in_two_processes([*configs, SECOND_STAGE, THIRD_STAGE], {**options, **stages})
    second, third = (networks.load_state(folder / "decoder.pt") for folder in (tmp_path, tmp_path / "third"))
    same = {key for key, value in third.items() if torch.equal(value, second[key])}
    changed = {key.split(".")[1] for key in third.keys() - same}
    assert changed == {"mask_tokens", "output_hypernetworks_mlps"}
    first, *others = third["mask_decoder.mask_tokens.weight"].float()
    assert torch.equal(first.half(), second["mask_decoder.mask_tokens.weight"][0])
    assert all(0.2 < (other - first).std() < 0.4 for other in others)


@pytest.mark.slow
def test_the_fourth_stage_begins_with_the_decoder_of_the_third_and_its_alternatives(
    bundle_dir: Path, tmp_path: Path
) -> None:
    configs, options = stage_that_stands_still(bundle_dir, tmp_path, "fourth")
    stages = {"third_stage": tmp_path / "decoder.pt"}
    files = [*configs, SECOND_STAGE, THIRD_STAGE, FOURTH_STAGE]
    run_in_two_processes(files, {**options, **stages})
    third, fourth = (networks.load_state(folder / "decoder.pt") for folder in (tmp_path, tmp_path / "fourth"))
    assert all(torch.equal(value, third[key]) for key, value in fourth.items())
    with pytest.raises(ValueError, match="preprocessing='contrast'"):
        networks.prepare(networks.MobileSam(image_size=64), checkpoint=tmp_path / "fourth" / "decoder.pt")


@pytest.mark.slow
def test_the_fifth_stage_goes_on_from_the_fourth_with_clicks_on_errors(bundle_dir: Path, tmp_path: Path) -> None:
    configs, options = stage_that_stands_still(bundle_dir, tmp_path, "fifth")
    stages = [*configs, SECOND_STAGE, THIRD_STAGE, FOURTH_STAGE, FIFTH_STAGE]
    options |= {"fourth_stage": tmp_path / "decoder.pt", "keep_epochs": 1}
    run_in_two_processes(stages, options)
    before, after = (networks.load_state(folder / "decoder.pt") for folder in (tmp_path, tmp_path / "fifth"))
    assert all(torch.equal(value, before[key]) for key, value in after.items())


def test_only_the_fourth_stage_sees_contrast_and_trains_with_pieces_and_masks(bundle_dir: Path) -> None:
    configs, _ = settings_of(bundle_dir)
    third, fourth = (
        ConfigParser(ConfigParser.load_config_files([str(path) for path in [*configs, *stages]]))
        for stages in ((SECOND_STAGE, THIRD_STAGE), (SECOND_STAGE, THIRD_STAGE, FOURTH_STAGE))
    )
    assert third["architecture#preprocessing"] == "sam"
    assert "refine_prob" not in third["forward_def"]
    assert fourth["architecture#preprocessing"] == "contrast"
    assert fourth["forward_def#refine_prob"] == 0.25
    assert fourth["generator#anatomy#joint_prob"] == 0.25
    assert fourth["prompting#click_target"] == "piece"
    assert fourth["generator#min_visibility"] == third["generator#min_visibility"] == 1.5


def test_the_script_runs_one_stage_after_the_other_on_files_that_exist(tmp_path: Path) -> None:
    launcher = tmp_path / "torchrun"
    launcher.write_text(f'#!/bin/sh\nfor last; do :; done\necho "$PWD $last" >> {tmp_path}/calls\n')
    launcher.chmod(0o755)
    script = RECIPES.parents[1] / "scripts" / "train_mobilesam_cpu.sh"
    path = f"{tmp_path}{os.pathsep}{os.environ['PATH']}"
    subprocess.run(["bash", str(script)], env={**os.environ, "PATH": path}, cwd=tmp_path, check=True)
    folders, calls = zip(*(line.split(" ") for line in (tmp_path / "calls").read_text().splitlines()), strict=True)
    assert {Path(folder) for folder in folders} == {RECIPES.parents[1]}
    files = [[RECIPES.parents[1] / name for name in ast.literal_eval(call)] for call in calls]
    stages = [RECIPE, SECOND_STAGE, THIRD_STAGE, FOURTH_STAGE, FIFTH_STAGE]
    assert [named[3:] for named in files] == [stages[:count] for count in (1, 2, 3, 4, 5)]
    assert all(path.is_file() for named in files for path in named)


@pytest.mark.slow
def test_the_decoder_for_neighbours_is_trained_beside_the_one_for_images_and_on_after_a_kill(
    bundle_dir: Path, tmp_path: Path
) -> None:
    folder = bundle_dir / "configs"
    files = (folder / "train.yaml", folder / "train_cached.yaml", RECIPES / "neighbours.yaml")
    configs = [str(path) for path in files]
    start = networks.MobileSam(image_size=64)
    torch.save(start.state_dict(), tmp_path / "whole.pt")
    networks.export_decoder(tmp_path / "whole.pt", tmp_path / "start.pt")
    small = {"image_size": 64, "slice_size": 32, "clip_slices": 3, "samples_per_epoch": 4, "fresh_images": 2}
    options = {**small, "ring_gb": 0.01, "validation_samples": 2, "val_interval": 1, "num_producers": 0}
    options |= {"architecture#preprocessing": "sam", "pretrained": str(tmp_path / "whole.pt"), "keep_epochs": 2}
    options |= {"start": str(tmp_path / "start.pt"), "output_dir": str(tmp_path / "out"), "lr_scheduler#t_total": 4}
    run(config_file=configs, max_epochs=1, **options)
    assert torch.load(tmp_path / "out" / "checkpoint.pt", weights_only=True)["epoch"] == 1
    run(config_file=configs, max_epochs=2, **options)
    assert torch.load(tmp_path / "out" / "checkpoint.pt", weights_only=True)["epoch"] == 2
    both, before = networks.load_state(tmp_path / "out" / "decoder.pt"), networks.load_state(tmp_path / "start.pt")
    for key, value in before.items():
        assert torch.equal(both[key], value)
    carried = {key: both[key.replace("mask_", "carry_", 1)] for key in before}
    assert any(not torch.equal(carried[key], value) for key, value in before.items())
    epochs = [networks.load_state(tmp_path / "out" / f"epoch_{epoch:04d}.pt") for epoch in (1, 2)]
    for key, value in carried.items():
        torch.testing.assert_close(value.float(), (epochs[0][key] + epochs[1][key]) / 2, rtol=1e-3, atol=1e-5)


def test_the_card_names_the_hash_of_the_decoder_that_ships(bundle_dir: Path) -> None:
    digest = hashlib.sha256((bundle_dir / "models" / "model.pt").read_bytes()).hexdigest()
    assert digest in (bundle_dir / "docs" / "README.md").read_text()
