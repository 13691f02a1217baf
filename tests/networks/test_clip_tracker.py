# Copyright (c) monai_synthfm contributors
# Licensed under the Apache License, Version 2.0 (http://www.apache.org/licenses/LICENSE-2.0).
# SPDX-License-Identifier: Apache-2.0
"""Tests of the forward pass over clips."""

from __future__ import annotations

import pytest
import torch
from monai.data import MetaTensor

from monai_synthfm.inferers.propagation.memory_propagation import MemoryPropagation
from monai_synthfm.networks.clip_tracker import ClipMasks, ClipTracker
from monai_synthfm.networks.sam2 import Sam2
from monai_synthfm.networks.sam2_parts import Sam2Size
from monai_synthfm.prompts import Prompts
from monai_synthfm.prompts.slice_prompts import SlicePrompts
from monai_synthfm.slices.slice_frame import SliceFrame
from monai_synthfm.slices.sliced_volume import SlicedVolume

TINY = Sam2Size(8, 1, (1, 1, 2, 1), (3,), (4, 4), hidden_dim=32, memory_dim=8, memory_layers=1, mlp_dim=32)
SHAPE = (20, 28, 5)  # width, height, slices


@pytest.fixture
def tracker() -> ClipTracker:
    torch.manual_seed(1)
    return ClipTracker(Sam2(TINY, image_size=64, tracking_multimask="never"))


def clips(number: int) -> torch.Tensor:
    return torch.rand(number, 1, *SHAPE, generator=torch.Generator().manual_seed(5))


def clicks(batch: int) -> dict[str, torch.Tensor]:
    """Two objects in each clip: one with two clicks, one with a box."""
    points = torch.tensor([[[4.0, 20.0], [15.0, 3.0]], [[0.0, 0.0], [0.0, 0.0]]])
    return {
        "points": points.expand(batch, -1, -1, -1),
        "point_labels": torch.tensor([[1, 0], [-1, -1]]).expand(batch, -1, -1),
        "boxes": torch.tensor([[torch.nan] * 4, [2.0, 3.0, 12.0, 22.0]]).expand(batch, -1, -1),
    }


@pytest.mark.parametrize("start", [0, 2, 4])
def test_evaluation_gives_what_propagation_through_a_volume_gives(tracker: ClipTracker, start: int) -> None:
    tracker.eval()
    given = clicks(1)
    with torch.no_grad():
        found = tracker(clips(1), **given, prompt_slice=torch.tensor([start]))
        slices = SlicedVolume(clips(1)[0], SliceFrame(2), tracker.network)
        prompts = Prompts(*(value[0] for value in given.values()))
        prompted = {start: SlicePrompts([0, 1], prompts)}
        expected = torch.full_like(found[0], -1024.0)
        for masks in MemoryPropagation()(slices, prompted, "both", range(SHAPE[-1])):
            expected[masks.objects, ..., masks.index] = masks.logits.mT
    torch.testing.assert_close(found[0], expected, rtol=1e-4, atol=1e-4)


def test_clips_of_a_batch_do_not_see_each_other(tracker: ClipTracker) -> None:
    tracker.eval()
    starts = torch.tensor([3, 0])
    with torch.no_grad():
        together = tracker(clips(2), **clicks(2), prompt_slice=starts)
        alone = [tracker(clips(2)[i : i + 1], **clicks(1), prompt_slice=starts[i : i + 1])[0] for i in range(2)]
    torch.testing.assert_close(together, torch.stack(alone), rtol=1e-4, atol=1e-4)


def test_without_a_prompt_the_centre_of_the_middle_slice_is_clicked_on(tracker: ClipTracker) -> None:
    tracker.eval()
    click = {"points": torch.tensor([[[[9.5, 13.5]]]]), "point_labels": torch.ones(1, 1, 1, dtype=torch.int64)}
    with torch.no_grad():
        found = tracker(MetaTensor(clips(1), meta={"name": "clip"}))
        torch.testing.assert_close(
            found.as_tensor(), tracker(clips(1), **click, prompt_slice=torch.tensor([2])), rtol=0, atol=0
        )
    assert found.shape == (1, 1, *SHAPE)
    assert found.meta["name"] == "clip"


def test_masks_with_metadata_make_no_such_tensor_of_what_follows(tracker: ClipTracker) -> None:
    masks = torch.ones(1, 2, SHAPE[1], SHAPE[0], dtype=torch.bool)
    seen: list[type] = []
    tracker.network.memory_encoder.register_forward_pre_hook(lambda _, inputs: seen.extend(map(type, inputs)))
    found = tracker(MetaTensor(clips(1)), **clicks(1), masks=MetaTensor(masks))
    assert {*seen, *map(type, found)} == {torch.Tensor}


def test_a_known_mask_is_the_result_of_its_slice_and_makes_clicks_ignored(tracker: ClipTracker) -> None:
    tracker.eval()
    masks = torch.zeros(1, 2, SHAPE[1], SHAPE[0], dtype=torch.bool)
    masks[0, 0, 5:15, 4:16] = masks[0, 1, 18:26, 2:9] = True
    start = torch.tensor([1])
    with torch.no_grad():
        found = tracker(clips(1), **clicks(1), masks=masks, prompt_slice=start)
        without = tracker(clips(1), masks=masks, prompt_slice=start)
    overlap = ((found[0, ..., 1] > 0) & masks[0].mT).sum() / masks.sum()
    assert overlap > 0.9
    assert ((found[0, ..., 1] > 0).sum() / masks.sum()) < 1.15
    torch.testing.assert_close(found, without, rtol=0, atol=0)


