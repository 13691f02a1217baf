# Copyright (c) monai_synthfm contributors
# Licensed under the Apache License, Version 2.0 (http://www.apache.org/licenses/LICENSE-2.0).
# SPDX-License-Identifier: Apache-2.0
"""What pages of the documentation hold: fenced blocks, and what tests add to them."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

_BLOCK = re.compile(
    r"(?:<!-- in tests: (?P<more>[^\n]*) -->\n)?"
    r"^```(?:\{code-block\} )?(?P<language>\w+)\n(?::caption: (?P<file>\S+)\n\n)?(?P<text>.*?)^```$",
    re.M | re.S,
)


@dataclass(frozen=True)
class Block:
    """
    A fenced block.

    Args:
        language: python, bash, yaml or text.
        text: what it holds.
        file: name of the file that the reader writes, from its caption.
        more: options that make its commands small; they stand in a comment before the block.
    """

    language: str
    text: str
    file: str | None
    more: str


def blocks(page: Path) -> Iterator[Block]:
    """The fenced blocks of a page, in their order."""
    for found in _BLOCK.finditer(page.read_text(encoding="utf-8")):
        yield Block(found["language"], found["text"], found["file"], found["more"] or "")


def command_lines(block: Block) -> list[list[str]]:
    """The commands of a block in bash, as words."""
    lines = re.sub(r"\\\n *", " ", block.text).splitlines()
    return [shlex.split(line) + shlex.split(block.more) for line in lines if line.strip()]
