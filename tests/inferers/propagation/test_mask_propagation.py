# Copyright (c) monai_synthfm contributors
# Licensed under the Apache License, Version 2.0 (http://www.apache.org/licenses/LICENSE-2.0).
# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from monai_synthfm.inferers import MaskPropagation, RecentEmbeddings, VolumeInferer
from monai_synthfm.inferers.propagation.propagation import DIRECTIONS
from tests.inferers.blob_segmenter import BlobSegmenter
from tests.inferers.clicks import click

SHAPE = (30, 26, 12)


def tube(cx: float, cy: float, slices: range, radius: float = 4.0, grey: float = 1.0) -> torch.Tensor:
    """A tube along the third axis, [X, Y, Z]."""
    x, y, z = np.mgrid[: SHAPE[0], : SHAPE[1], : SHAPE[2]]
    inside = (np.hypot(x - cx, y - cy) <= radius) & (z >= slices.start) & (z < slices.stop)
    return grey * torch.from_numpy(inside).float()


def run(volume: torch.Tensor, network: BlobSegmenter | None = None, axis: int = 2, **options: object) -> torch.Tensor:
    """Segment one volume [X, Y, Z]; options are those of the constructor or of the call."""
    names = ("points", "point_labels", "boxes", "masks")
    prompts = {name: options.pop(name) for name in names if name in options}
    return VolumeInferer(**options)(volume[None, None], network or BlobSegmenter(), axis=axis, **prompts)[0]


ORGAN = tube(9, 8, range(2, 9))
OTHER = tube(22, 18, range(0, 12))
EXPECTED = {"both": range(2, 9), "forward": range(4, 9), "backward": range(2, 5), "none": range(4, 5)}


@pytest.mark.parametrize("direction", DIRECTIONS)
@pytest.mark.parametrize("axis", [0, 1, 2])
def test_organ_is_followed_to_its_end_and_nothing_else(direction: str, axis: int) -> None:
    turned = torch.movedim(ORGAN + OTHER, 2, axis)
    point = [9.0, 8.0]
    point.insert(axis, 4.0)
    found = run(turned, axis=axis, direction=direction, **click([[*point, 1.0]]))[0].movedim(axis, 2)
    kept = tube(9, 8, EXPECTED[direction])
    torch.testing.assert_close(found, kept.to(torch.uint8))


@pytest.mark.parametrize("kind", ["click", "box", "mask"])
def test_every_kind_of_prompt_starts_an_object(kind: str) -> None:
    masks = torch.zeros(1, 1, *SHAPE, dtype=torch.int16)
    masks[0, 0, 5:14, 4:13, 4] = ORGAN[5:14, 4:13, 4].short()
    prompts = {
        "click": click([[9.0, 8.0, 4.0, 1.0]]),
        "box": {"boxes": torch.tensor([[[5.0, 4, 4, 13, 12, 4]]])},
        "mask": {"masks": masks},
    }
    torch.testing.assert_close(run(ORGAN + OTHER, **prompts[kind])[0], ORGAN.to(torch.uint8))


def test_slice_range_is_not_left() -> None:
    found = run(ORGAN, slice_range=(3, 6), **click([[9.0, 8.0, 4.0, 1.0]]))[0]
    torch.testing.assert_close(found, tube(9, 8, range(3, 7)).to(torch.uint8))


def test_slice_range_of_a_call_comes_before_that_of_the_constructor_and_may_differ_by_volume() -> None:
    pair = torch.stack([ORGAN, ORGAN])[:, None]
    prompts = {name: value.expand(2, *value.shape[1:]) for name, value in click([[9.0, 8, 4, 1]]).items()}
    inferer = VolumeInferer(slice_range=(4, 4))
    found = inferer(pair, BlobSegmenter(), slice_range=torch.tensor([[3, 6], [0, 11]]), **prompts)
    torch.testing.assert_close(found[0, 0], tube(9, 8, range(3, 7)).to(torch.uint8))
    torch.testing.assert_close(found[1, 0], ORGAN.to(torch.uint8))


