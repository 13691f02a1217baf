# Copyright (c) monai_synthfm contributors
# Licensed under the Apache License, Version 2.0 (http://www.apache.org/licenses/LICENSE-2.0).
# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from pathlib import Path

import pytest

from monai_synthfm.data.staging import staged_files


def test_files_appear_together_when_the_block_ends(tmp_path: Path) -> None:
    folder = tmp_path / "a" / "b"
    with staged_files(folder) as stage:
        (stage / "one").write_text("1")
        (stage / "two").write_text("2")
        assert not (folder / "one").exists()
    assert sorted(path.name for path in folder.iterdir()) == ["one", "two"]


def write_and_fail(folder: Path, error: BaseException) -> None:
    with staged_files(folder) as stage:
        (stage / "one").write_text("new")
        raise error


def test_an_error_leaves_nothing_behind(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError, match="disk"):
        write_and_fail(tmp_path / "a" / "b", RuntimeError("disk"))
    assert not list(tmp_path.iterdir())


def test_an_error_leaves_earlier_files_as_they_were(tmp_path: Path) -> None:
    (tmp_path / "one").write_text("old")
    with pytest.raises(KeyboardInterrupt):
        write_and_fail(tmp_path, KeyboardInterrupt())
    assert [path.name for path in tmp_path.iterdir()] == ["one"]
    assert (tmp_path / "one").read_text() == "old"
