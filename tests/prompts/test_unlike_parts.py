# Copyright (c) monai_synthfm contributors
# Licensed under the Apache License, Version 2.0 (http://www.apache.org/licenses/LICENSE-2.0).
# SPDX-License-Identifier: Apache-2.0
"""Which parts of a mask look unlike the rest."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from monai_synthfm.prompts.unlike_parts import unlike_part


def kidney() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """A bright organ, its mask, and the dark sinus that the mask holds as well."""
    rows, columns = np.indices((41, 41))
    inside = np.hypot(rows - 20, columns - 20) < 16
    sinus = (np.abs(rows - 20) < 5) & (columns >= 20) & inside
    noise = np.random.default_rng(0).normal(0, 0.02, inside.shape)
    return np.where(inside & ~sinus, 0.7, 0.3) + noise, inside, sinus


def test_a_click_on_another_tissue_is_answered_with_this_tissue() -> None:
    picture, inside, sinus = kidney()
    for click in ((27.0, 20.0), (24.0, 21.0), (31.0, 18.0)):
        part = unlike_part(picture, inside, click)
        assert part is not None
        assert (part & sinus).sum() > 0.95 * sinus.sum()
        assert (part & ~sinus).sum() < 0.2 * sinus.sum()


@pytest.mark.parametrize("click", [(10.0, 20.0), (20.0, 8.0), (2.0, 2.0), (-3.0, 50.0)])
def test_a_click_on_the_tissue_itself_or_beside_the_mask_is_not(click: tuple[float, float]) -> None:
    picture, inside, _ = kidney()
    assert unlike_part(picture, inside, click) is None


@given(
    arrays(np.float64, (7, 8), elements=st.floats(0, 1).map(lambda value: round(value, 2))),
    arrays(bool, (7, 8)),
    st.tuples(st.integers(0, 7), st.integers(0, 6)),
)
def test_it_is_what_lies_nearer_to_the_click_in_grey_and_touches_it(
    picture: np.ndarray, inside: np.ndarray, click: tuple[int, int]
) -> None:
    part = unlike_part(picture, inside, click)
    pixels = {(x, y) for y, x in np.argwhere(inside).tolist()}
    if click not in pixels:
        assert part is None
        return
    outside = [(x, y) for x in range(-1, 9) for y in range(-1, 8) if (x, y) not in pixels]
    reach = max(1.0, min(math.dist(click, place) for place in outside) / 2)
    around = {place for place in pixels if math.dist(place, click) <= reach}
    here = np.mean([picture[y, x] for x, y in sorted(around)])
    usual = float(np.median(picture[inside]))
    shift, spread = abs(here - usual), float(np.std(picture[inside]))
    if abs(shift - spread) < 1e-9:
        return  # sums in another order decide
    assert (part is None) == (shift < spread)
    if part is None:
        return
    found = {(x, y) for y, x in np.argwhere(part).tolist()}
    assert around <= found <= pixels
    for x, y in found - around:
        assert abs(picture[y, x] - here) < abs(picture[y, x] - usual) + 1e-9
        assert any((x + a, y + b) in found for a in (-1, 0, 1) for b in (-1, 0, 1) if (a, b) != (0, 0))
