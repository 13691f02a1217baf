# Copyright (c) monai_synthfm contributors
# Licensed under the Apache License, Version 2.0 (http://www.apache.org/licenses/LICENSE-2.0).
# SPDX-License-Identifier: Apache-2.0
"""The loss of one mask and its alternatives against a computation object by object."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from monai.losses import DiceFocalLoss, DiceLoss

from monai_synthfm.losses.multimask_loss import MultimaskLoss

SMOOTH = {"smooth_nr": 1e-5, "smooth_dr": 1e-5}


@pytest.fixture
def masks() -> tuple[torch.Tensor, torch.Tensor]:
    random = torch.Generator().manual_seed(0)
    logits = torch.randn(2, 3, 4, 5, 6, generator=random, requires_grad=True)
    return logits, torch.rand(2, 3, 4, generator=random, requires_grad=True)


@pytest.fixture
def target() -> torch.Tensor:
    """Shares of coarse pixels: whole inside, four tenths at one edge."""
    blob = torch.zeros(2, 3, 5, 6)
    blob[..., 1:4, 2:5] = 1
    blob[..., 1:4, 1] = 0.4
    return blob


class Nothing(torch.nn.Module):
    def forward(self, masks: torch.Tensor, wanted: torch.Tensor) -> torch.Tensor:
        return 0.0 * masks


def dice_loss(logits: np.ndarray, wanted: np.ndarray) -> float:
    found = 1 / (1 + np.exp(-logits.astype(float)))
    return 1 - (2 * (found * wanted).sum() + 1e-5) / (found.sum() + wanted.sum() + 1e-5)


def test_it_is_the_first_masks_loss_the_best_alternatives_a_share_of_their_mean_and_the_iou_error(
    masks: tuple[torch.Tensor, torch.Tensor], target: torch.Tensor
) -> None:
    loss = MultimaskLoss(DiceLoss(sigmoid=True, reduction="none", **SMOOTH), iou_weight=0.7, others_weight=0.1)
    logits, iou = (part.detach().numpy() for part in masks)
    terms = []
    for b, n in np.ndindex(2, 3):
        wanted = target[b, n].numpy().astype(float)
        dice = [dice_loss(mask, wanted) for mask in logits[b, n]]
        true = [((mask > 0) & (wanted >= 0.5)).sum() / ((mask > 0) | (wanted >= 0.5)).sum() for mask in logits[b, n]]
        error = np.mean((iou[b, n] - np.array(true)) ** 2)
        terms.append(dice[0] + min(dice[1:]) + 0.1 * np.mean(dice[1:]) + 0.7 * error)
    assert loss(masks, target).item() == pytest.approx(np.mean(terms), rel=1e-5)


def test_equal_masks_cost_twice_the_plain_loss_of_one_mask(target: torch.Tensor) -> None:
    one = torch.linspace(-2, 2, 30).view(1, 1, 5, 6).expand(2, 3, 5, 6)
    logits, iou = one[:, :, None].expand(-1, -1, 4, -1, -1), torch.zeros(2, 3, 4)
    plain = DiceFocalLoss(sigmoid=True)(one, target)
    both = MultimaskLoss(iou_weight=0.0, others_weight=0.0)((logits, iou), target)
    assert both.item() == pytest.approx(2 * plain.item(), rel=1e-5)


def test_only_the_first_mask_and_the_best_alternative_learn_without_a_weight_of_the_others(
    masks: tuple[torch.Tensor, torch.Tensor], target: torch.Tensor
) -> None:
    MultimaskLoss(others_weight=0.0)(masks, target).backward()
    gradient = masks[0].grad
    assert gradient is not None
    learned = gradient.flatten(3).abs().sum(dim=3) > 0
    assert learned[:, :, 0].all()
    assert (learned[:, :, 1:].sum(dim=2) == 1).all()


def test_the_true_iou_is_a_number_and_no_way_for_gradients(target: torch.Tensor) -> None:
    logits = torch.zeros(2, 3, 4, 5, 6, requires_grad=True)
    iou = torch.full((2, 3, 4), 0.5, requires_grad=True)
    nothing = MultimaskLoss(Nothing())((logits, iou), target)
    assert nothing.item() == pytest.approx(0.25)  # empty masks: the true IoU is 0
    nothing.backward()
    assert (logits.grad == 0).all()
    assert (iou.grad != 0).all()


def test_masks_without_alternatives_or_of_another_size_are_refused(target: torch.Tensor) -> None:
    loss = MultimaskLoss()
    for shape in [(2, 3, 1, 5, 6), (2, 3, 4, 5, 5), (2, 3, 5, 6)]:
        with pytest.raises(ValueError, match=r"masks must be \[B, N, 1 \+ A, h, w\]"):
            loss((torch.zeros(shape), torch.zeros(2, 3, 4)), target)
