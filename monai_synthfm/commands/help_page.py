# Copyright (c) monai_synthfm contributors
# Licensed under the Apache License, Version 2.0 (http://www.apache.org/licenses/LICENSE-2.0).
# SPDX-License-Identifier: Apache-2.0
"""The help of a command: what may be typed, with its default and what it means, in columns."""

from __future__ import annotations

import shutil
from collections.abc import Iterable, Sequence
from pathlib import Path
from textwrap import wrap

from monai_synthfm.commands.catalogue import Command, configs_folder
from monai_synthfm.commands.settings import Setting, settings

__all__ = ["help_page"]

_NARROWEST, _WIDEST = 80, 160
_LONGEST = 20  # characters of a default that has its comment beside it


def help_page(name: str, command: Command, more: Iterable[str | Path] = (), extra: Sequence[Setting] = ()) -> str:
    """
    Explain a command.

    Args:
        name: of the command.
        command: what it runs.
        more: configs that are merged after its own.
        extra: what it takes besides the settings of its configs.

    Returns:
        Text as wide as the terminal.
    """
    folder = configs_folder()
    files = [*(folder / file for file in command.configs), *more]
    named = {each.name: each for each in (*settings(files), *extra)}
    usage = f"usage: synthfm {name} {''.join(f'{place} ' for place in command.places)}[--option value ...]"
    datasets = ("dataset_name", _names(folder / "datasets"))
    choices = [*_columns([datasets]), ""] if datasets[0] in command.places else []
    own = (
        *command.own,
        ("--output folder", "the same as --output_dir"),
        ("--config name", "another config of the bundle, or file, that overrides; may be repeated"),
    )
    head = ("option", "default", "meaning")
    table = _columns([head, *((f"--{each.name}", each.default, each.comment) for each in named.values())])
    example = f"  synthfm {name} {command.example}"
    return "\n".join([usage, "", command.summary, "", example, "", *choices, *_columns(own), "", *table])


def _names(folder: Path) -> str:
    return ", ".join(sorted(path.stem for path in folder.glob("*.yaml")))


def _columns(rows: Sequence[tuple[str, ...]]) -> list[str]:
    """Rows of two or three texts, the last of which is wrapped; a long one in the middle has a line of its own."""
    first = max(len(row[0]) for row in rows) + 2
    second = max((len(row[1]) for row in rows if len(row) > 2 and len(row[1]) <= _LONGEST), default=-2) + 2
    width = min(max(shutil.get_terminal_size((_WIDEST, 0)).columns, _NARROWEST), _WIDEST)
    lines: list[str] = []
    for name, *between, text in rows:
        default = "".join(between)
        start = f"{name:{first}}{default:{second}}"
        pieces = wrap(text, width - 2 - first - second)
        if len(default) > second:
            lines.append(start.rstrip())
            start = ""
        for piece in pieces or [""] * bool(start):
            lines.append(f"{start:{first + second}}{piece}".rstrip())
            start = ""
    return [f"  {line}" for line in lines]