def test_a_batch_may_mix_clips_prompted_by_masks_and_by_clicks(tracker: ClipTracker) -> None:
    tracker.eval()
    masks = torch.zeros(2, 2, SHAPE[1], SHAPE[0], dtype=torch.bool)
    masks[0, :, 5:15, 4:16] = True
    with torch.no_grad():
        found = tracker(clips(2), **clicks(2), masks=masks, prompt_slice=torch.tensor([1, 1]))
        clicked = tracker(clips(2)[1:], **clicks(1), prompt_slice=torch.tensor([1]))
    torch.testing.assert_close(found[1:], clicked, rtol=1e-4, atol=1e-4)


def gradients(tracker: ClipTracker) -> dict[str, float]:
    """Largest gradient in each part from the masks of the last slice alone, with the prompt on the first."""
    found = tracker.train()(clips(1), **clicks(1), prompt_slice=torch.tensor([0]))
    assert isinstance(found, ClipMasks)
    found.logits[..., -1].square().mean().backward()
    return {
        name: max((p.grad.abs().max().item() for p in part.parameters() if p.grad is not None), default=0.0)
        for name, part in tracker.network.named_children()
    }


def test_the_last_slice_trains_all_parts_through_the_memory(tracker: ClipTracker) -> None:
    reached = gradients(tracker)
    for part in ("image_encoder", "memory_attention", "memory_encoder", "sam_mask_decoder", "sam_prompt_encoder"):
        assert reached[part] > 0, part


def test_detached_memories_train_attention_and_decoder_only(tracker: ClipTracker) -> None:
    tracker.detach_memory = True
    reached = gradients(tracker)
    assert reached["memory_encoder"] == 0
    assert reached["memory_attention"] > 0
    assert reached["sam_mask_decoder"] > 0


def test_a_frozen_encoder_is_not_differentiated(tracker: ClipTracker) -> None:
    tracker.network.freeze("image_encoder")
    assert gradients(tracker)["image_encoder"] == 0


def test_masks_for_the_loss_are_kept_where_the_object_is_thought_absent(tracker: ClipTracker) -> None:
    with torch.no_grad():
        found = tracker.train()(clips(1), **clicks(1))
    assert found.logits.shape == (1, 2, *SHAPE)
    assert found.object_scores.shape == (1, 2, SHAPE[-1])
    assert (found.logits > -1000).all()


def test_the_chosen_mask_is_among_the_candidates(tracker: ClipTracker) -> None:
    """At the resolution of the decoder, which the clip has here, and in the frame of the network."""
    image = torch.rand(1, 1, 16, 16, 3, generator=torch.Generator().manual_seed(2))
    with torch.no_grad():
        found = tracker.train()(image)
    assert torch.equal(found.candidates[:, :, :, 0], (found.logits > 0).permute(0, 1, 4, 3, 2))
    assert found.iou.shape == (1, 1, 3, 4)


def test_wrong_arguments_are_refused(tracker: ClipTracker) -> None:
    with pytest.raises(ValueError, match=r"image must be clips \[B, 1 or 3, X, Y, Z\]"):
        tracker(torch.rand(1, 1, 20, 20))
    with pytest.raises(ValueError, match="prompt_slice must be one of the 5 slices of a clip, got 5"):
        tracker(clips(1), prompt_slice=torch.tensor([5]))


def test_a_correction_clicks_where_the_answer_is_wrong_and_is_remembered(
    tracker: ClipTracker, monkeypatch: pytest.MonkeyPatch
) -> None:
    tracker.train().correct_prob = 1.0
    width, height, slices = SHAPE
    target = torch.zeros(1, 2, *SHAPE)
    target[:, 0, 4:12, 6:20] = 1
    target[:, 1, 10:18, 3:9] = 1
    asked, remembered = [], []
    track, memorize = tracker.network.track, tracker.network.memorize

    def recording_track(embedding, bank, index, prompts=None, masks=None, reverse=False):
        asked.append((bank.is_empty, prompts))
        return track(embedding, bank, index, prompts, masks, reverse)

    def recording_memorize(embedding, tracked, index, is_prompted):
        remembered.append((index, is_prompted))
        return memorize(embedding, tracked, index, is_prompted)

    monkeypatch.setattr(tracker.network, "track", recording_track)
    monkeypatch.setattr(tracker.network, "memorize", recording_memorize)
    torch.manual_seed(3)  # a step that is not the last
    tracker(clips(1), **clicks(1), prompt_slice=torch.tensor([0]), target=target)
    ((_, correction),) = [one for one in asked[1:] if one[0]]
    found = correction.masks[:, :, 0] > 0
    for n in range(2):
        x, y = correction.points[0, n, 0].tolist()
        inside = bool(correction.point_labels[0, n, 0])
        around = target[0, n, max(int(x) - 1, 0) : int(x) + 3, max(int(y) - 1, 0) : int(y) + 3, 0]
        assert (around == inside).any()
        side = found.shape[-1]
        cell = [min(int((value + 0.5) * side / size), side - 1) for value, size in ((y, height), (x, width))]
        assert bool(found[0, n, cell[0], cell[1]]) is not inside
    assert sum(prompted for _, prompted in remembered) == 2
    assert slices > 1


def test_corrections_are_for_training_with_a_target_alone(tracker: ClipTracker) -> None:
    tracker.correct_prob = 1.0
    target = torch.zeros(1, 2, *SHAPE)
    with torch.no_grad():
        given = tracker.eval()(clips(1), **clicks(1), prompt_slice=torch.tensor([1]), target=target)
        tracker.correct_prob = 0.0
        torch.testing.assert_close(given, tracker(clips(1), **clicks(1), prompt_slice=torch.tensor([1])))
    with pytest.raises(ValueError, match=r"correct_prob must be in \[0, 1\], got 2"):
        ClipTracker(tracker.network, correct_prob=2.0)
