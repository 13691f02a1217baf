# Copyright (c) monai_synthfm contributors
# Licensed under the Apache License, Version 2.0 (http://www.apache.org/licenses/LICENSE-2.0).
# SPDX-License-Identifier: Apache-2.0
"""Tests of the loss over clips."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from monai.losses import DiceLoss

from monai_synthfm.losses.clip_loss import ClipLoss
from monai_synthfm.networks.clip_tracker import ClipMasks


@pytest.fixture
def masks() -> ClipMasks:
    random = torch.Generator().manual_seed(0)
    logits = torch.randn(2, 3, 6, 5, 4, generator=random, requires_grad=True)
    scores = torch.randn(2, 3, 4, generator=random, requires_grad=True)
    candidates = torch.rand(2, 3, 4, 2, 5, 6, generator=random) < 0.5
    return ClipMasks(logits, scores, candidates, torch.rand(2, 3, 4, 2, generator=random, requires_grad=True))


@pytest.fixture
def target() -> torch.Tensor:
    """The object of row and column (b, n) is on the slices z with (b + n + z) odd."""
    held = (torch.arange(2)[:, None, None] + torch.arange(3)[:, None] + torch.arange(4)) % 2
    blob = torch.zeros(6, 5)
    blob[1:4, 2:5] = 1
    return (blob[None, None, :, :, None] * held[:, :, None, None]).to(torch.uint8)


def test_it_is_mean_dice_and_iou_error_of_present_slices_and_mean_cross_entropy_of_presence(
    masks: ClipMasks, target: torch.Tensor
) -> None:
    loss = ClipLoss(DiceLoss(sigmoid=True, smooth_nr=1e-5, smooth_dr=1e-5), iou_weight=0.3, object_weight=0.5)(
        masks, target
    )
    dice, entropy, error = [], [], []
    for b, n, z in np.ndindex(2, 3, 4):
        wanted = target[b, n, ..., z].numpy().astype(float)
        score = 1 / (1 + np.exp(-masks.object_scores[b, n, z].item()))
        entropy.append(-np.log(score if wanted.any() else 1 - score))
        if wanted.any():
            found = 1 / (1 + np.exp(-masks.logits[b, n, ..., z].detach().numpy().astype(float)))
            for found_mask, predicted in zip(masks.candidates[b, n, z].numpy(), masks.iou[b, n, z], strict=True):
                iou = (found_mask & (wanted.T > 0)).sum() / (found_mask | (wanted.T > 0)).sum()
                error.append(abs(iou - predicted.item()))
            dice.append(1 - (2 * (found * wanted).sum() + 1e-5) / (found.sum() + wanted.sum() + 1e-5))
    assert loss.item() == pytest.approx(np.mean(dice) + 0.3 * np.mean(error) + 0.5 * np.mean(entropy), rel=1e-5)


def test_masks_that_were_not_chosen_among_others_have_no_error_of_iou(masks: ClipMasks, target: torch.Tensor) -> None:
    alone = ClipMasks(masks.logits, masks.object_scores)
    torch.testing.assert_close(ClipLoss(iou_weight=0.3)(alone, target), ClipLoss(iou_weight=0.0)(masks, target))
    ClipLoss()(alone, torch.zeros_like(target)).backward()
    assert (masks.logits.grad == 0).all()


def test_without_any_object_all_parts_get_a_gradient_of_zeros_for_data_parallel_training(masks: ClipMasks) -> None:
    ClipLoss()(masks, torch.zeros(2, 3, 6, 5, 4)).backward()
    for part in (masks.logits, masks.iou):
        assert part.grad is not None
        assert (part.grad == 0).all()
    assert masks.object_scores.grad is not None
    assert (masks.object_scores.grad != 0).all()


def test_masks_of_slices_without_the_object_get_no_gradient(masks: ClipMasks, target: torch.Tensor) -> None:
    ClipLoss()(masks, target).backward()
    held = target.bool().flatten(2, 3).any(2)[:, :, None, None, :].expand_as(target)
    assert masks.logits.grad is not None
    assert (masks.logits.grad[~held] == 0).all()
    assert (masks.logits.grad[held] != 0).any()
    assert masks.object_scores.grad is not None
    assert (masks.object_scores.grad != 0).all()


def test_clips_without_any_object_train_the_scores_alone(masks: ClipMasks, target: torch.Tensor) -> None:
    loss = ClipLoss()(masks, torch.zeros_like(target))
    assert loss.item() == pytest.approx(torch.nn.functional.softplus(masks.object_scores).mean().item(), rel=1e-6)


def test_targets_of_another_shape_are_refused(masks: ClipMasks, target: torch.Tensor) -> None:
    with pytest.raises(ValueError, match=r"targets are \(2, 3, 6, 5, 3\)"):
        ClipLoss()(masks, target[..., :3])
