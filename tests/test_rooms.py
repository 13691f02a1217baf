# Copyright (c) monai_synthfm contributors
# Licensed under the Apache License, Version 2.0 (http://www.apache.org/licenses/LICENSE-2.0).
# SPDX-License-Identifier: Apache-2.0
"""Data flows one way through the package: no folder imports one that stands to its right."""

from __future__ import annotations

import ast
import importlib
import pkgutil
from pathlib import Path
from types import ModuleType

import pytest

import monai_synthfm

PACKAGE = Path(monai_synthfm.__file__).parent
ROOMS = (
    *(
        "bundles",
        "utils",
        "synthesis",
        "prompts",
        "io",
        "windows",
        "transforms",
        "networks",
        "slices",
        "data",
        "embeddings",
    ),
    *("losses", "inferers", "pictures", "handlers", "batch", "fl", "evaluation", "commands", "viewer"),
)


def imported_rooms(file: Path) -> set[str]:
    """Names of the package's folders that a module imports, at its top or within functions."""
    found = set()
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.module and node.module.startswith("monai_synthfm."):
            found.add(node.module.split(".")[1])
        elif isinstance(node, ast.Import):
            found |= {name.name.split(".")[1] for name in node.names if name.name.startswith("monai_synthfm.")}
    return found


def test_every_folder_has_its_place() -> None:
    assert {path.name for path in PACKAGE.iterdir() if (path / "__init__.py").is_file()} == {*ROOMS} - {"bundles"}


@pytest.mark.parametrize("room", ROOMS)
def test_a_folder_imports_only_those_to_its_left(room: str) -> None:
    allowed = {*ROOMS[: ROOMS.index(room) + 1]}
    files = [PACKAGE / f"{room}.py"] if room == "bundles" else sorted((PACKAGE / room).rglob("*.py"))
    assert {str(file): imported_rooms(file) - allowed for file in files if imported_rooms(file) - allowed} == {}


@pytest.mark.parametrize("room", [*ROOMS, "io.dicom", "inferers.propagation", "inferers.session"])
def test_no_name_of_a_folder_hides_one_of_its_modules(room: str) -> None:
    """From Python 3.12 on, what configs name in that way is the module."""
    folder = importlib.import_module(f"monai_synthfm.{room}")
    modules = {module.name for module in pkgutil.iter_modules(getattr(folder, "__path__", []))}
    hidden = {name for name in modules if not isinstance(getattr(folder, name, None), ModuleType | None)}
    assert hidden == set()
