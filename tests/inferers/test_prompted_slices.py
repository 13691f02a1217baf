# Copyright (c) monai_synthfm contributors
# Licensed under the Apache License, Version 2.0 (http://www.apache.org/licenses/LICENSE-2.0).
# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import numpy as np
import pytest
import torch
from monai.data import MetaTensor

from monai_synthfm.inferers import PromptedSliceInferer
from monai_synthfm.networks import MobileSam

from .region_grower import RegionGrower, grow

NO_BOX = np.full(4, np.nan)


@pytest.fixture
def volume() -> torch.Tensor:
    """Two grey levels in blobs, [1, 1, 18, 20, 6]."""
    noise = torch.rand(1, 1, 6, 7, 6, generator=torch.Generator().manual_seed(3))
    return (torch.nn.functional.interpolate(noise, (18, 20, 6), mode="trilinear") > 0.5).float()


def click(*objects: list[list[float]]) -> dict[str, torch.Tensor]:
    """Batched prompts of objects that have one list of [x, y, z, label] rows each, all of one length."""
    rows = torch.tensor(objects)[None]
    return {"points": rows[..., :3], "point_labels": rows[..., 3].long()}


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_prompted_slice_is_the_2d_result_with_the_first_axis_as_width(volume: torch.Tensor, axis: int) -> None:
    point = [5.0, 11.0, 3.0]
    labels = PromptedSliceInferer()(volume, RegionGrower(), axis=axis, **click([[*point, 1.0]]))
    picture = np.take(volume[0, 0].numpy(), int(point[axis]), axis=axis).T
    inside = np.array([p for a, p in enumerate(point) if a != axis])
    expected = grow(picture, inside[None], np.array([1]), NO_BOX) > 0
    found = labels[0, 0].numpy()
    np.testing.assert_array_equal(np.take(found, int(point[axis]), axis=axis).T, expected)
    assert found.sum() == expected.sum() > 0


def test_box_segments_every_slice_it_spans_and_no_other(volume: torch.Tensor) -> None:
    boxes = torch.tensor([[[2.0, 3.0, 1.0, 12.0, 9.0, 3.4]]])
    labels = PromptedSliceInferer()(volume, RegionGrower(), boxes=boxes)[0, 0]
    for z in range(6):
        box = np.array([2.0, 3.0, 12.0, 9.0])
        expected = grow(volume[0, 0, :, :, z].numpy().T, np.zeros((1, 2)), np.array([-1]), box).T > 0
        np.testing.assert_array_equal(labels[..., z].numpy(), expected if 1 <= z <= 3 else 0)


def test_overlapping_objects_go_to_the_larger_logit() -> None:
    flat = torch.zeros(1, 1, 30, 12, 1)
    prompts = click([[8.0, 5.0, 0.0, 1.0]], [[12.0, 5.0, 0.0, 1.0]])
    labels = PromptedSliceInferer()(flat, RegionGrower(), **prompts)[0, 0, :, 5, 0].tolist()
    # The windows are x in 5..15 and 9..19; logits fall with the distance from the click, ties go to the first object.
    assert labels == [0] * 5 + [1] * 6 + [2] * 9 + [0] * 10


def test_a_slice_with_many_objects_is_encoded_once(volume: torch.Tensor) -> None:
    network = RegionGrower()
    prompts = click([[3.0, 3.0, 2.0, 1.0]], [[12.0, 9.0, 2.0, 1.0]], [[15.0, 15.0, 4.0, 1.0]])
    PromptedSliceInferer()(volume, network, **prompts)
    assert network.encoded == 2


def test_result_does_not_depend_on_the_slice_batch_size() -> None:
    network = MobileSam(image_size=64).eval()
    image = torch.rand(1, 1, 30, 22, 5, generator=torch.Generator().manual_seed(0))
    points = torch.tensor([[[[9.0, 9.0, 0.0], [4.0, 4.0, 3.0]], [[20.0, 15.0, 2.0], [1.0, 1.0, 3.0]]]])
    prompts = {"points": points, "point_labels": torch.ones(1, 2, 2, dtype=torch.long)}
    one, three = (PromptedSliceInferer(size)(image, network, **prompts) for size in (1, 3))
    assert (one == three).float().mean() > 0.999  # batched convolutions may round differently
    assert not one[..., [1, 4]].any()


