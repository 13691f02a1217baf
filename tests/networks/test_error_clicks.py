# Copyright (c) monai_synthfm contributors
# Licensed under the Apache License, Version 2.0 (http://www.apache.org/licenses/LICENSE-2.0).
# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy import ndimage, stats

from monai_synthfm.networks.error_clicks import draw_error_clicks


@given(st.integers(0, 2**31 - 1), st.booleans())
def test_clicks_lie_on_errors_and_say_of_which_kind_they_are(seed: int, deep: bool) -> None:
    generator = torch.Generator().manual_seed(seed)
    found, wanted = torch.rand(2, 5, 12, 12, generator=generator) < 0.5
    found[0] = wanted[0]
    points, labels = draw_error_clicks(found, wanted, image_size=48, deep=deep)
    columns, rows = ((points[:, 0] + 0.5) / 4 - 0.5).long().T
    assert labels[0].item() == -1
    for n in range(1, 5):
        assert found[n, rows[n], columns[n]] != wanted[n, rows[n], columns[n]]
        assert labels[n].item() == int(wanted[n, rows[n], columns[n]])


def test_deep_clicks_keep_away_from_the_rim_of_the_error() -> None:
    found = torch.zeros(1, 20, 20, dtype=torch.bool)
    wanted = found.clone()
    wanted[0, 3:14, 2:17] = True
    found[0, 15:18, 4:9] = True
    depths = ndimage.distance_transform_edt(wanted[0].numpy())
    for _ in range(50):
        points, labels = draw_error_clicks(found, wanted, image_size=20, deep=True)
        column, row = points[0, 0].long().tolist()
        assert labels.item() == 1
        assert depths[row, column] >= depths.max() / 2


def test_clicks_are_uniform_over_the_error() -> None:
    wanted = torch.zeros(4000, 4, 4, dtype=torch.bool)
    wanted[:, 1:3, 1:4] = True
    points, _ = draw_error_clicks(torch.zeros_like(wanted), wanted, image_size=4)
    places, counts = np.unique(points[:, 0].numpy(), axis=0, return_counts=True)
    assert len(places) == 6
    assert stats.chisquare(counts).pvalue > 1e-3


def test_nothing_is_clicked_where_nothing_is_wrong() -> None:
    same = torch.ones(2, 4, 4, dtype=torch.bool)
    assert draw_error_clicks(same, same, image_size=16)[1].tolist() == [[-1], [-1]]


def test_masks_of_another_shape_are_refused() -> None:
    same = torch.ones(2, 4, 4, dtype=torch.bool)
    with pytest.raises(ValueError, match=r"one shape, got \(2, 4, 4\) and \(2, 2, 4\)"):
        draw_error_clicks(same, same[:, :2], image_size=16)
