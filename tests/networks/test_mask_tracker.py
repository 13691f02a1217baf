# Copyright (c) monai_synthfm contributors
# Licensed under the Apache License, Version 2.0 (http://www.apache.org/licenses/LICENSE-2.0).
# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import pytest
import torch
from monai.data import MetaTensor

from monai_synthfm.networks import ImageEmbedding, MobileSam, Promptable
from monai_synthfm.networks.clip_tracker import ClipMasks
from monai_synthfm.networks.mask_prompter import MaskPrompter
from monai_synthfm.networks.mask_tracker import MaskTracker

SIDE, SLICES = 24, 5


class Recorder(MaskPrompter):
    """Remembers what it goes on from, by the number that fills a slice's features, and answers as it is told."""

    def __init__(self, answer: float) -> None:
        super().__init__()
        object.__setattr__(self, "passed", {})
        object.__setattr__(self, "answer", answer)

    def __call__(self, network: Promptable, embedding: ImageEmbedding, masks: torch.Tensor) -> torch.Tensor:
        self.passed[int(embedding.features.mean())] = masks
        return masks * 0 + self.answer


@pytest.fixture
def network() -> MobileSam:
    torch.manual_seed(0)
    return MobileSam(image_size=64).eval()


@pytest.fixture
def clip() -> dict[str, torch.Tensor]:
    """Two objects in five slices, the second one gone from slice 3 on, prompted by their masks on slice 1."""
    target = torch.zeros(1, 2, SIDE, SIDE, SLICES)
    for k in range(SLICES):
        target[0, 0, 2 + k : 9 + k, 4:12, k] = 1
    target[0, 1, 14:20, 3:9, :3] = 1
    features = torch.arange(SLICES).float()[None, :, None, None, None].expand(1, SLICES, 256, 4, 4)
    return {
        "features": features,
        "points": torch.zeros(1, 2, 1, 2),
        "point_labels": torch.full((1, 2, 1), -1),
        "masks": target[..., 1].mT > 0,
        "prompt_slice": torch.tensor([1]),
        "target": target,
    }


def true_mask(clip: dict[str, torch.Tensor], index: int) -> torch.Tensor:
    return clip["target"][0, ..., index].mT > 0


def test_in_inference_each_slice_is_prompted_with_what_was_found_beside_it(
    network: MobileSam, clip: dict[str, torch.Tensor]
) -> None:
    embeddings = [ImageEmbedding(clip["features"][:, k], (SIDE, SIDE), (64, 64)) for k in range(SLICES)]
    expected = {1: torch.where(clip["masks"][0], 10.0, -10.0)}
    for before, index in ((1, 2), (2, 3), (3, 4), (1, 0)):
        there = (expected[before] > 0).flatten(1).any(dim=1)
        expected[index] = torch.full((2, SIDE, SIDE), -10.0)
        if there.any():
            expected[index][there] = MaskPrompter()(network, embeddings[index], expected[before][there]).detach()
    found = MaskTracker(network, SIDE).eval()(**{**clip, "target": None})
    torch.testing.assert_close(found[0].permute(3, 0, 2, 1), torch.stack([expected[k] for k in range(SLICES)]))


def test_training_from_the_truth_goes_on_from_the_last_true_mask(
    network: MobileSam, clip: dict[str, torch.Tensor]
) -> None:
    prompter = Recorder(answer=-1.0)
    MaskTracker(network, SIDE, prompter, true_prob=1.0).train()(**clip)
    for index, beside in ((0, 1), (2, 1), (3, 2)):
        assert torch.equal(prompter.passed[index] > 0, true_mask(clip, beside))
    # the second object was on slice 2 last
    assert torch.equal(prompter.passed[4][0] > 0, true_mask(clip, 3)[0])
    assert torch.equal(prompter.passed[4][1] > 0, true_mask(clip, 2)[1])


def test_training_from_its_own_answers_takes_the_truth_where_these_are_empty(
    network: MobileSam, clip: dict[str, torch.Tensor]
) -> None:
    empty, full = Recorder(answer=-1.0), Recorder(answer=1.0)
    for prompter in (empty, full):
        MaskTracker(network, SIDE, prompter, true_prob=0.0).train()(**clip)
    assert torch.equal(empty.passed[3] > 0, true_mask(clip, 2))
    assert (full.passed[3] > 0).all()


def test_scores_are_means_of_the_highest_logits_and_no_gradient_crosses_slices(
    network: MobileSam, clip: dict[str, torch.Tensor]
) -> None:
    passed = []

    class Spy(MaskPrompter):
        def __call__(self, network: Promptable, embedding: ImageEmbedding, masks: torch.Tensor) -> torch.Tensor:
            passed.append(masks)
            return super().__call__(network, embedding, masks)

    found = MaskTracker(network, SIDE, Spy(), true_prob=0.0).train()(**clip)
    assert isinstance(found, ClipMasks)
    for k in range(SLICES):
        highest = found.logits[0, ..., k].flatten(1).sort(dim=1, descending=True).values[:, :8]
        torch.testing.assert_close(found.object_scores[0, :, k], highest.mean(dim=1))
    assert found.logits.requires_grad
    assert not any(masks.requires_grad for masks in passed)


def test_objects_without_a_prompt_are_nowhere(network: MobileSam, clip: dict[str, torch.Tensor]) -> None:
    clicks = {"points": torch.full((1, 2, 1, 2), 8.0), "point_labels": torch.tensor([[[1], [-1]]])}
    found = MaskTracker(network, SIDE).eval()(clip["features"], **clicks, prompt_slice=clip["prompt_slice"])
    assert (found[:, 1] == -10).all()
    assert not (found[:, 0] == -10).all()


def test_only_probabilities_are_taken(network: MobileSam) -> None:
    with pytest.raises(ValueError, match=r"true_prob must be in \[0, 1\], got 1.5"):
        MaskTracker(network, SIDE, true_prob=1.5)


def test_a_missing_target_and_a_slice_out_of_range_are_refused(
    network: MobileSam, clip: dict[str, torch.Tensor]
) -> None:
    tracker = MaskTracker(network, SIDE)
    with pytest.raises(ValueError, match="target, the true masks, is needed in training"):
        tracker.train()(**{**clip, "target": None})
    with pytest.raises(ValueError, match="prompt_slice must be one of the 5 slices of a clip, got 5"):
        tracker.eval()(**{**clip, "prompt_slice": torch.tensor([5])})


def test_masks_with_metadata_make_no_such_tensor_of_what_follows(
    network: MobileSam, clip: dict[str, torch.Tensor]
) -> None:
    tracker = MaskTracker(network, SIDE).eval()
    seen: list[type] = []
    network.mask_decoder.transformer.register_forward_pre_hook(lambda _, inputs: seen.extend(map(type, inputs)))
    clip["masks"] = MetaTensor(clip["masks"])
    with torch.no_grad():
        found = tracker(**clip)
    assert {*seen, type(found)} == {torch.Tensor}
