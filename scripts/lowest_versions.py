# Copyright (c) monai_synthfm contributors
# Licensed under the Apache License, Version 2.0 (http://www.apache.org/licenses/LICENSE-2.0).
# SPDX-License-Identifier: Apache-2.0
"""Print the lowest versions that pyproject.toml admits of what this package needs, as a constraint file of pip.

python scripts/lowest_versions.py > lowest.txt
PIP_CONSTRAINT=$PWD/lowest.txt bash scripts/test.sh
"""

from __future__ import annotations

import re
import sys
from pathlib import Path

import tomllib

PROJECT = Path(__file__).resolve().parents[1] / "pyproject.toml"
FLOOR = re.compile(r"([\w-]+)>=([\d.]+)")


def lowest_versions(project: Path) -> list[str]:
    """Return a line ``name==version`` for each dependency, without those of extras.

    Raises:
        ValueError: when a dependency has no floor, or more than a floor.
    """
    found = []
    for dependency in tomllib.loads(project.read_text(encoding="utf-8"))["project"]["dependencies"]:
        floor = FLOOR.fullmatch(dependency)
        if floor is None:
            raise ValueError(f"{project}: dependency {dependency!r} must be a name with >= and a version.")
        found.append("==".join(floor.groups()))
    return found


if __name__ == "__main__":
    sys.stdout.write("\n".join(lowest_versions(PROJECT)) + "\n")
