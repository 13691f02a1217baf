# Copyright (c) monai_synthfm contributors
# Licensed under the Apache License, Version 2.0 (http://www.apache.org/licenses/LICENSE-2.0).
# SPDX-License-Identifier: Apache-2.0
"""Versions of the software that results depend on."""

from __future__ import annotations

import platform
from importlib.metadata import PackageNotFoundError, version

import torch

from monai_synthfm import __version__

__all__ = ["package_versions"]

_PACKAGES = ("monai", "segment-anything", "sam2", "numpy", "scipy", "pandas", "nibabel", "SimpleITK")


def package_versions() -> dict[str, str]:
    """Return the versions of this package, of those that results depend on and of Python, and the kind of machine."""
    versions = {"monai_synthfm": __version__, "torch": torch.__version__}  # the latter with its build
    for name in _PACKAGES:
        try:
            versions[name] = version(name)
        except PackageNotFoundError:
            versions[name] = "not installed"
    machine = f"{platform.system()} {platform.machine()}"
    return {**versions, "python": platform.python_version(), "machine": machine}
