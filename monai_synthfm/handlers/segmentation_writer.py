# Copyright (c) monai_synthfm contributors
# Licensed under the Apache License, Version 2.0 (http://www.apache.org/licenses/LICENSE-2.0).
# SPDX-License-Identifier: Apache-2.0
"""Handler that writes what an evaluator has segmented: label map, probabilities, overlay and report."""

from __future__ import annotations

import json
import logging
import os
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import torch
from ignite.engine import Engine, Events
from monai.data import MetaTensor, decollate_batch

from monai_synthfm.handlers.doubts import doubtful_slices
from monai_synthfm.handlers.segmentation_record import (
    describe_alternatives,
    describe_objects,
    describe_weights,
    plain,
    size_text,
)
from monai_synthfm.inferers import EmbeddingCacheOpener
from monai_synthfm.inferers.mask_volumes import label_map
from monai_synthfm.io.nifti import label_image, probability_image
from monai_synthfm.io.volume_files import geometry_of, source_name
from monai_synthfm.networks.weights.fingerprint import network_name
from monai_synthfm.pictures.overlay import draw_overlay
from monai_synthfm.pictures.volume_panels import volume_panels
from monai_synthfm.prompts import Prompts
from monai_synthfm.prompts.slice_prompts import prompts_by_slice
from monai_synthfm.slices.planes import plane_of
from monai_synthfm.slices.sliced_volume import blank_slices
from monai_synthfm.utils.atomic_files import check_writable, staged_files
from monai_synthfm.utils.versions import package_versions

__all__ = ["EmptySegmentationError", "SegmentationWriter"]

logger = logging.getLogger(__name__)

_ON_EMPTY = ("warn", "fail")
_IN_LEGEND = 24


class EmptySegmentationError(ValueError):
    """An object came out empty, and somebody wants to know; a command ends with this exit status."""

    exit_status = 3


