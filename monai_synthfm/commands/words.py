# Copyright (c) monai_synthfm contributors
# Licensed under the Apache License, Version 2.0 (http://www.apache.org/licenses/LICENSE-2.0).
# SPDX-License-Identifier: Apache-2.0
"""The words of a command line, before anyone takes them for numbers, dates or comments."""

from __future__ import annotations

import re
from collections.abc import Sequence

__all__ = ["split_words"]

_FLAG = re.compile(r"--|-[a-zA-Z]")


def split_words(words: Sequence[str]) -> tuple[list[str], dict[str, str]]:
    """
    Sort the words after a command into places and options, as Fire does, but leave each as it was typed.

    ``--name value``, ``--name=value`` and ``-n value`` are options. An option that nothing follows is ``True``, or
    ``False`` for ``--noname``. In names ``-`` stands for ``_``. What follows ``--`` alone is for Fire itself.

    Args:
        words: what was typed after the command.

    Returns:
        The words that belong to no option, and the options by name; of several of one name the last.

    Example:
        >>> split_words(["dry_run", "--output-dir", "exp#4", "--zoom", "--noamp", "--seed=007"])
        (['dry_run'], {'output_dir': 'exp#4', 'zoom': 'True', 'amp': 'False', 'seed': '007'})
    """
    words = list(words)
    if "--" in words:
        words = words[: len(words) - 1 - words[::-1].index("--")]
    places: list[str] = []
    options: dict[str, str] = {}
    while words:
        word = words.pop(0)
        if not _FLAG.match(word):
            places.append(word)
            continue
        name, given, value = word.lstrip("-").partition("=")
        name = name.replace("-", "_")
        if given:
            options[name] = value
        elif words and not _FLAG.match(words[0]):
            options[name] = words.pop(0)
        elif name.startswith("no"):
            options[name[2:]] = "False"
        else:
            options[name] = "True"
    return places, options
