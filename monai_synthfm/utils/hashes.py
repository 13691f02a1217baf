# Copyright (c) monai_synthfm contributors
# Licensed under the Apache License, Version 2.0 (http://www.apache.org/licenses/LICENSE-2.0).
# SPDX-License-Identifier: Apache-2.0
"""SHA-256 of files."""

from __future__ import annotations

import hashlib
from pathlib import Path

__all__ = ["check_sha256", "sha256_of"]

_CHUNK = 1 << 20


def sha256_of(path: str | Path) -> str:
    """Return the SHA-256 of a file as 64 hexadecimal digits.

    Example:
        >>> import os
        >>> sha256_of(os.devnull)[:8]
        'e3b0c442'
    """
    digest = hashlib.sha256()
    with open(path, "rb") as file:
        while chunk := file.read(_CHUNK):
            digest.update(chunk)
    return digest.hexdigest()


def check_sha256(path: Path, expected: str, name: str, remedy: str) -> None:
    """Compare a file with its pinned hash.

    Args:
        path: file to read.
        expected: its SHA-256.
        name: how the message calls the file.
        remedy: what the user can do about it.

    Raises:
        ValueError: when the hash is another one.
    """
    found = sha256_of(path)
    if found != expected:
        raise ValueError(f"{name} is not the published file: expected sha256 {expected}, found {found}. {remedy}")
