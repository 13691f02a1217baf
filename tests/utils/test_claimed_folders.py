# Copyright (c) monai_synthfm contributors
# Licensed under the Apache License, Version 2.0 (http://www.apache.org/licenses/LICENSE-2.0).
# SPDX-License-Identifier: Apache-2.0
"""Folders that belong to one piece of work."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from monai_synthfm.utils.claimed_folders import claim


def test_the_same_content_may_claim_again_also_as_it_comes_out_of_json(tmp_path: Path) -> None:
    content = {"size": (3, 4), "seed": 0}
    claim(tmp_path / "new", "pinned/a.json", content, "model a")
    claim(tmp_path / "new", "pinned/a.json", {"seed": 0, "size": [3, 4]}, "model a")
    assert json.loads((tmp_path / "new" / "pinned" / "a.json").read_text()) == {"size": [3, 4], "seed": 0}


@pytest.mark.parametrize(
    ("content", "keys"), [({"seed": 1, "size": 2}, "seed"), ({"seed": 0}, "size"), ({"size": 3, "new": 1}, "new, seed")]
)
def test_other_content_is_refused_by_what_differs_and_changes_nothing(
    tmp_path: Path, content: dict[str, int], keys: str
) -> None:
    claim(tmp_path, "a.json", {"seed": 0, "size": 2}, "run")
    before = (tmp_path / "a.json").read_text()
    with pytest.raises(ValueError, match=f"holds another run, its a.json differs in {keys}"):
        claim(tmp_path, "a.json", content, "run")
    assert (tmp_path / "a.json").read_text() == before
    assert [path.name for path in tmp_path.iterdir()] == ["a.json"]
