# Copyright (c) monai_synthfm contributors
# Licensed under the Apache License, Version 2.0 (http://www.apache.org/licenses/LICENSE-2.0).
# SPDX-License-Identifier: Apache-2.0
"""Words of a command line that say where an object is."""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence
from typing import Any

__all__ = ["PROMPT_WORDS", "check_prompted", "take_prompts"]

_NEXT = "--next-object"
_COUNTS = {"--click": (3, 2), "--negative-click": (3, 2), "--box": (6, 4)}
PROMPT_WORDS = tuple(word.lstrip("-").replace("-", "_") for word in (*_COUNTS, _NEXT))
"""Names of the options that clicks and boxes are typed with."""
_OF_CONFIG = ("--points", "--point_labels", "--point-labels", "--boxes")


def take_prompts(words: Sequence[str]) -> tuple[list[str], dict[str, Any]]:
    """
    Take clicks and boxes out of the words of a command line.

    ``--click x y z`` and ``--negative-click x y z`` may be repeated, ``--box x0 y0 z0 x1 y1 z1`` is one for each
    object; of a picture, ``x y`` and ``x0 y0 x1 y1`` do. ``--next-object`` begins another object.

    Args:
        words: what was typed.

    Returns:
        The other words, and the options ``points`` with ``point_labels``, and ``boxes``, as far as they were given, as
        :func:`~monai_synthfm.prompts.volume_prompts.read_volume_prompts` takes them.

    Raises:
        ValueError: when numbers are missing, an object has two boxes, or the options are given besides.

    Example:
        >>> take_prompts("ct.nii --click 12 -3 4.5 --negative-click 1 2 3 --next-object --box 1 1 1 4 4 4".split())[1]
        {'points': [[[12, -3, 4.5], [1, 2, 3]], []], 'point_labels': [[1, 0], []], 'boxes': [[], [1, 1, 1, 4, 4, 4]]}
    """
    rest: list[str] = []
    points: list[list[Any]] = [[]]
    labels: list[list[int]] = [[]]
    boxes: list[list[Any]] = [[]]
    position = 0
    while position < len(words):
        word = words[position]
        if (dashed := word.replace("_", "-")) in (*_COUNTS, _NEXT):
            word = dashed
        position += 1
        if word == _NEXT:
            for objects in (points, labels, boxes):
                objects.append([])
        elif word in _COUNTS:
            numbers = _numbers(word, words[position:])
            position += len(numbers)
            if word == "--box":
                if boxes[-1]:
                    raise ValueError(f"--box: object {len(boxes)} has one already; {_NEXT} begins another object.")
                boxes[-1] = numbers
            else:
                points[-1].append(numbers)
                labels[-1].append(int(word == "--click"))
        else:
            rest.append(word)
    found: dict[str, Any] = {}
    if any(points):
        found |= {"points": points, "point_labels": labels}
    if any(boxes):
        found["boxes"] = boxes
    if len(points) > 1 and not found:
        raise ValueError(f"{_NEXT} is for objects with clicks or boxes; those of a mask are its values 1, 2, ...")
    twice = [word for word in rest if word.partition("=")[0] in _OF_CONFIG]
    if found and twice:
        raise ValueError(f"{twice[0]} cannot be given beside --click, --negative-click and --box.")
    return rest, found


def check_prompted(options: Collection[str]) -> None:
    """
    Check that something says where an object is.

    Args:
        options: names of all options that were typed, as the config calls them.

    Raises:
        ValueError: when there is neither a click, nor a box, nor a mask; it shows how they are typed.
    """
    if not {name.replace("#", "::").rpartition("::")[2] for name in options} & {"points", "boxes", "mask", "data"}:
        raise ValueError(
            "nothing is prompted: say where the object is, in voxels counted from 0, with --click x y z, "
            "--box x0 y0 z0 x1 y1 z1 or --mask file, such as --click 120 200 45."
        )


def _numbers(name: str, words: Sequence[str]) -> list[int | float]:
    """The numbers at the beginning of words, as many as a prompt may have."""
    most, least = _COUNTS[name]
    numbers: list[int | float] = []
    for word in words[:most]:
        try:
            value = float(word)
        except ValueError:
            break
        if not math.isfinite(value):
            break
        numbers.append(int(value) if word.lstrip("+-").isdigit() else value)
    if len(numbers) not in (most, least):
        given = " ".join(words[:most]) or "nothing"
        raise ValueError(f"{name} must be followed by {most} numbers ({least} in a picture), got {given}.")
    return numbers
