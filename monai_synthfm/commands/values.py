# Copyright (c) monai_synthfm contributors
# Licensed under the Apache License, Version 2.0 (http://www.apache.org/licenses/LICENSE-2.0).
# SPDX-License-Identifier: Apache-2.0
"""What a text means where a switch, a number or a text is expected, and how a config says it."""

from __future__ import annotations

import ast
from enum import Enum
from typing import Any

import yaml

from monai_synthfm.utils.switches import as_switch

__all__ = ["Kind", "config_value", "read_value"]

_NULL = ("None", "null", "Null", "NULL")
_SYNTAX = ("$", "@", "%")
_BRACKETS = {"[": "]", "{": "}"}


class Kind(Enum):
    """What an option of a config holds; ``OTHER`` is a list, a mapping, or not known."""

    SWITCH = "True or False"
    NUMBER = "a number"
    TEXT = "a text"
    OTHER = "a value"


def read_value(name: str, text: str, kind: Kind) -> Any:
    """
    Read a text that someone typed for an option.

    - ``None`` and ``null`` are None.
    - What begins with ``$``, ``@`` or ``%`` is an expression, a reference or a macro of the config, and stays.
    - ``[...]`` and ``{...}`` are lists and mappings, in Python or YAML.
    - Quotes around the whole text are taken off, and what is within is plain text.
    - A switch takes true, yes, on, 1 and false, no, off, 0 in any case; a number what Python takes for a finite one.
    - A text is what was typed: ``2024_01_05``, ``1e5``, ``0x10``, ``a,b`` and ``exp#4`` are names.

    Args:
        name: of the option, for the message.
        text: what was typed.
        kind: what the option holds.

    Raises:
        ValueError: when the text is not of this kind.

    Example:
        >>> read_value("zoom", "false", Kind.SWITCH), read_value("output_dir", "1e5", Kind.TEXT)
        (False, '1e5')
        >>> read_value("seeds", "[0, 1]", Kind.OTHER), read_value("checkpoint", "null", Kind.TEXT)
        ([0, 1], None)
    """
    if text in _NULL:
        return None
    if text.startswith(_SYNTAX):
        return text
    if text[:1] in _BRACKETS and text.endswith(_BRACKETS[text[0]]):
        found = _literal(text)
        if not isinstance(found, (list, dict)) and (text[0] == "[" or ":" in text):
            found = _from_yaml(text)
        if isinstance(found, (list, dict)):
            return found
    quoted = _literal(text) if text[:1] in ("'", '"') else None
    if isinstance(quoted, str):
        return _Plain(quoted)
    if kind is Kind.SWITCH:
        return as_switch(name, text)
    if kind is Kind.NUMBER:
        return _number(name, text)
    if kind is Kind.TEXT:
        return text
    found = _literal(text)
    return list(found) if isinstance(found, tuple) else found if isinstance(found, (bool, int, float)) else text


def config_value(value: Any) -> Any:
    """
    Write a value so that a config means just this value.

    MONAI drops options that are None, and reads ``#`` within any text as the separator of an id. Expressions are free
    of both.

    Example:
        >>> config_value(None), config_value("exp#4"), config_value("@network")
        ('$None', "$'exp\\\\x234'", '@network')
    """
    if value is None:
        return "$None"
    if isinstance(value, dict):
        return {key: config_value(item) for key, item in value.items()}
    if isinstance(value, list):
        return [config_value(item) for item in value]
    if isinstance(value, str) and (isinstance(value, _Plain) or ("#" in value and not value.startswith(_SYNTAX))):
        written = repr(str(value))
        for character in "#@%":
            written = written.replace(character, f"\\x{ord(character):02x}")
        return f"${written}"
    return value


class _Plain(str):
    """A text that was quoted: no expression, whatever it begins with."""

    __slots__ = ()


def _number(name: str, text: str) -> int | float:
    found = _literal(text)
    if isinstance(found, bool) or not isinstance(found, (int, float)) or abs(found) == float("inf"):
        raise ValueError(f"{name} must be {Kind.NUMBER.value}, got {text!r}.")
    return int(found) if "." not in text and found == int(found) else found


def _literal(text: str) -> Any:
    """The Python literal that a text is; None when it is none, or begins or ends otherwise than it was typed."""
    try:
        return ast.literal_eval(text) if text == text.strip() and "#" not in _outside_quotes(text) else None
    except (ValueError, SyntaxError, MemoryError, RecursionError):
        return None


def _outside_quotes(text: str) -> str:
    """What of a text is not within quotes, where Python takes ``#`` for a comment."""
    outside, quote, escaped = [], "", False
    for character in text:
        if quote:
            quote = "" if character == quote and not escaped else quote
            escaped = character == "\\" and not escaped
        elif character in "'\"":
            quote = character
        else:
            outside.append(character)
    return "".join(outside)


def _from_yaml(text: str) -> Any:
    try:
        # words alone: YAML's own rules would make a date of 2024-01-05 and a switch of no
        return _from_words(yaml.load(text, Loader=yaml.BaseLoader))
    except yaml.YAMLError:
        return None


def _from_words(found: Any) -> Any:
    if isinstance(found, dict):
        return {_from_words(key): _from_words(item) for key, item in found.items()}
    if isinstance(found, list):
        return [_from_words(item) for item in found]
    if found in _NULL:
        return None
    if found in ("true", "false"):
        return found == "true"
    number = _literal(found)
    return number if isinstance(number, (bool, int, float)) else found