class SegmentationWriter:
    """
    Write the files of each volume that a MONAI evaluator has segmented, all of them or none.

    ``<name>_segmentation.nii.gz`` has the input's shape, affine, qform and sform with their codes, and units (for
    inputs that are not NIfTI see :func:`~monai_synthfm.io.volume_files.geometry_of`), with labels 0 (background) and
    1..N as uint8, or uint16 for more than 255 objects. When the inferer gave logits, ``<name>_probabilities.nii.gz``
    holds their probabilities (see :func:`~monai_synthfm.io.nifti.probability_image`), and the labels are the same as
    without.
    ``<name>_overlay.png`` shows three planes through the largest object and the prompted slices, with a legend of
    colours and volumes.
    ``<name>_report.json`` says which network, weights, intensity policy and prompts made it, how large each object came
    out, which of them are ``empty``, and a ``warning`` for those whose clicks may have missed them
    (:func:`~monai_synthfm.handlers.doubts.doubtful_slices`); what would be in mm is null for images that do not say
    where they lie. Where the inferer has ``sizes``, ``alternatives`` of an object says how large the network's answers
    are on the slices where it has a click or a box, and which one was ``chosen`` by size, from 0.

    An image's ``meta["place"]`` is a folder below ``output_dir`` for its files, ``meta["request_sha256"]`` goes into
    its report, and ``meta["objects"]`` is a JSON list of the objects' names; these are what
    :class:`~monai_synthfm.batch.segmentation.BatchSegmentation` sets.

    The batch must come from :class:`monai_synthfm.data.prompted_volumes.PromptedVolumeDataset`, with its volumes in the
    orientation of their files, and the evaluator's inferer must be a :class:`~monai_synthfm.inferers.VolumeInferer`.

    Args:
        output_dir: folder of the files, created when missing.
        weights: files or names of weights that the network was made with, for the report; None entries are left out.
        cache: what the inferer opens its embedding cache with, for the report.
        on_empty: ``warn`` logs a warning when an object came out empty; ``fail`` raises besides, when all volumes are
            segmented and written.

    Raises:
        ValueError: when ``on_empty`` is another word; before a volume is segmented, when ``output_dir`` has results of
            another one of the same name; on writing, when ``pred`` is not in the orientation of the file.
        OSError: when ``output_dir`` cannot be written to.
        EmptySegmentationError: see ``on_empty``.
    """

    def __init__(
        self,
        output_dir: str | Path,
        weights: Sequence[str | Path | None] = (),
        cache: EmbeddingCacheOpener | None = None,
        on_empty: str = "warn",
    ) -> None:
        if on_empty not in _ON_EMPTY:
            raise ValueError(f"on_empty must be one of {', '.join(_ON_EMPTY)}, got {on_empty!r}.")
        check_writable(output_dir)
        self.output_dir = Path(output_dir)
        self.weights = weights
        self.cache = cache
        self.on_empty = on_empty
        self._empty: list[str] = []
        self._told: list[str] = []
        self._started = 0.0

    def attach(self, engine: Engine) -> None:
        """Register with the engine: time from the reading of a batch, write when its segmentation is there."""
        if all(given is None for given in self.weights):
            logger.warning("No weights were given: the network is random and its segmentations mean nothing.")
        engine.add_event_handler(Events.STARTED, self._told.clear)
        engine.add_event_handler(Events.GET_BATCH_STARTED, self._start)
        engine.add_event_handler(Events.GET_BATCH_COMPLETED, self._check)
        engine.add_event_handler(Events.ITERATION_COMPLETED, self)
        engine.add_event_handler(Events.COMPLETED, self._finish)

    def tell(self) -> None:
        """Print where the label maps of the last run are, and how large each object came out."""
        if self._told:
            print("\n".join(self._told))

    def _start(self) -> None:
        self._started = time.perf_counter()

    def _check(self, engine: Engine) -> None:
        """Refuse what could not be written, before it is segmented."""
        for image in decollate_batch(engine.state.batch["image"]):
            self._check_name(Path(image.meta["filename_or_obj"]), self._folder(image))

    def _finish(self) -> None:
        empty, self._empty = self._empty, []
        if empty and self.on_empty == "fail":
            raise EmptySegmentationError(f"nothing was found for {'; '.join(empty)}.")

    def _folder(self, image: MetaTensor) -> Path:
        return self.output_dir / image.meta.get("place", "")

    def _check_name(self, source: Path, folder: Path) -> None:
        """Refuse to replace the results of another volume; those of the same one are replaced."""
        report = folder / _file(source, "report.json")
        earlier = json.loads(report.read_text(encoding="utf-8"))["image"] if report.is_file() else str(source)
        if _given(Path(earlier)) != _given(source):
            raise ValueError(
                f"output_dir {folder} has the results of {earlier}, which is named like {source}: "
                f"give each a folder of its own, or remove {report.name}."
            )

    def __call__(self, engine: Engine) -> None:
        """Write the files of each volume in the batch."""
        sizes = getattr(engine.inferer, "sizes", None)
        every = [()] * len(engine.state.batch) if sizes is None else sizes.found
        for given, output, offered in zip(engine.state.batch, engine.state.output, every, strict=True):
            self._write({**given, **output, "offered": offered}, network_name(engine.network), engine.inferer.direction)

    def _write(self, item: Mapping[str, Any], network: str, direction: str) -> None:
        image, axis = item["image"].cpu(), int(item["axis"])
        source, folder = Path(image.meta["filename_or_obj"]), self._folder(image)
        self._check_name(source, folder)
        prompts = Prompts.from_mapping({**item, "masks": None}).to("cpu")
        affine = np.asarray(image.meta["original_affine"])
        for name, given in (("image", image), ("pred", item["pred"].cpu())):
            if not isinstance(given, MetaTensor) or not np.allclose(given.affine, affine):
                raise ValueError(f"{name} is not in the orientation of {source}: no transform may turn it.")
        found = np.asarray(item["pred"].cpu())
        labels = _labels(found)
        by_slice = prompts_by_slice(prompts, axis, item["masks"][0].cpu())
        in_mm = bool(image.meta.get("has_position", True))
        blank = [index for index, is_blank in enumerate(blank_slices(image, axis)) if is_blank]
        files = {"segmentation": _file(source, "segmentation.nii.gz")}
        if found.dtype.kind == "f":
            files["probabilities"] = _file(source, "probabilities.nii.gz")
        objects = describe_objects(prompts, affine, labels, axis, in_mm, blank)
        for n, alternatives in describe_alternatives(item["offered"], affine, axis, in_mm).items():
            objects[n]["alternatives"] = alternatives
        for n, name in enumerate(json.loads(image.meta.get("objects", "[]"))):
            objects[n]["name"] = name
        empty = [found["label"] for found in objects if not found["voxels"]]
        for n, index in doubtful_slices(by_slice, labels, axis).items():
            objects[n]["warning"] = _doubt(objects[n], index)
        report = {
            "image": str(source),
            **files,
            "network": network,
            "weights": describe_weights(self.weights),
            "intensity": plain(image.meta.get("medsam_intensity")),
            "plane": plane_of(affine, axis) if in_mm else None,
            "direction": direction,
            "slices": {
                "axis": axis,
                "prompted": list(by_slice),
                **({"blank": blank} if blank else {}),
                "segmented": int(labels.any(axis=tuple(a for a in range(3) if a != axis)).sum()),
            },
            "objects": objects,
            "empty": empty,
            "embeddings": _describe_cache(self.cache),
            "seconds": round(time.perf_counter() - self._started, 3),
            "versions": package_versions(),
        }
        if "request_sha256" in image.meta:
            report["request_sha256"] = image.meta["request_sha256"]
        figure = draw_overlay(volume_panels(image, labels, by_slice, axis), _legend(objects))
        template = geometry_of(image)
        with staged_files(folder) as stage:
            nib.save(label_image(labels, template), stage / files["segmentation"])
            if "probabilities" in files:
                nib.save(probability_image(found, template), stage / files["probabilities"])
            figure.savefig(stage / _file(source, "overlay.png"), dpi=150)
            text = json.dumps(report, indent=2) + "\n"
            (stage / _file(source, "report.json")).write_text(text, encoding="utf-8")
        sizes = "; ".join(_size(found) for found in objects)
        self._told.append(f"{folder / files['segmentation']}: {sizes}")
        for text in (one["warning"] for one in objects if "warning" in one):
            logger.warning("%s: %s", source, text)
        if empty:
            self._empty.append(f"object {', '.join(map(str, empty))} of {source}")
            logger.warning("Nothing was found for %s: it is empty in %s.", self._empty[-1], files["segmentation"])


