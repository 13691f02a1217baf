# Copyright (c) monai_synthfm contributors
# Licensed under the Apache License, Version 2.0 (http://www.apache.org/licenses/LICENSE-2.0).
# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import json
from pathlib import Path

import pytest

from monai_synthfm.prompts.prompt_table import read_prompt_table

ROWS = [
    {"image": "a.nii", "object": "liver", "clicks": [[1, 2, 3], [4.5, -5, 6]], "labels": [1, 0]},
    {"image": "scans", "series": 3, "box": [1, 2, 3, 4, 5, 6], "space": "world"},
    {"image": "./a.nii", "mask": "m.nii"},
    {"image": "scans", "series": 4, "clicks": [[1, 1, 1]]},
]
CSV = """\ufeffimage, object, clicks, labels, box, mask, space, series
a.nii,liver,1 2 3; 4.5 -5 6,1 0,,,,
scans,,,,"1, 2, 3, 4, 5, 6",,world,3
./a.nii,,,,,m.nii,,
scans,,"[[1, 1, 1]]",,,,,4
"""


@pytest.mark.parametrize("kind", ["csv", "json"])
def test_rows_of_an_image_are_its_objects(kind: str, tmp_path: Path) -> None:
    path = tmp_path / f"prompts.{kind}"
    path.write_text(CSV if kind == "csv" else json.dumps(ROWS), encoding="utf-8")
    liver, third, fourth = read_prompt_table(path, {"space": "lps", "axis": "auto"})
    assert liver == {
        "image": "a.nii",
        "series": None,
        "objects": ["liver", "2"],
        "rows": [1, 3],
        "points": [[[1, 2, 3], [4.5, -5, 6]], []],
        "point_labels": [[1, 0], []],
        "space": "lps",
        "axis": "auto",
        "mask": "m.nii",
    }
    assert (third["boxes"], third["space"], str(third["series"])) == ([[1, 2, 3, 4, 5, 6]], "world", "3")
    assert (fourth["points"], fourth["point_labels"], str(fourth["series"])) == ([[[1, 1, 1]]], [[1]], "4")


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        ({"image": "b.nii", "clicks": "1 two 3"}, "row 2: clicks '1 two 3' are no numbers"),
        ({"image": "b.nii", "clicks": "[[1, 2"}, "row 2: clicks"),
        ({"image": "b.nii", "clicks": 3}, "row 2: clicks must be a list of [x, y, z], got 3."),
        ({"clicks": [[1, 2, 3]]}, "row 2: image is missing."),
    ],
)
def test_a_row_that_cannot_be_understood_leaves_the_others(row: dict, reason: str, tmp_path: Path) -> None:
    path = tmp_path / "prompts.json"
    path.write_text(json.dumps([ROWS[0], row, ROWS[1]]))
    cases = read_prompt_table(path)
    assert [case.get("fault", "").startswith(reason) for case in cases] == [False, True, False]
    assert not any("fault" in case for case in (cases[0], cases[2]))


def test_rows_of_an_image_agree_in_what_concerns_all(tmp_path: Path) -> None:
    path = tmp_path / "prompts.csv"
    path.write_text("image,clicks,space\na.nii,1 1 1,world\na.nii,2 2 2,voxel\n")
    (case,) = read_prompt_table(path)
    assert case["fault"] == "row 2: space 'voxel' differs from 'world' in another row of this image."


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("p.csv", "image,click\na,1 1 1\n", "there is no column 'click'; did you mean 'clicks'"),
        ("p.csv", "clicks\n1 1 1\n", "the column 'image' is missing"),
        ("p.csv", "image,clicks\n", "it has no rows"),
        ("p.csv", "", "neither CSV nor JSON"),
        ("p.json", "{", "neither CSV nor JSON"),
        ("p.json", '{"image": "a"}', "expected a list with an object for each row, got dict"),
    ],
)
def test_what_is_no_table_is_refused(name: str, text: str, message: str, tmp_path: Path) -> None:
    (tmp_path / name).write_text(text)
    with pytest.raises(ValueError, match=message):
        read_prompt_table(tmp_path / name)


def test_a_missing_table_is_told(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="no such file"):
        read_prompt_table(tmp_path / "prompts.csv")
    with pytest.raises(ValueError, match="no table was given"):
        read_prompt_table("")
