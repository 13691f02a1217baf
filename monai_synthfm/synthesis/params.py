# Copyright (c) monai_synthfm contributors
# Licensed under the Apache License, Version 2.0 (http://www.apache.org/licenses/LICENSE-2.0).
# SPDX-License-Identifier: Apache-2.0
"""Parameters of one generated sample: frozen dataclasses that travel as JSON text and rebuild the sample exactly."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import MISSING, asdict, dataclass, fields
from types import UnionType
from typing import Any, TypeVar, Union, get_args, get_origin, get_type_hints

__all__ = ["Params"]

P = TypeVar("P", bound="Params")


@dataclass(frozen=True)
class Params:
    """Base of all parameter dataclasses; JSON keeps every float exactly, so a replayed sample is bit-identical.

    Example:
        >>> from monai_synthfm.synthesis.boundaries import CanvasParams
        >>> params = CanvasParams(low=0.2, high=0.3, scatter=0.05, interval=(0.0, 1.0), shift=0.04, seed=7)
        >>> CanvasParams.parse(params.to_json()) == params
        True
    """

    def to_json(self) -> str:
        """Return the parameters as one line of JSON (a string, so that ragged parameters collate in a batch)."""
        return json.dumps(asdict(self), separators=(",", ":"))

    @classmethod
    def parse(cls: type[P], source: P | str | Mapping[str, Any]) -> P:
        """Return parameters from themselves, their JSON text or the dictionary that the text stands for.

        Raises:
            ValueError: when the text is not JSON, or holds other fields or other types than this class.
        """
        if isinstance(source, cls):
            return source
        try:
            data = json.loads(source) if isinstance(source, str) else source
        except json.JSONDecodeError as error:
            raise ValueError(f"params of {cls.__name__} must be JSON text, got {source!r:.80}.") from error
        if not isinstance(data, Mapping) or not _fits(cls, data):
            expected = {field.name for field in fields(cls)}
            found = sorted(data) if isinstance(data, Mapping) else type(data).__name__
            raise ValueError(f"params of {cls.__name__} must have the fields {sorted(expected)}, got {found}.")
        hints = get_type_hints(cls)
        return cls(**{name: _build(hints[name], value, f"{name} of {cls.__name__}") for name, value in data.items()})


def _build(hint: Any, value: Any, where: str) -> Any:
    """Rebuild dataclasses and tuples from the lists and dictionaries that JSON knows."""
    origin, arguments = get_origin(hint), get_args(hint)
    if origin in (Union, UnionType):
        if value is None and type(None) in arguments:
            return None
        return _build(_matching(arguments, value), value, where)
    if origin is tuple:
        inner = arguments[0] if arguments[-1] is Ellipsis else None
        if not isinstance(value, (list, tuple)) or (inner is None and len(value) != len(arguments)):
            count = "" if inner else f" of {len(arguments)}"
            raise ValueError(f"{where} must be a list{count}, got {value!r:.80}.")
        return tuple(_build(inner or arguments[index], item, where) for index, item in enumerate(value))
    if issubclass(hint, Params):
        return hint.parse(value)
    allowed = (int, float) if hint is float else hint
    if not isinstance(value, allowed) or (isinstance(value, bool) and hint is not bool):
        raise ValueError(f"{where} must hold {hint.__name__}, got {value!r:.80}.")
    return value


def _matching(options: tuple[Any, ...], value: Any) -> Any:
    """Choose, of several types, the parameter class whose fields the value has; otherwise the first."""
    for option in options:
        known = isinstance(option, type) and issubclass(option, Params)
        if known and (isinstance(value, option) or (isinstance(value, Mapping) and _fits(option, value))):
            return option
    return options[0]


def _fits(cls: type[Params], data: Mapping[str, Any]) -> bool:
    """Return whether all fields are there; those with a default may be missing, as in samples made before they came."""
    needed = {field.name for field in fields(cls) if field.default is MISSING and field.default_factory is MISSING}
    return needed <= set(data) <= {field.name for field in fields(cls)}
