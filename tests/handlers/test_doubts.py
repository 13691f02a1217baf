# Copyright (c) monai_synthfm contributors
# Licensed under the Apache License, Version 2.0 (http://www.apache.org/licenses/LICENSE-2.0).
# SPDX-License-Identifier: Apache-2.0
"""Objects whose clicks have missed them, on label maps made by hand."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from monai_synthfm.handlers.doubts import SMALLEST_PIXELS, doubtful_slices
from monai_synthfm.prompts import Prompts
from monai_synthfm.prompts.slice_prompts import prompts_by_slice

SHAPE = (40, 30, 20)


def doubts(mask: Any, clicks: list[list[float]], signs: list[int], axis: int = 2, **more: Any) -> dict[int, int]:
    """Doubts about one object with the voxels of ``mask``."""
    labels = np.zeros(SHAPE, np.uint8)
    labels[mask] = 1
    points = {"points": torch.tensor([clicks]), "point_labels": torch.tensor([signs])} if clicks else {}
    boxes = {"boxes": torch.tensor([more["box"]])} if "box" in more else {}
    by_slice = prompts_by_slice(Prompts(**points, **boxes), axis, more.get("masks"))
    return doubtful_slices(by_slice, labels, axis)


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_an_object_is_judged_by_its_pixels_where_it_was_clicked(axis: int) -> None:
    large, small = [slice(5, 10)] * 3, [slice(5, 10)] * 3
    small[(axis + 1) % 3] = slice(5, 9)
    assert SMALLEST_PIXELS == 5 * 5
    assert doubts(tuple(large), [[7.0, 7.0, 7.0]], [1], axis) == {}
    assert doubts(tuple(small), [[7.0, 7.0, 7.0]], [1], axis) == {0: 7}


def test_a_mask_without_any_of_its_clicks_is_doubtful_however_large_it_is() -> None:
    mask = np.s_[10:30, 10:20, 3:9]
    assert doubts(mask, [[9.0, 12.0, 5.0]], [1]) == {0: 5}
    assert doubts(mask, [[9.0, 12.0, 5.0], [9.6, 12.0, 5.0]], [1, 1]) == {}
    assert doubts(mask, [[12.0, 12.0, 5.0], [9.0, 12.0, 5.0]], [1, 0]) == {}  # the other one is negative
    assert doubts(mask, [[12.0, 12.0, 5.0], [9.0, 12.0, 6.0]], [1, 1]) == {0: 6}  # on a slice of its own


def test_a_box_or_a_mask_states_how_small_the_object_is() -> None:
    mask = np.s_[10:13, 10:13, 5]
    click = [[11.0, 11.0, 5.0]], [1]
    given = torch.zeros(SHAPE, dtype=torch.uint8)
    given[mask] = 1
    assert doubts(mask, *click) == {0: 5}
    assert doubts(mask, *click, box=[10.0, 10.0, 5.0, 12.0, 12.0, 5.0]) == {}
    assert doubts(mask, *click, masks=given) == {}
    assert doubts(mask, [], [], box=[10.0, 10.0, 5.0, 12.0, 12.0, 5.0]) == {}


def test_an_empty_object_is_reported_as_such_and_not_doubted() -> None:
    assert doubts(np.s_[:0], [[7.0, 7.0, 7.0]], [1]) == {}
