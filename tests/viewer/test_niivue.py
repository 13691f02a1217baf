# Copyright (c) monai_synthfm contributors
# Licensed under the Apache License, Version 2.0 (http://www.apache.org/licenses/LICENSE-2.0).
# SPDX-License-Identifier: Apache-2.0
"""NiiVue is found in the cache folder, and where it is not, one sentence says where to put it."""

from __future__ import annotations

import hashlib
import re
from pathlib import Path

import pytest

from monai_synthfm.viewer import niivue
from monai_synthfm.viewer.niivue import find_niivue


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where it has to be, in an empty cache folder of a machine without npm."""
    monkeypatch.setenv("MONAI_SYNTHFM_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("PATH", str(tmp_path))
    return tmp_path / "home" / "niivue-niivue@0.69.0" / "niivue.umd.js"


@pytest.mark.parametrize("offline", ["", "1"])
def test_without_npm_or_offline_it_says_where_to_put_it(
    place: Path, monkeypatch: pytest.MonkeyPatch, offline: str
) -> None:
    monkeypatch.setenv("MONAI_SYNTHFM_OFFLINE", offline)
    by_hand = f"put dist/niivue.umd.js of the npm package @niivue/niivue@0.69.0 at {place}"
    with pytest.raises(FileNotFoundError, match=re.escape(by_hand)) as caught:
        find_niivue()
    assert ("forbids fetching" in str(caught.value)) is (offline == "1")


def test_the_published_file_alone_is_taken(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    place.parent.mkdir(parents=True)
    place.write_text("something else")
    with pytest.raises(ValueError, match="is not the published file"):
        find_niivue()
    monkeypatch.setattr(niivue, "_SHA256", hashlib.sha256(b"something else").hexdigest())
    assert find_niivue() == place
