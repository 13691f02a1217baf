# Copyright (c) monai_synthfm contributors
# Licensed under the Apache License, Version 2.0 (http://www.apache.org/licenses/LICENSE-2.0).
# SPDX-License-Identifier: Apache-2.0
"""What people see of ``python -m monai.bundle run``: results where they were wanted, or one line."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
import torch

from monai_synthfm.networks import MobileSam, prepare
from monai_synthfm.networks.weights.fingerprint import file_settings
from tests.bundles.stored_volumes import ORIENTATIONS, STRAIGHT, store

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with an image under a link of another name, and the weights of a network that finds nothing."""
    folder = tmp_path_factory.mktemp("home")
    voxels = np.random.default_rng(0).integers(0, 100, (24, 22, 9)).astype(np.int16)
    store(folder / "blob.nii.gz", voxels, STRAIGHT, ORIENTATIONS[0])
    (folder / "sub#1.nii.gz").symlink_to(folder / "blob.nii.gz")
    network = prepare(MobileSam(image_size=64), reset_decoder=True, seed=3)
    for hypernetwork in network.mask_decoder.output_hypernetworks_mlps:
        torch.nn.init.zeros_(hypernetwork.layers[-1].weight)
        torch.nn.init.zeros_(hypernetwork.layers[-1].bias)
    torch.save({"model": network.state_dict(), "settings": file_settings(network)}, folder / "empty.pt")
    return folder


def run(home: Path, bundle_dir: Path, *words: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "monai.bundle", "run", "--config_file"]
    command += [str(bundle_dir / "configs" / "inference.yaml"), "--image", "sub#1.nii.gz"]
    command += ["--model", "empty.pt", "--direction", "none"]
    command += ["--points", "[[[4,7,3]]]", "--point_labels", "[[1]]", *words]
    return subprocess.run(command, cwd=home, capture_output=True, text=True, timeout=300, check=False)


def test_results_are_where_they_were_wanted_and_an_empty_one_is_told(home: Path, bundle_dir: Path) -> None:
    done = run(home, bundle_dir, "--output_dir", "exp#1", "--probabilities", "false", "--on_empty", "fail")
    assert done.returncode == 3, done.stderr
    assert done.stderr.splitlines()[-1] == "error: nothing was found for object 1 of sub#1.nii.gz."
    assert "Nothing was found for object 1 of sub#1.nii.gz" in done.stdout
    assert {path.name for path in (home / "exp#1").iterdir()} == {
        "sub#1_segmentation.nii.gz",
        "sub#1_overlay.png",
        "sub#1_report.json",
    }
    assert not (home / "exp").exists()
    assert json.loads((home / "exp#1" / "sub#1_report.json").read_text())["empty"] == [1]
    assert not nib.load(home / "exp#1" / "sub#1_segmentation.nii.gz").get_fdata().any()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--modalty", "mr"], "there is no option 'modalty'; did you mean 'modality'?"),
        (["--model", "2024_01_05"], "network '2024_01_05' is neither a file nor one of synthfm, "),
        (["--image_size", "128"], "empty.pt: trained with image_size=64, it cannot be opened with 128."),
        (["--output_dir", "empty.pt"], "output_dir empty.pt: expected a folder, found a file."),
    ],
)
def test_what_is_wrong_is_told_in_one_line_and_nothing_is_made(
    home: Path, bundle_dir: Path, words: list[str], message: str
) -> None:
    before = set(home.iterdir())
    failed = run(home, bundle_dir, "--output_dir", "wrong", *words)
    assert failed.returncode == 1
    assert failed.stderr.splitlines()[-1].startswith(f"error: {message}")
    assert "Traceback" not in failed.stderr
    assert set(home.iterdir()) == before


def write_network(path: Path) -> None:
    network = prepare(MobileSam(image_size=64), reset_decoder=True, seed=3)
    torch.save({"model": network.state_dict(), "settings": file_settings(network)}, path)


def test_the_short_command_gives_the_same_bytes(home: Path, bundle_dir: Path) -> None:
    write_network(home / "random.pt")
    words = ["--output_dir", "long", "--boxes", "[[]]", "--model", "random.pt"]
    assert run(home, bundle_dir, *words).returncode == 0
    command = [sys.executable, "-m", "monai_synthfm", "segment", "--click", "4", "7", "3", "sub#1.nii.gz"]
    command += ["--model=random.pt", "--direction=none"]
    done = subprocess.run([*command, "--output", "short"], cwd=home, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    for ending in ("segmentation.nii.gz", "overlay.png"):
        assert (home / "long" / f"sub#1_{ending}").read_bytes() == (home / "short" / f"sub#1_{ending}").read_bytes()
    reports = [json.loads((home / folder / "sub#1_report.json").read_text()) for folder in ("long", "short")]
    assert all(report.pop("seconds") > 0 for report in reports)
    assert reports[0] == reports[1]
    assert reports[0]["empty"] == []


def test_a_killed_batch_goes_on(home: Path) -> None:
    folder = home / "batch"
    folder.mkdir()
    write_network(folder / "random.pt")
    for number in range(6):
        (folder / f"{number}.nii.gz").symlink_to(home / "blob.nii.gz")
    (folder / "prompts.csv").write_text("image,clicks\n" + "".join(f"{n}.nii.gz,4 7 3\n" for n in range(6)))
    command = [sys.executable, "-m", "monai_synthfm", "batch", "prompts.csv", "--output", "out"]
    command += ["--model", "random.pt"]
    with subprocess.Popen(command, cwd=folder, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as running:
        while not (folder / "out" / "1_report.json").is_file():
            assert running.poll() is None
            time.sleep(0.01)
        running.kill()
    before = {path: path.stat().st_mtime_ns for path in (folder / "out").glob("*_report.json")}
    assert 2 <= len(before) < 6
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr
    assert all(path.stat().st_mtime_ns == changed for path, changed in before.items())
    segmentations = [(folder / "out" / f"{number}_segmentation.nii.gz").read_bytes() for number in range(6)]
    assert segmentations == segmentations[:1] * 6
    assert len((folder / "out" / "summary.csv").read_text().splitlines()) == 7

    with (folder / "prompts.csv").open("a") as table:
        table.write("no.nii.gz,1 1 1\n")
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 4
    assert done.stderr.splitlines()[-1].startswith("error: 1 of 7 images failed, see out/failed.csv")
