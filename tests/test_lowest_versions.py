# Copyright (c) monai_synthfm contributors
# Licensed under the Apache License, Version 2.0 (http://www.apache.org/licenses/LICENSE-2.0).
# SPDX-License-Identifier: Apache-2.0
"""The constraint file of the lowest versions that pyproject.toml admits."""

from __future__ import annotations

import runpy
from collections.abc import Callable
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.version import Version
from setuptools.config.pyprojecttoml import load_file

from tests.conftest import ROOT

pytest.importorskip("tomllib", reason="the script reads TOML with Python's own reader, from 3.11 on")

PROJECT = ROOT / "pyproject.toml"


@pytest.fixture
def lowest_versions() -> Callable[[Path], list[str]]:
    return runpy.run_path(str(ROOT / "scripts" / "lowest_versions.py"))["lowest_versions"]


def test_each_dependency_is_held_at_its_floor(lowest_versions: Callable[[Path], list[str]]) -> None:
    asked = {need.name: need.specifier for need in map(Requirement, load_file(PROJECT)["project"]["dependencies"])}
    held = {name: Version(version) for name, version in (line.split("==") for line in lowest_versions(PROJECT))}
    assert held.keys() == asked.keys()
    for name, version in held.items():
        assert asked[name].contains(version), name
        assert not asked[name].contains(f"{version}.dev0", prereleases=True), name


def test_a_dependency_without_a_floor_is_named(tmp_path: Path, lowest_versions: Callable[[Path], list[str]]) -> None:
    project = tmp_path / "pyproject.toml"
    project.write_text('[project]\ndependencies = ["numpy>=1.26", "scipy"]\n')
    with pytest.raises(ValueError, match=r"pyproject\.toml: dependency 'scipy' must be a name with >= and a version"):
        lowest_versions(project)
