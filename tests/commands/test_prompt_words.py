# Copyright (c) monai_synthfm contributors
# Licensed under the Apache License, Version 2.0 (http://www.apache.org/licenses/LICENSE-2.0).
# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import pytest

from monai_synthfm.commands.prompt_words import check_prompted, take_prompts


def test_prompts_may_stand_anywhere_and_negative_numbers_are_numbers() -> None:
    words = ["--zoom", "--box", "1", "2", "3", "-4", "5.5", "6e1", "ct.nii", "--click", "1", "2", "3", "--output", "7"]
    rest, found = take_prompts(words)
    assert rest == ["--zoom", "ct.nii", "--output", "7"]
    assert found == {"points": [[[1, 2, 3]]], "point_labels": [[1]], "boxes": [[1, 2, 3, -4, 5.5, 60.0]]}


def test_each_object_has_its_own_prompts() -> None:
    words = [
        "--click",
        "1",
        "2",
        "3",
        "--next-object",
        "--negative-click",
        "4",
        "5",
        "6",
        "--click",
        "7",
        "8",
        "9",
        "--next-object",
        "--box",
        "1",
        "1",
        "1",
        "2",
        "2",
        "2",
    ]
    assert take_prompts(words)[1] == {
        "points": [[[1, 2, 3]], [[4, 5, 6], [7, 8, 9]], []],
        "point_labels": [[1], [0, 1], []],
        "boxes": [[], [], [1, 1, 1, 2, 2, 2]],
    }


def test_in_a_picture_two_numbers_do_and_a_name_ends_them() -> None:
    rest, found = take_prompts(["--click", "10", "20", "cell.png", "--box", "1", "2", "3", "4"])
    assert rest == ["cell.png"]
    assert found == {"points": [[[10, 20]]], "point_labels": [[1]], "boxes": [[1, 2, 3, 4]]}


def test_without_prompts_nothing_is_taken() -> None:
    words = ["ct.nii", "--points", "[[[1,2,3]]]", "--mask", "m.nii"]
    assert take_prompts(words) == (words, {})


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("--click 1", "--click must be followed by 3 numbers"),
        ("--click 1 nan 3", "--click must be followed by 3 numbers"),
        ("--box 1 2 3 4 5 ct.nii", "--box must be followed by 6 numbers"),
        ("--box 1 1 1 2 2 2 --box 1 1 1 2 2 2", "object 1 has one already"),
        ("--next-object --mask m.nii", "--next-object is for objects with clicks or boxes"),
        ("--click 1 2 3 --points [[[1,2,3]]]", "--points cannot be given beside"),
        ("--box 1 1 1 2 2 2 --boxes=[[1,1,1,2,2,2]]", "--boxes"),
    ],
)
def test_what_is_wrong_is_told(line: str, message: str) -> None:
    with pytest.raises(ValueError, match=message.replace("[", r"\[")):
        take_prompts(line.split())


def test_underscores_do_for_dashes() -> None:
    words = "--negative-click 1 2 3 --next-object --box 1 1 2 2"
    assert take_prompts(words.replace("-c", "_c").replace("-o", "_o").split()) == take_prompts(words.split())


def test_what_says_where_an_object_is_may_come_from_any_option() -> None:
    for options in ({"points"}, {"boxes"}, {"mask"}, {"dataset::data::0::points"}, {"dataset#data"}):
        check_prompted({"image", *options})
    with pytest.raises(
        ValueError, match=r"--click x y z, --box x0 y0 z0 x1 y1 z1 or --mask file, such as --click 120 200"
    ):
        check_prompted({"image", "space"})
