# Copyright (c) monai_synthfm contributors
# Licensed under the Apache License, Version 2.0 (http://www.apache.org/licenses/LICENSE-2.0).
# SPDX-License-Identifier: Apache-2.0
"""A volume whose truth is known by formula, a server that shows it, and a browser that looks at it."""

from __future__ import annotations

import http.client
import io
import json
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
from PIL import Image

from monai_synthfm.networks import Promptable
from monai_synthfm.viewer.launch import open_session
from monai_synthfm.viewer.listening import in_background, listen
from monai_synthfm.viewer.state import ViewerState
from tests.bundles.stored_volumes import OBLIQUE, ORIENTATIONS, store

TOKEN = "secret"
SHAPE = (48, 44, 26)
STORED = ORIENTATIONS[29]
"""Axes permuted and flipped."""
CENTRE, RADII = (17.0, 21.0, 12.0), (9.0, 11.0, 8.0)
SECOND, SECOND_RADII = (37.0, 28.0, 13.0), (5.0, 6.0, 6.0)


def ellipsoid(centre: tuple[float, ...] = CENTRE, radii: tuple[float, ...] = RADII) -> np.ndarray:
    """Where it is, booleans [X, Y, Z], before the volume is stored in its own way."""
    grid = np.stack(np.mgrid[: SHAPE[0], : SHAPE[1], : SHAPE[2]], axis=-1)
    return (((grid - centre) / radii) ** 2).sum(axis=-1) <= 1


def in_file(array: np.ndarray) -> np.ndarray:
    return nib.apply_orientation(array, STORED)


def world(voxel: tuple[float, ...]) -> np.ndarray:
    """Millimetres of a voxel."""
    return nib.affines.apply_affine(OBLIQUE, voxel)


def click(**changes: Any) -> dict[str, Any]:
    """Body of a request for a click in the middle of the first object."""
    return {"object": 1, "points": [world(CENTRE).tolist()], "labels": [1], **changes}


def save_volume(path: Path) -> Path:
    """Two bright ellipsoids in an oblique volume that is not stored as RAS."""
    noise = np.random.default_rng(0).normal(0, 4, SHAPE)
    voxels = 60 + noise + 140 * ellipsoid() + 120 * ellipsoid(SECOND, SECOND_RADII)
    store(path, voxels.round().astype(np.float32), OBLIQUE, STORED)
    return path


