# Copyright (c) monai_synthfm contributors
# Licensed under the Apache License, Version 2.0 (http://www.apache.org/licenses/LICENSE-2.0).
# SPDX-License-Identifier: Apache-2.0
"""Windows around objects, read and written back, against interpolation of scipy."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy import ndimage

from monai_synthfm.windows.object_window import ObjectWindow


def disc(height: int, width: int, y: float, x: float, radius: float) -> torch.Tensor:
    rows, columns = np.indices((height, width))
    return torch.from_numpy((rows - y) ** 2 + (columns - x) ** 2 <= radius**2)


@given(st.integers(0, 30), st.integers(0, 40), st.integers(1, 20), st.integers(1, 20), st.floats(1.0, 4.0))
def test_a_window_is_a_square_with_the_object_in_its_middle(
    top: int, left: int, height: int, width: int, factor: float
) -> None:
    mask = torch.zeros(60, 70, dtype=torch.bool)
    mask[top : top + height, left : left + width] = True
    window = ObjectWindow.around(mask, factor)
    assert window.side == max(12.0, factor * max(height, width))
    assert window.left + window.side / 2 == pytest.approx(left + width / 2)
    assert window.top + window.side / 2 == pytest.approx(top + height / 2)


def test_read_interpolates_linearly() -> None:
    picture = np.random.default_rng(0).random((40, 50))
    window = ObjectWindow(left=7.3, top=4.8, side=20.0)
    found = window.read(torch.from_numpy(picture)[None, None], 32)[0, 0]
    centres = (np.arange(32) + 0.5) / 32 * 20.0 - 0.5
    rows, columns = np.meshgrid(4.8 + centres, 7.3 + centres, indexing="ij")
    expected = ndimage.map_coordinates(picture, [rows, columns], order=1)
    np.testing.assert_allclose(found.numpy(), expected, atol=1e-5)


def test_places_that_move_are_read_from_where_they_move_to() -> None:
    picture = np.random.default_rng(0).random((2, 40, 50))
    window = ObjectWindow(left=7.3, top=4.8, side=20.0)
    moved = torch.zeros(2, 2, 2, 2)
    moved[1, 0], moved[1, 1] = torch.tensor([[0.1, 0.3], [0.1, 0.3]]), 0.2  # x from left to right, y everywhere
    found = window.read(torch.from_numpy(picture)[:, None], 32, moved)[:, 0]
    centres = (np.arange(32) + 0.5) / 32 * 20.0 - 0.5
    rows, columns = np.meshgrid(4.8 + centres, 7.3 + centres, indexing="ij")
    way = 20.0 * np.linspace(0.1, 0.3, 32)[None]
    for index, places in enumerate(([rows, columns], [rows + 4.0, columns + way])):
        expected = ndimage.map_coordinates(picture[index], places, order=1)
        np.testing.assert_allclose(found[index].numpy(), expected, atol=1e-5)


def test_read_shows_nothing_beyond_the_slice() -> None:
    found = ObjectWindow(left=-20.0, top=0.0, side=20.0).read(torch.ones(2, 1, 20, 20), 10)
    assert not found[..., :-1].any()


def test_a_window_that_shrinks_shows_means() -> None:
    stripes = torch.arange(80).remainder(2).float().expand(1, 1, 80, 80)
    found = ObjectWindow(left=0.0, top=0.0, side=80.0).read(stripes, 20)
    torch.testing.assert_close(found, torch.full((1, 1, 20, 20), 0.5))


@given(st.floats(15, 25), st.floats(15, 25), st.floats(4, 9), st.floats(1.5, 3.0))
def test_what_is_read_is_written_back(y: float, x: float, radius: float, factor: float) -> None:
    mask = disc(40, 44, y, x, radius)
    window = ObjectWindow.around(mask, factor)
    back = window.write(window.read(mask[None, None].float(), 64)[:, 0], (40, 44), outside=0.0)[0] > 0.5
    assert (back != mask).sum() <= 0.08 * mask.sum()


def test_pixels_beyond_the_window_get_the_value_asked_for() -> None:
    written = ObjectWindow(left=5.0, top=10.0, side=12.0).write(torch.ones(3, 8, 8), (30, 40), outside=-10.0)
    expected = torch.full((3, 30, 40), -10.0)
    expected[:, 10:22, 5:17] = 1.0
    torch.testing.assert_close(written, expected)