def test_an_object_does_not_jump_over_a_gap() -> None:
    volume = tube(9, 8, range(0, 4)) + tube(9, 8, range(6, 12))
    found = run(volume, **click([[9.0, 8.0, 2.0, 1.0]]))[0]
    torch.testing.assert_close(found, tube(9, 8, range(0, 4)).to(torch.uint8))


def test_an_object_that_leaks_into_a_much_larger_one_ends() -> None:
    leak = tube(9, 8, range(0, 7)) + tube(12, 12, range(7, 12), radius=12)
    found = run(leak, **click([[9.0, 8.0, 2.0, 1.0]]))[0]
    torch.testing.assert_close(found, tube(9, 8, range(0, 7)).to(torch.uint8))


@pytest.mark.parametrize(("limit", "last"), [(0.15, 7), (0.35, 10), (np.inf, 12)])
def test_an_object_ends_where_its_grey_level_is_no_longer_that_of_the_prompted_slice(limit: float, last: int) -> None:
    volume = sum(grey * tube(9, 8, range(z, z + 1)) for z, grey in enumerate([1.0] * 6 + [0.9] + [0.7] * 3 + [0.6] * 2))
    found = run(volume, propagation=MaskPropagation(max_grey_shift=limit), **click([[9.0, 8.0, 2.0, 1.0]]))[0]
    torch.testing.assert_close(found, tube(9, 8, range(0, last)).to(torch.uint8))


@pytest.mark.parametrize(("around", "last"), [(0.0, 10), (0.4, 9), (0.45, 7)])
def test_by_default_the_grey_level_may_shift_with_the_contrast_of_the_prompted_slice(around: float, last: int) -> None:
    """From 0.6: by 0.2 in a dark surrounding, else by 0.6 of 0.2 and 0.15."""
    organ = tube(9, 8, range(12))
    shifts = torch.tensor([0.0] * 4 + [0.07] * 3 + [0.1] * 2 + [0.15] + [0.22] * 2)
    volume = organ * (0.6 + shifts) + (1 - organ) * around
    found = run(volume, **click([[9.0, 8.0, 2.0, 1.0]]))[0]
    torch.testing.assert_close(found, tube(9, 8, range(0, last)).to(torch.uint8))


@pytest.mark.parametrize(("limit", "last"), [(1.5, 6), (3.0, 12)])
def test_an_object_ends_where_its_area_jumps(limit: float, last: int) -> None:
    volume = tube(9, 8, range(0, 6), radius=4) + tube(9, 8, range(6, 12), radius=6)
    found = run(volume, propagation=MaskPropagation(max_change=limit), **click([[9.0, 8.0, 2.0, 1.0]]))[0]
    torch.testing.assert_close(found, (volume * (torch.arange(12) < last)).to(torch.uint8))


def test_limits_out_of_range_are_refused() -> None:
    with pytest.raises(ValueError, match="max_change must be more than 1, got 1"):
        MaskPropagation(max_change=1)
    with pytest.raises(ValueError, match="max_grey_shift must be more than 0, got 0"):
        MaskPropagation(max_grey_shift=0)


def test_a_store_that_forgets_costs_encodings_only_between_the_prompted_slices() -> None:
    """Both objects pass slices 3 to 8; slices outside are passed by one run each way at most."""
    prompts = click([[9.0, 8.0, 2.0, 1.0]], [[22.0, 18.0, 9.0, 1.0]])
    volume = tube(9, 8, range(12)) + OTHER
    network = BlobSegmenter()
    found = run(volume, network, store=lambda *_: RecentEmbeddings(capacity=0), **prompts)[0]
    torch.testing.assert_close(found, (tube(9, 8, range(12)) + 2 * OTHER).to(torch.uint8))
    assert network.encoded == 12 + len(range(2, 9))


