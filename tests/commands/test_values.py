# Copyright (c) monai_synthfm contributors
# Licensed under the Apache License, Version 2.0 (http://www.apache.org/licenses/LICENSE-2.0).
# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from monai.bundle import ConfigParser

from monai_synthfm.commands.values import Kind, config_value, read_value


def meaning(value: Any) -> Any:
    """What MONAI makes of an option."""
    return ConfigParser({"option": config_value(value), "seen": "$@option"}).get_parsed_content("seen")


@pytest.mark.parametrize("text", ["false", "False", "FALSE", "no", "No", "off", "0"])
def test_a_switch_takes_words_for_false(text: str) -> None:
    assert read_value("zoom", text, Kind.SWITCH) is False


@pytest.mark.parametrize("text", ["true", "True", "yes", "on", "1"])
def test_a_switch_takes_words_for_true(text: str) -> None:
    assert read_value("zoom", text, Kind.SWITCH) is True


@pytest.mark.parametrize("text", ["maybe", "2", "falsch", "", "0.0", "f"])
def test_a_switch_refuses_other_words(text: str) -> None:
    with pytest.raises(ValueError, match=f"^zoom must be True or False, got '{text}'\\.$"):
        read_value("zoom", text, Kind.SWITCH)


@pytest.mark.parametrize("kind", Kind)
@pytest.mark.parametrize("text", ["None", "null", "NULL", "Null"])
def test_words_for_nothing_are_none_for_every_kind(kind: Kind, text: str) -> None:
    assert read_value("option", text, kind) is None
    assert meaning(None) is None


@pytest.mark.parametrize(
    "text",
    ["exp#4", "2024_01_05", "2024-01-05", "1e5", "0x10", "a,b", "{a}", "(1,2)", "none", "50%#1", "a@b", "007", "True"],
)
def test_a_text_is_what_was_typed(text: str) -> None:
    value = read_value("output_dir", text, Kind.TEXT)
    assert isinstance(value, str)
    assert meaning(value) == text


@given(st.text(st.characters(codec="utf-8", exclude_characters="\n\r\0"), min_size=1))
def test_quotes_make_a_plain_text_of_anything(text: str) -> None:
    assert meaning(read_value("output_dir", repr(text), Kind.TEXT)) == text


@pytest.mark.parametrize(("text", "number"), [("4", 4), ("1e3", 1000), ("5e-4", 5e-4), ("-2.0", -2.0), ("1_000", 1000)])
def test_a_number_is_a_number(text: str, number: float) -> None:
    found = read_value("seed", text, Kind.NUMBER)
    assert (found, type(found)) == (number, type(number))


@pytest.mark.parametrize("text", ["ten", "true", "1,2", "nan", "1e999", "4#5"])
def test_what_is_no_number_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=f"^seed must be a number, got '{text}'\\.$"):
        read_value("seed", text, Kind.NUMBER)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("[[120, 200, 45]]", [[120, 200, 45]]),
        ("{'liver': 1}", {"liver": 1}),
        ("{liver: 1, gut: null}", {"liver": 1, "gut": None}),
        ("[ct, no, 2024-01-05]", ["ct", "no", "2024-01-05"]),
        ("[true, None, 1e-3]", [True, None, 1e-3]),
        ("['a#b']", ["a#b"]),
        ("[[], [1.5]]", [[], [1.5]]),
    ],
)
def test_brackets_are_lists_and_mappings(text: str, value: Any) -> None:
    for kind in (Kind.TEXT, Kind.OTHER):
        assert meaning(read_value("option", text, kind)) == value


def test_numbers_beside_each_other_are_a_list_where_one_stands() -> None:
    assert read_value("seeds", "0,1", Kind.OTHER) == [0, 1]


@pytest.mark.parametrize("text", ["$None", "@network", "%train.yaml::loss"])
def test_what_the_config_understands_stays(text: str) -> None:
    assert config_value(read_value("option", text, Kind.TEXT)) == text
