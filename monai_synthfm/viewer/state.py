# Copyright (c) monai_synthfm contributors
# Licensed under the Apache License, Version 2.0 (http://www.apache.org/licenses/LICENSE-2.0).
# SPDX-License-Identifier: Apache-2.0
"""The session that all pages of the server show, with what is the viewer's own: names, colours, versions, files."""

from __future__ import annotations

import json
import logging
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from monai_synthfm.embeddings.cache import volume_sha256
from monai_synthfm.inferers import InteractiveSession
from monai_synthfm.inferers.propagation.propagation import PropagationStopped
from monai_synthfm.inferers.session.interactions import Interaction
from monai_synthfm.inferers.session.volume import ChangedBox
from monai_synthfm.io.volume_files import source_name
from monai_synthfm.prompts.coordinates import apply_affine
from monai_synthfm.prompts.strokes import clicks_of_stroke
from monai_synthfm.transforms.medsam import MedSAMIntensity
from monai_synthfm.utils.atomic_files import staged_files
from monai_synthfm.viewer.display import DisplayGrid
from monai_synthfm.viewer.encoding import Changes, pack
from monai_synthfm.viewer.objects import ObjectTable

__all__ = ["ViewerState"]

logger = logging.getLogger(__name__)

_STROKE_DISTANCE = 8.0  # voxels between the clicks of a stroke


