# Copyright (c) monai_synthfm contributors
# Licensed under the Apache License, Version 2.0 (http://www.apache.org/licenses/LICENSE-2.0).
# SPDX-License-Identifier: Apache-2.0
"""The objects of a session as people know them: name, colour, and whether they are shown."""

from __future__ import annotations

import colorsys
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

__all__ = ["MOST_OBJECTS", "ObjectInfo", "ObjectTable"]

MOST_OBJECTS = 255
"""The page keeps a byte a voxel."""
_COLOURS = ("#e69f00", "#56b4e9", "#009e73", "#f0e442", "#d55e00", "#cc79a7", "#0072b2")
"""Okabe and Ito's, which colour-blind people tell apart."""


@dataclass
class ObjectInfo:
    """
    One object.

    Args:
        name: as people call it.
        colour: ``#rrggbb``.
        visible: whether its mask is shown.
    """

    name: str
    colour: str
    visible: bool = True


class ObjectTable:
    """
    The objects by number. Names follow their objects when these move up, and back when that is undone.

    Example:
        >>> table = ObjectTable()
        >>> table.grow(2, position=0)
        >>> table.remove(1, position=1)
        >>> [info.name for info in table.infos]
        ['object 2']
        >>> table.go(0)
        >>> [info.name for info in table.infos]
        ['object 1', 'object 2']
    """

    def __init__(self) -> None:
        self.infos: list[ObjectInfo] = []
        self._by_position: dict[int, list[ObjectInfo]] = {}
        self._made = 0
        self.grow(1, 0)

    def grow(self, count: int, position: int) -> None:
        """
        Have at least ``count`` objects.

        Args:
            count: of objects.
            position: of the present step of the session.
        """
        while len(self.infos) < count:
            if len(self.infos) >= MOST_OBJECTS:
                raise ValueError(f"there can be no more than {MOST_OBJECTS} objects in the viewer.")
            self.infos.append(ObjectInfo(f"object {self._made + 1}", _colour(self._made)))
            self._made += 1
        self._by_position[position] = list(self.infos)

    def remove(self, number: int, position: int) -> None:
        """Remove an object by its number, from 1."""
        del self.infos[number - 1]
        self.grow(1, position)

    def go(self, position: int) -> None:
        """Have the objects of another step of the session."""
        self.infos = list(self._by_position.get(position, self.infos))

    def change(self, number: int, **values: Any) -> None:
        """Change name, colour or visibility of an object."""
        for name, value in values.items():
            if value is not None:
                setattr(self.infos[number - 1], name, value)

    def record(self) -> list[dict[str, Any]]:
        """Return the objects for JSON."""
        return [asdict(info) for info in self.infos]

    def load(self, record: list[Mapping[str, Any]], position: int) -> None:
        """Have what :meth:`record` gave."""
        self.infos = [ObjectInfo(str(i["name"]), str(i["colour"]), bool(i["visible"])) for i in record]
        self._made = len(self.infos)
        self.grow(1, position)


def _colour(number: int) -> str:
    if number < len(_COLOURS):
        return _COLOURS[number]
    red, green, blue = colorsys.hsv_to_rgb(number * 0.618034 % 1.0, 0.65, 0.95)
    return f"#{round(255 * red):02x}{round(255 * green):02x}{round(255 * blue):02x}"
