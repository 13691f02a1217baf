# Copyright (c) monai_synthfm contributors
# Licensed under the Apache License, Version 2.0 (http://www.apache.org/licenses/LICENSE-2.0).
# SPDX-License-Identifier: Apache-2.0
"""Files that appear all together or not at all."""

from __future__ import annotations

import os
import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from filelock import FileLock, Timeout

__all__ = ["check_writable", "clear_staged", "staged_files"]

_PREFIX = ".staged-"
_MAKING = ".staging-"
_LOCK = ".lock"
_ABANDONED = 24 * 3600.0  # seconds after which a folder without a lock belongs to nobody
_cleared: set[Path] = set()


@contextmanager
def staged_files(folder: str | Path) -> Iterator[Path]:
    """
    Give a temporary folder whose files move into ``folder`` when the block ends without an error.

    What killed processes left in ``folder`` is removed the first time that this process writes there, see
    :func:`clear_staged`.

    Args:
        folder: where the files are to appear; created when missing. Existing files of the same names are replaced.

    Raises:
        OSError: when the folder cannot be made or written to, see :func:`check_writable`.

    Example:
        >>> with tempfile.TemporaryDirectory() as home:
        ...     with staged_files(f"{home}/out") as stage:
        ...         _ = (stage / "report.json").write_text("{}")
        ...     print(os.listdir(f"{home}/out"))
        ['report.json']
    """
    check_writable(folder, "folder")
    folder = Path(folder)
    missing = [path for path in (folder, *folder.parents) if not path.exists()]
    folder.mkdir(parents=True, exist_ok=True)
    if (resolved := folder.resolve()) not in _cleared:
        _cleared.add(resolved)
        clear_staged(folder)
    # Beside their final places, since a rename is atomic only within one file system.
    making = Path(tempfile.mkdtemp(prefix=_MAKING, dir=folder))
    stage = making.with_name(_PREFIX + making.name.removeprefix(_MAKING))
    lock = FileLock(making / _LOCK)
    try:
        with suppress(OSError, NotImplementedError):  # file systems without locks
            lock.acquire()
        making.rename(stage)  # from here on others see that it is alive
        yield stage
        for path in sorted(stage.iterdir()):
            if path.name != _LOCK:
                os.replace(path, folder / path.name)
    except BaseException:
        lock.release()
        for left in (making, stage):
            shutil.rmtree(left, ignore_errors=True)
        with suppress(OSError):
            for path in missing:
                path.rmdir()
        raise
    lock.release()
    shutil.rmtree(stage, ignore_errors=True)  # without the lock, another process may remove it at the same time


def clear_staged(folder: str | Path) -> None:
    """
    Remove what killed processes left of :func:`staged_files` in a folder; what a living one is writing stays.

    A living process holds a lock on its files, which the system takes from it when it ends, however it ends. Where
    there are no locks, files belong to nobody after a day.
    """
    for left in [*Path(folder).glob(f"{_PREFIX}*"), *Path(folder).glob(f"{_MAKING}*")]:
        with suppress(OSError, NotImplementedError, Timeout):
            if (left / _LOCK).is_file() and left.name.startswith(_PREFIX):
                with FileLock(left / _LOCK, timeout=0):
                    shutil.rmtree(left, ignore_errors=True)
            elif time.time() - left.stat().st_mtime > _ABANDONED:
                shutil.rmtree(left, ignore_errors=True)


def check_writable(folder: str | Path, name: str = "output_dir") -> None:
    """
    Check that files can be written into a folder, which may be made for it, without making anything.

    Args:
        folder: where files are to appear.
        name: of the option, for the message.

    Raises:
        ValueError: when it is no path.
        NotADirectoryError: when it or a folder above it is a file.
        PermissionError: when nothing may be written there.

    Example:
        >>> check_writable(tempfile.gettempdir() + "/new/folder")
        >>> check_writable(__file__)
        Traceback (most recent call last):
        ...
        NotADirectoryError: output_dir ...atomic_files.py: expected a folder, found a file.
    """
    if not isinstance(folder, (str, Path)) or not str(folder):
        raise ValueError(f"{name} must be the path of a folder, got {folder!r}.")
    existing = next(path for path in (Path(folder), *Path(folder).absolute().parents) if os.path.lexists(path))
    if not existing.is_dir():
        where = "" if existing == Path(folder) else f" at {existing}"
        raise NotADirectoryError(f"{name} {folder}: expected a folder, found a file{where}.")
    if not os.access(existing, os.W_OK | os.X_OK):
        raise PermissionError(f"{name} {folder}: nothing may be written to {existing}.")
