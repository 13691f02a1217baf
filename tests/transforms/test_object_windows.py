# Copyright (c) monai_synthfm contributors
# Licensed under the Apache License, Version 2.0 (http://www.apache.org/licenses/LICENSE-2.0).
# SPDX-License-Identifier: Apache-2.0
"""Windows of volumes for training."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from monai.data import DataLoader

from monai_synthfm.data import SynthFM3DDataset
from monai_synthfm.transforms.mask_errors import RandMaskErrors
from monai_synthfm.transforms.object_choice import RandObjectChoice
from monai_synthfm.transforms.object_windows import RandObjectWindows, RandObjectWindowsd
from monai_synthfm.transforms.slice_drift import RandSliceDrift


def volume() -> tuple[torch.Tensor, torch.Tensor]:
    """Two bright balls in noise; the second is on the last slices."""
    random = np.random.default_rng(0)
    z = np.arange(24)[None, None, :]
    x, y = np.arange(60)[:, None, None], np.arange(50)[None, :, None]
    label = np.zeros((60, 50, 24), np.int32)
    label[(x - 20) ** 2 + (y - 20) ** 2 + (2 * (z - 8)) ** 2 <= 144] = 1
    label[(x - 45) ** 2 + (y - 35) ** 2 + (2 * (z - 23)) ** 2 <= 81] = 2
    image = 0.1 * random.random(label.shape) + 0.5 * (label > 0)
    return torch.from_numpy(image).float()[None], torch.from_numpy(label)[None]


def cut(count: int = 60, **options: Any) -> list[tuple[torch.Tensor, torch.Tensor]]:
    transform = RandObjectWindows(num_windows=count, **options).set_random_state(seed=0)
    return transform(*volume())


def test_the_picture_and_the_mask_are_of_one_place() -> None:
    for shown, (mask, weight) in cut(coarseness=1.0):
        inside, outside = (mask > 0) & (weight == 1), (mask == 0) & (weight == 1)
        if inside.any() and outside.any():
            assert shown[0][inside].mean() > shown[0][outside].mean() + 0.5


def test_known_masks_are_the_true_ones_with_small_errors() -> None:
    exact = cut(errors=RandMaskErrors(strength=0.0))
    for shown, (mask, _) in exact:
        known = shown[5] > 0
        assert torch.equal(shown[4][known] > 0, mask[known] > 0)
    for shown, (mask, _) in cut():
        known = shown[5] > 0
        overlap = 2 * ((shown[4][known] > 0) & (mask[known] > 0)).sum()
        assert overlap / ((shown[4][known] > 0).sum() + (mask[known] > 0).sum()) > 0.3


def test_known_slices_count_less_and_those_beyond_the_volume_not_at_all() -> None:
    weights = set()
    for shown, (_, weight) in cut():
        assert torch.equal(weight[shown[5] > 0].unique(), torch.tensor([0.2]))
        assert len(weight.flatten(1).unique(dim=1).T) == 1
        weights |= {round(value, 6) for value in weight.unique().tolist()}
    assert weights == {0.0, 0.2, 1.0}


def test_one_to_five_slices_are_known() -> None:
    counts = [int(shown[5, :, 0, 0].sum()) for shown, _ in cut(200)]
    assert set(counts) == {1, 2, 3, 4, 5}


def test_the_object_is_near_the_middle_and_as_large_as_asked_for() -> None:
    for shown, (mask, _) in cut(
        factors=(2.0, 2.0),
        errors=RandMaskErrors(strength=0.0),
        drift=RandSliceDrift(prob=0.0),
        choice=RandObjectChoice(union_prob=0.0),
    ):
        seen = (mask[shown[5, :, 0, 0] > 0] > 0).any(dim=0)
        rows, columns = seen.any(dim=1).nonzero(), seen.any(dim=0).nonzero()
        extents = [int(one[-1] - one[0]) + 1 for one in (rows, columns)]
        middles = [float(one[-1] + one[0] + 1) / 2 for one in (rows, columns)]
        # objects that the border of the volume cuts are as large as what is left of them
        assert 26 <= max(extents) <= 38
        assert all(abs(middle - 32) < 8 for middle in middles)


def test_a_volume_without_objects_gives_a_window_in_which_nothing_counts() -> None:
    image, label = volume()
    ((shown, target),) = RandObjectWindows().set_random_state(seed=0)(image, torch.zeros_like(label))
    assert shown.shape == (7, 16, 64, 64)
    assert not target.any()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"num_windows": 0}, "num_windows must be at least 1"),
        ({"factors": (0.5, 2.0)}, "factors must be two increasing numbers of at least 1"),
        ({"coarseness": 0.5}, "coarseness must be at least 1"),
    ],
)
def test_arguments_out_of_their_range_are_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        RandObjectWindows(**options)


def test_an_image_of_another_shape_is_refused() -> None:
    image, label = volume()
    with pytest.raises(ValueError, match=r"must be one volume \[1, X, Y, Z\], got \(1, 60, 50, 20\) and"):
        RandObjectWindows()(image[..., :20], label)


def test_batches_of_a_data_loader_hold_all_windows_whatever_the_number_of_workers() -> None:
    def batch(workers: int) -> dict[str, torch.Tensor]:
        dataset = SynthFM3DDataset(2, (48, 48, 12), seed=3, transform=RandObjectWindowsd("label", num_windows=3))
        return next(iter(DataLoader(dataset, batch_size=2, num_workers=workers)))

    alone, beside = batch(0), batch(1)
    assert alone["image"].shape[1:] == (7, 16, 64, 64)
    assert 2 <= len(alone["image"]) <= 6
    assert torch.equal(alone["image"], beside["image"])
    assert torch.equal(alone["label"], beside["label"])


def test_keys_must_be_one_key() -> None:
    with pytest.raises(ValueError, match="keys must be the one key of the label map"):
        RandObjectWindowsd(["label", "other"])