class Served:
    """A server in a thread."""

    def __init__(self, image: Path, folder: Path, network: Promptable, niivue: Path | None = None) -> None:
        self.state = ViewerState(open_session(image, network, folder, "axial", "mr"), image, folder)
        listening = listen(self.state, niivue or Path("missing"), token=TOKEN)
        self.port = listening.port
        self._running = ExitStack()
        self.address = self._running.enter_context(in_background(listening))

    def close(self) -> None:
        self._running.close()

    @property
    def labels(self) -> np.ndarray:
        return self.state.session.labels()

    def request(
        self, method: str, path: str, body: Any = None, headers: dict[str, str] | None = None, token: str = TOKEN
    ) -> tuple[int, Any, http.client.HTTPResponse]:
        """Status, content (of JSON what it says) and response."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        given = {"x-synthfm-token": token, **(headers or {})}
        if isinstance(body, dict):
            body = json.dumps(body).encode()
            given.setdefault("content-type", "application/json")
        try:
            connection.request(method, path, body, given, encode_chunked="transfer-encoding" in given)
            response = connection.getresponse()
            content: Any = response.read()
        finally:
            connection.close()
        if response.headers.get("content-type") == "application/json":
            content = json.loads(content)
        return response.status, content, response


class Viewer:
    """A page in a browser, in terms of the volume."""

    def __init__(self, page: Any, served: Served) -> None:
        self.page = page
        self.served = served
        self.errors: list[str] = []
        self.refused = ""
        """Status that the server is to answer, which browsers call an error."""
        page.on("console", self._note)
        page.on("pageerror", lambda error: self.errors.append(str(error)))
        self.open()

    def _note(self, message: Any) -> None:
        expected = self.refused and f"status of {self.refused}" in message.text
        if message.type == "error" and not expected:
            self.errors.append(message.text)

    def open(self) -> None:
        self.page.goto(self.served.address)
        self.page.wait_for_selector("body[data-ready=yes]", timeout=30_000)

    def idle(self) -> None:
        """Wait until everything asked for was answered and drawn."""
        self.page.wait_for_selector("body[data-waiting='0'][data-job=''][data-settled=yes]", timeout=60_000)
        self.page.evaluate("() => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))")

    def go(self, voxel: tuple[float, ...]) -> None:
        """Move the crosshair, so that a slice is shown."""
        self.page.click("#tool-move")
        self.page.evaluate(
            "(frac) => { const { nv } = synthfm; nv.scene.crosshairPos = frac;"
            "nv.createOnLocationChange(); nv.drawScene(); }",
            self.fraction(voxel).tolist(),
        )
        self.page.click("#tool-prompt")

    def fraction(self, voxel: tuple[float, ...]) -> np.ndarray:
        """Where a voxel is along the axes to the right, to the front and up, from 0 to 1."""
        affine = nib.load(self.served.state.image).affine
        sizes = in_file(np.zeros(SHAPE)).shape
        stored = nib.affines.apply_affine(np.linalg.inv(affine), world(voxel))
        found = np.zeros(3)
        for axis, (to, flip) in enumerate(nib.io_orientation(affine)):
            along = stored[axis] if flip > 0 else sizes[axis] - 1 - stored[axis]
            found[int(to)] = (along + 0.5) / sizes[axis]
        return found

    def place(self, voxel: tuple[float, ...], tile: int = 0) -> tuple[float, float]:
        """Where a voxel is on the page: by its fraction of the tile, right on the left and up on top."""
        canonical = self.fraction(voxel)
        across, up = {0: (0, 1), 1: (0, 2), 2: (1, 2)}[tile]
        left, top, width, height = self.page.evaluate(
            "(tile) => Array.from(synthfm.nv.screenSlices.find((one) => one.axCorSag === tile).leftTopWidthHeight)",
            tile,
        )
        box = self.page.locator("#gl").bounding_box()
        mirrored = width < 0 or tile != 2
        left, width = (left + width, -width) if width < 0 else (left, width)
        x = 1 - canonical[across] if mirrored else canonical[across]
        return box["x"] + left + x * width, box["y"] + top + (1 - canonical[up]) * height

    def click(self, voxel: tuple[float, ...], tile: int = 0, **options: Any) -> None:
        """Show the slice of a voxel and click there."""
        self.go(voxel)
        self.page.mouse.click(*self.place(voxel, tile), **options)
        self.idle()

    def drag(self, *voxels: tuple[float, ...]) -> None:
        """Drag from voxel to voxel on the slice shown."""
        first, *others = [self.place(voxel) for voxel in voxels]
        self.page.mouse.move(*first)
        self.page.mouse.down()
        for x, y in others:
            self.page.mouse.move(x, y, steps=6)
        self.page.mouse.up()
        self.idle()

    def press(self, *keys: str) -> None:
        for key in keys:
            self.page.keyboard.press(key)
            self.idle()

    def picture(self, selector: str = "#stage") -> np.ndarray:
        """What is seen, [rows, columns, 3]."""
        self.idle()
        return np.asarray(Image.open(io.BytesIO(self.page.locator(selector).screenshot())).convert("RGB")).astype(int)

    def check(self) -> None:
        """Something is drawn, and nothing went wrong."""
        colours = np.unique(self.picture("#gl").reshape(-1, 3), axis=0)
        assert len(colours) > 50, "the canvas is blank"
        assert not self.page.evaluate("synthfm.nv.gl.isContextLost()")
        assert self.errors == []
