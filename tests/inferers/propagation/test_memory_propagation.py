# Copyright (c) monai_synthfm contributors
# Licensed under the Apache License, Version 2.0 (http://www.apache.org/licenses/LICENSE-2.0).
# SPDX-License-Identifier: Apache-2.0
"""Propagation by memory against sam2's own video predictor with the same random weights, and what it holds on to."""

from __future__ import annotations

import gc
import itertools
import weakref
from collections.abc import Iterator, Mapping, MutableMapping
from dataclasses import replace
from typing import Any

import pytest
import torch
from sam2 import sam2_video_predictor
from sam2.sam2_video_predictor import SAM2VideoPredictor
from torch import nn

from monai_synthfm.inferers import MemoryPropagation, VolumeInferer
from monai_synthfm.inferers.propagation.choice import choose_propagation
from monai_synthfm.networks import ImageEmbedding, MobileSam, Promptable, Sam2
from monai_synthfm.networks.preprocessing import square_input
from monai_synthfm.prompts import Prompts
from monai_synthfm.prompts.mask_corrections import correct_masks
from monai_synthfm.prompts.slice_prompts import SlicePrompts
from monai_synthfm.slices.slice_frame import SliceFrame
from monai_synthfm.slices.sliced_volume import SlicedVolume
from tests.networks.upstream_sam2 import SMALL, build_upstream, same_weights

WIDTH, HEIGHT = 50, 40
CLICK = {"points": [[10.0, 20.0]], "labels": [1]}
CLICKS = {"points": [[30.0, 20.0], [5.0, 6.0]], "labels": [1, 0]}
BOX = {"box": [5.0, 6.0, 30.0, 33.0]}
MASK = torch.zeros(HEIGHT, WIDTH, dtype=torch.bool)
MASK[10:25, 12:40] = True
Given = Mapping[str, Any]
"""One object on one slice: arguments of upstream's ``add_new_points_or_box``, or a mask."""


