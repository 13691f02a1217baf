# Copyright (c) monai_synthfm contributors
# Licensed under the Apache License, Version 2.0 (http://www.apache.org/licenses/LICENSE-2.0).
# SPDX-License-Identifier: Apache-2.0
"""Padding for batches."""

from __future__ import annotations

import pytest
import torch

from monai_synthfm.transforms.padding import PadToBatchd


def test_images_are_padded_right_and_below_and_their_size_is_kept() -> None:
    item = {"image": torch.rand(1, 5, 7), "label": torch.ones(2, 5, 7), "points": torch.ones(2, 1, 2)}
    padded = PadToBatchd(["image", "label"], (8, 9))(item)
    for key in ("image", "label"):
        assert padded[key].shape[1:] == (8, 9)
        assert torch.equal(padded[key][:, :5, :7], item[key])
        assert padded[key].sum() == pytest.approx(item[key].sum().item())
    assert padded["sizes"].tolist() == [5, 7]
    assert padded["points"] is item["points"]
    assert item["image"].shape == (1, 5, 7)


def test_images_of_different_sizes_are_refused() -> None:
    with pytest.raises(ValueError, match=r"must have one size, got \{'image': \(5, 7\), 'label': \(5, 6\)\}"):
        PadToBatchd(["image", "label"], (8, 8))({"image": torch.ones(1, 5, 7), "label": torch.ones(1, 5, 6)})
