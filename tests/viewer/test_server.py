# Copyright (c) monai_synthfm contributors
# Licensed under the Apache License, Version 2.0 (http://www.apache.org/licenses/LICENSE-2.0).
# SPDX-License-Identifier: Apache-2.0
"""Who is let in, what is refused, and that nothing is lost in a crowd."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from monai_synthfm.viewer.security import Guard, host_names
from tests.inferers.level_segmenter import LevelSegmenter

from .served import CENTRE, Served, world


@pytest.fixture
def served(serve: Callable[..., Served], tmp_path: Path) -> Served:
    script = tmp_path / "niivue.js"
    script.write_text("// stands in")
    return serve(niivue=script)


def click(**changes: Any) -> dict[str, Any]:
    return {"object": 1, "points": [world(CENTRE).tolist()], "labels": [1], **changes}


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


def test_large_bodies_are_refused_whether_they_say_so_or_not(served: Served) -> None:
    large = b" " * (2**18 + 1)
    status, said, _ = served.request("POST", "/api/points", large)
    assert (status, said["detail"]) == (413, "the request is larger than the 262144 bytes that are taken here.")
    pieces = (b" " * 2**16 for _ in range(8))
    assert served.request("POST", "/api/points", pieces, {"transfer-encoding": "chunked"})[0] == 413
    assert served.request("POST", "/api/points", b"", {"content-length": "-5"})[0] in (400, 413)
    assert served.request("POST", "/api/points", click())[0] == 200


@pytest.mark.parametrize("path", ["/api/load/prompts", "/api/load/labels"])
@pytest.mark.parametrize(
    "content", [b"", b"{}", b"\x1f\x8b broken", b"PK\x05\x06" + bytes(18), b"\x00" * 400, b"[[[1,2]]]"]
)
def test_files_that_are_something_else_are_refused(served: Served, path: str, content: bytes) -> None:
    status, said, _ = served.request("POST", path, content)
    assert status == 422, said
    assert str(served.state.file.parent) not in said["detail"]
    assert served.state.session.interactions == ()


def test_archives_that_unpack_to_too_much_are_refused(served: Served) -> None:
    archive = BytesIO()
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as packed:
        packed.writestr("prompts.json", "{}")
        packed.writestr("prompts_mask.nii.gz", bytes(2**25))
    status, said, _ = served.request("POST", "/api/load/prompts", archive.getvalue())
    assert status == 422
    assert said["detail"].startswith("prompts_mask.nii.gz is larger than")


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


def test_a_volume_that_changed_does_not_get_the_prompts_of_another(
    serve: Callable[..., Served], image: Path, tmp_path: Path
) -> None:
    import nibabel as nib

    first = serve()
    assert first.request("POST", "/api/points", click())[0] == 200
    first.close()
    other = nib.load(image)
    nib.save(nib.Nifti1Image(np.asarray(other.dataobj) + 1, other.affine), image)
    second = serve(LevelSegmenter())
    assert second.request("GET", "/api/state")[1]["prompts"] == []
    assert first.state.file.is_file()


def test_a_record_that_cannot_be_read_is_kept_aside(serve: Callable[..., Served]) -> None:
    first = serve()
    first.request("POST", "/api/points", click())
    first.close()
    first.state.file.write_text('{"session": 3}')
    second = serve()
    said = second.request("POST", "/api/points", click())
    assert said[0] == 200
    assert "cannot be read" in second.state.message["text"]
    kept = list(first.state.file.parent.glob("prompts-*.json"))
    assert len(kept) == 2


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
