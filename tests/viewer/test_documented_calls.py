# Copyright (c) monai_synthfm contributors
# Licensed under the Apache License, Version 2.0 (http://www.apache.org/licenses/LICENSE-2.0).
# SPDX-License-Identifier: Apache-2.0
"""The program that the viewer's page shows to writers of other viewers does what it states."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from tests.conftest import ROOT
from tests.docs.pages import blocks

from .served import CENTRE, TOKEN, Served, ellipsoid, in_file, world


def test_the_documented_calls_bring_a_mask(serve: Callable[..., Served]) -> None:
    pytest.importorskip("requests")
    (block,) = [block for block in blocks(ROOT / "docs" / "viewer.md") if block.language == "python"]
    served = serve()
    text = block.text
    click = [round(float(value), 3) for value in world(CENTRE)]
    for written, here in (
        ("http://127.0.0.1:8000", f"http://127.0.0.1:{served.port}"),
        ('"..."', repr(TOKEN)),
        ("[[-65.0, 125.3, 118.3]]", repr([click])),
    ):
        assert written in text
        text = text.replace(written, here)
    names: dict[str, Any] = {}
    exec(compile(text, "docs/viewer.md", "exec"), names)
    (x0, x1), (y0, y1), (z0, z1) = names["state"]["box"]
    truth = in_file(ellipsoid())[x0:x1, y0:y1, z0:z1]
    np.testing.assert_array_equal(names["labels"], served.labels[x0:x1, y0:y1, z0:z1])
    found = names["labels"] == 1
    assert 2 * (found & truth).sum() / (found.sum() + truth.sum()) > 0.8
