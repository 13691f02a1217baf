# Copyright (c) monai_synthfm contributors
# Licensed under the Apache License, Version 2.0 (http://www.apache.org/licenses/LICENSE-2.0).
# SPDX-License-Identifier: Apache-2.0
"""Bundles are found where the package is, and go where the package goes."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
import tarfile
import zipfile
from importlib.metadata import version
from pathlib import Path

import pytest
import torch
from monai.bundle import ConfigParser
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from setuptools.config.pyprojecttoml import load_file

from monai_synthfm import bundle_path
from monai_synthfm.bundles import BUNDLES
from monai_synthfm.networks import MobileSam
from monai_synthfm.networks.weights.fingerprint import file_settings
from tests.conftest import ROOT

ROOTED = sorted(
    path for path in ROOT.glob("bundles/*/configs/*.yaml") if re.search(r"^bundle_root:", path.read_text(), re.M)
)


def test_lines_of_configs_are_within_the_width_of_the_code() -> None:
    configs = [path for folder in ("bundles", "configs") for path in (ROOT / folder).rglob("*.yaml")]
    assert len(configs) > 40
    lines = [
        (path.name, number, line) for path in configs for number, line in enumerate(path.read_text().splitlines(), 1)
    ]
    assert [(name, number) for name, number, line in lines if len(line) > 120] == []


@pytest.mark.parametrize("name", BUNDLES)
def test_a_clone_has_its_own_bundles(name: str) -> None:
    assert bundle_path(name) == ROOT / "bundles" / name


@pytest.mark.parametrize("name", BUNDLES)
def test_a_bundle_has_no_folder_that_the_model_zoo_does_not_know(name: str) -> None:
    """Of what is kept: trainings and segmentations may have left their files beside."""
    if not (ROOT / ".git").exists():
        pytest.skip("not a clone")
    listed = subprocess.run(["git", "ls-files", "."], cwd=bundle_path(name), capture_output=True, text=True, check=True)
    kept = {line.split("/")[0] for line in listed.stdout.splitlines()}
    assert {"LICENSE", "configs", "docs"} <= kept <= {"LICENSE", "configs", "docs", "models", "large_files.yml"}


@pytest.mark.parametrize("config", ROOTED, ids=lambda path: f"{path.parts[-3]}-{path.stem}")
def test_configs_know_their_bundle_in_any_working_directory(
    config: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    parser = ConfigParser(ConfigParser.load_config_file(config))
    assert parser.get_parsed_content("bundle_root") == str(config.parents[1])
    # and nothing is written beside them
    assert not Path(parser.get_parsed_content("output_dir")).is_absolute()


def test_overrides_that_import_leave_the_bundle_known() -> None:
    for overrides in ROOT.glob("bundles/*/configs/*.yaml"):
        imports = ConfigParser.load_config_file(overrides).get("imports")
        assert imports is None or "$import monai_synthfm" in imports, overrides


def declared() -> dict[str, SpecifierSet]:
    """Versions of the packages that pyproject.toml asks for."""
    needs = map(Requirement, load_file(ROOT / "pyproject.toml")["project"]["dependencies"])
    return {need.name.lower(): need.specifier for need in needs}


def test_cards_name_versions_that_the_package_admits() -> None:
    floors = declared()
    for name in BUNDLES:
        card = json.loads((bundle_path(name) / "configs" / "metadata.json").read_text())
        named = {**card["required_packages_version"], "monai": card["monai_version"], "torch": card["pytorch_version"]}
        own = named.pop("monai-synthfm")
        assert own == card["version"]
        assert {package: found for package, found in named.items() if not floors[package.lower()].contains(found)} == {}


def test_old_versions_are_refused_and_hydra_is_declared() -> None:
    floors = declared()
    assert not floors["monai"].contains("1.5.1")
    assert not floors["torch"].contains("2.7.1")
    assert floors["hydra-core"].contains(version("hydra-core"))


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The package, installed from a wheel that was built of a source distribution, far from the clone."""
    home = tmp_path_factory.mktemp("installed")
    source = home / "source"
    hidden = shutil.ignore_patterns("__pycache__", "*.egg-info")
    for folder in ("monai_synthfm", "bundles"):
        shutil.copytree(ROOT / folder, source / folder, ignore=hidden)
    for file in ("pyproject.toml", "setup.py", "README.md", "LICENSE"):
        shutil.copy(ROOT / file, source)
    (source / "bundles" / "synthfm_sam" / "models" / "mine.pt").write_bytes(b"left by a training")
    build = "from setuptools import build_meta as b; print(b.build_sdist('../sdist'))"
    subprocess.run([sys.executable, "-c", build], cwd=source, check=True, capture_output=True)
    with tarfile.open(next((home / "sdist").glob("*.tar.gz"))) as archive:
        archive.extractall(home / "unpacked", filter="data")
    unpacked = next((home / "unpacked").iterdir())
    build = "from setuptools import build_meta as b; print(b.build_wheel('../../wheel'))"
    subprocess.run([sys.executable, "-c", build], cwd=unpacked, check=True, capture_output=True)
    wheel = next((home / "wheel").glob("*.whl"))
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-index", "--target", str(home / "site")]
    subprocess.run([*pip, str(wheel)], check=True, capture_output=True)
    return home


