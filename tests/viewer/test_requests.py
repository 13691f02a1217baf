# Copyright (c) monai_synthfm contributors
# Licensed under the Apache License, Version 2.0 (http://www.apache.org/licenses/LICENSE-2.0).
# SPDX-License-Identifier: Apache-2.0
"""Bodies that are not as described: refused before anything is done."""

from __future__ import annotations

import pytest

from .served import Served, click

BROKEN = {
    "no JSON": b"{",
    "empty": b"",
    "no object": b"[]",
    "other field": click(file="/etc/passwd"),
    "not a number": click(points=[[1, 2, "x"]]),
    "infinite": b'{"points": [[1e999, 0, 0]], "labels": [1]}',
    "two coordinates": click(points=[[1, 2]]),
    "outside": click(points=[[1e6, 0, 0]]),
    "label": click(labels=[2]),
    "labels": click(labels=[1, 1]),
    "object": click(object=0),
    "object 256": click(object=256),
    "many": click(points=[[0, 0, 0]] * 65, labels=[1] * 65),
}


@pytest.mark.parametrize("name", BROKEN)
def test_malformed_bodies_are_refused_and_change_nothing(served: Served, name: str) -> None:
    status, said, _ = served.request("POST", "/api/points", BROKEN[name], {"content-type": "application/json"})
    assert status == 422, said
    assert served.state.session.interactions == ()
    assert served.request("POST", "/api/points", click())[0] == 200
