# Copyright (c) monai_synthfm contributors
# Licensed under the Apache License, Version 2.0 (http://www.apache.org/licenses/LICENSE-2.0).
# SPDX-License-Identifier: Apache-2.0
"""Objects carried window by window, with networks whose answers are known."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch

from monai_synthfm.inferers import VolumeInferer, WindowPropagation
from monai_synthfm.inferers.propagation.propagation import DIRECTIONS
from tests.inferers.clicks import click
from tests.inferers.region_grower import RegionGrower

SHAPE = (60, 52, 44)


class Answers(torch.nn.Module):
    """Makes its answer of the channels, and counts windows."""

    weight_files = ()

    def __init__(self, answer: Callable[[torch.Tensor], torch.Tensor]) -> None:
        super().__init__()
        self.answer = answer
        self.windows = 0

    def forward(self, channels: torch.Tensor) -> torch.Tensor:
        self.windows += len(channels)
        return self.answer(channels)[:, None]


def likely(channels: torch.Tensor) -> torch.Tensor:
    """What looks like the object where it is known."""
    return channels[:, 2]


def carried(channels: torch.Tensor) -> torch.Tensor:
    """The mask of the nearest slice where it is known."""
    return channels[:, 3]


def tube(slices: range, cx: float = 20, cy: float = 18, radius: float = 5, slope: float = 0.0) -> torch.Tensor:
    """A tube along the third axis, or across it with a slope, [X, Y, Z]."""
    x, y, z = np.mgrid[: SHAPE[0], : SHAPE[1], : SHAPE[2]]
    inside = (np.hypot(x - cx - slope * z, y - cy) <= radius) & (z >= slices.start) & (z < slices.stop)
    return torch.from_numpy(inside).float()


def run(
    volume: torch.Tensor, network: torch.nn.Module, axis: int = 2, options: dict[str, Any] | None = None, **given: Any
) -> torch.Tensor:
    names = ("points", "point_labels", "boxes", "masks", "slice_range")
    prompts = {name: given.pop(name) for name in names if name in given}
    inferer = VolumeInferer(WindowPropagation(network, **(options or {})), **given)
    return inferer(volume[None, None], RegionGrower(), axis=axis, **prompts)[0, 0]


def slices_of(found: torch.Tensor) -> list[int]:
    indexes: list[int] = found.flatten(0, 1).any(dim=0).nonzero().flatten().tolist()
    return indexes


def dice(found: torch.Tensor, wanted: torch.Tensor) -> float:
    return float(2 * ((found > 0) & (wanted > 0)).sum() / ((found > 0).sum() + (wanted > 0).sum()))


def known(mask: torch.Tensor, *indexes: int) -> dict[str, torch.Tensor]:
    masks = torch.zeros(1, 1, *SHAPE, dtype=torch.int16)
    for index in indexes:
        masks[0, 0, ..., index] = mask[..., index].short()
    return {"masks": masks}


EXPECTED = {"both": range(3, 40), "forward": range(20, 40), "backward": range(3, 21), "none": range(20, 21)}


@pytest.mark.parametrize("direction", DIRECTIONS)
@pytest.mark.parametrize("axis", [0, 1, 2])
def test_an_object_is_followed_to_its_end(direction: str, axis: int) -> None:
    organ = tube(range(3, 40))
    turned = torch.movedim(organ, 2, axis)
    masks = torch.movedim(known(organ, 20)["masks"], 4, axis + 2)
    found = run(turned, Answers(likely), axis, direction=direction, masks=masks).movedim(axis, 2)
    assert slices_of(found) == list(EXPECTED[direction])
    assert dice(found, tube(EXPECTED[direction])) > 0.95


def test_the_window_goes_with_an_object_that_moves_away() -> None:
    organ = tube(range(44), cx=8, slope=1.0)
    found = run(organ, Answers(likely), **known(organ, 2))
    assert slices_of(found) == list(range(44))
    assert dice(found, organ) > 0.9


def test_both_ways_from_a_slice_begin_in_one_window() -> None:
    organ, network = tube(range(16, 25)), Answers(likely)  # 4 slices on each side; blank ones beyond are not visited
    assert slices_of(run(organ, network, **known(organ, 20))) == list(range(16, 25))
    assert network.windows == 1


def test_an_object_that_ends_does_not_come_back() -> None:
    found = run(tube(range(20)) + tube(range(23, 44)), Answers(likely), **known(tube(range(20)), 10))
    assert slices_of(found) == list(range(20))


@pytest.mark.parametrize(("limit", "last"), [(0.15, 24), (0.35, 30), (np.inf, 44)])
def test_an_object_ends_where_its_grey_level_is_no_longer_that_of_the_prompted_slice(limit: float, last: int) -> None:
    volume = tube(range(24)) + 0.7 * tube(range(24, 30)) + 0.6 * tube(range(30, 44))
    found = run(volume, Answers(carried), options={"max_grey_shift": limit}, **known(tube(range(24)), 10))
    assert slices_of(found) == list(range(last))


def test_a_prompted_mask_that_leaks_does_not_end_its_object() -> None:
    organ = tube(range(44))
    leaking = organ + tube(range(44), cx=30)  # half of it is background
    found = run(organ, Answers(likely), options={"max_grey_shift": 0.1}, **known(leaking, 20))
    assert slices_of(found) == list(range(44))
    assert dice(found[..., :20], organ[..., :20]) > 0.95


def test_where_the_network_finds_nothing_on_the_prompted_slice_the_mask_there_counts() -> None:
    def elsewhere(channels: torch.Tensor) -> torch.Tensor:
        return torch.where(channels[:, 5] > 0, -1.0, carried(channels))

    organ = tube(range(44))
    organ[..., 23:] *= 0.8
    found = run(organ, Answers(elsewhere), options={"max_grey_shift": 0.1, "num_known": 1}, **known(organ, 20))
    assert slices_of(found) == list(range(23))


def test_clicks_are_answered_by_the_network_of_slices_which_sees_no_other_slice() -> None:
    network = RegionGrower()
    organ = tube(range(3, 40), radius=2)
    inferer = VolumeInferer(WindowPropagation(Answers(likely)))
    found = inferer(organ[None, None], network, **click([[20.0, 18.0, 20.0, 1.0]]))[0, 0]
    assert network.encoded == 1
    assert slices_of(found) == list(range(3, 40))


def test_between_two_known_slices_each_takes_the_nearer_one() -> None:
    small, large = tube(range(44), radius=4), tube(range(44), radius=8)
    masks = known(small, 10)["masks"] + known(large, 19)["masks"]
    found = run(tube(range(44)), Answers(carried), masks=masks)
    areas = [float((found[..., index] > 0).sum()) for index in range(44)]
    assert all(area == pytest.approx(float(small[..., 0].sum()), rel=0.15) for area in areas[:15])
    assert all(area == pytest.approx(float(large[..., 0].sum()), rel=0.15) for area in areas[15:])


def test_slices_beyond_the_range_do_not_matter() -> None:
    organ = tube(range(44))
    other = organ.clone()
    other[..., 25:] = torch.rand(SHAPE)[..., 25:]
    found = [run(volume, Answers(likely), slice_range=(5, 24), **known(organ, 20)) for volume in (organ, other)]
    assert torch.equal(*found)
    assert slices_of(found[0]) == list(range(5, 25))


def test_many_objects_are_carried_as_each_alone() -> None:
    organs = [tube(range(4, 40), 12, 12, 4), tube(range(10, 30), 40, 14, 6), tube(range(0, 35), 26, 40, 5)]
    volume = sum(organs, torch.zeros(SHAPE))
    masks = torch.zeros(1, 1, *SHAPE, dtype=torch.int16)
    for number, organ in enumerate(organs, start=1):
        masks[0, 0, ..., 20] += number * organ[..., 20].short()
    together = run(volume, Answers(likely), options={"windows_at_once": 2}, masks=masks)
    for number, organ in enumerate(organs, start=1):
        alone = run(volume, Answers(likely), masks=(masks == number).short())
        assert torch.equal(together == number, alone == 1)
        assert dice(alone, organ) > 0.95


def test_more_kept_slices_take_fewer_windows() -> None:
    counts = []
    for kept in (4, 12):
        network = Answers(likely)
        run(tube(range(44)), network, options={"num_kept": kept}, direction="forward", **known(tube(range(44)), 3))
        counts.append(network.windows)
    assert counts == [10, 4]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"factor": 0.9}, "factor must be at least 1, got 0.9"),
        ({"num_known": 0}, "num_known and num_kept must be at least 1 and together at most 16, got 0 and 4"),
        ({"num_known": 13}, "num_known and num_kept must be at least 1 and together at most 16, got 13 and 4"),
        ({"max_grey_shift": 0.0}, "max_grey_shift must be more than 0, got 0.0"),
        ({"windows_at_once": 0}, "windows_at_once must be at least 1, got 0"),
    ],
)
def test_numbers_out_of_their_range_are_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        WindowPropagation(Answers(likely), **options)
