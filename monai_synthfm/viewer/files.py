# Copyright (c) monai_synthfm contributors
# Licensed under the Apache License, Version 2.0 (http://www.apache.org/licenses/LICENSE-2.0).
# SPDX-License-Identifier: Apache-2.0
"""Files that pages save and load."""

from __future__ import annotations

import io
import json
import tempfile
import zipfile
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
from nibabel.filebasedimages import ImageFileError

from monai_synthfm.io.dicom.segmentation import save_dicom_seg
from monai_synthfm.io.nifti import label_image
from monai_synthfm.io.volume_files import geometry_of, load_mask
from monai_synthfm.viewer.state import ViewerState

__all__ = ["load_label_map", "load_prompts", "nifti_file", "prompts_file", "seg_file"]

_PROMPTS, _MASK = "prompts.json", "prompts_mask.nii.gz"
_ARGUMENTS = ("points", "point_labels", "boxes")
_MOST_JSON = 2**24


def nifti_file(state: ViewerState) -> tuple[str, bytes]:
    """Return name and content of the segmentation as NIfTI."""
    name = f"{state.name}_segmentation.nii.gz"
    with tempfile.TemporaryDirectory() as folder:
        state.session.save(Path(folder) / name)
        return name, (Path(folder) / name).read_bytes()


def seg_file(state: ViewerState) -> tuple[str, bytes]:
    """
    Return name and content of the segmentation as DICOM SEG.

    Raises:
        ValueError: when the image is no DICOM series.
    """
    if not state.image.is_dir():
        raise ValueError(f"{state.image.name} is no DICOM series: save the segmentation as NIfTI.")
    name = f"{state.name}_segmentation.dcm"
    names = [info.name for info in state.objects.infos]
    with tempfile.TemporaryDirectory() as folder:
        save_dicom_seg(state.session.labels(), state.affine, state.image, names, Path(folder) / name, state.series)
        return name, (Path(folder) / name).read_bytes()


def prompts_file(state: ViewerState) -> tuple[str, bytes]:
    """
    Return name and content of the prompts as arguments of ``inference.yaml``: JSON, or when there are masks a zip
    archive of the JSON and a label map.

    Raises:
        ValueError: when they cannot be stored in this way.
    """
    arguments, mask = state.session.inference_arguments()
    arguments = {"image": str(state.image.resolve()), **arguments}
    if mask is None:
        return f"{state.name}_prompts.json", _text(arguments)
    image = label_image(mask.astype(np.uint8), geometry_of(state.session.image))
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as packed:
        packed.writestr(_PROMPTS, _text({**arguments, "mask": _MASK}))
        with tempfile.TemporaryDirectory() as folder:
            nib.save(image, Path(folder) / _MASK)
            packed.write(Path(folder) / _MASK, _MASK)
    return f"{state.name}_prompts.zip", archive.getvalue()


def load_prompts(state: ViewerState, content: bytes) -> tuple[str, tuple[int, int] | None]:
    """
    Say what is in a file of :func:`prompts_file`.

    Args:
        state: of the viewer.
        content: of the file.

    Returns:
        direction and range of slices, in which objects are to be carried.

    Raises:
        ValueError: when it is no such file.
    """
    mask = None
    try:
        if zipfile.is_zipfile(io.BytesIO(content)):
            with zipfile.ZipFile(io.BytesIO(content)) as packed:
                content = _member(packed, _PROMPTS, _MOST_JSON)
                # a label map of two bytes a voxel, with room for its header
                mask = _label_map(state, _member(packed, _MASK, 2 * int(np.prod(state.shape)) + _MOST_JSON))
        arguments: Any = json.loads(content)
        if not isinstance(arguments, dict):
            raise ValueError("it is no JSON object")
        direction, span = str(arguments.get("direction", "both")), arguments.get("slice_range")
        slice_range = None if span is None else (int(span[0]), int(span[1]))
        prompts = {name: arguments.get(name) for name in _ARGUMENTS}
        space = str(arguments.get("space", "voxel"))
    except (UnicodeDecodeError, json.JSONDecodeError, zipfile.BadZipFile, KeyError, TypeError, IndexError) as error:
        raise ValueError(f"these are no prompts of inference.yaml ({error}).") from error
    if mask is None and arguments.get("mask"):
        raise ValueError("these prompts name a mask: load the zip archive that holds it.")
    state.say(**prompts, mask=mask, space=space)
    return direction, slice_range


def load_label_map(state: ViewerState, content: bytes) -> None:
    """
    Have the objects of a label map, to correct them.

    Args:
        state: of the viewer.
        content: of a NIfTI file on the voxels of the image.

    Raises:
        ValueError: when it is something else.
    """
    mask = _label_map(state, content)
    if not mask.any():
        raise ValueError("the label map shows no object.")
    if mask.max() > 255:
        raise ValueError(f"the label map shows object {mask.max()}, the viewer has 255 at most.")
    state.say(mask=mask)


def _label_map(state: ViewerState, content: bytes) -> np.ndarray:
    suffix = ".nii.gz" if content[:2] == b"\x1f\x8b" else ".nii"
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"labels{suffix}"
        path.write_bytes(content)
        try:
            shape = nib.load(path).shape
        except (ImageFileError, OSError, EOFError, ValueError) as error:
            raise ValueError(f"the label map is no NIfTI file ({type(error).__name__}).") from error
        if np.prod(shape) != np.prod(state.shape):  # before it is unpacked
            raise ValueError(f"the label map has the shape {shape}, the image {state.shape}.")
        try:
            return load_mask(path, state.session.image)
        except ValueError as error:
            raise ValueError(str(error).replace(str(path), "given")) from error


def _member(packed: zipfile.ZipFile, name: str, most: int) -> bytes:
    with packed.open(name) as file:
        content = file.read(most + 1)
    if len(content) > most:
        raise ValueError(f"{name} is larger than {most} bytes.")
    return content


def _text(arguments: dict[str, Any]) -> bytes:
    return (json.dumps(arguments, indent=1) + "\n").encode()
