# Copyright (c) monai_synthfm contributors
# Licensed under the Apache License, Version 2.0 (http://www.apache.org/licenses/LICENSE-2.0).
# SPDX-License-Identifier: Apache-2.0
"""Objects that are said not to be on some slices, against volumes that reach only so far."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from monai_synthfm.inferers import AnswerSizes, VolumeInferer
from monai_synthfm.inferers.propagation.propagation import DIRECTIONS
from monai_synthfm.networks import MobileSam, Promptable
from tests.inferers.blob_segmenter import BlobSegmenter
from tests.inferers.clicks import click
from tests.inferers.level_segmenter import LevelSegmenter
from tests.inferers.propagation.test_mask_propagation import OTHER, SHAPE, run, tube
from tests.networks.upstream_sam2 import build_upstream, same_weights

DEPTH = SHAPE[2]
WHOLE = tube(9, 8, range(DEPTH))


def masks(*objects: torch.Tensor) -> torch.Tensor:
    return sum((n * inside for n, inside in enumerate(objects, 1)), torch.zeros(SHAPE)).to(torch.uint8)


@pytest.mark.parametrize(
    ("direction", "left"),
    [("both", range(3, 9)), ("forward", range(5, 9)), ("backward", range(3, 6)), ("none", range(5, 6))],
)
@pytest.mark.parametrize("outside", [False, True])
def test_an_object_ends_before_slices_with_negative_clicks_alone(direction: str, left: range, outside: bool) -> None:
    place = [25.0, 2.0] if outside else [9.0, 8.0]
    clicks = click([[9.0, 8, 5, 1], [*place, 2, 0], [*place, 9, 0]])
    found = run(WHOLE + OTHER, direction=direction, **clicks)[0]
    torch.testing.assert_close(found, masks(tube(9, 8, left)))


def test_between_two_prompted_slices_both_runs_go_up_to_the_end() -> None:
    """Two tubes run through the whole volume; the object is said to be one on slice 1 and the other on slice 10."""
    left, right = tube(7, 7, range(DEPTH)), tube(22, 18, range(DEPTH))
    places = [[7.0, 7, 1, 1], [22.0, 18, 10, 1]]
    halves = run(left + right, **click(places))[0]
    torch.testing.assert_close(halves, masks(tube(7, 7, range(6)) + tube(22, 18, range(6, DEPTH))))
    found = run(left + right, **click([*places, [15.0, 12, 8, 0]]))[0]
    torch.testing.assert_close(found, masks(tube(7, 7, range(8)) + tube(22, 18, range(9, DEPTH))))


def test_each_object_has_its_own_ends() -> None:
    pad = [0.0, 0, 0, -1]
    clicks = click([[9.0, 8, 4, 1], [9, 8, 7, 0]], [[22.0, 18, 4, 1], pad], [[9.0, 8, 7, 1], [22, 18, 2, 0]])
    found = run(tube(9, 8, range(8)) + OTHER, output="logits", **clicks) > 0
    for n, expected in enumerate((tube(9, 8, range(7)), OTHER, tube(9, 8, range(3, 8)))):
        torch.testing.assert_close(found[n], expected > 0)


def test_an_object_that_is_prompted_on_blank_slices_alone_is_refused_wherever_it_is_not() -> None:
    with pytest.raises(ValueError, match=r"object 1 is prompted on slices \[9\] alone, which are blank"):
        run(tube(9, 8, range(6)), **click([[9.0, 8, 9, 1], [9, 8, 4, 0]]))


def test_slices_beyond_an_end_are_not_encoded() -> None:
    network = BlobSegmenter()
    run(WHOLE, network, **click([[9.0, 8, 5, 1], [9, 8, 7, 0]]))
    assert network.encoded == len(range(7))


@pytest.mark.parametrize("shown", ["box", "mask"])
def test_a_negative_click_beside_a_box_or_a_mask_ends_nothing(shown: str) -> None:
    known = torch.zeros(1, 1, *SHAPE, dtype=torch.uint8)
    known[0, 0, ..., 7] = WHOLE[..., 7].to(torch.uint8)
    boxes = torch.tensor([[[5.0, 4, 7, 13, 12, 7]]])
    more = {"boxes": boxes} if shown == "box" else {"masks": known}
    found = run(WHOLE + OTHER, **more, **click([[9.0, 8, 5, 1], [22, 18, 7, 0]]))[0]
    torch.testing.assert_close(found, masks(WHOLE))


@pytest.fixture(scope="module", params=["masks", "memory"])
def network(request: pytest.FixtureRequest) -> Promptable:
    torch.manual_seed(0)
    return same_weights(build_upstream("2.1"), "2.1") if request.param == "memory" else MobileSam(image_size=64).eval()


@pytest.mark.parametrize("direction", DIRECTIONS)
def test_what_lies_on_a_side_of_an_end_is_as_if_the_volume_ended_there(network: Promptable, direction: str) -> None:
    volume = torch.rand(1, 1, 20, 24, 9, generator=torch.Generator().manual_seed(0))
    low, high, other = [9.0, 9, 1, 1], [12.0, 10, 6, 1], [5.0, 15, 3, 1]
    inferer, pad = VolumeInferer(direction=direction, output="logits"), [0.0, 0, 0, -1]
    found = inferer(volume, network, **click([low, high, [1.0, 1, 4, 0]], [other, pad, pad]))[0]
    below = inferer(volume[..., :4], network, **click([low]))[0, 0]
    above = inferer(volume[..., 5:], network, **click([[*high[:2], 1, 1]]))[0, 0]
    alone = inferer(volume, network, **click([other]))[0, 0]
    torch.testing.assert_close(found[0, ..., :4], below, atol=2e-2, rtol=1e-2)
    torch.testing.assert_close(found[0, ..., 5:], above, atol=2e-2, rtol=1e-2)
    torch.testing.assert_close(found[1], alone, atol=2e-2, rtol=1e-2)
    assert (found[0, ..., 4] == -torch.inf).all()
    assert below.isfinite().any()
    assert above.isfinite().any()


@settings(max_examples=40)
@given(data=st.data())
def test_objects_reach_what_no_end_lies_before(data: st.DataObject) -> None:
    centres = [(7, 7), (22, 18)]
    direction = data.draw(st.sampled_from(DIRECTIONS))
    rows, expected = [], []
    for centre in centres:
        prompted = data.draw(st.sets(st.integers(0, DEPTH - 1), min_size=1, max_size=3))
        ends = data.draw(st.sets(st.integers(0, DEPTH - 1), max_size=3)) - prompted
        rows.append([[*centre, z, 1.0] for z in prompted] + [[*centre, z, 0.0] for z in ends])

        def reaches(start: int, z: int, ends: set[int] = ends) -> bool:
            ways = {"both": True, "forward": z >= start, "backward": z <= start, "none": z == start}
            return ways[direction] and not ends & set(range(min(start, z), max(start, z) + 1))

        reached = [z for z in range(DEPTH) if any(reaches(start, z) for start in prompted)]
        expected.append(sum((tube(*centre, range(z, z + 1)) for z in reached), torch.zeros(SHAPE)))
    longest = max(map(len, rows))
    padded = [[*row, *[[0.0, 0.0, 0.0, -1.0]] * (longest - len(row))] for row in rows]
    volume = tube(*centres[0], range(DEPTH)) + tube(*centres[1], range(DEPTH))
    torch.testing.assert_close(run(volume, direction=direction, **click(*padded))[0], masks(*expected))


@pytest.mark.parametrize("size", ["smaller", "larger"])
def test_sizes_are_those_of_the_slices_where_the_object_is(size: str) -> None:
    prompt = [9.0, 8, 5, 1]
    plain, ended = AnswerSizes(size), AnswerSizes(size)
    whole = run(WHOLE, LevelSegmenter(), sizes=plain, **click([prompt]))[0]
    found = run(WHOLE, LevelSegmenter(), sizes=ended, **click([prompt, [9.0, 8, 7, 0]]))[0]
    assert ended.found == plain.found
    assert ended.found[0][0].chosen is not None
    torch.testing.assert_close(found, whole * (torch.arange(DEPTH) < 7))
