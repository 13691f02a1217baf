# Copyright (c) monai_synthfm contributors
# Licensed under the Apache License, Version 2.0 (http://www.apache.org/licenses/LICENSE-2.0).
# SPDX-License-Identifier: Apache-2.0
"""What refers to what in a config. MONAI's own resolver would import networks before a help is shown."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

__all__ = ["SEPARATOR", "item_at", "reached", "references"]

SEPARATOR = "::"
_REFERENCE = re.compile(rf"@(\w*(?:{SEPARATOR}\w*)*)")


def references(value: Any) -> set[str]:
    """
    List the ids that are referred to anywhere in a part of a config.

    Example:
        >>> sorted(references({"a": "$@b#0 + @c", "d": ["@e::f"], "g": "name@h"}))
        ['b::0', 'c', 'e::f']
    """
    if isinstance(value, str):
        text = value.replace("#", SEPARATOR)
        return {match[1] for match in _REFERENCE.finditer(text) if text.startswith("$") or match[0] == text}
    parts = value.values() if isinstance(value, Mapping) else value if isinstance(value, list) else ()
    return set().union(*map(references, parts))


def item_at(config: Any, name: str) -> Any:
    """
    Return what stands at an id of a config; None when nothing does.

    Example:
        >>> item_at({"a": [{"b": 3}]}, "a::0::b"), item_at({"a": []}, "a#0")
        (3, None)
    """
    for key in name.replace("#", SEPARATOR).split(SEPARATOR):
        if isinstance(config, list):
            config = config[int(key)] if key.isdigit() and int(key) < len(config) else None
        else:
            config = config.get(key) if isinstance(config, Mapping) else None
    return config


def reached(config: Mapping[str, Any], starts: Iterable[str]) -> set[str]:
    """
    List the ids that have an effect when some are run: these, what they refer to, and so on.

    Args:
        config: the merged configs.
        starts: ids that are run; those that there are not count for nothing.

    Example:
        >>> sorted(reached({"run": ["$@a.b()"], "a": {"size": "@c"}, "c": 1, "d": "@a"}, ["run", "finalize"]))
        ['a', 'c', 'run']
    """
    found: set[str] = set()
    waiting = [name for name in starts if item_at(config, name) is not None]
    while waiting:
        name = waiting.pop()
        if name not in found:
            found.add(name)
            waiting += references(item_at(config, name))
    return found
