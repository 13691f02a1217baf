# Copyright (c) monai_synthfm contributors
# Licensed under the Apache License, Version 2.0 (http://www.apache.org/licenses/LICENSE-2.0).
# SPDX-License-Identifier: Apache-2.0
"""
Readers of 2D images and label maps: PNG, and 2D MetaImage or NRRD.

Pictures come as arrays [H, W] or [H, W, 3], rows first and the top row first, as they are seen on a screen.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import SimpleITK
import torch
from monai.data import MetaTensor
from PIL import Image, UnidentifiedImageError

from monai_synthfm.io.faults import FaultError, unreadable
from monai_synthfm.io.itk_files import itk_image

__all__ = ["grey_picture", "picture_tensor", "read_itk_picture", "read_png", "relabelled"]


def read_png(path: str | Path, palette: bool = False) -> np.ndarray:
    """
    Read a PNG file (or another format that Pillow knows) without changing its values.

    Args:
        path: of the file.
        palette: give palette files as the colours that they show, instead of indexes, which labels are.

    Returns:
        [H, W] for grey, one-bit (0 and 1) and palette files, [H, W, 3] for colour; alpha is left out; 16-bit values
        stay as they are.

    Raises:
        FaultError: when the file is missing, is no image, has several pages, or is cut short.
    """
    try:
        with Image.open(path) as image:
            pages = getattr(image, "n_frames", 1)
            image.load()
            plain = {"LA": "L", "RGBA": "RGB", "PA": "P"}.get(image.mode, image.mode)
            plain = "RGB" if plain == "P" and palette else plain
            values = np.asarray(image if plain == image.mode else image.convert(plain))
    except (UnidentifiedImageError, OSError, SyntaxError, ValueError) as error:
        raise unreadable(path, "not a whole image file", error) from error
    if pages != 1:
        raise FaultError("shape_mismatch", path, f"expected a single image, found {pages} pages")
    return values.astype(np.uint8) if values.dtype == bool else values


def read_itk_picture(path: str | Path) -> tuple[np.ndarray, list[float]]:
    """
    Read a 2D image of a format that ITK knows, its colours as a vector, as a third axis, or not at all.

    Returns:
        - [H, W] or [H, W, C]; slices of size (W, H, 1) lose their third axis, (W, H, 3) is taken for three colours;
        - spacing in mm of rows and columns, as the header says.

    Raises:
        FaultError: when the file is missing or cut short, or is a volume.
    """
    image = itk_image(path)
    values = SimpleITK.GetArrayFromImage(image)
    if image.GetDimension() == 3:
        if values.shape[0] not in (1, 3) or values.ndim != 3:
            raise FaultError("shape_mismatch", path, f"expected a 2D image, found an array of shape {values.shape}")
        values = values[0] if values.shape[0] == 1 else np.moveaxis(values, 0, -1)
    return values, [float(image.GetSpacing()[1]), float(image.GetSpacing()[0])]


def grey_picture(values: np.ndarray, path: str | Path) -> np.ndarray:
    """
    Take one of three identical channels.

    Raises:
        FaultError: when the channels differ.

    Example:
        >>> grey_picture(np.full((2, 2, 3), 7), "a.png").shape
        (2, 2)
    """
    if values.ndim == 2:
        return values
    if (values != values[..., :1]).any():
        raise FaultError("colour", path, "expected grey or three identical channels, found channels that differ")
    return values[..., 0]


def relabelled(values: np.ndarray, table: Mapping[int, int], path: str | Path) -> np.ndarray:
    """
    Turn the values of a stored label map into those of a dataset, int16.

    Args:
        values: as stored.
        table: new values by stored ones; 0 stays.
        path: of the file, for the message.

    Raises:
        FaultError: when there are other values.

    Example:
        >>> relabelled(np.array([[0, 255], [128, 255]]), {128: 1, 255: 2}, "mask.png").tolist()
        [[0, 2], [1, 2]]
    """
    unknown = sorted(set(np.unique(values).tolist()) - {0, *table})
    if unknown:
        raise FaultError("unexpected_label", path, f"values {unknown[:5]}, expected {[0, *table]}")
    label = np.zeros(values.shape, np.int16)
    for old, new in table.items():
        label[values == old] = new
    return label


def picture_tensor(values: np.ndarray, path: str | Path) -> MetaTensor:
    """
    Turn [H, W] or [H, W, C] into [1 or C, H, W]: int16 for whole labels given as int16, else float32.

    The affine is of no meaning; the spacing of a picture stands in its case.
    """
    channels_first = values[None] if values.ndim == 2 else np.moveaxis(values, -1, 0)
    dtype = values.dtype if values.dtype == np.int16 else np.float32
    return MetaTensor(
        torch.from_numpy(np.array(channels_first, dtype=dtype, order="C")), meta={"filename_or_obj": str(path)}
    )
