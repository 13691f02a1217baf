# Copyright (c) monai_synthfm contributors
# Licensed under the Apache License, Version 2.0 (http://www.apache.org/licenses/LICENSE-2.0).
# SPDX-License-Identifier: Apache-2.0
"""Versions of the software that results depend on."""

from __future__ import annotations

import sys
from importlib import import_module
from importlib.metadata import PackageNotFoundError, version

import pytest

from monai_synthfm import __version__
from monai_synthfm.utils import versions
from monai_synthfm.utils.versions import package_versions


@pytest.mark.parametrize("name", ["monai", "torch", "numpy", "scipy", "pandas", "nibabel"])
def test_versions_are_those_of_the_imported_packages(name: str) -> None:
    # a build of torch may say more of itself, such as 2.4.0+cpu
    assert import_module(name).__version__.partition("+")[0] == package_versions()[name].partition("+")[0]


def test_python_and_this_package_are_among_the_versions() -> None:
    found = package_versions()
    assert found["python"].split(".")[:2] == [str(part) for part in sys.version_info[:2]]
    assert found["monai_synthfm"] == __version__
    assert all(found["machine"].split())


def test_a_package_that_is_missing_is_said_to_be(monkeypatch: pytest.MonkeyPatch) -> None:
    def without_sam2(name: str) -> str:
        if name == "sam2":
            raise PackageNotFoundError(name)
        return version(name)

    monkeypatch.setattr(versions, "version", without_sam2)
    found = package_versions()
    assert found["sam2"] == "not installed"
    assert found["numpy"] == version("numpy")
