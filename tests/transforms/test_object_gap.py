# Copyright (c) monai_synthfm contributors
# Licensed under the Apache License, Version 2.0 (http://www.apache.org/licenses/LICENSE-2.0).
# SPDX-License-Identifier: Apache-2.0
"""Objects that end at a gap."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from scipy import ndimage

from monai_synthfm.transforms.object_gap import RandObjectGap

KEPT = 24


def column() -> tuple[torch.Tensor, torch.Tensor]:
    """A bright column in the dark, through all 48 slices."""
    mask = torch.zeros(48, 30, 40, dtype=torch.bool)
    mask[:, 8:22, 12:28] = True
    return 0.2 + 0.5 * mask, mask


def gaps(count: int = 40, **options: Any) -> list[tuple[torch.Tensor, torch.Tensor]]:
    transform = RandObjectGap(prob=1.0, **options).set_random_state(seed=0)
    return [transform(*column(), KEPT) for _ in range(count)]


def test_the_object_is_whole_on_the_kept_slice_and_one_side_of_it() -> None:
    _, mask = column()
    sides = set()
    for _, shorter in gaps():
        assert torch.equal(shorter[KEPT], mask[KEPT])
        held = shorter.any(dim=2).any(dim=1)
        assert ndimage.label(shorter.numpy())[1] == 1
        assert bool(held[0]) != bool(held[-1])
        sides.add(bool(held[0]))
    assert sides == {False, True}


def test_only_the_gap_looks_different_and_the_object_goes_on_beyond_it() -> None:
    pictures, mask = column()
    for changed, shorter in gaps(thickness=(2.0, 3.0)):
        differs = (changed - pictures).abs() > 1e-6
        assert not (differs & ~mask).any()
        beyond = mask & ~shorter & ~differs
        assert beyond.any()
        core = ndimage.binary_erosion(differs.numpy(), iterations=1, border_value=1)
        assert abs(float(changed[core].mean()) - float(pictures[mask].mean())) > 0.05


def test_the_gap_is_as_thick_as_asked_for() -> None:
    pictures, _ = column()
    for thickness in (1.0, 3.0):
        for changed, _ in gaps(thickness=(thickness, thickness)):
            share = (changed - pictures).abs() / (changed - pictures).abs().max()
            assert float(share.sum()) / (14 * 16) == pytest.approx(thickness, rel=0.1)


def test_gaps_are_tilted() -> None:
    assert sum(len(torch.unique(shorter.sum(dim=0)[8:22, 12:28])) > 1 for _, shorter in gaps()) > 10


def test_nothing_changes_without_a_gap_or_room_for_one() -> None:
    pictures, mask = column()
    assert RandObjectGap(prob=0.0)(pictures, mask, KEPT)[1] is mask
    mask[KEPT + 2 :] = False
    mask[: KEPT - 1] = False
    assert RandObjectGap(prob=1.0)(pictures, mask, KEPT)[0] is pictures


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"prob": 1.5}, "prob must lie in 0..1, got 1.5"),
        ({"thickness": (2.0, 1.0)}, "thickness must be two increasing numbers of slices above 0"),
    ],
)
def test_arguments_out_of_their_range_are_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        RandObjectGap(**options)