class ViewerState:
    """
    What the server knows. Methods that change it run in one thread, see :mod:`~monai_synthfm.viewer.worker`.

    Args:
        session: with an image, and ``at_once=False``.
        image: what the image was read from.
        folder: where prompts are kept, and found again.
        series: which one of a folder with several it is.
    """

    def __init__(
        self, session: InteractiveSession, image: str | Path, folder: str | Path, series: str | None = None
    ) -> None:
        self.session = session
        self.image = Path(image)
        self.series = series
        stored = session.image
        self.affine = np.asarray(stored.affine)
        self.shape: tuple[int, int, int] = tuple(stored.shape[1:])
        self.name = source_name(image)
        self.intensity = session.intensity
        # of other images in the same folder nothing is overwritten
        self.file = Path(folder) / f"prompts-{volume_sha256(stored)[:12]}.json"
        self.objects = ObjectTable()
        self.changes = Changes()
        self.revision = 0
        self.progress: tuple[int, int] | None = None
        self.message: dict[str, Any] = {"id": 0, "text": "", "level": "info"}
        self._stop = threading.Event()

    # prompts, in RAS+ mm

    def click(self, number: int, points: Any, labels: list[int]) -> None:
        """Add clicks [K, 3] of one object."""
        self._step(lambda: self.session.add_points(points, labels, number, space="world"), number)

    def box(self, number: int, corners: Any) -> None:
        """Set the box of an object, by two opposite corners of a box along the axes of the volume."""
        voxels = apply_affine(np.linalg.inv(self.affine), np.asarray(corners, dtype=np.float64))
        self._step(lambda: self.session.add_box(voxels.ravel(), number), number)

    def stroke(self, number: int, corners: Any, label: int) -> None:
        """Add the clicks of a stroke."""
        voxels = apply_affine(np.linalg.inv(self.affine), np.asarray(corners, dtype=np.float64))
        clicks = clicks_of_stroke(voxels, _STROKE_DISTANCE)
        self._step(lambda: self.session.add_points(clicks, [label] * len(clicks), number), number)

    def undo(self) -> None:
        """Take the last step back."""
        self._move(self.session.undo)

    def redo(self) -> None:
        """Take it again."""
        self._move(self.session.redo)

    def remove(self, prompt: int) -> None:
        """Take one prompt back."""
        self._step(lambda: self.session.remove(prompt))

    def resize(self, number: int, size: str) -> None:
        """Take the next smaller or larger answer."""
        self._step(lambda: self.session.resize(size, number), number)

    def window(self, level: float | None, width: float) -> None:
        """Show the network the volume through a window, or as at the beginning."""
        intensity = self.intensity if level is None else MedSAMIntensity("ct", level=level, width=width)
        self.session.set_intensity(intensity)
        self._changed(_whole(self.shape))

    def say(self, **prompts: Any) -> None:
        """Say something else instead of all prompts so far, see :meth:`InteractiveSession.set_prompts`."""
        self._step(lambda: self.session.set_prompts(**prompts), len(self.objects.infos))

    # objects

    def add_object(self) -> None:
        """Have one more object."""
        self.objects.grow(len(self.objects.infos) + 1, self.session.history.position)
        self._changed(None)

    def change_object(self, number: int, **values: Any) -> None:
        """Change how people know an object."""
        self._known(number)
        self.objects.change(number, **values)
        self._changed(None)

    def remove_object(self, number: int) -> None:
        """Take an object away; those after it move up."""
        self._known(number)
        changed = self.session.remove_object(number)
        self.objects.remove(number, self.session.history.position)
        self._changed(changed)

    # carrying objects through the volume

    def carry(self, direction: str, slice_range: tuple[int, int] | None) -> None:
        """Carry all objects through the volume, until :meth:`stop`."""
        self._stop.clear()
        self.progress = (0, 1)

        def go_on(done: int, total: int) -> bool:
            self.progress = (done, total)
            self.revision += 1
            return not self._stop.is_set()

        try:
            self._step(lambda: self.session.carry(direction, slice_range, go_on))
            self.say_aloud("Carried through the volume.")
        except PropagationStopped:
            self.say_aloud("Stopped: the other slices are as before.")
        except Exception as error:
            logger.debug("carrying failed", exc_info=True)
            self.say_aloud(str(error), "error")
        finally:
            self.progress = None
            self.revision += 1

    def stop(self) -> None:
        """Stop carrying."""
        self._stop.set()

    # what is kept

    def restore(self) -> None:
        """Go on where an earlier server with this image and folder was left."""
        if not self.file.is_file():
            return
        try:
            kept = json.loads(self.file.read_text(encoding="utf-8"))
            if kept["window"] is not None:
                self.session.set_intensity(MedSAMIntensity(**kept["window"]))
            changed = self.session.load_state_dict(kept["session"])
            self.objects.load(kept["objects"], self.session.history.position)
            self._changed(changed, keeps=False)
        except (ValueError, KeyError, TypeError) as error:
            # nothing of it is lost: what comes now is kept elsewhere
            aside = self.file.with_suffix(f".{int(time.time())}.json")
            self.file.rename(aside)
            self.say_aloud(f"{self.file.name} cannot be read ({error}); it is now {aside.name}.", "error")

    def _keep(self) -> None:
        window = None
        if self.session.intensity is not self.intensity:
            window = {name: getattr(self.session.intensity, name) for name in ("modality", "level", "width")}
        kept = {"session": self.session.state_dict(), "objects": self.objects.record(), "window": window}
        with staged_files(self.file.parent) as stage:
            (stage / self.file.name).write_text(json.dumps(kept), encoding="utf-8")

    # what pages are told

    def say_aloud(self, text: str, level: str = "info") -> None:
        """Show a message on all pages."""
        self.message = {"id": self.message["id"] + 1, "text": text, "level": level}
        self.revision += 1

    def update(self, since: int, grid: DisplayGrid, job: str) -> bytes:
        """
        Return the state, and the labels that changed.

        Args:
            since: version that the page has.
            grid: that it shows.
            job: what is going on that takes long.
        """
        try:
            changed = self.changes.since(since)
        except LookupError:
            changed = _whole(self.shape)
        box = labels = None
        header = self.describe(job)
        if changed is not None:
            box = grid.box(changed)
            if any(part.stop <= part.start for part in box):
                box = None
        if box is not None:
            labels = self.session.labels(grid.in_volume(box))
        return pack(header, box, labels)

    def describe(self, job: str) -> dict[str, Any]:
        """Return the state for JSON."""
        session = self.session
        counts, outdated = session.voxel_counts, session.outdated
        ml = abs(float(np.linalg.det(self.affine[:3, :3]))) / 1000
        objects = [
            {
                "id": number,
                **vars(info),
                "voxels": counts.get(number, 0),
                "ml": round(counts.get(number, 0) * ml, 4),
                "outdated": number in outdated,
            }
            for number, info in enumerate(self.objects.infos, 1)
        ]
        return {
            "version": self.changes.version,
            "revision": self.revision,
            "job": job,
            "progress": self.progress,
            "message": self.message,
            "objects": objects,
            "prompts": [self._prompt(item) for item in session.interactions],
            "can_undo": session.history.can_undo,
            "can_redo": session.history.can_redo,
            "reach": vars(session.reach),
            "window": {name: getattr(session.intensity, name) for name in ("modality", "level", "width")},
        }

    def _prompt(self, item: Interaction) -> dict[str, Any]:
        found: dict[str, Any] = {"id": item.serial, "object": item.object_id, "points": [], "labels": [], "box": None}
        points, labels, boxes = item.prompts.points, item.prompts.point_labels, item.prompts.boxes
        if points is not None and labels is not None:
            clicked = labels[0] >= 0
            found["points"] = apply_affine(self.affine, points[0][clicked].numpy()).round(4).tolist()
            found["labels"] = labels[0][clicked].tolist()
        if boxes is not None and item.prompts.has_box.all():
            found["box"] = boxes[0].tolist()
        found["slices"] = sorted(item.masks)
        found["kind"] = (
            "answer" if item.choice is not None else "mask" if item.masks else "box" if found["box"] else "clicks"
        )
        return found

    def _known(self, number: int) -> None:
        if number > len(self.objects.infos):
            raise ValueError(f"there is no object {number}; there are {len(self.objects.infos)}.")

    def _step(self, call: Callable[[], ChangedBox | None], number: int = 1) -> None:
        changed = call()
        numbers = [item.object_id for item in self.session.interactions]
        self.objects.grow(max([number, *numbers]), self.session.history.position)
        self._changed(changed)

    def _move(self, call: Callable[[], ChangedBox | None]) -> None:
        changed = call()
        self.objects.go(self.session.history.position)
        self._changed(changed)

    def _changed(self, box: ChangedBox | None, keeps: bool = True) -> None:
        self.changes.add(box)
        self.revision += 1
        if keeps:
            self._keep()


def _whole(shape: tuple[int, int, int]) -> ChangedBox:
    x, y, z = map(slice, (0, 0, 0), shape)
    return x, y, z
