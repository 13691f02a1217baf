# Copyright (c) monai_synthfm contributors
# Licensed under the Apache License, Version 2.0 (http://www.apache.org/licenses/LICENSE-2.0).
# SPDX-License-Identifier: Apache-2.0
"""Objects on the slices where they are prompted."""

from __future__ import annotations

import torch

from monai_synthfm.inferers.propagation.prompted_masks import OBJECTS_AT_ONCE, prompted_masks
from monai_synthfm.prompts import Prompts
from monai_synthfm.prompts.slice_prompts import SlicePrompts
from monai_synthfm.slices.slice_frame import SliceFrame
from monai_synthfm.slices.sliced_volume import SlicedVolume
from tests.inferers.region_grower import RegionGrower


def slices() -> SlicedVolume:
    volume = torch.zeros(1, 20, 24, 3)
    volume[0, 5:9, 6:11, 1] = 1.0
    return SlicedVolume(volume, SliceFrame(2), RegionGrower())


def test_a_mask_alone_is_taken_as_it_is() -> None:
    mask = torch.zeros(1, 24, 20, dtype=torch.bool)
    mask[0, 3:7, 2:12] = True
    (found,) = prompted_masks(slices(), 1, SlicePrompts([4], Prompts(), mask))
    assert (found.index, found.objects) == (1, [4])
    assert torch.equal(found.logits > 0, mask)


def test_many_objects_come_in_parts_and_each_once() -> None:
    count = OBJECTS_AT_ONCE + 3
    points = torch.tensor([6.0, 8.0]).expand(count, 1, 2)
    given = SlicePrompts(list(range(count)), Prompts(points, torch.ones(count, 1, dtype=torch.int64)))
    found = list(prompted_masks(slices(), 1, given))
    assert [n for part in found for n in part.objects] == list(range(count))
    assert max(len(part.objects) for part in found) == OBJECTS_AT_ONCE
    expected = torch.zeros(24, 20, dtype=torch.bool)
    expected[6:11, 5:9] = True
    assert all(torch.equal(logits > 0, expected) for part in found for logits in part.logits)
