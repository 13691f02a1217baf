# Copyright (c) monai_synthfm contributors
# Licensed under the Apache License, Version 2.0 (http://www.apache.org/licenses/LICENSE-2.0).
# SPDX-License-Identifier: Apache-2.0
"""The server: what pages ask for, handed to the session one after the other."""

from __future__ import annotations

import asyncio
import html
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from urllib.parse import quote

import numpy as np
from fastapi import FastAPI, HTTPException, Query, Request, Response
from fastapi.responses import HTMLResponse, JSONResponse

from monai_synthfm import __version__
from monai_synthfm.slices.planes import plane_of
from monai_synthfm.transforms.medsam import CT_WINDOWS
from monai_synthfm.viewer import requests as ask
from monai_synthfm.viewer.api_page import api_page
from monai_synthfm.viewer.display import DisplayGrid, display_nifti
from monai_synthfm.viewer.files import load_label_map, load_prompts, nifti_file, prompts_file, seg_file
from monai_synthfm.viewer.security import Guard
from monai_synthfm.viewer.state import ViewerState
from monai_synthfm.viewer.worker import BusyError, Worker

__all__ = ["create_app"]

_PAGE = Path(__file__).parent / "page"
_BINARY = "application/octet-stream"
_POLL_SECONDS = 20.0
_LIMITS = {"": 2**18, "/api/load/": 2**28}


