# Copyright (c) monai_synthfm contributors
# Licensed under the Apache License, Version 2.0 (http://www.apache.org/licenses/LICENSE-2.0).
# SPDX-License-Identifier: Apache-2.0
"""Hashes of files."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from monai_synthfm.utils.hashes import check_sha256, sha256_of

CONTENT = bytes(range(256)) * 9000


SHA256 = hashlib.sha256(CONTENT).hexdigest()


def test_hash_equals_hashlibs_over_several_chunks(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(CONTENT)
    assert sha256_of(tmp_path / "file") == SHA256


def test_a_file_that_is_another_names_both_hashes_and_the_remedy(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(CONTENT[1:])
    found = hashlib.sha256(CONTENT[1:]).hexdigest()
    with pytest.raises(
        ValueError, match=f"net is not the published file: expected sha256 {SHA256}, found {found}. Delete it."
    ):
        check_sha256(tmp_path / "file", SHA256, "net", "Delete it.")
