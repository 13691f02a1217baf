# Copyright (c) monai_synthfm contributors
# Licensed under the Apache License, Version 2.0 (http://www.apache.org/licenses/LICENSE-2.0).
# SPDX-License-Identifier: Apache-2.0
"""What tells a finished segmentation from one that is to be made: what was asked, of which files, and what answered."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from os.path import abspath
from pathlib import Path
from typing import Any
from urllib.parse import quote

import numpy as np
import torch

from monai_synthfm import __version__
from monai_synthfm.io.volume_files import source_name
from monai_synthfm.utils.hashes import sha256_of

__all__ = ["content_sha256", "describe_settings", "places_of", "request_sha256"]

_ASKED = ("points", "point_labels", "boxes", "space", "modality", "series", "axis", "slice_range")
_HEADERS = (".mhd", ".nhdr", ".hdr", ".img")  # their voxels are in another file


def request_sha256(case: Mapping[str, Any], root: Path, settings: Mapping[str, Any]) -> str:
    """
    Return one hash of all that decides the segmentation of an image.

    Args:
        case: of :func:`~monai_synthfm.prompts.prompt_table.read_prompt_table`.
        root: folder that relative file names start from.
        settings: of the network, its weights and the inference, for JSON.

    Raises:
        FileNotFoundError: when the image or the mask is missing.
    """
    files = {name: content_sha256(root / case[name], name) for name in ("image", "mask") if case.get(name)}
    asked = {name: case.get(name) for name in _ASKED}
    request = {"version": __version__, "files": files, "asked": asked, "settings": settings}
    return hashlib.sha256(json.dumps(request, sort_keys=True, default=str).encode()).hexdigest()


def content_sha256(path: Path, what: str = "image") -> str:
    """
    Return one hash of a file with what belongs to it, or of all files of a folder.

    Raises:
        FileNotFoundError: when there is no such file or folder.
    """
    if path.is_file() and path.suffix.lower() not in _HEADERS:
        return sha256_of(path)
    if path.is_dir():
        parts = sorted(part for part in path.rglob("*") if part.is_file())
    elif path.is_file():
        parts = sorted(part for part in path.parent.iterdir() if part.is_file() and part.stem == path.stem)
    else:
        raise FileNotFoundError(f"{what} {path}: no such file or folder.")
    digest = hashlib.sha256()
    for part in parts:
        digest.update(f"{part.name} {sha256_of(part)}\n".encode())
    return digest.hexdigest()


def places_of(cases: Sequence[Mapping[str, Any]], root: Path) -> list[Path]:
    """
    Return for each image the folder of its files below the output folder: as it lies below ``root``, or from the top of
    the file system when it lies elsewhere, so that equal names in different folders do not meet.

    Raises:
        ValueError: when two images would have files of the same names.

    Example:
        >>> places_of([{"image": "a/ct.nii"}, {"image": "b/ct.nii"}, {"image": "/data/ct.nii"}], Path("."))
        [PosixPath('a'), PosixPath('b'), PosixPath('data')]
    """
    top = Path(abspath(root))
    places: list[Path] = []
    seen: dict[Path, str] = {}
    for case in cases:
        image = Path(abspath(top / case["image"]))
        parent = image.parent
        place = parent.relative_to(top) if parent.is_relative_to(top) else parent.relative_to(parent.anchor)
        if case.get("series") is not None:
            place = place / image.name / quote(str(case["series"]), safe="")
        target = place / source_name(image)
        if target in seen:
            raise ValueError(
                f"images {seen[target]} and {case['image']} would both be written as {target}: rename one, or segment "
                "them into different folders."
            )
        seen[target] = case["image"]
        places.append(place)
    return places


def describe_settings(value: Any) -> Any:
    """
    Return the public attributes of an object, and of those in it, for JSON.

    Example:
        >>> from monai_synthfm.transforms import MedSAMIntensityd
        >>> describe_settings(MedSAMIntensityd(keys="image", modality="mr"))["intensity"]["modality"]
        'mr'
    """
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    if isinstance(value, Mapping):
        return {str(key): describe_settings(part) for key, part in value.items()}
    if isinstance(value, (set, frozenset)):
        return sorted(map(str, value))
    if isinstance(value, (list, tuple)):
        return [describe_settings(part) for part in value]
    if isinstance(value, torch.dtype):
        return str(value)
    if isinstance(value, (np.ndarray, torch.Tensor)):
        return value.tolist()
    name = getattr(value, "__qualname__", type(value).__qualname__)
    parts = {} if hasattr(value, "__qualname__") else getattr(value, "__dict__", {})
    return {"name": name, **{key: describe_settings(part) for key, part in parts.items() if not key.startswith("_")}}
