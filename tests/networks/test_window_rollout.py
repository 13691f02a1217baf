# Copyright (c) monai_synthfm contributors
# Licensed under the Apache License, Version 2.0 (http://www.apache.org/licenses/LICENSE-2.0).
# SPDX-License-Identifier: Apache-2.0
"""Windows in training, in which a network meets its own masks."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn

from monai_synthfm.networks.window_rollout import WindowRollout
from monai_synthfm.networks.window_unet import WindowUNet
from monai_synthfm.windows.channels import KnownGreys, window_channels

KNOWN = torch.tensor([True, True] + [False] * 14)


class Seen(nn.Module):
    """Finds one square on slices 2 to 10, as surely as its weight says, and keeps what it was shown."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.tensor(2.0))
        self.windows: list[torch.Tensor] = []

    def forward(self, windows: torch.Tensor) -> torch.Tensor:
        self.windows.append(windows)
        sign = torch.full((len(windows), 1, *windows.shape[2:]), -1.0)
        sign[:, :, 2:11, 10:20, 12:24] = 1.0
        return self.weight * sign


def windows(count: int = 1) -> torch.Tensor:
    random = torch.Generator().manual_seed(0)
    pictures, masks = torch.rand(16, 32, 32, generator=random), torch.zeros(16, 32, 32)
    masks[:, 4:28, 4:28] = 1.0
    shown = window_channels(pictures, masks, KNOWN, KnownGreys.of(pictures[KNOWN], masks[KNOWN]))
    return shown[None].repeat(count, 1, 1, 1, 1)


def test_the_object_is_known_by_what_was_found_on_consecutive_slices_alone() -> None:
    network = Seen()
    WindowRollout(network, [0.0, 1.0]).train()(windows(200))
    counts, firsts = set(), set()
    for shown in network.windows[1]:
        slices = (shown[5, :, 0, 0] > 0).nonzero()[:, 0].tolist()
        counts.add(len(slices))
        firsts.add(slices[0])
        assert slices == list(range(slices[0], slices[-1] + 1))
        found = torch.full((32, 32), torch.tensor(-2.0).sigmoid().item())
        found[10:20, 12:24] = torch.tensor(2.0).sigmoid()
        torch.testing.assert_close(shown[4, slices[0]], 2 * found - 1)
        torch.testing.assert_close(shown[3, 15], 2 * found - 1)
        torch.testing.assert_close(float(shown[6, 0, 0, 0]), slices[0] / 16)
    assert counts == {1, 2, 3, 4, 5}
    assert min(firsts) == 2  # slices 0 and 1 were known
    assert max(firsts) == 10


def test_the_pictures_and_the_given_windows_stay_as_they_are() -> None:
    network, given = Seen(), windows(3)
    WindowRollout(network, [0.0, 1.0]).train()(given)
    assert torch.equal(network.windows[1][:, :3], given[:, :3])
    assert torch.equal(given, windows(3))


def test_as_many_windows_as_said_are_segmented_first_once_and_twice() -> None:
    torch.manual_seed(0)
    network = Seen()
    WindowRollout(network, [0.5, 0.3, 0.2]).train()(windows(1000))
    once, twice, last = (len(shown) for shown in network.windows)
    assert once == pytest.approx(500, abs=60)
    assert twice == pytest.approx(200, abs=50)
    assert last == 1000


def test_gradients_flow_through_the_last_segmentation_alone() -> None:
    network = Seen()
    WindowRollout(network, [0.0, 1.0]).train()(windows()).sum().backward()
    signs = -16 * 32 * 32 + 2 * 9 * 10 * 12
    assert float(network.weight.grad or 0) == signs
    assert not network.windows[1].requires_grad


def test_windows_where_nothing_was_found_stay_as_they_are() -> None:
    network = Seen()
    with torch.no_grad():
        network.weight.zero_()
        WindowRollout(network, [0.0, 1.0]).train()(windows())
    assert torch.equal(network.windows[1], windows())


def test_nothing_is_changed_in_evaluation() -> None:
    network = WindowUNet((4, 8, 8, 8)).eval()
    given = windows()
    assert torch.equal(WindowRollout(network).eval()(given), network(given))


@pytest.mark.parametrize("hops", [[], [0.5, 0.4], [-0.5, 1.5]])
def test_hops_must_be_probabilities(hops: list[Any]) -> None:
    with pytest.raises(ValueError, match="hops must be probabilities that add up to 1"):
        WindowRollout(nn.Identity(), hops)
