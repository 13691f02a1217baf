# Copyright (c) monai_synthfm contributors
# Licensed under the Apache License, Version 2.0 (http://www.apache.org/licenses/LICENSE-2.0).
# SPDX-License-Identifier: Apache-2.0
"""Handler that writes what an evaluator has segmented: label map, overlay and report."""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import torch
from ignite.engine import Engine, Events
from monai.data import MetaTensor
from monai.transforms import Orientation

from monai_synthfm.data.coordinates import apply_affine
from monai_synthfm.data.nifti import label_image
from monai_synthfm.data.planes import DISPLAY_AXCODES, EDGES, PLANES, stored_axis
from monai_synthfm.data.slice_prompts import SlicePrompts, prompts_by_slice
from monai_synthfm.data.staging import staged_files
from monai_synthfm.engines.overlay import OverlayPanel, draw_overlay
from monai_synthfm.engines.segmentation_report import describe_objects, describe_weights, package_versions, plain
from monai_synthfm.prompts import Prompts

__all__ = ["SegmentationWriter"]

_MAX_PANELS = 16

logger = logging.getLogger(__name__)


class SegmentationWriter:
    """
    Write three files for each volume that a MONAI evaluator has segmented, all of them or none.

    ``<name>_segmentation.nii.gz`` has the input's shape, affine, qform and sform with their codes, and units, with
    labels 0 (background) and 1..N as uint8, or uint16 for more than 255 objects. ``<name>_overlay.png`` shows the
    prompted slices as radiologists see them, 16 of them at most. ``<name>_report.json`` says which network, weights,
    intensity policy and prompts made it, and how large each object came out.

    The batch must come from :class:`monai_synthfm.data.prompted_volumes.PromptedVolumeDataset`, reoriented to the
    display frame, and postprocessing must have brought ``pred`` back to the orientation of the file (``Invertd``).

    Args:
        output_dir: folder of the files, created when missing.
        weights: files or names of weights that the network was made with, for the report; None entries are left out.

    Raises:
        ValueError: on writing, when ``pred`` is not in the orientation of the file.
    """

    def __init__(self, output_dir: str | Path, weights: Sequence[str | Path | None] = ()) -> None:
        self.output_dir = Path(output_dir)
        self.weights = weights
        self._started = 0.0

    def attach(self, engine: Engine) -> None:
        """Register with the engine: time from the reading of a batch, write when its segmentation is there."""
        if all(given is None for given in self.weights):
            logger.warning("No weights were given: the network is random and its segmentations mean nothing.")
        engine.add_event_handler(Events.GET_BATCH_STARTED, self._start)
        engine.add_event_handler(Events.ITERATION_COMPLETED, self)

    def _start(self) -> None:
        self._started = time.perf_counter()

    def __call__(self, engine: Engine) -> None:
        """Write the files of each volume in the batch."""
        for given, output in zip(engine.state.batch, engine.state.output, strict=True):
            self._write({**given, **output}, type(engine.network).__name__)

    def _write(self, item: Mapping[str, Any], network: str) -> None:
        image, axis = item["image"].cpu(), int(item["axis"])
        source = Path(image.meta["filename_or_obj"])
        name = source.name.removesuffix(".gz").removesuffix(".nii")
        prompts = Prompts.from_mapping(item).to("cpu")
        affine = np.asarray(image.meta["original_affine"])
        to_voxel = np.linalg.inv(affine) @ np.asarray(image.affine)
        by_slice = prompts_by_slice(prompts, axis)
        slices = {index: _stored_index(index, axis, to_voxel, affine) for index in by_slice}
        pred = item["pred"].cpu()
        if not isinstance(pred, MetaTensor) or not np.allclose(pred.affine, affine):
            raise ValueError(
                f"pred is not in the orientation of {source}: postprocessing must invert the preprocessing."
            )
        labels = np.asarray(pred[0])
        labels = labels.astype(np.uint8 if prompts.num_objects <= 255 else np.uint16)
        report = {
            "image": str(source),
            "segmentation": f"{name}_segmentation.nii.gz",
            "network": network,
            "weights": describe_weights(self.weights),
            "intensity": plain(image.meta.get("medsam_intensity")),
            "plane": PLANES[axis],
            "slices": {"axis": stored_axis(affine, axis), "indexes": sorted(slices.values())},
            "objects": describe_objects(prompts, to_voxel, affine, labels),
            "seconds": round(time.perf_counter() - self._started, 3),
            "versions": package_versions(),
        }
        figure = draw_overlay(_panels(image, pred, by_slice, slices, axis))
        with staged_files(self.output_dir) as stage:
            nib.save(label_image(labels, source), stage / f"{name}_segmentation.nii.gz")
            figure.savefig(stage / f"{name}_overlay.png", dpi=150)
            (stage / f"{name}_report.json").write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")


def _stored_index(index: int, axis: int, to_voxel: np.ndarray, affine: np.ndarray) -> int:
    corner = np.zeros(3)
    corner[axis] = index
    return int(apply_affine(to_voxel, corner)[stored_axis(affine, axis)].round())


def _panels(
    image: MetaTensor, pred: MetaTensor, by_slice: Mapping[int, SlicePrompts], slices: Mapping[int, int], axis: int
) -> list[OverlayPanel]:
    shown = Orientation(axcodes=DISPLAY_AXCODES, labels=None)(pred)
    indexes = sorted(slices, key=lambda index: slices[index])
    chosen = np.unique(np.linspace(0, len(indexes) - 1, min(len(indexes), _MAX_PANELS)).round().astype(int))
    across, down = (a for a in range(3) if a != axis)
    letter = "ijk"[stored_axis(np.asarray(image.meta["original_affine"]), axis)]
    return [
        OverlayPanel(
            image=_picture(image, axis, index),
            labels=_picture(shown, axis, index),
            prompts=by_slice[index],
            title=f"{PLANES[axis]}, {letter} = {slices[index]}",
            edges=EDGES[across] + EDGES[down],
            aspect=float(image.pixdim[down] / image.pixdim[across]),
        )
        for index in (indexes[i] for i in chosen)
    ]


def _picture(volume: torch.Tensor, axis: int, index: int) -> np.ndarray:
    return np.asarray(volume[0]).take(index, axis=axis).T