def outside(installed: Path, *words: str) -> subprocess.CompletedProcess[str]:
    """Run Python with the installed package, in a folder without anything."""
    cwd = installed / "elsewhere"
    cwd.mkdir(exist_ok=True)
    environment = {"PYTHONPATH": str(installed / "site"), "PATH": "/usr/bin:/bin", "OMP_NUM_THREADS": "1"}
    environment |= {"HOME": str(installed)}
    command = [sys.executable, *words]
    return subprocess.run(command, cwd=cwd, env=environment, capture_output=True, text=True, timeout=300, check=False)


@pytest.mark.slow
def test_a_wheel_carries_the_bundles(installed: Path) -> None:
    with zipfile.ZipFile(next((installed / "wheel").glob("*.whl"))) as wheel:
        found = {name: wheel.read(name) for name in wheel.namelist() if name.startswith("monai_synthfm/_bundles/")}
        data = {
            str(path.relative_to(ROOT)) for end in ("csv", "j2") for path in (ROOT / "monai_synthfm").rglob(f"*.{end}")
        }
        assert {"monai_synthfm/py.typed", *data} <= set(wheel.namelist())
        assert len(data) == 3
    tracked = [path for name in BUNDLES for path in (ROOT / "bundles" / name).rglob("*") if path.is_file()]
    wanted = [path for path in tracked if path.parent.name != "models" or path.name in ("model.pt", "windows.pt")]
    shipped = ("LICENSE", "large_files.yml", "configs", "docs", "models")
    wanted = [path for path in wanted if path.relative_to(ROOT).parts[2] in shipped]
    assert found == {
        f"monai_synthfm/_bundles/{path.relative_to(ROOT / 'bundles')}": path.read_bytes() for path in wanted
    }


@pytest.mark.slow
def test_an_installed_package_needs_no_clone(installed: Path) -> None:
    done = outside(installed, "-c", "import monai_synthfm as m; print(m.bundle_path('synthfm_sam'))")
    assert done.stdout.strip() == str(installed / "site" / "monai_synthfm" / "_bundles" / "synthfm_sam"), done.stderr
    config = f"{done.stdout.strip()}/configs/generate.yaml"
    words = ["-m", "monai.bundle", "run", "--config_file", config, "--number", "1", "--spatial_size", "[32,32]"]
    done = outside(installed, *words, "--native_size", "None", "--output_dir", "made")
    assert done.returncode == 0, done.stderr
    assert len(list((installed / "elsewhere" / "made").glob("*_image.png"))) == 1
    # the inference gets as far as the image, which is missing
    inference = config.replace("generate", "inference")
    network = MobileSam(image_size=64)
    model = str(installed / "whole.pt")  # needs no weights from elsewhere
    torch.save({"model": network.state_dict(), "settings": file_settings(network)}, model)
    words = ["-m", "monai.bundle", "run", "--config_file", inference, "--model", model, "--image", "no.nii.gz"]
    short = [str(installed / "site" / "bin" / "synthfm"), "segment", "no.nii.gz", "--model", model]
    for command in ([*words, "--points", "[[[1,1,1]]]", "--point_labels", "[[1]]"], [*short, "--click", "1", "1", "1"]):
        done = outside(installed, *command)
        assert done.returncode == 1
        assert done.stderr.splitlines()[-1].startswith("error: image no.nii.gz: no such file")


@pytest.mark.slow
def test_an_editable_install_has_the_bundles_of_its_clone(installed: Path) -> None:
    source, site = installed / "source", installed / "editable"
    build = "from setuptools import build_meta as b; print(b.build_editable('../editable'))"
    subprocess.run([sys.executable, "-c", build], cwd=source, check=True, capture_output=True)
    with zipfile.ZipFile(next(site.glob("*.whl"))) as wheel:
        wheel.extractall(site)
    # without the site-packages of this Python, where another copy may be installed
    code = (
        f"import site; site.addsitedir({str(site)!r}); import monai_synthfm as m; print(m.bundle_path('synthfm_sam'))"
    )
    command = [sys.executable, "-S", "-c", code]
    done = subprocess.run(command, cwd=installed, env={}, capture_output=True, text=True, check=False)
    assert done.stdout.strip() == str(source / "bundles" / "synthfm_sam"), done.stderr
