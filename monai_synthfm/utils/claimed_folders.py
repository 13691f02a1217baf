# Copyright (c) monai_synthfm contributors
# Licensed under the Apache License, Version 2.0 (http://www.apache.org/licenses/LICENSE-2.0).
# SPDX-License-Identifier: Apache-2.0
"""Folders that belong to one set of samples."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from monai_synthfm.utils.atomic_files import staged_files

__all__ = ["MANIFEST", "claim_folder"]

MANIFEST = "manifest.json"


def claim_folder(folder: Path, manifest: dict[str, Any]) -> None:
    """
    Write the manifest of a set of samples, unless the folder holds it already.

    Args:
        folder: of the set; created when missing.
        manifest: what the set is, as it comes out of JSON.

    Raises:
        ValueError: when the folder holds another set.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as home:
        ...     claim_folder(Path(home), {"seed": 0})
        ...     claim_folder(Path(home), {"seed": 1})
        Traceback (most recent call last):
        ...
        ValueError: ... holds another set of samples, its manifest.json differs in seed: choose another folder.
    """
    path = folder / MANIFEST
    if not path.exists():
        with staged_files(folder) as stage:
            (stage / MANIFEST).write_text(json.dumps(manifest, indent=2) + "\n", encoding="utf-8")
    found = json.loads(path.read_text(encoding="utf-8"))
    other = sorted(key for key in {*found, *manifest} if found.get(key) != manifest.get(key))
    if other:
        raise ValueError(
            f"{folder} holds another set of samples, its {MANIFEST} differs in {', '.join(other)}: "
            f"choose another folder."
        )
