# Copyright (c) monai_synthfm contributors
# Licensed under the Apache License, Version 2.0 (http://www.apache.org/licenses/LICENSE-2.0).
# SPDX-License-Identifier: Apache-2.0
"""The U-Net for windows, and its files."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from monai_synthfm.networks.state_settings import settings_of
from monai_synthfm.networks.window_unet import WindowUNet, export_window_unet, open_window_unet


@pytest.fixture
def trained(tmp_path: Path) -> WindowUNet:
    torch.manual_seed(0)
    network = WindowUNet()
    torch.save({"network": network.state_dict(), "epoch": 3}, tmp_path / "checkpoint.pt")
    return network


def test_a_checkpoint_is_exported_in_half_precision_and_opened(trained: WindowUNet, tmp_path: Path) -> None:
    digest = export_window_unet(tmp_path / "checkpoint.pt", tmp_path / "windows.pt")
    assert len(digest) == 64
    assert (tmp_path / "windows.pt").stat().st_size < 0.55 * (tmp_path / "checkpoint.pt").stat().st_size
    assert settings_of(torch.load(tmp_path / "windows.pt", weights_only=True))["network"] == "WindowUNet"
    opened = open_window_unet(tmp_path / "windows.pt")
    assert opened.weight_files == (tmp_path / "windows.pt",)
    for name, value in trained.state_dict().items():
        assert torch.equal(opened.state_dict()[name], value.half().float())


def test_of_several_checkpoints_the_mean_is_exported(trained: WindowUNet, tmp_path: Path) -> None:
    other = WindowUNet()
    torch.save(other.state_dict(), tmp_path / "other.pt")
    export_window_unet([tmp_path / "checkpoint.pt", tmp_path / "other.pt"], tmp_path / "windows.pt")
    opened = open_window_unet(tmp_path / "windows.pt").state_dict()
    for name, value in trained.state_dict().items():
        torch.testing.assert_close(opened[name], (value + other.state_dict()[name]) / 2, rtol=1e-3, atol=1e-4)
    assert (tmp_path / "windows.pt").stat().st_size < 7e6


def test_no_checkpoint_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="checkpoint must name at least one file, got none"):
        export_window_unet([], tmp_path / "windows.pt")


def test_a_file_of_another_network_is_refused(tmp_path: Path) -> None:
    torch.save(torch.nn.Linear(2, 2).state_dict(), tmp_path / "other.pt")
    with pytest.raises(ValueError, match=r"other\.pt is not of a WindowUNet: Missing key"):
        open_window_unet(tmp_path / "other.pt")


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"none\.pt"):
        open_window_unet(tmp_path / "none.pt")


def test_weights_beyond_half_precision_are_refused(trained: WindowUNet, tmp_path: Path) -> None:
    with torch.no_grad():
        next(trained.parameters())[0] = 1e6
    torch.save(trained.state_dict(), tmp_path / "large.pt")
    with pytest.raises(ValueError, match="do not fit half precision"):
        export_window_unet(tmp_path / "large.pt", tmp_path / "windows.pt")
    assert not (tmp_path / "windows.pt").exists()


def test_all_weights_get_gradients() -> None:
    network = WindowUNet((4, 8, 8, 8))
    network(torch.randn(2, 7, 16, 32, 32)).square().mean().backward()
    assert [name for name, weight in network.named_parameters() if weight.grad is None] == []
