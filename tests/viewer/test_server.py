# Copyright (c) monai_synthfm contributors
# Licensed under the Apache License, Version 2.0 (http://www.apache.org/licenses/LICENSE-2.0).
# SPDX-License-Identifier: Apache-2.0
"""No path leads out of the page, and nothing is lost in a crowd."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor

import pytest

from .served import CENTRE, Served, click, world


@pytest.mark.parametrize(
    "path",
    [
        "/page/../server.py",
        "/page/..%2fserver.py",
        "/page/%2e%2e/%2e%2e/__init__.py",
        "/page//etc/passwd",
        "/page/server.py",
        "/page/index.html",
        "/api/save/../../etc/passwd",
        "/../../../../etc/passwd",
        "/api/save/%2Fetc%2Fpasswd",
    ],
)
def test_no_path_leads_out_of_the_page(served: Served, path: str) -> None:
    status, content, _ = served.request("GET", path)
    assert status == 404
    assert "root:" not in json.dumps(content)


def test_a_hundred_prompts_at_once_are_taken_or_answered_busy(served: Served) -> None:
    served.state.session.network.seconds = 0.05

    def ask(number: int) -> int:
        given = world((CENTRE[0], CENTRE[1], number % 20 + 3))
        return served.request("POST", "/api/points", click(points=[given.tolist()]))[0]

    with ThreadPoolExecutor(100) as pool:
        answers = list(pool.map(ask, range(100)))
    assert set(answers) == {200, 503}
    assert len(served.state.session.interactions) == answers.count(200)
    kept = json.loads(served.state.file.read_text())["session"]["interactions"]
    assert len(kept) == answers.count(200)
    status, said, _ = served.request("GET", "/api/state")
    assert status == 200
    assert len(said["prompts"]) == len(kept)
