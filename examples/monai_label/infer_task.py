# Copyright (c) monai_synthfm contributors
# Licensed under the Apache License, Version 2.0 (http://www.apache.org/licenses/LICENSE-2.0).
# SPDX-License-Identifier: Apache-2.0
"""
SynthFM in MONAI Label: clicks and a box of 3D Slicer or OHIF segment an object through the whole volume.

In ``main.py`` of a MONAI Label app, for example its own ``radiology`` with this file beside::

    from infer_task import SynthFMInferTask

    def init_infers(self):
        return {**super().init_infers(), "synthfm": SynthFMInferTask(device="cuda")}

The server hands clicks on as voxels ``[x, y, z]`` of the stored array in ``foreground`` and ``background``, and a box
as ``roi``, in the order x0 x1 y0 y1 z0 z1. Each request says all that was clicked for one object, and the slices of a
volume are encoded once for all of them.
"""

from __future__ import annotations

import tempfile
import threading
from pathlib import Path
from typing import Any

import torch
from monailabel.interfaces.tasks.infer_v2 import InferTask, InferType

from monai_synthfm.inferers import InteractiveSession
from monai_synthfm.networks import open_network


class SynthFMInferTask(InferTask):
    """
    Args:
        model: name or file, see :func:`monai_synthfm.networks.open_network`.
        device: where the network runs.
    """

    def __init__(self, model: str | Path = "synthfm", device: torch.device | str = "cpu") -> None:
        super().__init__(InferType.DEEPGROW, labels=None, dimension=3, description="SynthFM: clicks and boxes in 3D")
        self.session = InteractiveSession(open_network(model), device=device)
        self.shown: tuple[str, int] | None = None
        self.turn = threading.Lock()  # the server answers in several threads

    def is_valid(self) -> bool:
        return True

    def __call__(self, request: dict[str, Any]) -> tuple[str, dict[str, Any]]:
        inside, outside = request.get("foreground") or [], request.get("background") or []
        with self.turn:
            image = (str(request["image"]), Path(request["image"]).stat().st_mtime_ns)
            if image != self.shown:
                self.session.set_image(image[0])
                self.shown = image
            box = self.corners(request["roi"]) if request.get("roi") else []
            if inside or box or not outside:
                self.session.set_prompts(points=[inside], point_labels=[[1] * len(inside)], boxes=[box])
            else:
                self.session.reset()
            if outside:  # after the others, as these are about what those bring to their slices
                self.session.add_points(outside, [0] * len(outside))
            with tempfile.NamedTemporaryFile(suffix=".nii.gz", delete=False) as file:
                self.session.save(file.name)
        return file.name, {"label_names": {request.get("label") or "object": 1}}

    def corners(self, roi: list[float]) -> list[float]:
        """Two opposite corners of the part of a box that lies within the volume."""
        last = [size - 1 for size in self.session.image.shape[1:]]
        axes = [sorted(roi[2 * axis : 2 * axis + 2]) for axis in range(3)]
        return [min(max(pair[end], 0), last[axis]) for end in (0, 1) for axis, pair in enumerate(axes)]
