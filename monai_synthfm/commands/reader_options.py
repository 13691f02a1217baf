# Copyright (c) monai_synthfm contributors
# Licensed under the Apache License, Version 2.0 (http://www.apache.org/licenses/LICENSE-2.0).
# SPDX-License-Identifier: Apache-2.0
"""Arguments of a dataset's class, typed like options of a command."""

from __future__ import annotations

import re
from collections.abc import Mapping
from inspect import Parameter, formatannotation, getdoc
from typing import Any

from monai_synthfm.commands.names import no_such_option
from monai_synthfm.commands.options import kind_of_parameter
from monai_synthfm.commands.references import SEPARATOR
from monai_synthfm.commands.settings import Setting
from monai_synthfm.commands.values import Kind, read_value
from monai_synthfm.data.datasets import dataset_class, dataset_options
from monai_synthfm.data.datasets.base import LabelledDataset, split_names

__all__ = ["reader_settings", "take_reader_options"]

_NOT_TYPED = ("transform", "on_fault")  # the first is no text; check-data itself needs the second


def take_reader_options(options: Mapping[str, Any], into: str, config: Mapping[str, Any]) -> dict[str, Any]:
    """
    Move what the class of a dataset takes from the options of a command into a mapping of its config.

    Args:
        options: by name; ``dataset_name``, here or else in the configs, says which class.
        into: the key of that mapping.
        config: the merged configs; what they have no key for is for the class.

    Raises:
        ValueError: when neither the configs nor the class have such an option, it is not of its kind, or it is given
            twice.

    Example:
        >>> typed = {"dataset_name": "folder", "structures": "liver,spleen", "other_values": "yes"}
        >>> take_reader_options(typed, "options", {"dataset_name": None, "options": {"section": None}})
        {'dataset_name': 'folder', 'options': {'section': None, 'structures': 'liver,spleen', 'other_values': True}}
    """
    own = {name: value for name, value in options.items() if name not in config and not _is_further_in(name)}
    rest = {name: value for name, value in options.items() if name not in own}
    if not own:
        return rest
    dataset = options.get("dataset_name", config.get("dataset_name"))
    known = _typed_options(dataset)
    for name in own:
        if name not in known:
            raise no_such_option(name, {*known, *config}, otherwise=f"{dataset} has {', '.join(known)}.")
    given = rest.pop(into, None)
    mapping = config[into] if given is None else read_value(into, given, Kind.OTHER)
    if not isinstance(mapping, Mapping):
        raise ValueError(f"{into} must be a mapping where --{next(iter(own))} goes into it, got {mapping!r}.")
    values = {name: _read(name, text, known[name]) for name, text in own.items()}
    if given is not None and (twice := sorted(values.keys() & mapping.keys())):
        raise ValueError(f"{twice[0]} is given twice: as --{twice[0]} and in --{into}.")
    further_in = {name: value for name, value in rest.items() if _is_further_in(name)}  # these go on from the mapping
    return {**{name: rest[name] for name in rest if name not in further_in}, into: {**mapping, **values}, **further_in}


def reader_settings(dataset: str) -> list[Setting]:
    """
    List the arguments of a dataset's class for a help, as its docstring explains them.

    Example:
        >>> [setting.name for setting in reader_settings("amos_ct")]
        ['section', 'structures', 'exclude']
    """
    return [
        Setting(name, _default(parameter.default), _explained(dataset, name))
        for name, parameter in _typed_options(dataset).items()
    ]


def _read(name: str, text: str, parameter: Parameter) -> Any:
    """What was typed for an argument; a list of texts may be one with commas."""
    is_list = formatannotation(parameter.annotation).strip("'\"").startswith("Sequence[str]")
    value = read_value(name, text, Kind.TEXT if is_list else kind_of_parameter(parameter))
    return split_names(value) if is_list and isinstance(value, str) and value != "all" else value


def _is_further_in(name: str) -> bool:
    return SEPARATOR in name.replace("#", SEPARATOR)


def _typed_options(dataset: str) -> dict[str, Parameter]:
    return {name: parameter for name, parameter in dataset_options(dataset).items() if name not in _NOT_TYPED}


def _explained(dataset: str, name: str) -> str:
    """The words on an argument in the docstring of a dataset's class, or of what all have in common."""
    for text in map(getdoc, (dataset_class(dataset), LabelledDataset)):
        if found := re.search(rf"^    {name}: (.+(?:\n {{8}}.+)*)", text or "", re.M):
            return re.sub(r":\w+:|`+", "", " ".join(found[1].split()))
    return ""


def _default(value: Any) -> str:
    if value is None or value is Parameter.empty:
        return "null"
    return str(list(value) if isinstance(value, tuple) else value) or "''"
