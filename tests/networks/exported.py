# Copyright (c) monai_synthfm contributors
# Licensed under the Apache License, Version 2.0 (http://www.apache.org/licenses/LICENSE-2.0).
# SPDX-License-Identifier: Apache-2.0
"""Small random networks and their ONNX files, exported once for all tests."""

from __future__ import annotations

import tempfile
from functools import cache
from pathlib import Path

import pytest
import torch

from monai_synthfm.networks import MobileSam, Sam, Sam2, export_onnx
from monai_synthfm.networks.promptable import Promptable
from tests.networks.conftest import TINY
from tests.networks.upstream_sam2 import SMALL

NETWORKS = ("Sam", "MobileSam", "Sam2")
# What ends with the process, not with a test.
_FOLDER = tempfile.TemporaryDirectory(prefix="onnx-")


def new_network(name: str, image_size: int = 64, seed: int = 0) -> Promptable:
    """Build a small network with no parameter at zero, where constructors leave some."""
    torch.manual_seed(seed)
    network = {
        "Sam": lambda: Sam(TINY, image_size=image_size),
        "MobileSam": lambda: MobileSam(image_size=image_size),
        "Sam2": lambda: Sam2(SMALL["2.1"], image_size=image_size),
    }[name]()
    with torch.no_grad():
        for parameter in network.parameters():
            if parameter.abs().max() == 0:
                parameter.normal_(std=0.3)
    return network.requires_grad_(False).eval()


@cache
def exported(name: str) -> tuple[Promptable, Path, Path]:
    """Return a network with the paths of its encoder and its decoder; skip the test where nothing can export them."""
    pytest.importorskip("onnxscript", reason="torch exports to ONNX with onnxscript")
    pytest.importorskip("onnxruntime", reason="exported files are run by onnxruntime")
    network = new_network(name)
    return network, *export_onnx(network, Path(_FOLDER.name) / name)
