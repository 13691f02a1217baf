# Copyright (c) monai_synthfm contributors
# Licensed under the Apache License, Version 2.0 (http://www.apache.org/licenses/LICENSE-2.0).
# SPDX-License-Identifier: Apache-2.0
"""A browser, and a server for each test."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from monai_synthfm.networks import Promptable
from tests.inferers.level_segmenter import LevelSegmenter

pytest.importorskip("fastapi", reason="the extra 'view' is not installed")
pytest.importorskip("uvicorn", reason="the extra 'view' is not installed")

from monai_synthfm.viewer.niivue import find_niivue

from .served import Served, Viewer, save_volume

REQUIRED = os.environ.get("MONAI_SYNTHFM_TEST_BROWSER") == "1"
ARGUMENTS = [
    "--no-sandbox",
    "--use-angle=swiftshader",
    "--enable-unsafe-swiftshader",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


def _missing(what: str) -> None:
    """Skip, or fail where a browser is promised."""
    if REQUIRED:
        pytest.fail(f"{what}, but MONAI_SYNTHFM_TEST_BROWSER=1 says that the pages are to be tested.")
    pytest.skip(what)


@pytest.fixture(scope="session")
def niivue() -> Path:
    try:
        return find_niivue()
    except OSError as error:
        _missing(f"NiiVue is missing: {error}")
        raise


@pytest.fixture(scope="session")
def browser() -> Iterator[Any]:
    """Chromium that draws without a graphics card."""
    found = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if found is None:
        _missing("no chromium on this machine")
    try:
        from playwright.sync_api import sync_playwright
    except ImportError:
        _missing("playwright is not installed")
    with sync_playwright() as playwright:
        opened = playwright.chromium.launch(executable_path=found, args=ARGUMENTS)
        yield opened
        opened.close()


@pytest.fixture
def image(tmp_path: Path) -> Path:
    return save_volume(tmp_path / "in.nii.gz")


@pytest.fixture
def serve(image: Path, tmp_path: Path) -> Iterator[Callable[..., Served]]:
    """Start servers of one image and one folder, and end them."""
    started: list[Served] = []

    def start(network: Promptable | None = None, niivue: Path | None = None, path: Path | None = None) -> Served:
        one = Served(path or image, tmp_path / "cache", network or LevelSegmenter(), niivue)
        started.append(one)
        return one

    yield start
    for one in started:
        one.close()


@pytest.fixture
def served(serve: Callable[..., Served], tmp_path: Path) -> Served:
    script = tmp_path / "niivue.js"
    script.write_text("// stands in")
    return serve(niivue=script)


@pytest.fixture
def open_viewer(browser: Any, niivue: Path, serve: Callable[..., Served]) -> Iterator[Callable[..., Viewer]]:
    """Open pages; at the end each must show something and have no error."""
    opened: list[Viewer] = []

    def start(network: Promptable | None = None, served: Served | None = None, path: Path | None = None) -> Viewer:
        page = browser.new_page(viewport={"width": 1000, "height": 640})
        one = Viewer(page, served or serve(network, niivue, path))
        opened.append(one)
        return one

    yield start
    for one in opened:
        one.check()
        one.page.close()


@pytest.fixture
def viewer(open_viewer: Callable[..., Viewer]) -> Viewer:
    return open_viewer()
