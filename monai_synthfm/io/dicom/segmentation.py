# Copyright (c) monai_synthfm contributors
# Licensed under the Apache License, Version 2.0 (http://www.apache.org/licenses/LICENSE-2.0).
# SPDX-License-Identifier: Apache-2.0
"""Label maps as DICOM segmentations of the series that they were made on. Needs the extra ``dicomseg``."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from pydicom import dcmread

from monai_synthfm import __version__
from monai_synthfm.io.dicom.series import choose_series
from monai_synthfm.prompts.coordinates import apply_affine, to_voxels
from monai_synthfm.utils.atomic_files import staged_files

__all__ = ["save_dicom_seg"]

_TOLERANCE = 0.05  # voxels


def save_dicom_seg(
    labels: np.ndarray,
    affine: np.ndarray,
    folder: str | Path,
    names: Sequence[str],
    path: str | Path,
    series: str | None = None,
) -> None:
    """
    Write a label map as one DICOM segmentation object (SEG) with a binary segment for each label.

    Each pixel of each source image takes the label of the voxel at its place in the patient, so that neither the order
    of the files nor that of the axes matters.

    Args:
        labels: [X, Y, Z], 0 background, n the n-th object.
        affine: voxel to RAS+ mm [4, 4].
        folder: of the DICOM series.
        names: of the objects, as many as the highest label at least.
        path: of the file, which appears whole or not at all.
        series: number or SeriesInstanceUID of the series that is meant, in a folder with several.

    Raises:
        ImportError: when highdicom is not installed.
        ValueError: when the labels are empty, or the images of the series do not cover them.
    """
    try:
        import highdicom as hd
        from pydicom.sr.codedict import codes
    except ImportError as error:
        raise ImportError(f"DICOM SEG needs highdicom: pip install 'monai-synthfm[dicomseg]' ({error}).") from error
    numbers = [int(number) for number in np.unique(labels) if number > 0]
    if not numbers:
        raise ValueError("the segmentation is empty: there is nothing to write as DICOM SEG.")
    images, frames = [], []
    for header in choose_series(folder, series).headers:
        image = dcmread(header.filename, stop_before_pixels=True)
        if "ImagePositionPatient" not in image or int(image.get("NumberOfFrames", 1)) != 1:
            continue
        frame = _labels_on(image, labels, affine)
        if frame is not None:
            images.append(image)
            frames.append(frame)
    found = int(sum(np.count_nonzero(frame) for frame in frames))
    if found != np.count_nonzero(labels):
        raise ValueError(
            f"the single-frame DICOM images in {folder} show {found} of the {np.count_nonzero(labels)} labelled voxels."
        )
    algorithm = hd.AlgorithmIdentificationSequence(
        name="monai_synthfm", version=__version__, family=codes.cid7162.ArtificialIntelligence
    )
    # segments are numbered without gaps
    compact = np.searchsorted(numbers, np.stack(frames)) + 1
    segments = [
        hd.seg.SegmentDescription(
            segment_number=order,
            segment_label=names[number - 1][:64],
            segmented_property_category=codes.SCT.Tissue,
            segmented_property_type=codes.SCT.Tissue,
            algorithm_type=hd.seg.SegmentAlgorithmTypeValues.SEMIAUTOMATIC,
            algorithm_identification=algorithm,
        )
        for order, number in enumerate(numbers, 1)
    ]
    written = hd.seg.Segmentation(
        source_images=images,
        pixel_array=np.where(np.stack(frames) > 0, compact, 0).astype(np.uint8),
        segmentation_type=hd.seg.SegmentationTypeValues.BINARY,
        segment_descriptions=segments,
        series_instance_uid=hd.UID(),
        series_number=int(images[0].get("SeriesNumber") or 0) + 1000,
        sop_instance_uid=hd.UID(),
        instance_number=1,
        manufacturer="monai_synthfm",
        manufacturer_model_name="InteractiveSession",
        software_versions=__version__,
        device_serial_number="0",
        series_description="SynthFM segmentation",
    )
    path = Path(path)
    with staged_files(path.parent) as stage:
        written.save_as(stage / path.name)


def _labels_on(image: Any, labels: np.ndarray, affine: np.ndarray) -> np.ndarray | None:
    """Return the labels [rows, columns] of an image, or None when its pixels are not voxels of the label map."""
    place = np.array(image.ImagePositionPatient, dtype=np.float64)
    along = np.array(image.ImageOrientationPatient, dtype=np.float64).reshape(2, 3)
    row_step, column_step = map(float, image.PixelSpacing)
    rows, columns = np.mgrid[: image.Rows, : image.Columns]
    lps = place + columns[..., None] * (along[0] * column_step) + rows[..., None] * (along[1] * row_step)
    voxels = apply_affine(to_voxels(affine, "lps"), lps)
    index = np.rint(voxels).astype(int)
    if np.abs(voxels - index).max() > _TOLERANCE or (index < 0).any() or (index >= labels.shape).any():
        return None
    return np.asarray(labels[tuple(np.moveaxis(index, -1, 0))])
