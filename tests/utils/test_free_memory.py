# Copyright (c) monai_synthfm contributors
# Licensed under the Apache License, Version 2.0 (http://www.apache.org/licenses/LICENSE-2.0).
# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from pathlib import Path

import pytest

from monai_synthfm.utils.free_memory import free_memory

GIB = 2**30


def told(root: Path, files: dict[str, str]) -> Path:
    """Write what a kernel tells."""
    for name, text in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    return root


MEMINFO = f"MemTotal: 99 kB\nMemFree: 1 kB\nMemAvailable:   {6 * GIB // 1024} kB\n"


@pytest.mark.parametrize(
    ("limit", "expected"), [("max", 6 * GIB), (str(64 * GIB), 6 * GIB), (str(4 * GIB), 2 * GIB), (str(GIB), 0)]
)
def test_the_least_of_system_and_container_counts(tmp_path: Path, limit: str, expected: int) -> None:
    files = {
        "proc/meminfo": MEMINFO,
        "sys/fs/cgroup/memory.max": limit,
        "sys/fs/cgroup/memory.current": str(3 * GIB),
        "sys/fs/cgroup/memory.stat": f"anon 5\ninactive_file {GIB}\nactive_file 7\n",
    }
    root = told(tmp_path, files)
    assert free_memory(root=root) == expected


def test_the_older_form_of_a_limit_is_read_too(tmp_path: Path) -> None:
    folder = "sys/fs/cgroup/memory/memory"
    told(tmp_path, {f"{folder}.limit_in_bytes": f"{5 * GIB}\n", f"{folder}.usage_in_bytes": f"{3 * GIB}\n"})
    assert free_memory(root=tmp_path) == 2 * GIB


def test_where_nothing_is_told_there_are_two_gib(tmp_path: Path) -> None:
    assert free_memory(root=tmp_path) == 2 * GIB