@pytest.mark.parametrize(
    ("direction", "first", "second"),
    [("both", range(0, 6), range(6, 12)), ("forward", range(2, 9), range(9, 12)), ("none", range(2, 3), range(9, 10))],
)
def test_runs_between_two_prompted_slices_meet_in_the_middle(direction: str, first: range, second: range) -> None:
    """Two tubes run through the whole volume; the object is said to be one on slice 2 and the other on slice 9."""
    left, right = tube(7, 7, range(12)), tube(22, 18, range(12))
    found = run(left + right, direction=direction, **click([[7.0, 7.0, 2.0, 1.0], [22.0, 18.0, 9.0, 1.0]]))[0]
    torch.testing.assert_close(found, (tube(7, 7, first) + tube(22, 18, second)).to(torch.uint8))


def test_objects_with_different_prompted_slices_are_independent() -> None:
    volume = ORGAN + OTHER
    prompts = click([[9.0, 8.0, 4.0, 1.0]], [[22.0, 18.0, 10.0, 1.0]])
    network = BlobSegmenter()
    found = run(volume, network, **prompts)[0]
    torch.testing.assert_close(found, (ORGAN + 2 * OTHER).to(torch.uint8))
    # Each slice is visited by the second object, and 2 to 8 by the first one too.
    assert network.encoded == 12


def test_slices_beyond_the_end_of_the_objects_are_not_encoded() -> None:
    network = BlobSegmenter()
    run(ORGAN + OTHER, network, **click([[9.0, 8.0, 4.0, 1.0]]))
    assert network.encoded == len(range(1, 10))


def test_a_slice_of_which_the_mask_is_given_is_not_encoded() -> None:
    network = BlobSegmenter()
    masks = torch.zeros(1, 1, *SHAPE, dtype=torch.uint8)
    masks[0, 0, ..., 4] = ORGAN[..., 4].to(torch.uint8)
    assert run(ORGAN, network, masks=masks, direction="none").sum() == ORGAN[..., 4].sum()
    assert network.encoded == 0


def test_a_given_mask_is_kept_where_the_network_would_answer_otherwise() -> None:
    masks = torch.zeros(1, 1, *SHAPE, dtype=torch.uint8)
    masks[0, 0, 7:12, 6:11, 4] = 2
    found = run(ORGAN, masks=masks)[0]
    torch.testing.assert_close(found[..., 4], masks[0, 0, ..., 4])
    torch.testing.assert_close(found[..., 5], (2 * ORGAN[..., 5]).to(torch.uint8))
    assert found[..., 3].max() == 2


def test_a_mask_with_clicks_on_its_slice_is_corrected_by_the_network() -> None:
    volume = ORGAN + OTHER
    masks = torch.zeros(1, 1, *SHAPE, dtype=torch.uint8)
    masks[0, 0, ..., 4] = volume[..., 4] > 0
    found = run(volume, masks=masks, **click([[22.0, 18.0, 4.0, 0.0]]))[0]
    torch.testing.assert_close(found, ORGAN.to(torch.uint8))


def test_an_object_in_several_parts_is_followed_in_all_of_them() -> None:
    volume = ORGAN + tube(22, 18, range(3, 11), radius=3)
    found = run(volume, **click([[9.0, 8.0, 4.0, 1.0], [22.0, 18.0, 4.0, 1.0]]))[0]
    torch.testing.assert_close(found, volume.to(torch.uint8))


def test_overlapping_objects_go_to_the_larger_logit_wherever_they_come_from() -> None:
    # Object 2 comes from above through the tube of object 1: equal logits go to the first object.
    prompts = click([[9.0, 8.0, 3.0, 1.0]], [[9.0, 8.0, 7.0, 1.0]])
    torch.testing.assert_close(run(ORGAN, **prompts)[0], ORGAN.to(torch.uint8))
    swapped = {name: value.flip(1) for name, value in prompts.items()}
    torch.testing.assert_close(run(ORGAN, **swapped)[0], ORGAN.to(torch.uint8))


