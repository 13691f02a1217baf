# Copyright (c) monai_synthfm contributors
# Licensed under the Apache License, Version 2.0 (http://www.apache.org/licenses/LICENSE-2.0).
# SPDX-License-Identifier: Apache-2.0
"""Which options the configs of a bundle have, what each of them holds, and which of them do something."""

from __future__ import annotations

import ast
import inspect
import warnings
from collections.abc import Iterable, Iterator, Mapping
from copy import deepcopy
from pydoc import locate
from typing import Any

from monai.bundle import ConfigComponent, ConfigParser, ReferenceResolver

from monai_synthfm.commands.names import no_such_option
from monai_synthfm.commands.references import SEPARATOR, item_at, reached, references
from monai_synthfm.commands.values import Kind, config_value, read_value

__all__ = ["BundleOptions", "kind_of_parameter"]

_SPECIAL = {"_target_": Kind.TEXT, "_mode_": Kind.TEXT, "_disabled_": Kind.SWITCH}
_SPECIAL |= dict.fromkeys(("_requires_", "_desc_"), Kind.OTHER)
_EVERYWHERE = ("bundle_root", "dataset_dir")  # MONAI asks every bundle for them, used or not


class BundleOptions:
    """
    The options of the configs that a command names: every id of the merged configs, and every argument of the classes
    and functions that they name.

    What an option holds follows from the configs: from its own value there, from the value that it refers to, from a
    condition that it is, or from the annotation of the argument.

    Args:
        config: the merged configs, without options.
        starts: ids that are run, from which everything that has an effect is referred to.
        more: names that are options besides, such as those of experiment tracking.

    Example:
        >>> options = BundleOptions({"modality": "auto", "zoom": False, "run": ["$print(@modality, @zoom)"]})
        >>> options.read({"zoom": "no", "modality": "1e5"})
        {'zoom': False, 'modality': '1e5'}
        >>> options.read({"modalty": "mr"})
        Traceback (most recent call last):
        ...
        ValueError: there is no option 'modalty'; did you mean 'modality'?
    """

    def __init__(
        self,
        config: Mapping[str, Any],
        starts: Iterable[str] = ("initialize", "run", "finalize"),
        more: Iterable[str] = (),
    ) -> None:
        self.parser = ConfigParser(deepcopy(dict(config)))
        self.starts = tuple(starts)
        self.more = frozenset(more)

    def read(self, given: Mapping[str, Any]) -> dict[str, Any]:
        """
        Read options as they were typed; values that are no text stay.

        Args:
            given: by name or id (``network_def#image_size``).

        Returns:
            What goes to :class:`monai.bundle.ConfigWorkflow` as it stands.

        Raises:
            ValueError: when there is no such option, a value is not of its kind, or an option does nothing in these
                configs.
        """
        for name in given:
            self.check(name)
        values = {
            name: config_value(read_value(name, value, self.kind(name)) if isinstance(value, str) else value)
            for name, value in given.items()
        }
        self._check_effects(values)
        return values

    def check(self, name: str) -> None:
        """
        Check that there is such an option.

        Raises:
            ValueError: when there is none; it names the nearest one.
        """
        if name in self.more:
            return
        here: Any = self.parser.get()
        keys = ReferenceResolver.split_id(name.removeprefix("+"))
        for depth, key in enumerate(keys):
            known = self._keys(here, keys[:depth], last=depth + 1 == len(keys))
            if known is not None and key not in known:
                raise no_such_option(name, known, keys[:depth])
            here = item_at(here, key)

    def kind(self, name: str) -> Kind:
        """Return what an option holds."""
        keys = ReferenceResolver.split_id(name.removeprefix("+"))
        if keys[-1] in _SPECIAL:
            return _SPECIAL[keys[-1]]
        found = self._kind_of(self.parser.get(SEPARATOR.join(keys)))
        if found is not None:
            return found
        if len(keys) == 1:
            return Kind.NUMBER if self._is_number_where_used(keys[0]) else Kind.TEXT
        parameter = self._parameters(self.parser.get(SEPARATOR.join(keys[:-1]))).get(keys[-1])
        return Kind.OTHER if parameter is None else kind_of_parameter(parameter)

    def _keys(self, here: Any, above: list[str], last: bool) -> list[str] | None:
        """The keys that there may be at a place of the config; None where everything may be."""
        if isinstance(here, list):
            return [str(index) for index in range(len(here))]
        if not isinstance(here, dict):
            return []
        if not above:
            return [*here, *self.more]
        if "_target_" not in here:
            # settings that are handed on as they are may be any; sections may not
            whole = SEPARATOR.join(above)
            return None if last and (len(above) > 1 or whole in references(self.parser.get())) else list(here)
        parameters = self._parameters(here)
        if any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters.values()):
            return None
        return [*here, *parameters, *_SPECIAL] if last else list(here)

    def _is_number_where_used(self, name: str) -> bool:
        """Return whether an option without a value is handed to an argument that takes a number."""
        return any(
            kind_of_parameter(parameters[key]) is Kind.NUMBER
            for component in _components(self.parser.get())
            for key in (key for key, value in component.items() if value == f"@{name}")
            if key in (parameters := self._parameters(component))
        )

    @classmethod
    def _parameters(cls, component: Any) -> Mapping[str, inspect.Parameter]:
        """The arguments of the class or function of a component; none where it cannot be told."""
        return cls._signature(component).parameters

    @staticmethod
    def _signature(component: Any) -> inspect.Signature:
        """What the class or function of a component takes and gives; an empty one where it cannot be told."""
        if not ConfigComponent.is_instantiable(component) or str(component["_target_"])[:1] in ("$", "@"):
            return inspect.Signature()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of names that MONAI has twice
            target = locate(str(ConfigComponent(component).resolve_module_name()))
        try:
            return inspect.signature(target)  # type: ignore[arg-type]
        except (TypeError, ValueError):
            return inspect.Signature()

    def _kind_of(self, value: Any, seen: frozenset[str] = frozenset()) -> Kind | None:
        """What a value of the config is; None where it does not show."""
        if value is None:
            return None
        if isinstance(value, bool):
            return Kind.SWITCH
        if isinstance(value, (int, float)):
            return Kind.NUMBER
        if not isinstance(value, str):
            return Kind.SWITCH if self._signature(value).return_annotation in (bool, "bool") else Kind.OTHER
        if not value.startswith(("$", "@")):
            return Kind.TEXT
        names = list(ReferenceResolver.match_refs_pattern(value))
        if len(names) == 1 and ReferenceResolver.normalize_id(value.lstrip("$")) == f"@{names[0]}":
            return None if names[0] in seen else self._kind_of(self.parser.get(names[0]), seen | {names[0]})
        return _kind_of_expression(ReferenceResolver.update_refs_pattern(value, dict.fromkeys(names)))

    def _check_effects(self, values: Mapping[str, Any]) -> None:
        """Refuse options that nothing refers to, since somebody expects something of them."""
        parser = ConfigParser(deepcopy(self.parser.get()))
        for name, value in values.items():
            if not name.startswith("+"):
                parser[name] = value
        found = reached(parser.get(), self.starts)
        for name in values:
            item = ReferenceResolver.normalize_id(name.removeprefix("+"))
            inside = f"{item}{SEPARATOR}"
            if item.split(SEPARATOR)[0] in (*_EVERYWHERE, *self.more, *self.starts):
                continue
            paths = (f"{one}{SEPARATOR}" for one in found)
            if not any(path.startswith(inside) or inside.startswith(path) for path in paths):
                raise ValueError(f"option {name!r} does nothing here: nothing in these configs refers to it.")


