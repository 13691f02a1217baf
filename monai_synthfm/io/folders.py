# Copyright (c) monai_synthfm contributors
# Licensed under the Apache License, Version 2.0 (http://www.apache.org/licenses/LICENSE-2.0).
# SPDX-License-Identifier: Apache-2.0
"""Finding files in downloads that were unzipped, renamed and moved in many ways."""

from __future__ import annotations

import csv
import os
import re
from collections.abc import Callable, Iterator
from pathlib import Path

from monai_synthfm.io.faults import FaultError

__all__ = [
    "contents",
    "entries",
    "file_of_stem",
    "files_by_stem",
    "find_root",
    "natural_key",
    "read_rows",
    "subfolders",
]

_JUNK = {"__MACOSX", "Thumbs.db", "desktop.ini"}
_DEPTH = 4
_SHOWN = 6


def natural_key(name: str | Path) -> tuple[tuple[int, int, str], ...]:
    """
    Return a sort key that compares numbers within names as numbers, with or without zeros in front.

    Example:
        >>> sorted(["s10.png", "s9.png", "s008.png"], key=natural_key)
        ['s008.png', 's9.png', 's10.png']
    """
    parts = re.split(r"(\d+)", Path(name).name)
    return tuple((1, int(part), "") if index % 2 else (0, 0, part) for index, part in enumerate(parts))


def entries(folder: str | Path) -> list[Path]:
    """List a folder in natural order, without hidden files and what macOS and Windows leave in archives."""
    names = (name for name in os.listdir(folder) if not name.startswith(".") and name not in _JUNK)
    return [Path(folder) / name for name in sorted(names, key=lambda name: (natural_key(name), name))]


def subfolders(folder: str | Path, pattern: str = "") -> list[Path]:
    """List the folders within ``folder`` whose whole names match a regular expression (all by default)."""
    return [path for path in entries(folder) if path.is_dir() and (not pattern or re.fullmatch(pattern, path.name))]


def contents(folder: str | Path) -> str:
    """
    Say in a few words what a folder holds, for error messages.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     empty = contents(folder)
        ...     for number in range(9):
        ...         (Path(folder) / f"case_{number}").mkdir()
        ...     empty, contents(folder)
        ('nothing', 'case_0/, case_1/, case_2/, case_3/, case_4/, case_5/ and 3 more')
    """
    names = [f"{path.name}/" if path.is_dir() else path.name for path in entries(folder)]
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return ", ".join(names[:_SHOWN]) + more if names else "nothing"


def files_by_stem(
    folder: str | Path, suffixes: tuple[str, ...], drop: str = "", twice: dict[str, FaultError] | None = None
) -> dict[str, Path]:
    """
    Map the stems of the files of a folder to the files, in natural order; a missing folder has none.

    Args:
        folder: where to look.
        suffixes: endings of the names, such as ``(".nii.gz", ".nii")``, in small or capital letters; they are not part
            of the stem.
        drop: ending that is taken off the stem as well; files without it are kept.
        twice: takes the faults of stems that several files have, of which the first is kept.

    Raises:
        FaultError: when two files have one stem and ``twice`` is None.
    """
    found: dict[str, Path] = {}
    if not Path(folder).is_dir():
        return found
    for path in entries(folder):
        suffix = next((suffix for suffix in suffixes if path.name.lower().endswith(suffix)), None)
        if suffix is None or path.is_dir():
            continue
        stem = path.name[: -len(suffix)].removesuffix(drop)
        if stem not in found:
            found[stem] = path
            continue
        fault = FaultError("duplicate", path, f"the same case as {found[stem].name}; keep one of them")
        if twice is None:
            raise fault
        twice[stem] = fault
    return found


def file_of_stem(folder: str | Path, stem: str, suffixes: tuple[str, ...], code: str) -> Path:
    """
    Find the one file of a folder that has a stem, whichever of the endings it has, in small or capital letters.

    Args:
        folder: where to look.
        stem: name without the ending.
        suffixes: endings, such as ``(".nii.gz", ".nii")``.
        code: of the fault when there is none, such as ``missing_image``.

    Raises:
        FaultError: when there is no such file, or several.
    """
    names = {f"{stem}{suffix}" for suffix in suffixes}
    found = [
        path
        for path in (entries(folder) if Path(folder).is_dir() else [])
        if path.name[: len(stem)] + path.name[len(stem) :].lower() in names and not path.is_dir()
    ]
    if not found:
        raise FaultError(code, Path(folder) / f"{stem}{suffixes[0]}", f"no such file, nor with {suffixes[1:]}")
    if len(found) > 1:
        raise FaultError("duplicate", found[1], f"the same case as {found[0].name}; keep one of them")
    return found[0]


def find_root(root: str | Path, is_root: Callable[[Path], bool], marker: str) -> Path:
    """
    Find the folder of a dataset in ``root`` itself or at most four levels below.

    Args:
        root: where the download lies.
        is_root: tells whether a folder is the one looked for.
        marker: what makes it so, in words for the error message.

    Returns:
        The folder nearest to ``root``.

    Raises:
        FileNotFoundError: when ``root`` is no folder, or no folder in it is the dataset's; with what was found there.
        FaultError: when several folders on one level are.
    """
    root = Path(os.path.abspath(root))
    if not root.is_dir():
        found_there = "a file; unpack it and name the folder" if root.is_file() else "no such folder"
        raise FileNotFoundError(f"root {root}: {found_there}.")
    for level in _levels(root):
        found = [folder for folder in level if is_root(folder)]
        if len(found) > 1:
            names = ", ".join(str(folder) for folder in found)
            raise FaultError("ambiguous", root, f"several folders hold {marker}: {names}; name one of them")
        if found:
            return found[0]
    raise FileNotFoundError(
        f"root {root}: expected {marker} in it or at most {_DEPTH} levels below, found {contents(root)}."
    )


def read_rows(path: str | Path, delimiter: str = ",") -> list[dict[str, str]]:
    """
    Read a table with a header row, with or without a byte order mark; blanks around names and values are dropped.

    Raises:
        FaultError: when the file is not text or has no header.
    """
    try:
        with open(path, newline="", encoding="utf-8-sig") as file:
            reader = csv.DictReader(file, delimiter=delimiter)
            names, rows = reader.fieldnames, list(reader)
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise FaultError("unreadable", path, f"not a readable table ({error})") from error
    if not names:
        raise FaultError("unreadable", path, "expected a table with a header row, found nothing")
    return [{name.strip(): (row[name] or "").strip() for name in names} for row in rows]


def _levels(root: Path) -> Iterator[list[Path]]:
    level = [root]
    for _ in range(_DEPTH + 1):
        yield level
        level = [child for folder in level for child in subfolders(folder)]