def test_logits_are_those_of_each_object() -> None:
    prompts = click([[9.0, 8.0, 4.0, 1.0]], [[22.0, 18.0, 10.0, 1.0]], [[9.0, 8.0, 2.0, 1.0]])
    volume = ORGAN + 0.75 * OTHER
    found = run(volume, output="logits", **prompts)
    assert found.shape == (3, *SHAPE)
    assert found.dtype == torch.float16
    for n, (organ, logit) in enumerate([(ORGAN, 4.0), (OTHER, 3.0), (ORGAN, 4.0)]):
        expected = torch.where(organ > 0, logit, -4.0).half()
        visited = organ.amax(dim=(0, 1)) > 0
        torch.testing.assert_close(found[n][..., visited], expected[..., visited])
        assert (found[n][..., ~visited] == -torch.inf).all()


@pytest.mark.parametrize("output", ["labels", "logits"])
def test_keep_largest_keeps_one_26_connected_part_of_each_object(output: str) -> None:
    # The box reaches the small tube on its first slice only; the part found there hangs on nothing.
    volume = tube(8, 8, range(0, 12)) + tube(16, 8, range(4, 5), radius=1)
    prompts = {"boxes": torch.tensor([[[4.0, 4, 4, 17, 12, 4]]])}
    everything = run(volume, output=output, **prompts)[0] > 0
    torch.testing.assert_close(everything, volume > 0)
    largest = run(volume, output=output, keep_largest=True, **prompts)[0] > 0
    torch.testing.assert_close(largest, tube(8, 8, range(12)) > 0)


def test_more_objects_than_go_through_the_decoder_at_once() -> None:
    volume = torch.zeros(SHAPE)
    volume[1::3, 1::3] = 1.0
    places = [[[float(x), float(y), 5.0, 1.0]] for x in range(1, 30, 3) for y in range(1, 26, 3)]
    found = run(volume, **click(*places))[0]
    assert found[1::3, 1::3].flatten(0, 1).tolist() == [[n + 1] * SHAPE[2] for n in range(len(places))]
    assert (found > 0).sum() == volume.sum()


@settings(max_examples=40)
@given(data=st.data())
def test_any_prompts_on_tubes_give_the_union_of_what_each_object_gives_alone(data: st.DataObject) -> None:
    """Objects do not influence each other except where they overlap, and no slice is encoded twice."""
    centres = [(7, 7), (22, 18), (22, 5)]
    spans = [data.draw(st.tuples(st.integers(0, 11), st.integers(0, 11)).map(sorted)) for _ in centres]
    slices = [data.draw(st.sets(st.integers(low, high), min_size=1, max_size=3)) for low, high in spans]
    direction = data.draw(st.sampled_from(DIRECTIONS))
    volume = sum(tube(*c, range(low, high + 1), radius=3) for c, (low, high) in zip(centres, spans, strict=True))
    points = torch.zeros(1, 3, 3, 3)
    labels = torch.full((1, 3, 3), -1)
    expected = torch.zeros(SHAPE, dtype=torch.uint8)
    for n, (centre, (low, high), indexes) in enumerate(zip(centres, spans, slices, strict=True)):
        for k, index in enumerate(sorted(indexes)):
            points[0, n, k], labels[0, n, k] = torch.tensor([*centre, index]), 1
        first = low if direction in ("both", "backward") else min(indexes)
        last = high if direction in ("both", "forward") else max(indexes)
        for z in sorted(indexes) if direction == "none" else range(first, last + 1):
            expected[..., z] += (n + 1) * tube(*centre, range(z, z + 1), radius=3)[..., z].to(torch.uint8)
    network = BlobSegmenter()
    found = run(volume, network, points=points, point_labels=labels, direction=direction)[0]
    torch.testing.assert_close(found, expected)
    assert network.encoded <= SHAPE[2]
