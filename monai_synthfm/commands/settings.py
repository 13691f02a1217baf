# Copyright (c) monai_synthfm contributors
# Licensed under the Apache License, Version 2.0 (http://www.apache.org/licenses/LICENSE-2.0).
# SPDX-License-Identifier: Apache-2.0
"""The keys of configs that are meant to be changed on the command line, with their defaults and comments."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from monai_synthfm.commands.names import no_such_option
from monai_synthfm.commands.references import SEPARATOR, item_at, reached

__all__ = ["Setting", "merged", "settings"]

_OF_MONAI = ("imports", "initialize", "run", "finalize")


@dataclass(frozen=True)
class Setting:
    """
    A key of a config.

    Args:
        name: the key.
        default: its value as it is written; of a list or a mapping in several lines, the same in one; of an expression
            that is a text alone, this text.
        comment: what stands behind ``#``, also on the lines that follow; or nothing.
    """

    name: str
    default: str
    comment: str


def settings(files: Iterable[str | Path]) -> list[Setting]:
    """
    List what is meant to be changed in configs that are merged in this order: what stands in each above its first
    component and does something when they are run.

    A key that a later file has once more is shown as that file has it, and where the first one has it.

    Raises:
        ValueError: see :func:`merged`.
    """
    files = list(files)
    config = merged(files)
    found: dict[str, Setting] = {}
    for file in files:
        for setting in _head(_yaml_of(file)):
            comment = setting.comment or found.get(setting.name, setting).comment
            found[setting.name] = Setting(setting.name, setting.default, comment)
    effective = {name.split(SEPARATOR)[0] for name in reached(config, _OF_MONAI)}
    components = {name for file in files for name, value in _load(file).items() if _is_component(value)}
    return [setting for name, setting in found.items() if name in effective - components - {*_OF_MONAI}]


def merged(files: Iterable[str | Path]) -> dict[str, Any]:
    """
    Merge configs as ``ConfigParser.load_config_files`` does: a key replaces the one of an earlier file, with ``+`` in
    front it adds to it, and with ``#`` or ``::`` within it is one further in.

    Raises:
        ValueError: when a file is no YAML or JSON with a mapping, or there is no place for a key of it.
    """
    config: dict[str, Any] = {}
    for file in files:
        for key, value in _load(file).items():
            try:
                _merge(config, key, value)
            except ValueError as error:
                raise ValueError(f"config {file}: {error}") from error
    return config


def _merge(config: dict[str, Any], key: str, value: Any) -> None:
    name = key.removeprefix("+").replace("#", SEPARATOR)
    *above, last = name.split(SEPARATOR)
    place: Any = config
    for depth, part in enumerate(above):
        inner = item_at(place, part)
        if not isinstance(inner, (dict, list)):
            raise no_such_option(name, _keys(place), above[:depth])
        place = inner
    if isinstance(place, list) and last not in _keys(place):
        raise no_such_option(name, _keys(place), above)
    index: Any = int(last) if isinstance(place, list) else last
    if not key.startswith("+") or last not in _keys(place):
        place[index] = value
        return
    earlier = place[index]
    if isinstance(earlier, dict) and isinstance(value, dict):
        place[index] = {**earlier, **value}
    elif isinstance(earlier, list) and isinstance(value, list):
        place[index] = [*earlier, *value]
    else:
        raise ValueError(f"{key} adds a list to a list, or a mapping to a mapping, got {value!r} for {earlier!r}.")


def _keys(place: dict[str, Any] | list[Any]) -> list[str]:
    return [str(index) for index in range(len(place))] if isinstance(place, list) else list(place)


def _load(file: str | Path) -> dict[str, Any]:
    """
    Raises:
        ValueError: when a file holds no mapping with texts for keys.
    """
    try:
        with Path(file).open(encoding="utf-8") as stream:
            found = json.load(stream) if _is_json(file) else yaml.safe_load(stream)
    except (yaml.YAMLError, ValueError) as error:
        raise ValueError(f"config {file} is no {'JSON' if _is_json(file) else 'YAML'}: {error}") from error
    if not isinstance(found, dict):
        what = "nothing" if found is None else f"a {type(found).__name__}"
        raise ValueError(f"config {file}: expected a mapping, as in 'max_epochs: 3', found {what}.")
    if odd := [key for key in found if not isinstance(key, str)]:
        raise ValueError(f"config {file}: expected texts for keys, found {odd[0]!r}.")
    return found


def _is_json(file: str | Path) -> bool:
    return Path(file).name.lower().endswith(".json")


def _yaml_of(file: str | Path) -> str:
    return yaml.safe_dump(_load(file), sort_keys=False) if _is_json(file) else Path(file).read_text(encoding="utf-8")


def _is_component(value: Any) -> bool:
    return isinstance(value, Mapping) and "_target_" in value


def _head(text: str) -> Iterator[Setting]:
    """The keys of a YAML file above its first component."""
    root = yaml.compose(text, Loader=yaml.SafeLoader)
    for key, value in root.value if isinstance(root, yaml.MappingNode) else ():
        if isinstance(value, yaml.MappingNode) and any(inner.value == "_target_" for inner, _ in value.value):
            return
        if not key.value.isidentifier():  # an id further in, of a config that overrides
            continue
        in_lines = isinstance(value, yaml.CollectionNode) and not value.flow_style
        behind = text[key.end_mark.index + 1 if in_lines else value.end_mark.index :]
        comment = re.match(r" *# (.+(?:\n +# .+)*)", behind)
        yield Setting(key.value, _written(text, value), re.sub(r"\n +# ", " ", comment[1]) if comment else "")


def _written(text: str, value: yaml.Node) -> str:
    if isinstance(value, yaml.CollectionNode) and not value.flow_style:
        plain = yaml.safe_load(yaml.serialize(value))
        return yaml.safe_dump(plain, default_flow_style=True, width=float("inf"), sort_keys=False).strip()
    if isinstance(value, yaml.ScalarNode):
        expression = re.fullmatch(r"\$'([^']*)'", value.value)
        return (expression[1] if expression else value.value) or "''"
    return text[value.start_mark.index : value.end_mark.index]
