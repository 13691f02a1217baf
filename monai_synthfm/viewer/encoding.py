# Copyright (c) monai_synthfm contributors
# Licensed under the Apache License, Version 2.0 (http://www.apache.org/licenses/LICENSE-2.0).
# SPDX-License-Identifier: Apache-2.0
"""What the server sends to the page: its state, and the labels that changed as compressed bytes of a box."""

from __future__ import annotations

import json
import zlib
from collections.abc import Mapping
from typing import Any

import numpy as np

from monai_synthfm.inferers.session.volume import ChangedBox

__all__ = ["Changes", "pack", "union"]

_REMEMBERED = 256


class Changes:
    """
    Where the labels changed, by version.

    Example:
        >>> changes = Changes()
        >>> changes.add((slice(1, 3), slice(0, 2), slice(5, 6)))
        >>> changes.add((slice(2, 4), slice(0, 1), slice(4, 5)))
        >>> changes.version, changes.since(1), changes.since(2)
        (2, (slice(2, 4, None), slice(0, 1, None), slice(4, 5, None)), None)
    """

    def __init__(self) -> None:
        self.version = 0
        self._boxes: list[ChangedBox] = []

    def add(self, box: ChangedBox | None) -> None:
        """Remember a change; None is none."""
        if box is not None:
            self.version += 1
            self._boxes = [*self._boxes, box][-_REMEMBERED:]

    def since(self, version: int) -> ChangedBox | None:
        """
        Return the box around all changes after ``version``, or None when there are none.

        Raises:
            LookupError: when that is too long ago, or not of this server.
        """
        missing = self.version - version
        if not 0 <= missing <= len(self._boxes):
            raise LookupError(f"version {version} is not known")
        return None if missing == 0 else union(self._boxes[-missing:])


def union(boxes: list[ChangedBox]) -> ChangedBox:
    """Return the box around boxes."""
    x, y, z = (
        slice(min(part.start for part in axis), max(part.stop for part in axis)) for axis in zip(*boxes, strict=True)
    )
    return x, y, z


def pack(header: Mapping[str, Any], box: ChangedBox | None, labels: np.ndarray | None) -> bytes:
    """
    Pack an answer: the length of the header as four bytes (little endian), the header as JSON, and zlib's bytes of the
    labels, one byte each, first axis fastest.

    Args:
        header: for JSON; ``box`` is added, ``[[x0, x1], [y0, y1], [z0, z1]]`` with exclusive ends, or None.
        box: where the labels are.
        labels: of the box, 0 to 255.

    Example:
        >>> packed = pack({"version": 3}, (slice(1, 2), slice(0, 2), slice(4, 5)), np.array([[[7], [8]]]))
        >>> length = int.from_bytes(packed[:4], "little")
        >>> json.loads(packed[4 : 4 + length]), list(zlib.decompress(packed[4 + length :]))
        ({'version': 3, 'box': [[1, 2], [0, 2], [4, 5]]}, [7, 8])
    """
    corners = None if box is None else [[part.start, part.stop] for part in box]
    text = json.dumps({**header, "box": corners}, separators=(",", ":")).encode()
    body = b"" if labels is None else zlib.compress(labels.astype(np.uint8).tobytes(order="F"), 1)
    return len(text).to_bytes(4, "little") + text + body