def _size(found: Mapping[str, Any]) -> str:
    """
    Say how large an object of a report is.

    Example:
        >>> _size({"label": 1, "voxels": 9, "mm3": 1234.5}), _size({"label": 2, "voxels": 9, "mm3": None})
        ('object 1 has 1.2 ml', 'object 2 has 9 voxels')
        >>> _size({"label": 3, "voxels": 0, "mm3": 0.0})
        'object 3 is empty'
    """
    if not found["voxels"]:
        return f"object {found['label']} is empty"
    return f"object {found['label']} has {size_text(found['mm3'], found['voxels'])}"


def _file(source: Path, ending: str) -> str:
    return f"{source_name(source)}_{ending}"


def _name(found: Mapping[str, Any]) -> str:
    name = str(found.get("name", ""))
    return f"object {found['label']}" if name in ("", str(found["label"])) else name


def _doubt(found: Mapping[str, Any], index: int) -> str:
    voxels = size_text(None, found["voxels"])
    size = dict.fromkeys((voxels, size_text(found["mm3"], found["voxels"])))
    return f"{_name(found)}: {', '.join(size)}; is the click on slice {index} on the object?"


def _legend(objects: Sequence[Mapping[str, Any]]) -> dict[int, str]:
    """Name the largest objects with their sizes, in the order of their labels."""
    largest = sorted(objects, key=lambda found: -found["voxels"])[:_IN_LEGEND]
    return {
        found["label"]: f"{_name(found)}: {size_text(found['mm3'], found['voxels'])}"
        for found in sorted(largest, key=lambda found: found["label"])
    }


def _given(source: Path) -> Path:
    """The place of a file by its own name, whatever a symbolic link of that name points to."""
    place = Path(os.path.abspath(source))
    return place.parent.resolve() / place.name


def _labels(found: np.ndarray) -> np.ndarray:
    """Return the label map of labels [1, X, Y, Z] or of logits [N, X, Y, Z]."""
    if found.dtype.kind != "f":
        return found[0].astype(np.uint8 if found.dtype == np.uint8 else np.uint16)
    return label_map(torch.from_numpy(found)).numpy().astype(np.uint8 if len(found) <= 255 else np.uint16)


def _describe_cache(cache: EmbeddingCacheOpener | None) -> dict[str, Any] | None:
    if cache is None or cache.opened is None:
        return None
    opened = cache.opened
    return {
        "folder": str(opened.folder),
        "encoded": len(opened.written),
        "reused": len(opened.read),
        "bytes": opened.bytes_on_disk,
    }
