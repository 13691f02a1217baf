# Copyright (c) monai_synthfm contributors
# Licensed under the Apache License, Version 2.0 (http://www.apache.org/licenses/LICENSE-2.0).
# SPDX-License-Identifier: Apache-2.0
"""Padded volumes against the same volumes without their padding, with both ways to carry objects on."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from monai.data import MetaTensor

from monai_synthfm.inferers import InteractiveSession, VolumeInferer
from monai_synthfm.inferers.propagation.propagation import DIRECTIONS
from monai_synthfm.networks import MobileSam, Promptable
from monai_synthfm.slices.sliced_volume import blank_slices
from tests.inferers.blob_segmenter import BlobSegmenter
from tests.inferers.clicks import click
from tests.networks.upstream_sam2 import build_upstream, same_weights

SIZE = (20, 24, 6)


class Inside(BlobSegmenter):
    """Answers with the whole image wherever it is asked, as networks do that are shown nothing."""

    def predict_masks(self, embedding, prompts):
        logits, iou = super().predict_masks(embedding, prompts)
        return torch.full_like(logits, 4.0), iou


def picture(seed: int = 0) -> torch.Tensor:
    return torch.rand(SIZE, generator=torch.Generator().manual_seed(seed))


def segment(volume: torch.Tensor, network: Promptable, **prompts: torch.Tensor) -> torch.Tensor:
    options = {name: prompts.pop(name) for name in ("direction", "slice_range") if name in prompts}
    return VolumeInferer(**options)(volume[None, None], network, **prompts)[0, 0]


@pytest.fixture(scope="module", params=["masks", "memory"])
def network(request: pytest.FixtureRequest) -> Promptable:
    torch.manual_seed(0)
    return same_weights(build_upstream("2.1"), "2.1") if request.param == "memory" else MobileSam(image_size=64).eval()


@pytest.mark.parametrize("direction", DIRECTIONS)
def test_padding_changes_nothing_of_what_lies_between_and_holds_nothing(network: Promptable, direction: str) -> None:
    volume = picture()
    padded = torch.full((*SIZE[:2], 12), 0.3)
    padded[..., 3:9] = volume
    plain = segment(volume, network, direction=direction, **click([[9.0, 9.0, 2.0, 1.0]]))
    found = segment(padded, network, direction=direction, **click([[9.0, 9.0, 5.0, 1.0]]))
    assert plain.any()
    assert torch.equal(found[..., 3:9], plain)
    assert not found[..., :3].any()
    assert not found[..., 9:].any()


@settings(max_examples=25)
@given(data=st.data())
def test_no_object_is_carried_through_a_blank_slice_or_found_on_one(data: st.DataObject) -> None:
    axis = data.draw(st.integers(0, 2))
    blank = data.draw(st.sets(st.integers(0, 9), max_size=5))
    prompted = data.draw(st.sets(st.sampled_from(sorted(set(range(10)) - blank)), min_size=1, max_size=3))
    volume = torch.rand(4, 5, 10, generator=torch.Generator().manual_seed(0))
    volume[..., sorted(blank)] = data.draw(st.sampled_from([0.0, 0.5]))
    clicks = [[2.0, 2.0, float(index), 1.0] for index in sorted(prompted)]
    for place in clicks:
        place.insert(axis, place.pop(2))
    turned = volume.movedim(2, axis)
    found = VolumeInferer()(turned[None, None], Inside(), axis=axis, **click(clicks))[0, 0].movedim(axis, 2)
    reached = set()
    for index in prompted:
        for step in (1, -1):
            k = index
            while 0 <= k < 10 and k not in blank:
                reached.add(k)
                k += step
    assert {k for k in range(10) if found[..., k].any()} <= reached
    assert {k for k in range(10) if found[..., k].any()} >= prompted


def test_what_lies_behind_a_blank_slice_is_segmented_from_its_own_prompts() -> None:
    volume = torch.zeros(12, 12, 9)
    volume[3:8, 3:8] = 0.9
    volume[..., 4] = 0.9  # a slice lost in the middle
    one, two = [5.0, 5.0, 1.0, 1.0], [5.0, 5.0, 7.0, 1.0]
    for clicks, expected in (([one], [0, 1, 2, 3]), ([two], [5, 6, 7, 8]), ([one, two], [0, 1, 2, 3, 5, 6, 7, 8])):
        found = segment(volume, BlobSegmenter(), **click(clicks))
        assert found.flatten(0, 1).any(dim=0).nonzero().flatten().tolist() == expected


def test_a_box_finds_nothing_on_the_blank_slices_that_it_spans() -> None:
    volume = torch.zeros(12, 12, 9)
    volume[3:8, 3:8, 2:6] = 0.9
    volume[..., 7:] = 0.9
    found = segment(volume, Inside(), boxes=torch.tensor([[[2.0, 2, 0, 9, 9, 8]]]))
    assert found.flatten(0, 1).any(dim=0).nonzero().flatten().tolist() == [2, 3, 4, 5]


def test_a_known_mask_on_a_blank_slice_is_kept_and_carried_no_further() -> None:
    volume = torch.zeros(12, 12, 6)
    volume[3:8, 3:8, :4] = 0.9
    masks = torch.zeros(1, 1, 12, 12, 6, dtype=torch.uint8)
    masks[0, 0, 4:6, 4:6, 4] = 2
    found = segment(volume, BlobSegmenter(), masks=masks)
    assert torch.equal(found, masks[0, 0])


@pytest.mark.parametrize(
    "prompts", [click([[2.0, 2.0, 4.0, 1.0]]), {"boxes": torch.tensor([[[1.0, 1, 4, 3, 3, 5]]])}], ids=["click", "box"]
)
def test_an_object_prompted_where_nothing_is_shown_is_refused_before_anything_is_encoded(
    prompts: dict[str, torch.Tensor],
) -> None:
    volume = picture()
    volume[..., 4:] = 0.0
    network = BlobSegmenter()
    both = {name: torch.cat([value, value], dim=1) for name, value in prompts.items()}
    for value in (both.get("points"), both.get("boxes")):
        if value is not None:
            value[0, 0, ..., 2::3] = 1.0  # the first object is well placed
    with pytest.raises(ValueError, match=r"object 2 is prompted on slices \[4(, 5)?\] alone, which are blank"):
        segment(volume, network, **both)
    assert network.encoded == 0


def test_objects_of_a_session_end_where_the_picture_does_and_a_click_on_nothing_changes_nothing() -> None:
    volume = torch.zeros(1, 12, 12, 9)
    volume[0, :, :, :5] = 100 * torch.rand(12, 12, 5) + 1
    session = InteractiveSession(Inside(), axis=2, modality="mr")
    session.set_image(MetaTensor(volume, affine=torch.eye(4)))
    session.add_points([[5, 5, 2]], [1])
    assert session.segmentation[0].flatten(0, 1).any(dim=0).tolist() == [True] * 5 + [False] * 4
    before = session.segmentation
    with pytest.raises(ValueError, match="are blank"):
        session.add_points([[5, 5, 7]], [1], object_id=2)
    assert torch.equal(session.segmentation, before)


@settings(max_examples=40)
@given(
    axis=st.integers(0, 2), channels=st.sampled_from([1, 3]), spread=st.sampled_from([0.0, 0.5 / 255, 1.5 / 255, 1.0])
)
def test_blank_is_what_differs_by_less_than_a_grey_level_in_every_channel(
    axis: int, channels: int, spread: float
) -> None:
    volume = np.random.default_rng(0).random((channels, 4, 5, 6))
    part = np.moveaxis(volume, axis + 1, 1)
    part[:, 2] = np.linspace(0.2, 0.7, channels)[:, None, None]
    part[-1, 2, 1, 1] += spread
    assert [k for k, is_blank in enumerate(blank_slices(torch.from_numpy(volume), axis)) if is_blank] == (
        [2] if spread < 1 / 255 else []
    )
