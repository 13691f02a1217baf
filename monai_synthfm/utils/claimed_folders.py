# Copyright (c) monai_synthfm contributors
# Licensed under the Apache License, Version 2.0 (http://www.apache.org/licenses/LICENSE-2.0).
# SPDX-License-Identifier: Apache-2.0
"""Folders that belong to one piece of work."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from monai_synthfm.utils.atomic_files import staged_files

__all__ = ["claim"]


def claim(folder: Path, file: str, content: Mapping[str, Any], what: str) -> None:
    """
    Write down what a folder belongs to, unless it belongs to that already.

    Args:
        folder: created when missing.
        file: below the folder, that says so.
        content: what decides the files of the folder, for JSON.
        what: belongs there, for the error.

    Raises:
        ValueError: when the folder belongs to another one.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as home:
        ...     claim(Path(home), "manifest.json", {"seed": 0}, "set of samples")
        ...     claim(Path(home), "manifest.json", {"seed": 1}, "set of samples")
        Traceback (most recent call last):
        ...
        ValueError: ... holds another set of samples, its manifest.json differs in seed: choose another folder.
    """
    path, text = folder / file, json.dumps(content, indent=2) + "\n"
    if not path.exists():
        with staged_files(path.parent) as stage:
            (stage / path.name).write_text(text, encoding="utf-8")
    found, wanted = json.loads(path.read_text(encoding="utf-8")), json.loads(text)
    other = sorted(key for key in {*found, *wanted} if found.get(key) != wanted.get(key))
    if other:
        raise ValueError(
            f"{folder} holds another {what}, its {file} differs in {', '.join(other)}: choose another folder."
        )