def _components(config: Any) -> Iterator[Mapping[str, Any]]:
    """All parts of a config that name a class or function."""
    if isinstance(config, Mapping) and "_target_" in config:
        yield config
    for below in config.values() if isinstance(config, Mapping) else config if isinstance(config, list) else ():
        yield from _components(below)


def _kind_of_expression(expression: str) -> Kind | None:
    """What an expression gives, as far as its form tells: a comparison, a question ``is_...``, texts put together."""
    try:
        body = ast.parse(expression.lstrip("$").strip(), mode="eval").body
    except SyntaxError:
        return None
    if isinstance(body, (ast.Compare, ast.BoolOp)) or (isinstance(body, ast.UnaryOp) and isinstance(body.op, ast.Not)):
        return Kind.SWITCH
    if isinstance(body, ast.Call) and isinstance(body.func, ast.Attribute) and body.func.attr.startswith("is_"):
        return Kind.SWITCH
    if isinstance(body, ast.Call) and isinstance(body.func, ast.Name) and body.func.id == "str":
        return Kind.TEXT
    if isinstance(body, ast.JoinedStr) or any(
        isinstance(part, ast.Constant) and isinstance(part.value, str) for part in _summands(body)
    ):
        return Kind.TEXT
    return Kind.OTHER


def _summands(node: ast.expr) -> list[ast.expr]:
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add):
        return [*_summands(node.left), *_summands(node.right)]
    return [node]


def kind_of_parameter(parameter: inspect.Parameter) -> Kind:
    """What an argument takes, by its annotation or else by its default."""
    if parameter.annotation is not parameter.empty:
        words = {word.strip() for word in inspect.formatannotation(parameter.annotation).strip("'\"").split("|")}
        if "bool" in words:
            return Kind.SWITCH
        if words & {"str", "Path", "pathlib.Path"}:
            return Kind.TEXT
        if words & {"int", "float"}:
            return Kind.NUMBER
        return Kind.OTHER
    if isinstance(parameter.default, bool):
        return Kind.SWITCH
    return Kind.NUMBER if isinstance(parameter.default, (int, float)) else Kind.OTHER
