# Copyright (c) monai_synthfm contributors
# Licensed under the Apache License, Version 2.0 (http://www.apache.org/licenses/LICENSE-2.0).
# SPDX-License-Identifier: Apache-2.0
"""Tests lie as the package does: what ``monai_synthfm/x/y.py`` does is stated in ``tests/x/test_y.py``."""

from __future__ import annotations

from pathlib import Path

import monai_synthfm

PACKAGE, TESTS = Path(monai_synthfm.__file__).parent, Path(__file__).parent
WITHOUT = {
    "evaluation/protocol.py": "an interface; the protocols of slices and of volumes have tests",
    "inferers/propagation/propagation.py": "an interface; each propagation has tests",
}
"""Modules without a test of their name, and why."""


def test_every_module_has_a_test_of_its_name() -> None:
    modules = [path.relative_to(PACKAGE) for path in PACKAGE.rglob("*.py") if not path.stem.startswith("__")]
    untested = {path.as_posix() for path in modules if not (TESTS / path.with_name(f"test_{path.name}")).is_file()}
    assert len(modules) > 100
    assert untested == WITHOUT.keys()