def test_slice_equals_the_network_called_on_that_slice() -> None:
    network = MobileSam(image_size=64).eval()
    image = torch.rand(1, 1, 30, 22, 3, generator=torch.Generator().manual_seed(0))
    labels = PromptedSliceInferer()(image, network, **click([[20.0, 9.0, 1.0, 1.0]]))
    with torch.no_grad():
        logits = network(
            image[..., 1].transpose(-1, -2), torch.tensor([[[[20.0, 9.0]]]]), torch.ones(1, 1, 1, dtype=torch.long)
        )
    torch.testing.assert_close(labels[0, 0, ..., 1].T, (logits[0, 0] > 0).to(torch.uint8))


def test_each_volume_of_a_batch_has_its_own_prompts_and_axis(volume: torch.Tensor) -> None:
    pair = torch.cat([volume, volume.flip(2)])
    points = torch.tensor([[[[5.0, 11.0, 3.0]]], [[[2.0, 4.0, 1.0]]]])
    point_labels = torch.ones(2, 1, 1, dtype=torch.long)
    axis = torch.tensor([2, 0])
    together = PromptedSliceInferer()(pair, RegionGrower(), points, point_labels, axis=axis)
    for b in range(2):
        chosen = slice(b, b + 1)
        alone = PromptedSliceInferer()(
            pair[chosen], RegionGrower(), points[chosen], point_labels[chosen], axis=int(axis[b])
        )
        torch.testing.assert_close(together[chosen], alone)


def test_metadata_of_the_input_is_kept(volume: torch.Tensor) -> None:
    affine = torch.diag(torch.tensor([2.0, 3.0, 4.0, 1.0], dtype=torch.float64))
    image = MetaTensor(volume, affine=affine, meta={"filename_or_obj": "ct.nii.gz"})
    labels = PromptedSliceInferer()(image, RegionGrower(), **click([[5.0, 11.0, 3.0, 1.0]]))
    assert isinstance(labels, MetaTensor)
    assert labels.dtype == torch.uint8
    assert labels.meta["filename_or_obj"] == "ct.nii.gz"
    torch.testing.assert_close(labels.affine, affine)


def test_more_than_255_objects_are_told_apart() -> None:
    x, y = np.meshgrid(np.arange(20), np.arange(13), indexing="ij")
    boxes = torch.from_numpy(np.stack([x, y, 0 * x, x, y, 0 * x], -1).reshape(1, -1, 6)).float()
    labels = PromptedSliceInferer()(torch.zeros(1, 1, 20, 13, 1), RegionGrower(), boxes=boxes)
    assert labels[0, 0, ..., 0].flatten().tolist() == list(range(1, 261))


@pytest.mark.parametrize(
    ("prompts", "message"),
    [
        ({}, "nothing is prompted: give points with point_labels, or boxes."),
        (click([[5.0, 5.0, 6.0, 1.0]]), "prompts lie on slices [6], but the volume has 6 slices."),
        (
            click([[5.0, 5.0, 2.0, 0.0]]),
            "object 1 has only negative clicks on slice 2 of axis 2: add a positive click or a box there.",
        ),
        ({"boxes": torch.zeros(1, 6)}, "prompts must have the leading dimensions [B, N]."),
    ],
)
def test_wrong_prompts_are_refused_before_anything_is_encoded(
    volume: torch.Tensor, prompts: dict[str, torch.Tensor], message: str
) -> None:
    network = RegionGrower()
    with pytest.raises(ValueError) as caught:  # noqa: PT011
        PromptedSliceInferer()(volume, network, **prompts)
    assert str(caught.value) == message
    assert network.encoded == 0


def test_wrong_shapes_and_arguments_are_refused(volume: torch.Tensor) -> None:
    with pytest.raises(ValueError, match=r"inputs must be volumes \[B, C, X, Y, Z\], got shape \(1, 18, 20, 6\)"):
        PromptedSliceInferer()(volume[0], RegionGrower(), **click([[5.0, 5.0, 2.0, 1.0]]))
    with pytest.raises(ValueError, match="slice_batch_size must be 1 or more, got 0"):
        PromptedSliceInferer(slice_batch_size=0)


def test_progress_bar_counts_slices(volume: torch.Tensor, capsys: pytest.CaptureFixture[str]) -> None:
    PromptedSliceInferer(progress=True)(volume, RegionGrower(), boxes=torch.tensor([[[1.0, 1, 1, 5, 5, 3]]]))
    assert "3/3" in capsys.readouterr().err
