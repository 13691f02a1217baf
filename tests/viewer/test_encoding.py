# Copyright (c) monai_synthfm contributors
# Licensed under the Apache License, Version 2.0 (http://www.apache.org/licenses/LICENSE-2.0).
# SPDX-License-Identifier: Apache-2.0
"""Where labels changed since a version, against volumes; and answers as another program unpacks them."""

from __future__ import annotations

import json
import struct
import zlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from monai_synthfm.viewer import encoding
from monai_synthfm.viewer.encoding import Changes, pack

SHAPE = (6, 5, 4)
BOXES = st.tuples(
    *[st.tuples(st.integers(0, n - 1), st.integers(1, n)).map(lambda ends: slice(min(ends), max(ends))) for n in SHAPE]
).filter(lambda box: all(part.start < part.stop for part in box))


@settings(max_examples=40)
@given(st.lists(st.one_of(st.none(), BOXES), max_size=6), st.data())
def test_the_box_since_a_version_is_the_smallest_round_all_changes_after_it(boxes: list, data: st.DataObject) -> None:
    changes = Changes()
    real = [box for box in boxes if box is not None]
    for box in boxes:
        changes.add(box)
    assert changes.version == len(real)
    since = data.draw(st.integers(0, len(real)))
    touched = np.zeros(SHAPE, bool)
    for box in real[since:]:
        touched[box] = True
    found = changes.since(since)
    if not touched.any():
        assert found is None
    else:
        places = np.argwhere(touched)
        assert found == tuple(map(slice, places.min(axis=0).tolist(), (places.max(axis=0) + 1).tolist()))


def test_versions_that_are_too_old_or_of_another_server_are_not_known(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(encoding, "_REMEMBERED", 2)
    changes = Changes()
    for start in range(3):
        changes.add((slice(start, start + 1), slice(0, 1), slice(0, 1)))
    assert changes.since(1) == (slice(1, 3), slice(0, 1), slice(0, 1))
    for version in (0, 4, -1):
        with pytest.raises(LookupError, match=f"version {version} is not known"):
            changes.since(version)


def test_an_answer_is_read_by_the_documented_layout() -> None:
    labels = np.arange(24, dtype=np.int16).reshape(2, 3, 4) * 10
    packed = pack({"job": "a\u00e9"}, (slice(1, 3), slice(0, 3), slice(4, 8)), labels)
    (length,) = struct.unpack_from("<I", packed)
    header = json.loads(packed[4 : 4 + length])
    assert header == {"job": "a\u00e9", "box": [[1, 3], [0, 3], [4, 8]]}
    flat = zlib.decompress(packed[4 + length :])
    for (x, y, z), value in np.ndenumerate(labels):
        assert flat[x + 2 * y + 6 * z] == value
    nothing = pack({"job": ""}, None, None)
    assert json.loads(nothing[4:]) == {"job": "", "box": None}
