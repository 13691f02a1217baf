# Copyright (c) monai_synthfm contributors
# Licensed under the Apache License, Version 2.0 (http://www.apache.org/licenses/LICENSE-2.0).
# SPDX-License-Identifier: Apache-2.0
"""Objects keep their names and colours through removal, undo and a record."""

from __future__ import annotations

import json
import re

import pytest

from monai_synthfm.viewer.objects import MOST_OBJECTS, ObjectTable


def names(table: ObjectTable) -> list[str]:
    return [info.name for info in table.infos]


def test_there_is_an_object_to_begin_with_and_all_look_different() -> None:
    table = ObjectTable()
    assert names(table) == ["object 1"]
    table.grow(MOST_OBJECTS, position=0)
    assert names(table) == [f"object {number}" for number in range(1, 256)]
    colours = [info.colour for info in table.infos]
    assert all(re.fullmatch("#[0-9a-f]{6}", colour) for colour in colours)
    assert len(set(colours)) > 200
    assert len(set(colours[:32])) == 32
    with pytest.raises(ValueError, match="no more than 255 objects"):
        table.grow(MOST_OBJECTS + 1, position=0)


def test_what_people_called_an_object_follows_it_when_others_go_and_come_back() -> None:
    table = ObjectTable()
    table.grow(3, position=3)
    table.change(3, name="liver", colour="#123456", visible=None)
    table.remove(2, position=4)
    assert names(table) == ["object 1", "liver"]
    table.go(3)
    assert names(table) == ["object 1", "object 2", "liver"]
    assert (table.infos[2].colour, table.infos[2].visible) == ("#123456", True)
    table.go(4)
    assert names(table) == ["object 1", "liver"]
    table.grow(3, position=5)
    assert names(table) == ["object 1", "liver", "object 4"]  # a number is not given twice


def test_the_last_object_leaves_an_empty_one() -> None:
    table = ObjectTable()
    table.remove(1, position=1)
    assert names(table) == ["object 2"]


def test_a_record_brings_the_objects_back() -> None:
    table, again = ObjectTable(), ObjectTable()
    table.grow(2, position=2)
    table.change(2, name="spleen", visible=False)
    again.load(json.loads(json.dumps(table.record())), position=5)
    assert again.infos == table.infos
    again.grow(3, position=6)
    again.go(5)
    assert again.infos == table.infos
