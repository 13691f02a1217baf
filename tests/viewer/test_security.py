# Copyright (c) monai_synthfm contributors
# Licensed under the Apache License, Version 2.0 (http://www.apache.org/licenses/LICENSE-2.0).
# SPDX-License-Identifier: Apache-2.0
"""Who is let in: the token, the names of this server, pages of its own, and bodies that are not too large."""

from __future__ import annotations

from typing import Any

import pytest

from monai_synthfm.viewer.security import Guard, host_names

from .served import Served, click


@pytest.mark.parametrize(
    "path", ["/", "/api/state", "/api/volume.nii", "/page/app.js", "/page/niivue.js", "/openapi.json"]
)
def test_everything_needs_the_token(served: Served, path: str) -> None:
    assert served.request("GET", path)[0] == 200
    assert served.request("GET", f"{path}?token=secret", token="")[0] == 200
    for token in ("", "wrong", "secre", "secrets", "s\xe9cret"):
        status, said, _ = served.request("GET", path, token=token)
        assert (status, said["detail"][:9]) == (401, "the token")


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"Host": "evil.example"}, 421),
        ({"Host": "127.0.0.1"}, 421),
        ({"Host": "127.0.0.1.evil.example:80"}, 421),
        ({"Origin": "http://evil.example"}, 403),
        ({"Origin": "null"}, 403),
        ({"Sec-Fetch-Site": "cross-site"}, 403),
        ({"Sec-Fetch-Site": "same-site"}, 403),
    ],
)
def test_other_names_and_other_pages_are_refused(served: Served, headers: dict[str, str], status: int) -> None:
    assert served.request("GET", "/api/state", headers=headers)[0] == status
    assert served.request("POST", "/api/points", click(), headers)[0] == status
    assert served.state.session.interactions == ()


def test_own_pages_are_answered_and_nobody_else_may_read(served: Served) -> None:
    own = {"Origin": f"http://localhost:{served.port}", "Host": f"localhost:{served.port}"}
    status, _, response = served.request("POST", "/api/points", click(), own)
    assert status == 200
    names = {name.lower() for name in response.headers}
    assert not any(name.startswith("access-control") for name in names)
    assert response.headers["cache-control"] == "no-store"
    assert "default-src 'none'" in response.headers["content-security-policy"]
    assert served.request("OPTIONS", "/api/points", headers={"Origin": "http://evil.example"})[0] == 403


def test_large_bodies_are_refused_whether_they_say_so_or_not(served: Served) -> None:
    large = b" " * (2**18 + 1)
    status, said, _ = served.request("POST", "/api/points", large)
    assert (status, said["detail"]) == (413, "the request is larger than the 262144 bytes that are taken here.")
    pieces = (b" " * 2**16 for _ in range(8))
    assert served.request("POST", "/api/points", pieces, {"transfer-encoding": "chunked"})[0] == 413
    assert served.request("POST", "/api/points", b"", {"content-length": "-5"})[0] in (400, 413)
    assert served.request("POST", "/api/points", click())[0] == 200


def test_only_names_of_this_machine_are_its_names() -> None:
    assert "0.0.0.0:80" in host_names("0.0.0.0", 80)
    assert not any("evil" in name for name in host_names("0.0.0.0", 80))
    assert host_names("localhost", 81) == {"127.0.0.1:81", "localhost:81", "[::1]:81"}


def test_websockets_end_at_the_guard() -> None:
    async def never(*arguments: Any) -> None:
        raise AssertionError("it was let through")

    guard = Guard(never, "t", frozenset(), {"": 1})
    with pytest.raises(StopIteration):  # at its end, without having waited for anything
        guard({"type": "websocket"}, never, never).send(None)
