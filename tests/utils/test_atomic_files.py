# Copyright (c) monai_synthfm contributors
# Licensed under the Apache License, Version 2.0 (http://www.apache.org/licenses/LICENSE-2.0).
# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

from monai_synthfm.utils.atomic_files import check_writable, clear_staged, staged_files


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


WRITER = """
import sys, time
from monai_synthfm.utils.atomic_files import staged_files
with staged_files(sys.argv[1]) as stage:
    (stage / "one").write_text("1")
    print("writing", flush=True)
    sys.stdin.read()
"""


def writing_process(folder: Path) -> subprocess.Popen[str]:
    """A process that has begun to write and goes on until its input is closed."""
    pipe = subprocess.PIPE
    process = subprocess.Popen([sys.executable, "-c", WRITER, str(folder)], stdin=pipe, stdout=pipe, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "writing\n"
    return process


def staged(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.glob(".stag*"))


def test_what_a_killed_process_left_is_removed_and_what_a_living_one_writes_stays(tmp_path: Path) -> None:
    living = writing_process(tmp_path)
    kept = staged(tmp_path)
    killed = writing_process(tmp_path)
    killed.kill()
    killed.communicate()
    assert len(staged(tmp_path)) == 2
    with staged_files(tmp_path) as stage:
        (stage / "two").write_text("2")
    assert staged(tmp_path) == kept
    living.communicate()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["one", "two"]


def test_folders_without_a_lock_belong_to_nobody_after_a_day(tmp_path: Path) -> None:
    for name, hours in ((".staged-old", 25), (".staging-old", 25), (".staged-new", 1), (".staging-new", 1)):
        (tmp_path / name).mkdir()
        (tmp_path / name / "file").write_text("")
        then = time.time() - 3600 * hours
        os.utime(tmp_path / name, (then, then))
    clear_staged(tmp_path)
    assert staged(tmp_path) == [".staged-new", ".staging-new"]


@pytest.mark.parametrize("below", ["", "/deeper", "/deeper/still"])
def test_a_file_in_the_way_is_told_before_anything_is_made(tmp_path: Path, below: str) -> None:
    (tmp_path / "out").write_text("mine")
    with pytest.raises(NotADirectoryError, match=r"output_dir .*out.*: expected a folder, found a file"):
        check_writable(f"{tmp_path}/out{below}")
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_a_folder_that_must_not_be_written_to_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "access", lambda path, mode: not mode & os.W_OK)
    with pytest.raises(PermissionError, match=f"cache_dir .*new: nothing may be written to {tmp_path}"):
        check_writable(tmp_path / "new", "cache_dir")


@pytest.mark.parametrize("folder", [["a"], 7, None, ""])
def test_what_is_no_path_is_told(folder: object) -> None:
    with pytest.raises(ValueError, match="output_dir must be the path of a folder"):
        check_writable(folder)  # type: ignore[arg-type]


def test_another_process_may_remove_what_a_finished_one_is_about_to_remove(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    removed = shutil.rmtree

    def removed_twice(path: Path, *args: bool, **kwargs: bool) -> None:
        removed(path)
        removed(path, *args, **kwargs)

    with staged_files(tmp_path) as stage:
        (stage / "one").write_text("1")
        monkeypatch.setattr("monai_synthfm.utils.atomic_files.shutil.rmtree", removed_twice)
    assert [path.name for path in tmp_path.iterdir()] == ["one"]
