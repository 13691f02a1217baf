# Copyright (c) monai_synthfm contributors
# Licensed under the Apache License, Version 2.0 (http://www.apache.org/licenses/LICENSE-2.0).
# SPDX-License-Identifier: Apache-2.0
"""NiiVue, which draws volumes in the browser: third-party code (BSD-2-Clause), fetched once and pinned by hash."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from monai_synthfm.networks.weights.fetch import fetch_npm
from monai_synthfm.networks.weights.files import OFFLINE_VARIABLE, cache_folder
from monai_synthfm.utils.hashes import check_sha256

__all__ = ["find_niivue"]

_PACKAGE = "@niivue/niivue@0.69.0"
_MEMBER = "dist/niivue.umd.js"
_SHA256 = "47b896b77ec4a5be3ef1949c33ad393b6f45629921f326c279000bcf51bdb4af"


def find_niivue() -> Path:
    """
    Return NiiVue's script in the cache folder, fetched with npm when it is not there yet.

    Raises:
        FileNotFoundError: when it is not there and cannot be fetched: without npm, or offline.
        ConnectionError: when npm cannot reach the registry.
        ValueError: when the file is another one.
    """
    folder = cache_folder() / _PACKAGE.removeprefix("@").replace("/", "-")
    path = folder / Path(_MEMBER).name
    if path.is_file():
        check_sha256(path, _SHA256, str(path), "Delete it to fetch it again.")
        return path
    by_hand = f"put {_MEMBER} of the npm package {_PACKAGE} at {path}"
    if os.environ.get(OFFLINE_VARIABLE) == "1":
        raise FileNotFoundError(f"NiiVue is not here and {OFFLINE_VARIABLE}=1 forbids fetching it: {by_hand}.")
    try:
        fetch_npm(_PACKAGE, {_MEMBER: _SHA256}, folder)
    except (FileNotFoundError, ConnectionError) as error:
        raise type(error)(f"NiiVue is not here and cannot be fetched: {by_hand}. ({error})") from error
    return path


if __name__ == "__main__":
    try:
        print(f"NiiVue is at {find_niivue()}")
    except (OSError, ValueError) as error:
        sys.exit(f"error: {error}")