@pytest.fixture(scope="module", params=SMALL)
def version(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.fixture(scope="module")
def upstream(version: str) -> SAM2VideoPredictor:
    return build_upstream(version)


@pytest.fixture(scope="module")
def ours(upstream: SAM2VideoPredictor, version: str) -> Sam2:
    return same_weights(upstream, version)


def volume(depth: int) -> torch.Tensor:
    return torch.rand(1, WIDTH, HEIGHT, depth, generator=torch.Generator().manual_seed(depth))


class Slices(SlicedVolume):
    """Slices of a random volume; counts how often each is encoded and asked for."""

    def __init__(
        self, network: Promptable, depth: int, store: MutableMapping[int, ImageEmbedding] | None = None
    ) -> None:
        super().__init__(volume(depth), SliceFrame(2), network, store)
        self.asked: list[int] = []

    def embedding(self, index: int) -> ImageEmbedding:
        self.asked.append(index)
        return super().embedding(index)


class Forgetful(MutableMapping[int, ImageEmbedding]):
    """A store that keeps the latest embedding only."""

    def __init__(self) -> None:
        self.latest: dict[int, ImageEmbedding] = {}

    def __getitem__(self, index: int) -> ImageEmbedding:
        return self.latest[index]

    def __setitem__(self, index: int, embedding: ImageEmbedding) -> None:
        self.latest = {index: embedding}

    def __delitem__(self, index: int) -> None:
        del self.latest[index]

    def __iter__(self) -> Iterator[int]:
        return iter(self.latest)

    def __len__(self) -> int:
        return len(self.latest)


def by_upstream(
    network: SAM2VideoPredictor, frames: torch.Tensor, given: Mapping[int, Given], direction: str
) -> dict[int, torch.Tensor]:
    """Logits of one object by slice, from sam2's video predictor on tensors instead of a film."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sam2_video_predictor, "load_video_frames", lambda **_: (frames, HEIGHT, WIDTH))
        patch.setattr(sam2_video_predictor, "tqdm", lambda order, **_: order)
        state = network.init_state("no film")
        for index, prompt in given.items():
            if "mask" in prompt:
                network.add_new_mask(state, index, 1, prompt["mask"])
            else:
                network.add_new_points_or_box(state, index, 1, **prompt)
        found = {}
        if direction in ("both", "forward"):
            found |= {index: masks[0, 0] for index, _, masks in network.propagate_in_video(state)}
        if direction in ("both", "backward"):
            start = max(given) if direction == "backward" else None
            passes = network.propagate_in_video(state, start_frame_idx=start, reverse=True)
            found |= {index: masks[0, 0] for index, _, masks in passes}
    return found


def frames_of(network: Sam2, slices: SlicedVolume) -> torch.Tensor:
    images = torch.cat([slices.image(index) for index in range(len(slices))])
    return square_input(images, network.image_size, network.pixel_mean, network.pixel_std)


def as_slice_prompts(objects: Mapping[int, Given]) -> SlicePrompts:
    """Prompts of several objects on one slice."""
    points = torch.zeros(len(objects), 2, 2)
    labels = torch.full((len(objects), 2), -1)
    boxes = torch.full((len(objects), 4), torch.nan)
    masks = torch.zeros(len(objects), HEIGHT, WIDTH, dtype=torch.bool)
    for row, given in enumerate(objects.values()):
        for k, point in enumerate(given.get("points", ())):
            points[row, k] = torch.tensor(point)
            labels[row, k] = given["labels"][k]
        if "box" in given:
            boxes[row] = torch.tensor(given["box"])
        masks[row] = given.get("mask", False)
    return SlicePrompts(list(objects), Prompts(points, labels, boxes), masks)


def propagate(
    slices: SlicedVolume,
    given: Mapping[int, Mapping[int, Given]],
    direction: str = "both",
    propagation: MemoryPropagation | None = None,
    slice_range: range | None = None,
) -> dict[int, dict[int, torch.Tensor]]:
    """Logits by object and slice; ``given`` by slice and object. No object comes twice on a slice."""
    found: dict[int, dict[int, torch.Tensor]] = {}
    prompts = {index: as_slice_prompts(objects) for index, objects in given.items()}
    slice_range = range(len(slices)) if slice_range is None else slice_range
    for masks in (propagation or MemoryPropagation())(slices, prompts, direction, slice_range):
        for n, logits in zip(masks.objects, masks.logits, strict=True):
            assert masks.index not in found.setdefault(n, {})
            found[n][masks.index] = logits
    return found


def check_equal(found: Mapping[int, torch.Tensor], expected: Mapping[int, torch.Tensor], atol: float = 1e-4) -> None:
    assert found.keys() == expected.keys()
    for index, logits in expected.items():
        torch.testing.assert_close(found[index], logits, atol=atol, rtol=0)


@pytest.mark.parametrize("direction", ["both", "forward", "backward"])
@pytest.mark.parametrize(
    "given",
    [
        {4: CLICK},
        {4: CLICKS},
        {4: BOX},
        {4: {**CLICKS, **BOX}},
        {4: {"mask": MASK}},
        {3: CLICK, 8: BOX},
        {2: {"mask": MASK}, 3: CLICKS, 15: CLICK},
        {0: CLICK},
        {19: CLICK},
    ],
    ids=["click", "clicks", "box", "clicks+box", "mask", "two slices", "three slices", "first", "last"],
)
def test_logits_equal_those_of_the_video_predictor(
    ours: Sam2, upstream: SAM2VideoPredictor, given: dict[int, Given], direction: str
) -> None:
    slices = Slices(ours, 20)
    expected = by_upstream(upstream, frames_of(ours, slices), given, direction)
    found = propagate(slices, {index: {0: prompt} for index, prompt in given.items()}, direction)[0]
    # Prompted slices that the predictor does not come through are ours all the same.
    check_equal({index: logits for index, logits in found.items() if index in expected or index not in given}, expected)
    assert given.keys() <= found.keys()
    assert max(slices.asked.count(index) for index in range(20)) == 1


def vanish_every_third_time(network: SAM2VideoPredictor | Sam2) -> None:
    """Make the network say at every third decoding that the object is not there."""
    calls = itertools.count()

    def score(module: nn.Module, inputs: tuple[torch.Tensor], output: torch.Tensor) -> torch.Tensor:
        return torch.full_like(output, -3.0 if next(calls) % 3 == 2 else 3.0)

    network.sam_mask_decoder.pred_obj_score_head.register_forward_hook(score)


def test_objects_that_vanish_and_return_equal_the_video_predictor(version: str) -> None:
    upstream = build_upstream(version)
    slices = Slices(same_weights(upstream, version), 20)
    vanish_every_third_time(upstream)
    vanish_every_third_time(slices.network)
    expected = by_upstream(upstream, frames_of(slices.network, slices), {6: CLICK}, "both")
    check_equal(propagate(slices, {6: {0: CLICK}})[0], expected)
    assert [index for index in range(20) if expected[index].max() < -1000] == [2, 5, 8, 11, 14, 17]


def test_short_volumes_measure_distances_as_the_video_predictor(ours: Sam2, upstream: SAM2VideoPredictor) -> None:
    slices = Slices(ours, 6)
    expected = by_upstream(upstream, frames_of(ours, slices), {2: CLICK}, "both")
    check_equal(propagate(slices, {2: {0: CLICK}})[0], expected)


def test_few_prompted_slices_are_looked_at_when_told_so(version: str) -> None:
    limited = build_upstream(version, max_cond_frames_in_attn=2)
    slices = Slices(same_weights(limited, version, max_conditioning=2), 20)
    given = {3: CLICK, 5: BOX, 9: CLICKS, 10: CLICK}
    expected = by_upstream(limited, frames_of(slices.network, slices), given, "both")
    objects = {index: {0: prompt} for index, prompt in given.items()}
    found = propagate(slices, objects)[0]
    check_equal(found, expected)
    everything = propagate(Slices(same_weights(limited, version), 20), objects)[0]
    assert max((found[index] - everything[index]).abs().max() for index in range(20)) > 1e-2


@pytest.mark.parametrize("per_pass", [1, 2, 4])
def test_each_object_equals_the_video_predictor_with_this_object_alone(
    ours: Sam2, upstream: SAM2VideoPredictor, per_pass: int
) -> None:
    given = {
        4: {0: CLICK, 1: BOX, 2: CLICKS, 3: {"mask": MASK}},
        11: {1: CLICK, 4: CLICK, 5: BOX},
        14: {3: CLICK},
    }
    slices = Slices(ours, 18)
    found = propagate(slices, given, propagation=MemoryPropagation(objects_per_pass=per_pass))
    frames = frames_of(ours, slices)
    for n in range(6):
        alone = {index: objects[n] for index, objects in given.items() if n in objects}
        check_equal(found[n], by_upstream(upstream, frames, alone, "both"))


def test_the_memory_is_what_carries_objects(ours: Sam2) -> None:
    found = [propagate(Slices(ours, 8), {2: {0: prompt}})[0] for prompt in (CLICK, {"mask": MASK})]
    for index in (0, 1, 3, 7):
        assert (found[0][index] - found[1][index]).abs().max() > 1e-4  # random weights pass on little


def test_the_way_down_remembers_the_first_slices_of_the_way_up(ours: Sam2) -> None:
    both, down = (propagate(Slices(ours, 12), {5: {0: CLICK}}, direction)[0] for direction in ("both", "backward"))
    assert sorted(down) == list(range(6))
    assert (both[4] - down[4]).abs().max() > 1e-2


def test_no_direction_stays_on_the_prompted_slices_and_equals_image_mode(ours: Sam2) -> None:
    slices = Slices(ours, 8)
    found = propagate(slices, {2: {0: CLICKS}, 5: {0: CLICK}}, "none")[0]
    assert sorted(found) == sorted(slices.asked) == [2, 5]
    prompts = Prompts(torch.tensor([[CLICK["points"]]]), torch.tensor([[CLICK["labels"]]]))
    embedding = slices.embedding(5)
    with torch.no_grad():
        expected = ours.postprocess(ours.decode(embedding, prompts, multimask="single_click"), embedding)[0, 0]
    torch.testing.assert_close(found[5], expected, atol=1e-4, rtol=0)


def test_a_slice_range_is_a_volume_of_its_own(ours: Sam2, upstream: SAM2VideoPredictor) -> None:
    slices = Slices(ours, 20)
    found = propagate(slices, {8: {0: CLICK}}, slice_range=range(5, 14))[0]
    expected = by_upstream(upstream, frames_of(ours, slices)[5:14], {3: CLICK}, "both")
    check_equal(found, {index + 5: logits for index, logits in expected.items()})
    assert set(slices.asked) == set(range(5, 14))


def test_a_mask_with_clicks_and_more_within_it_is_a_prompt_like_them(ours: Sam2) -> None:
    slices = Slices(ours, 3)
    found = propagate(slices, {1: {0: {**CLICKS, "mask": MASK}}}, "none")[0][1]
    embedding = slices.embedding(1)
    given = Prompts(torch.tensor([CLICKS["points"]]), torch.tensor([CLICKS["labels"]]))
    clicks, _ = correct_masks(given, MASK[None])
    assert clicks.point_labels is not None
    assert clicks.point_labels.tolist() == [CLICKS["labels"] + [1] * 5]
    prompts = replace(clicks.batched(), masks=ours.mask_prompt(MASK[None], embedding)[None])
    with torch.no_grad():
        logits, _ = ours.predict_masks(embedding, prompts)
        candidates = ours.postprocess(logits[0], embedding)[0]
    assert min((found - candidate).abs().max() for candidate in candidates) < 1e-4


def test_a_negative_click_cuts_the_part_of_a_mask_that_looks_unlike_the_rest(ours: Sam2) -> None:
    slices = Slices(ours, 3)
    part = torch.zeros_like(MASK)
    part[10:25, 12:18] = True
    slices.volume[0, :, :, 1].T[MASK], slices.volume[0, :, :, 1].T[part] = 0.2, 0.9
    negative: dict[str, Any] = {"points": [[14.0, 17.0]], "labels": [0]}
    found = propagate(slices, {1: {0: {**negative, "mask": MASK}}}, "none")[0][1]
    embedding = slices.embedding(1)
    given = Prompts(torch.tensor([negative["points"]]), torch.tensor([negative["labels"]]))
    clicks, left = correct_masks(given, MASK[None], slices.image(1)[0])
    assert torch.equal(left[0], MASK & ~part)
    prompts = replace(clicks.batched(), masks=ours.mask_prompt(left, embedding)[None])
    with torch.no_grad():
        logits, _ = ours.predict_masks(embedding, prompts)
        candidates = ours.postprocess(logits[0], embedding)[0]
    assert min((found - candidate).abs().max() for candidate in candidates) < 1e-4


def test_changed_prompts_run_again_on_the_stored_embeddings(ours: Sam2, monkeypatch: pytest.MonkeyPatch) -> None:
    slices = Slices(ours, 6)
    propagate(slices, {2: {0: CLICK}})
    monkeypatch.setattr(Sam2, "encode", lambda *_: pytest.fail("a slice is encoded twice"))
    again = propagate(slices, {2: {0: CLICK}, 4: {0: CLICKS}})[0]
    assert sorted(again) == list(range(6))


def live_tensor_bytes() -> int:
    gc.collect()
    tensors = {id(item): item for item in gc.get_objects() if type(item) is torch.Tensor}
    return sum(item.untyped_storage().nbytes() for item in tensors.values())


def test_memory_does_not_grow_with_the_volume(ours: Sam2) -> None:
    def largest(depth: int) -> int:
        slices = Slices(ours, depth, Forgetful())
        before = live_tensor_bytes()
        prompts = {5: as_slice_prompts({0: CLICK, 1: CLICKS})}
        found = enumerate(MemoryPropagation()(slices, prompts, "both", range(depth)))
        return max(live_tensor_bytes() - before for count, _ in found if count in (depth - 8, depth))

    short, long = largest(30), largest(90)
    assert short > 10_000
    assert long < 1.1 * short


def test_masks_come_while_the_volume_is_gone_through(ours: Sam2) -> None:
    slices = Slices(ours, 12)
    stream = MemoryPropagation()(slices, {3: as_slice_prompts({0: CLICK})}, "forward", range(12))
    first = next(stream)
    assert (first.index, slices.asked) == (3, [3])
    reference = weakref.ref(first.logits)
    del first
    next(stream)
    assert slices.asked == [3, 4]
    assert reference() is None


def test_volumes_are_segmented_by_memory_unless_told_otherwise(ours: Sam2) -> None:
    assert isinstance(choose_propagation(ours), MemoryPropagation)
    assert not isinstance(choose_propagation(MobileSam(image_size=64)), MemoryPropagation)
    slices = Slices(ours, 7)
    expected = propagate(slices, {3: {0: CLICK}})[0]
    points = torch.tensor([[[[10.0, 20.0, 3.0]]]])
    labels = VolumeInferer()(volume(7)[None], ours, points=points, point_labels=torch.tensor([[[1]]]))
    for index in range(7):
        assert torch.equal(labels[0, 0, :, :, index].T.bool(), expected[index] > 0)
    assert 0.1 < labels.float().mean() < 0.9


def test_what_cannot_be_propagated_is_said(ours: Sam2) -> None:
    prompts = {1: as_slice_prompts({0: CLICK})}
    with pytest.raises(ValueError, match=r"direction must be one of .*, got 'up'"):
        next(MemoryPropagation()(Slices(ours, 3), prompts, "up", range(3)))
    with pytest.raises(TypeError, match=r"needs a network with a memory \(Sam2\), got MobileSam"):
        next(MemoryPropagation()(Slices(MobileSam(image_size=64), 3), prompts, "both", range(3)))
    with pytest.raises(ValueError, match="objects_per_pass must be at least 1, got 0"):
        MemoryPropagation(objects_per_pass=0)