def create_app(state: ViewerState, niivue: Path, token: str, hosts: frozenset[str]) -> FastAPI:
    """
    Make the server of one session.

    Args:
        state: that pages show.
        niivue: NiiVue's script.
        token: see :class:`~monai_synthfm.viewer.security.Guard`.
        hosts: see there.
    """
    worker = Worker()

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        await worker.do(state.restore)
        if state.session.outdated:
            worker.start("going on where you left", lambda: state.carry(*vars(state.session.reach).values()))
        yield
        state.stop()
        worker.close()

    app = FastAPI(title="monai_synthfm viewer", version=__version__, docs_url=None, redoc_url=None, lifespan=lifespan)
    app.add_middleware(Guard, token=token, hosts=hosts, limits=_LIMITS)
    app.state.worker = worker
    app.state.closing = lambda: False
    grids = {"shown": DisplayGrid.fitting(state.shape, 2048)}

    @app.exception_handler(BusyError)
    async def busy(request: Request, error: BusyError) -> JSONResponse:
        return JSONResponse({"detail": str(error)}, 503, {"retry-after": "1"})

    @app.exception_handler(ValueError)
    async def wrong(request: Request, error: ValueError) -> JSONResponse:
        return JSONResponse({"detail": str(error)}, 422)

    @app.exception_handler(ImportError)
    async def missing(request: Request, error: ImportError) -> JSONResponse:
        return JSONResponse({"detail": str(error)}, 501)

    def packed(since: int) -> Response:
        return Response(state.update(since, grids["shown"], worker.long_job), media_type=_BINARY)

    async def done(job: Callable[[], Any], since: int) -> Response:
        """Do a job, and answer with what changed since the version that the page has."""

        def whole() -> Response:
            job()
            return packed(since)

        return await worker.do(whole)

    # the page

    pages = {"app.js": "text/javascript", "style.css": "text/css"}

    @app.get("/", include_in_schema=False)
    async def page() -> HTMLResponse:
        text = (_PAGE / "index.html").read_text(encoding="utf-8")
        return HTMLResponse(text.replace("{{token}}", quote(token)).replace("{{title}}", html.escape(state.name)))

    @app.get("/page/niivue.js", include_in_schema=False)
    async def script() -> Response:
        return Response(niivue.read_bytes(), media_type="text/javascript")

    @app.get("/page/{name}", include_in_schema=False)
    async def part(name: str) -> Response:
        if name not in pages:
            raise HTTPException(404, "there is no such page.")
        return Response((_PAGE / name).read_bytes(), media_type=pages[name])

    @app.get("/api", include_in_schema=False)
    async def documentation() -> HTMLResponse:
        return HTMLResponse(api_page(app.openapi(), quote(token)))

    # what there is

    @app.get("/api/info")
    async def info(most_side: int = Query(2048, ge=64, le=16384)) -> dict[str, Any]:
        """Describe the volume; ``most_side`` is the largest 3D texture that the page can hold."""
        grids["shown"] = grid = DisplayGrid.fitting(state.shape, most_side)
        session, axis = state.session, state.session.frame.axis
        return {
            "name": state.image.name,
            "shape": state.shape,
            "shown": {"shape": grid.sizes, "strides": grid.strides},
            "to_voxel": np.linalg.inv(state.affine).tolist(),
            "affine": state.affine.tolist(),
            "plane": plane_of(state.affine, axis),
            "stored_axis": axis,
            "slices": state.shape[axis],
            "windows": {name.replace("_", " "): window for name, window in CT_WINDOWS.items()},
            "scaling": {name: session.scaling[name] for name in ("policy", "low", "high")},
            "dicom": state.image.is_dir(),
            "version": __version__,
        }

    @app.get("/api/volume.nii", response_class=Response)
    async def volume() -> Response:
        """Return the volume as NIfTI, coarser where the page could not hold it."""
        voxels = np.asarray(state.session.image[0])
        content = await asyncio.to_thread(display_nifti, voxels, state.affine, grids["shown"])
        return Response(content, media_type=_BINARY)

    @app.get("/api/state")
    async def describe() -> dict[str, Any]:
        """Return the objects, prompts and settings."""
        return state.describe(worker.long_job)

    @app.get("/api/update", response_class=Response)
    async def update(since: int = 0, revision: int = -1) -> Response:
        """Wait until the state is another than ``revision``, then return it with the labels that changed ``since``."""
        end = time.monotonic() + _POLL_SECONDS
        while state.revision == revision and time.monotonic() < end and not app.state.closing():
            await asyncio.sleep(0.03)
        # while an object is carried, labels do not change
        return packed(since) if worker.long_job else await worker.do(lambda: packed(since))

    # prompts

    @app.post("/api/points", response_class=Response)
    async def points(given: ask.PointsRequest) -> Response:
        """Add clicks."""
        return await done(lambda: state.click(given.object, given.points, list(given.labels)), given.since)

    @app.post("/api/box", response_class=Response)
    async def box(given: ask.BoxRequest) -> Response:
        """Set the box of an object."""
        return await done(lambda: state.box(given.object, given.corners), given.since)

    @app.post("/api/stroke", response_class=Response)
    async def stroke(given: ask.StrokeRequest) -> Response:
        """Add a chain of clicks along a stroke."""
        return await done(lambda: state.stroke(given.object, given.stroke, given.label), given.since)

    @app.post("/api/look", response_class=Response, status_code=204)
    async def look(given: ask.LookRequest) -> Response:
        """Say which slice is looked at: when nothing else is to be done, the network gets ready for prompts on it."""
        if worker.is_idle:
            await worker.do(lambda: state.session.encode(given.slice))
        return Response(status_code=204)

    @app.post("/api/undo", response_class=Response)
    async def undo(given: ask.Request) -> Response:
        """Take the last step back."""
        return await done(state.undo, given.since)

    @app.post("/api/redo", response_class=Response)
    async def redo(given: ask.Request) -> Response:
        """Take it again."""
        return await done(state.redo, given.since)

    @app.post("/api/remove", response_class=Response)
    async def remove(given: ask.PromptRequest) -> Response:
        """Take one prompt back."""
        return await done(lambda: state.remove(given.prompt), given.since)

    @app.post("/api/resize", response_class=Response)
    async def resize(given: ask.ResizeRequest) -> Response:
        """Take the next smaller or larger of the network's alternatives."""
        return await done(lambda: state.resize(given.object, given.size), given.since)

    @app.get("/api/alternatives")
    async def alternatives(number: int = Query(1, alias="object", ge=1, le=255)) -> dict[str, Any]:
        """Return the areas in mm2 of the alternatives, of the present mask, and which was chosen."""
        found = await worker.do(lambda: state.session.alternatives(number))
        return {"areas": found.areas, "current": found.current, "chosen": found.chosen}

    @app.post("/api/window", response_class=Response)
    async def window(given: ask.NetworkWindow) -> Response:
        """Show the network the volume through another window."""
        return await done(lambda: state.window(given.level, given.width), given.since)

    # objects

    @app.post("/api/objects/add", response_class=Response)
    async def add_object(given: ask.Request) -> Response:
        """Have one more object."""
        return await done(state.add_object, given.since)

    @app.post("/api/objects/change", response_class=Response)
    async def change_object(given: ask.ObjectChange) -> Response:
        """Change name, colour or visibility."""
        values = given.model_dump(include={"name", "colour", "visible"})
        return await done(lambda: state.change_object(given.object, **values), given.since)

    @app.post("/api/objects/remove", response_class=Response)
    async def remove_object(given: ask.ObjectRequest) -> Response:
        """Take an object away; those after it move up."""
        return await done(lambda: state.remove_object(given.object), given.since)

    # the volume

    @app.post("/api/propagate", response_class=Response, status_code=202)
    async def propagate(given: ask.PropagateRequest) -> Response:
        """Begin to carry all objects through the volume; ``/api/update`` tells how far it is."""
        worker.start("carrying objects through the volume", lambda: state.carry(given.direction, given.slice_range))
        return Response(status_code=202)

    @app.post("/api/stop", response_class=Response, status_code=202)
    async def stop(given: ask.Request) -> Response:
        """Stop carrying; nothing has changed then."""
        state.stop()
        return Response(status_code=202)

    # files

    async def file(make: Callable[[ViewerState], tuple[str, bytes]], kind: str) -> Response:
        name, content = await worker.do(lambda: make(state))
        disposition = f"attachment; filename*=UTF-8''{quote(name)}"
        return Response(content, media_type=kind, headers={"content-disposition": disposition})

    @app.get("/api/save/segmentation.nii.gz", response_class=Response)
    async def save_nifti() -> Response:
        """Return the segmentation as NIfTI, with the geometry of the image."""
        return await file(nifti_file, "application/gzip")

    @app.get("/api/save/segmentation.dcm", response_class=Response)
    async def save_seg() -> Response:
        """Return the segmentation as DICOM SEG."""
        return await file(seg_file, "application/dicom")

    @app.get("/api/save/prompts", response_class=Response)
    async def save_prompts() -> Response:
        """Return the prompts as arguments of ``inference.yaml``: JSON, or a zip archive with a mask."""
        return await file(prompts_file, _BINARY)

    @app.post("/api/load/prompts", response_class=Response)
    async def load_arguments(request: Request, since: int = 0) -> Response:
        """Say what is in a file of prompts, the body, instead of all prompts so far."""
        content = await request.body()
        reach: list[Any] = []
        answer = await done(lambda: reach.extend(load_prompts(state, content)), since)
        if reach[0] != "none":
            worker.start("carrying objects through the volume", lambda: state.carry(*reach))
        return answer

    @app.post("/api/load/labels", response_class=Response)
    async def load_labels(request: Request, since: int = 0) -> Response:
        """Have the objects of a label map, the body, to correct them."""
        content = await request.body()
        return await done(lambda: load_label_map(state, content), since)

    return app
