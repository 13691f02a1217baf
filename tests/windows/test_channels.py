# Copyright (c) monai_synthfm contributors
# Licensed under the Apache License, Version 2.0 (http://www.apache.org/licenses/LICENSE-2.0).
# SPDX-License-Identifier: Apache-2.0
"""What a network is shown in a window."""

from __future__ import annotations

import torch

from monai_synthfm.windows.channels import (
    NUM_CHANNELS,
    NUM_PICTURE_CHANNELS,
    KnownGreys,
    mask_channels,
    window_channels,
)


def shown(known: list[bool], shift: float = 0.0, scale: float = 1.0) -> torch.Tensor:
    random = torch.Generator().manual_seed(0)
    pictures = shift + scale * torch.rand(len(known), 8, 8, generator=random)
    masks = (torch.rand(len(known), 8, 8, generator=random) > 0.5).float()
    flags = torch.tensor(known)
    return window_channels(pictures, masks, flags, KnownGreys.of(pictures[flags], masks[flags]))


def test_masks_are_shown_where_they_are_known_and_nowhere_else() -> None:
    channels = shown([False, True, False, False, True, False])
    assert channels.shape == (NUM_CHANNELS, 6, 8, 8)
    assert channels[5].amax(dim=(1, 2)).tolist() == channels[5].amin(dim=(1, 2)).tolist() == [0, 1, 0, 0, 1, 0]
    assert channels[4].abs().amin(dim=(1, 2)).tolist() == [0, 1, 0, 0, 1, 0]
    for index, nearest in enumerate([1, 1, 1, 4, 4, 4]):
        assert torch.equal(channels[3, index], channels[4, nearest])
    torch.testing.assert_close(channels[6, :, 0, 0], torch.tensor([1, 0, 1, 1, 0, 1]) / 6)


def test_brightness_and_contrast_of_the_pictures_do_not_matter() -> None:
    known = [True, False, False]
    torch.testing.assert_close(shown(known, 0.1, 0.5), shown(known), rtol=1e-2, atol=1e-2)


def test_the_mean_grey_level_of_the_object_is_zero() -> None:
    pictures, masks = torch.rand(2, 8, 8), torch.zeros(2, 8, 8)
    masks[0, 2:5, 2:5] = 1
    channels = window_channels(pictures, masks, torch.tensor([True, False]), KnownGreys.of(pictures[:1], masks[:1]))
    assert abs(float(channels[1, 0][masks[0] > 0].mean())) < 1e-5


def test_the_last_channels_follow_from_the_masks_alone() -> None:
    known = torch.tensor([False, True, False])
    masks = torch.rand(3, 8, 8)
    pictures = torch.rand(3, 8, 8)
    channels = window_channels(pictures, masks, known, KnownGreys.of(pictures[known], masks[known]))
    assert torch.equal(channels[NUM_PICTURE_CHANNELS:], mask_channels(masks, known))
