# Copyright (c) monai_synthfm contributors
# Licensed under the Apache License, Version 2.0 (http://www.apache.org/licenses/LICENSE-2.0).
# SPDX-License-Identifier: Apache-2.0
"""Words that stand for True and False, for arguments that are filled from texts: to Python any text is true."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

__all__ = ["as_switch", "exports_read_switches", "reads_switches"]

_TRUE = ("true", "yes", "on", "1")
_FALSE = ("false", "no", "off", "0")
_MARK = "_reads_switches"
Target = TypeVar("Target", bound=Callable[..., Any])


def as_switch(name: str, value: Any) -> Any:
    """
    Read a word for True or False, in any case; what is no text stays.

    Args:
        name: of the argument, for the message.
        value: what was given.

    Raises:
        ValueError: when it is another text.

    Example:
        >>> as_switch("zoom", "No"), as_switch("zoom", "1"), as_switch("zoom", True)
        (False, True, True)
    """
    if not isinstance(value, str):
        return value
    if value.lower() in (*_TRUE, *_FALSE):
        return value.lower() in _TRUE
    raise ValueError(f"{name} must be True or False, got {value!r}.")


def reads_switches(target: Target) -> Target:
    """
    Decorate a function, or a class for its constructor, whose arguments annotated ``bool`` may be given as words, see
    :func:`as_switch`.

    Example:
        >>> @reads_switches
        ... def double(value: int, twice: "bool" = False) -> int:
        ...     return value * 2 if twice else value
        >>> double(3, "no"), double(3, twice="yes")
        (3, 6)
    """
    if not inspect.isclass(target):
        return _reading(target)
    constructor = vars(target).get("__init__")  # an inherited one is decorated where it is defined
    if inspect.isfunction(constructor) and not hasattr(constructor, _MARK):
        setattr(target, "__init__", _reading(constructor))  # noqa: B010 (mypy knows no assignment to methods)
    return target


def exports_read_switches(namespace: Mapping[str, Any]) -> None:
    """Decorate all classes that a package exports, given its ``globals()``, with :func:`reads_switches`."""
    for name in namespace["__all__"]:
        if inspect.isclass(namespace[name]):
            reads_switches(namespace[name])


def _reading(function: Any) -> Any:
    parameters = list(inspect.signature(function).parameters.values())
    places = {
        parameter.name: place
        for place, parameter in enumerate(parameters)
        if "bool" in inspect.formatannotation(parameter.annotation).strip("'\"").split(" | ")
    }
    if not places:
        return function

    @functools.wraps(function)
    def reading(*values: Any, **named: Any) -> Any:
        given = list(values)
        for name, place in places.items():
            if name in named:
                named[name] = as_switch(name, named[name])
            elif place < len(given):
                given[place] = as_switch(name, given[place])
        return function(*given, **named)

    setattr(reading, _MARK, True)
    return reading
