# Copyright (c) monai_synthfm contributors
# Licensed under the Apache License, Version 2.0 (http://www.apache.org/licenses/LICENSE-2.0).
# SPDX-License-Identifier: Apache-2.0
"""Where a user's images and label maps lie: names with ``*`` for what differs from case to case."""

from __future__ import annotations

import re
from pathlib import Path, PurePath

from monai_synthfm.io.faults import FaultError
from monai_synthfm.io.folders import contents, entries, subfolders

__all__ = ["Layout", "case_id", "pair_up"]


class Layout:
    """
    A pattern of names below a root.

    Each ``*`` stands for some characters of one name. What they are, each told once, is the id of a case, and what the
    first of several is, its patient: ``*/*_frame*_gt`` finds ``patient001/patient001_frame12_gt.nii.gz`` as case
    ``patient001_12`` of patient ``patient001``. A pattern without ``*`` is the folder of all files.

    Args:
        root: folder of the data.
        pattern: such as ``images``, ``images/image_*``, ``*/imaging.nii.gz``; without an ending all are taken.
        suffix: end of the names in a folder before their ending, such as ``_0000``; for patterns without ``*``.
        endings: those that are known, in small letters.

    Raises:
        FileNotFoundError: when the folder that the pattern starts with is missing; with what there is instead.
        ValueError: when there are both a ``*`` and a suffix.
    """

    def __init__(self, root: Path, pattern: str, suffix: str, endings: tuple[str, ...]) -> None:
        if "*" in pattern and suffix:
            raise ValueError(f"a suffix is for folders; put {suffix!r} into the pattern {pattern!r} itself.")
        self.pattern = pattern if "*" in pattern else f"{pattern.rstrip('/')}/*{suffix}"
        self._endings = endings
        parts = list(PurePath(self.pattern).parts)
        first = next(index for index, part in enumerate(parts) if "*" in part)
        self.start = root.joinpath(*parts[:first])
        if not self.start.is_dir():
            raise FileNotFoundError(
                f"root {root}: no such folder: {self.start}; found {contents(root) if root.is_dir() else 'nothing'}. "
                "images and labels say where they lie: folders, or names with * for the case, such as "
                "'images/image_*', or '*/imaging.nii.gz' for one folder per case."
            )
        self._folders, name = parts[first:-1], parts[-1]
        stem, self._ending = self._split(name)
        self._name = _expression(stem)
        self.literal = len(self.pattern.replace("*", ""))

    def folders(self) -> list[tuple[Path, tuple[str, ...]]]:
        """List the folders in which the pattern looks for names, with what each ``*`` in their own stands for."""
        level: list[tuple[Path, tuple[str, ...]]] = [(self.start, ())]
        for part in self._folders:
            level = [
                (child, (*stars, *match.groups()))
                for folder, stars in level
                for child in subfolders(folder)
                if (match := re.fullmatch(_expression(part), child.name))
            ]
        return level

    def files(self) -> dict[Path, tuple[str, ...]]:
        """List what fits the pattern, files and folders, with what each ``*`` stands for."""
        found = {}
        for folder, stars in self.folders():
            for path in entries(folder):
                stem, ending = self._split(path.name)
                match = re.fullmatch(self._name, stem)
                known = ending == self._ending if self._ending else ending or path.is_dir()
                if match and known:
                    found[path] = (*stars, *match.groups())
        return found

    def _split(self, name: str) -> tuple[str, str]:
        ending = next((ending for ending in self._endings if name.lower().endswith(ending)), "")
        return name[: len(name) - len(ending)], ending


def case_id(stars: tuple[str, ...]) -> str:
    """
    Join what the ``*`` of a pattern stand for, each told once.

    Example:
        >>> case_id(("patient001", "patient001", "12"))
        'patient001_12'
    """
    return "_".join(dict.fromkeys(stars))


def pair_up(
    images: Layout, labels: Layout
) -> tuple[dict[str, Path], dict[str, Path], dict[str, FaultError], dict[Path, tuple[str, ...]]]:
    """
    List the images and the label maps of a folder by the ids of their cases.

    What fits both patterns is of the one that says more.

    Returns:
        - images by case id;
        - label maps by case id;
        - faults of ids that several files have;
        - all files that fit, with what each ``*`` stands for.
    """
    files = [images.files(), labels.files()]
    less, more = (0, 1) if images.literal <= labels.literal else (1, 0)
    for path in files[more]:
        files[less].pop(path, None)
    twice: dict[str, FaultError] = {}
    first, second = (_by_case(found, twice) for found in files)
    return first, second, twice, {**files[0], **files[1]}


def _by_case(files: dict[Path, tuple[str, ...]], twice: dict[str, FaultError]) -> dict[str, Path]:
    found: dict[str, Path] = {}
    for path, stars in files.items():
        key = case_id(stars)
        if key in found:
            twice[key] = FaultError("duplicate", path, f"the same case as {found[key].name}; keep one of them")
        found.setdefault(key, path)
    return found


def _expression(part: str) -> str:
    return "(.+?)".join(re.escape(text) for text in part.split("*"))
