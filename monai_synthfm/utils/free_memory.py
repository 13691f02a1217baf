# Copyright (c) monai_synthfm contributors
# Licensed under the Apache License, Version 2.0 (http://www.apache.org/licenses/LICENSE-2.0).
# SPDX-License-Identifier: Apache-2.0
"""How much memory there is for what may be kept and may be dropped."""

from __future__ import annotations

import os
import re
from pathlib import Path

import torch

__all__ = ["free_memory"]

_UNKNOWN = 2**31
# of a container: where its limit, its use and what of this are files that can be dropped are told
_GROUPS = (
    ("memory.max", "memory.current", "memory.stat", "inactive_file"),
    ("memory/memory.limit_in_bytes", "memory/memory.usage_in_bytes", "memory/memory.stat", "total_inactive_file"),
)


def free_memory(device: torch.device | str = "cpu", root: str | Path = "/") -> int:
    """
    Return the bytes that can still be taken on a device.

    On the host these are the least of what the system calls available and what a container's limit leaves. Where
    neither is told, as on some systems other than Linux, 2 GiB are assumed.

    Args:
        device: the host, or a CUDA device.
        root: of the file system in which the kernel tells about memory.

    Example:
        >>> free_memory() > 0
        True
    """
    device = torch.device(device)
    if device.type == "cuda":
        return int(torch.cuda.mem_get_info(device)[0])
    told = [_available(Path(root)), *(_left_in_group(Path(root) / "sys/fs/cgroup", *names) for names in _GROUPS)]
    known = [bytes_ for bytes_ in told if bytes_ is not None]
    return max(0, min(known)) if known else _UNKNOWN


def _available(root: Path) -> int | None:
    found = re.search(r"MemAvailable:\s+(\d+) kB", _text(root / "proc/meminfo"))
    if found:
        return int(found[1]) * 1024
    try:
        return os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") if root == Path("/") else None
    except (ValueError, OSError, AttributeError):
        return None


def _left_in_group(folder: Path, limit: str, used: str, parts: str, droppable: str) -> int | None:
    limit_text, used_text = _text(folder / limit).strip(), _text(folder / used).strip()
    if not limit_text.isdigit() or not used_text.isdigit():  # "max" is no limit
        return None
    found = re.search(rf"^{droppable} (\d+)$", _text(folder / parts), re.MULTILINE)
    return int(limit_text) - int(used_text) + (int(found[1]) if found else 0)


def _text(path: Path) -> str:
    try:
        return path.read_text()
    except OSError:
        return ""
