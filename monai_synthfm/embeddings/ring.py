# Copyright (c) monai_synthfm contributors
# Licensed under the Apache License, Version 2.0 (http://www.apache.org/licenses/LICENSE-2.0).
# SPDX-License-Identifier: Apache-2.0
"""A bounded ring on disk that keeps the newest images of an endless numbered stream as embeddings and labels."""

from __future__ import annotations

import zlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from monai_synthfm.utils.atomic_files import staged_files
from monai_synthfm.utils.claimed_folders import claim

__all__ = ["EmbeddingRing", "StoredEmbedding"]

# Room in a slot beside the features: the compressed parameters of the sample with the headers of the arrays, and the
# compressed label map, which may take one byte for so many pixels; generated ones take far less. Beside a clip's
# features there is room for more.
_PARAMS_BYTES = 65_536
_PIXELS_PER_BYTE = {2: 8, 3: 2}
_SLOT_NAME = "{:06d}.npy"
_FORMAT = 2


class StoredEmbedding:
    """One image of the stream.

    Args:
        features: float16 ``[C, h, w]``, of a clip ``[Z, C, h, w]``.
        label: instances ``[1, H, W]``, of a clip ``[1, X, Y, Z]``, unsigned.
        params: what the image was generated from, as JSON text.
    """

    def __init__(self, features: np.ndarray, label: np.ndarray, params: str) -> None:
        self.features = features
        self.label = label
        self.params = params


class EmbeddingRing:
    """Keep images of a stream in slots, the image of number i in slot ``i mod slots``, over whatever was there.

    A slot is one file that appears whole or not at all, so that several processes may read while others write and a
    killed writer leaves nothing behind that counts. Features are kept in half precision, labels and parameters
    compressed without loss.

    Args:
        folder: where the slots are; created by the first writing.
        size_gb: space on disk in units of 10^9 bytes that the slots never exceed.
        feature_shape: (C, h, w) of the features of an image, (Z, C, h, w) of a clip.
        label_size: (H, W) of its label map, (X, Y, Z) of a clip's.

    Raises:
        ValueError: when not even one image fits into ``size_gb``.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     ring = EmbeddingRing(folder, 0.001, feature_shape=(8, 4, 4), label_size=(64, 64))
        ...     ring.write(20, np.zeros((8, 4, 4)), np.eye(64, dtype=np.uint8)[None], params="{}")
        ...     ring.slots, ring.holds(20), ring.holds(46), int(ring.read(20).label.sum())
        (14, True, False, 64)
    """

    def __init__(
        self, folder: str | Path, size_gb: float, feature_shape: Sequence[int], label_size: Sequence[int]
    ) -> None:
        self.folder = Path(folder)
        self.feature_shape = tuple(feature_shape)
        self.label_size = tuple(label_size)
        self.label_bytes = int(np.prod(self.label_size)) // _PIXELS_PER_BYTE[len(self.label_size)] + 4096
        self.slot_bytes = 2 * int(np.prod(self.feature_shape)) + self.label_bytes + _PARAMS_BYTES
        self.slots = int(size_gb * 1e9) // self.slot_bytes
        if self.slots < 1:
            raise ValueError(
                f"size_gb must be at least {self.slot_bytes / 1e9:.6f}, the space of one image, got {size_gb}."
            )

    def claim(self, signature: Mapping[str, Any]) -> None:
        """Say which stream the ring is of; remove slots of a larger ring that was here before.

        Args:
            signature: whatever the images and embeddings depend on, JSON values.

        Raises:
            ValueError: when the folder holds another stream.
        """
        content = {**signature, "format": _FORMAT, "feature_shape": self.feature_shape, "label_size": self.label_size}
        claim(self.folder, "manifest.json", content, "stream of images")
        for path in self.folder.glob(_SLOT_NAME.format(0).replace("0", "[0-9]")):
            if int(path.stem) >= self.slots:
                path.unlink(missing_ok=True)

    def holds(self, number: int) -> bool:
        """Return whether image ``number`` is here."""
        try:
            with self._path(number).open("rb") as file:
                return _read_number(file) == number
        except FileNotFoundError:
            return False

    def write(self, number: int, features: np.ndarray, label: np.ndarray, params: str) -> None:
        """Put an image into its slot.

        Args:
            number: its place in the stream, 0 or more.
            features: floating point, ``feature_shape``.
            label: instances ``[1, H, W]``, 0 to 65535.
            params: what the image was generated from, as JSON text.

        Raises:
            ValueError: when a shape or value does not fit the ring.
        """
        with np.errstate(over="ignore"):
            small = features.astype(np.float16)
        if small.shape != self.feature_shape or not np.isfinite(small).all():
            raise ValueError(
                f"features of image {number} must be {self.feature_shape}, finite in half precision, "
                f"got {small.shape} within {features.min()} to {features.max()}."
            )
        if label.shape != (1, *self.label_size) or label.min() < 0 or label.max() > np.iinfo(np.uint16).max:
            raise ValueError(
                f"label of image {number} must be {(1, *self.label_size)} within 0 to 65535, "
                f"got {label.shape} within {label.min()} to {label.max()}."
            )
        narrow = label.astype(np.min_scalar_type(label.max()))
        packed = np.frombuffer(zlib.compress(narrow.tobytes(), level=6), dtype=np.uint8)
        text = np.frombuffer(zlib.compress(params.encode()), dtype=np.uint8)
        if packed.size > self.label_bytes or text.size > _PARAMS_BYTES // 2:
            raise ValueError(
                f"image {number} does not fit a slot: its label takes {packed.size} bytes of {self.label_bytes}, "
                f"its params {text.size} of {_PARAMS_BYTES // 2}."
            )
        path = self._path(number)
        with staged_files(self.folder) as stage, (stage / path.name).open("wb") as file:
            for array in (np.array([number, narrow.itemsize]), small, packed, text):
                np.save(file, array, allow_pickle=False)

    def read(self, number: int) -> StoredEmbedding:
        """Return image ``number``.

        Raises:
            KeyError: when it is not here, or not any more.
        """
        try:
            with self._path(number).open("rb") as file:
                found, itemsize = np.load(file, allow_pickle=False).tolist()
                if found == number:
                    features, packed, text = (np.load(file, allow_pickle=False) for _ in range(3))
        except FileNotFoundError:
            found = None
        if found != number:
            raise KeyError(f"image {number} is not in {self.folder}: its slot holds {found}.")
        label = np.frombuffer(zlib.decompress(packed.tobytes()), dtype=f"u{itemsize}")
        return StoredEmbedding(features, label.reshape(1, *self.label_size), zlib.decompress(text.tobytes()).decode())

    def _path(self, number: int) -> Path:
        return self.folder / _SLOT_NAME.format(number % self.slots)


def _read_number(file: BinaryIO) -> int:
    return int(np.load(file, allow_pickle=False)[0])
