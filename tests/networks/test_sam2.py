# Copyright (c) monai_synthfm contributors
# Licensed under the Apache License, Version 2.0 (http://www.apache.org/licenses/LICENSE-2.0).
# SPDX-License-Identifier: Apache-2.0
"""State dicts of SAM 2: sam2's keys, other image sizes, parts; and what the constructor refuses."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
import torch
from hydra.utils import instantiate
from omegaconf import OmegaConf

from monai_synthfm.networks import SAM2_SIZES, Sam2, Sam2Size, prepare
from tests.networks.upstream_sam2 import CONFIGS, IMAGE_SIZE, SMALL, build_upstream, same_weights

YAML_LETTERS = {"tiny": "t", "small": "s", "base_plus": "b+", "large": "l"}


@pytest.fixture
def small() -> Sam2:
    """A network that a test may change."""
    torch.manual_seed(0)
    return Sam2(SMALL["2.1"], image_size=IMAGE_SIZE)


@pytest.mark.parametrize(
    "name", [n if n.endswith("tiny") else pytest.param(n, marks=pytest.mark.slow) for n in SAM2_SIZES]
)
def test_keys_and_shapes_are_those_of_the_yaml_file(name: str) -> None:
    folder, _, size = name.partition("_hiera_")
    config = OmegaConf.load(CONFIGS / folder / f"{folder}_hiera_{YAML_LETTERS[size]}.yaml")
    theirs = instantiate(config.model).state_dict()
    ours = Sam2(name).state_dict()
    assert {key: value.shape for key, value in ours.items()} == {key: value.shape for key, value in theirs.items()}


@pytest.mark.parametrize("version", SMALL)
def test_a_published_checkpoint_loads_strictly(tmp_path: Path, version: str) -> None:
    state = build_upstream(version).state_dict()
    torch.save({"model": state}, tmp_path / "sam2.pt")
    for arguments in ({"pretrained": tmp_path / "sam2.pt"}, {"checkpoint": str(tmp_path / "sam2.pt")}):
        loaded = prepare(Sam2(SMALL[version], image_size=IMAGE_SIZE), **arguments).state_dict()
        assert loaded.keys() == state.keys()
        assert all(torch.equal(value, loaded[key]) for key, value in state.items())


def test_the_versions_do_not_fit_each_other(tmp_path: Path) -> None:
    torch.save(build_upstream("2.0").state_dict(), tmp_path / "old.pt")
    with pytest.raises(ValueError, match=r"old.pt: these weights do not fit Sam2: 3 keys are missing"):
        prepare(Sam2(SMALL["2.1"], image_size=IMAGE_SIZE), pretrained=tmp_path / "old.pt")


def test_the_same_weights_serve_another_image_size(tmp_path: Path, small: Sam2) -> None:
    torch.save(small.state_dict(), tmp_path / "small.pt")
    large = prepare(Sam2(SMALL["2.1"], image_size=128), pretrained=tmp_path / "small.pt").eval()
    assert all(torch.equal(value, small.state_dict()[key]) for key, value in large.state_dict().items())
    assert large(torch.rand(1, 1, 50, 60)).shape == (1, 1, 50, 60)


def test_parts_and_single_parameters_are_checkpoints(tmp_path: Path, small: Sam2) -> None:
    part = {
        key: value
        for key, value in small.state_dict().items()
        if key.startswith(("memory_attention.", "maskmem_tpos_enc"))
    }
    torch.save(part, tmp_path / "memory.pt")
    other = prepare(Sam2(SMALL["2.1"], image_size=IMAGE_SIZE), checkpoint=tmp_path / "memory.pt").state_dict()
    same = {key for key, value in small.state_dict().items() if torch.equal(value, other[key])}
    assert part.keys() <= same
    assert "no_mem_embed" not in same
    torch.save({"maskmem_tpos_enc": torch.zeros(5, 1, 1, 8)}, tmp_path / "short.pt")
    with pytest.raises(
        ValueError, match=r"short.pt: maskmem_tpos_enc has shape \(5, 1, 1, 8\), expected \(7, 1, 1, 8\)"
    ):
        small.load_checkpoint(tmp_path / "short.pt")
    torch.save({"mask_decoder.weight": torch.zeros(1)}, tmp_path / "sam.pt")
    with pytest.raises(ValueError, match=r"sam.pt: unknown keys \['mask_decoder.weight'\]"):
        small.load_checkpoint(tmp_path / "sam.pt")


def test_reset_decoder_draws_the_decoder_alone_and_is_reproducible(small: Sam2) -> None:
    before = {key: value.clone() for key, value in small.state_dict().items()}
    states = []
    for seed in (5, 6, 5):
        small.reset_decoder(seed)
        states.append({key: value.clone() for key, value in small.state_dict().items()})
    changed = {key for key, value in before.items() if not torch.equal(value, states[0][key])}
    assert {key.partition(".")[0] for key in changed} == {"sam_mask_decoder"}
    assert changed == {key for key, value in states[1].items() if not torch.equal(value, states[0][key])}
    assert all(torch.equal(value, states[2][key]) for key, value in states[0].items())


def test_a_frozen_encoder_leaves_the_decoders_own_convolutions_trainable() -> None:
    network = prepare(Sam2(SMALL["2.1"], image_size=IMAGE_SIZE), frozen=["image_encoder"])
    network(torch.rand(2, 1, 30, 40)).square().mean().backward()
    trained = {name for name, parameter in network.named_parameters() if parameter.grad is not None}
    assert {"sam_mask_decoder.conv_s0.weight", "no_mem_embed"} <= trained
    assert not any(name.startswith("image_encoder") for name in trained)


def test_hydra_is_left_to_the_program() -> None:
    program = (
        "from hydra.core.global_hydra import GlobalHydra\n"
        "import monai_synthfm.networks\n"
        "assert not GlobalHydra.instance().is_initialized()\n"
        "from hydra import initialize_config_module\n"
        "initialize_config_module('sam2', version_base='1.2')\n"
        "import importlib; importlib.reload(monai_synthfm.networks.sam2_parts)\n"
        "assert GlobalHydra.instance().is_initialized()\n"
    )
    subprocess.run([sys.executable, "-c", program], check=True)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"model": "hiera_tiny"}, r"model must be one of \['sam2.1_hiera_tiny', .*'sam2_hiera_large'\] or a Sam2Size"),
        ({"preprocessing": "medsam"}, r"preprocessing must be one of \['sam', 'contrast'\], got 'medsam'"),
        ({"image_size": 80}, "image_size must be a positive multiple of 32 pixels, got 80"),
        ({"objects_per_pass": 0}, "objects_per_pass must be at least 1, got 0"),
        ({"max_conditioning": 1}, "max_conditioning must be at least 2, one on either side, got 1"),
        ({"tracking_multimask": "sometimes"}, "multimask must be one of .*got 'sometimes'"),
    ],
)
def test_arguments_that_make_no_network_are_refused(arguments: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Sam2(**{"model": SMALL["2.1"], "image_size": IMAGE_SIZE, **arguments})


@pytest.mark.parametrize("block", [1, 4, 9])
def test_a_block_of_the_whole_image_does_not_start_a_stage(block: int) -> None:
    with pytest.raises(ValueError, match=rf"global_att_blocks \[{block}\] must be among the 5 blocks"):
        Sam2Size(8, 1, (1, 1, 2, 1), (3, block), (4, 4))


def test_upstream_weights_of_the_tests_leave_no_branch_unseen() -> None:
    network = same_weights(build_upstream("2.1"), "2.1")
    assert all(parameter.std() > 0.01 for parameter in network.parameters() if parameter.numel() > 1)
