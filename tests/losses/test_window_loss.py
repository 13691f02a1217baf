# Copyright (c) monai_synthfm contributors
# Licensed under the Apache License, Version 2.0 (http://www.apache.org/licenses/LICENSE-2.0).
# SPDX-License-Identifier: Apache-2.0
"""The loss of masks in a window, against sums written out."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from monai_synthfm.losses.window_loss import WindowLoss


def case() -> tuple[torch.Tensor, torch.Tensor]:
    random = torch.Generator().manual_seed(0)
    logits = torch.randn(3, 1, 4, 6, 6, generator=random)
    mask = (torch.rand(3, 1, 4, 6, 6, generator=random) > 0.6).float()
    weight = torch.tensor([0.0, 0.2, 1.0, 1.0])[:, None, None].expand(3, 1, 4, 6, 6)
    return logits, torch.cat([mask, weight], dim=1)


@pytest.mark.parametrize("entropy_weight", [0.0, 2.0])
def test_it_is_weighted_dice_and_cross_entropy(entropy_weight: float) -> None:
    logits, target = case()
    expected = []
    for x, (t, w) in zip(logits.double().numpy()[:, 0], target.double().numpy(), strict=True):
        p = 1 / (1 + np.exp(-x))
        dice = 1 - (2 * (w * p * t).sum() + 20) / ((w * p).sum() + (w * t).sum() + 20)
        entropy = -(w * (t * np.log(p) + (1 - t) * np.log(1 - p))).sum() / w.sum()
        expected.append(dice + entropy_weight * entropy)
    assert float(WindowLoss(entropy_weight)(logits, target)) == pytest.approx(np.mean(expected), rel=1e-5)


def test_slices_without_weight_have_no_gradient() -> None:
    logits, target = case()
    logits.requires_grad_()
    WindowLoss()(logits, target).backward()
    assert not logits.grad[:, :, 0].any()
    assert logits.grad[:, :, 1:].all()


def test_windows_in_which_nothing_counts_have_no_gradient() -> None:
    logits = torch.randn(1, 1, 4, 6, 6, requires_grad=True)
    WindowLoss()(logits, torch.zeros(1, 2, 4, 6, 6)).backward()
    assert not logits.grad.any()


def test_shapes_that_do_not_belong_together_are_refused() -> None:
    with pytest.raises(ValueError, match=r"target must be \[B, 2, D, n, n\] for logits \[B, 1, D, n, n\], got"):
        WindowLoss()(torch.zeros(1, 1, 4, 6, 6), torch.zeros(1, 1, 4, 6, 6))


def test_a_negative_weight_is_refused() -> None:
    with pytest.raises(ValueError, match="entropy_weight must be at least 0, got -1"):
        WindowLoss(-1)
