# Copyright (c) monai_synthfm contributors
# Licensed under the Apache License, Version 2.0 (http://www.apache.org/licenses/LICENSE-2.0).
# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from typing import Any

import fire
import pytest
from fire.decorators import SetParseFn
from hypothesis import given
from hypothesis import strategies as st

from monai_synthfm.commands.words import split_words

WORDS = st.sampled_from(
    ["run", "a,b", "-1", "exp#4", "--zoom", "--noamp", "--seed=007", "--output-dir", "-k", "-k=2", "--net#size", "x=1"]
)


@given(st.lists(WORDS, max_size=6))
def test_words_are_sorted_as_fire_does(words: list[str]) -> None:
    seen: list[tuple[list[str], dict[str, Any]]] = []

    @SetParseFn(str)
    def command(*places: str, **options: str) -> None:
        seen.append((list(places), options))

    fire.Fire(command, command=words)
    assert [split_words(words)] == seen


@pytest.mark.parametrize("text", ["exp#4", "2024_01_05", "1e5", "0x10", "a,b", "{a}", "(1,2)", "None", "'q'", "a=b"])
def test_words_stay_as_they_were_typed(text: str) -> None:
    for words in (["--output_dir", text], [f"--output_dir={text}"]):
        assert split_words(words) == ([], {"output_dir": text})


def test_what_is_meant_for_fire_is_left_out() -> None:
    assert split_words(["--image", "a", "--", "--trace"]) == ([], {"image": "a"})
