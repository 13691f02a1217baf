# Copyright (c) monai_synthfm contributors
# Licensed under the Apache License, Version 2.0 (http://www.apache.org/licenses/LICENSE-2.0).
# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from monai.data import MetaTensor

from monai_synthfm.inferers import MaskPropagation, VolumeInferer
from monai_synthfm.inferers.propagation.choice import choose_propagation
from monai_synthfm.networks import ImageEmbedding, MobileSam, export_decoder, prepare
from monai_synthfm.networks.mask_prompter import MaskPrompter
from monai_synthfm.slices.slice_frame import SliceFrame

from .clicks import click
from .region_grower import RegionGrower, grow

NO_BOX = np.full(4, np.nan)
IN_SLICES = VolumeInferer(direction="none")


@pytest.fixture
def volume() -> torch.Tensor:
    """Two grey levels in blobs, [1, 1, 18, 20, 6]."""
    noise = torch.rand(1, 1, 6, 7, 6, generator=torch.Generator().manual_seed(3))
    return (torch.nn.functional.interpolate(noise, (18, 20, 6), mode="trilinear") > 0.5).float()


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_prompted_slice_is_the_2d_result_with_the_first_axis_as_width(volume: torch.Tensor, axis: int) -> None:
    point = [5.0, 11.0, 3.0]
    labels = IN_SLICES(volume, RegionGrower(), axis=axis, **click([[*point, 1.0]]))
    picture = np.take(volume[0, 0].numpy(), int(point[axis]), axis=axis).T
    inside = np.array([p for a, p in enumerate(point) if a != axis])
    expected = grow(picture, inside[None], np.array([1]), NO_BOX) > 0
    found = labels[0, 0].numpy()
    np.testing.assert_array_equal(np.take(found, int(point[axis]), axis=axis).T, expected)
    assert found.sum() == expected.sum() > 0


def test_box_segments_every_slice_it_spans_and_no_other(volume: torch.Tensor) -> None:
    boxes = torch.tensor([[[2.0, 3.0, 1.0, 12.0, 9.0, 3.4]]])
    labels = IN_SLICES(volume, RegionGrower(), boxes=boxes)[0, 0]
    for z in range(6):
        box = np.array([2.0, 3.0, 12.0, 9.0])
        expected = grow(volume[0, 0, :, :, z].numpy().T, np.zeros((1, 2)), np.array([-1]), box).T > 0
        np.testing.assert_array_equal(labels[..., z].numpy(), expected if 1 <= z <= 3 else 0)


def test_an_object_is_not_carried_out_of_a_box_around_it_but_out_of_one_on_a_slice() -> None:
    volume = torch.ones(1, 1, 18, 20, 6)
    volume[:, :, 0] = 0  # not blank
    around, on_slice = [4.0, 5.0, 1.0, 9.0, 9.0, 3.0], [10.0, 12.0, 2.0, 15.0, 16.0, 2.0]
    labels = VolumeInferer()(volume, RegionGrower(), boxes=torch.tensor([[around, on_slice]]))[0, 0]
    shown = [{z for z in range(6) if (labels[..., z] == n).any()} for n in (1, 2)]
    assert shown == [{1, 2, 3}, {0, 1, 2, 3, 4, 5}]
    click = torch.tensor([[[[6.0, 7.0, 4.0]], [[0.0, 0.0, 0.0]]]])
    asked = {"points": click, "point_labels": torch.tensor([[[1], [-1]]])}
    labels = VolumeInferer()(volume, RegionGrower(), boxes=torch.tensor([[around, on_slice]]), **asked)[0, 0]
    assert {z for z in range(6) if (labels[..., z] == 1).any()} == {1, 2, 3, 4, 5}


def test_overlapping_objects_go_to_the_larger_logit() -> None:
    flat = torch.zeros(1, 1, 30, 12, 1)
    flat[:, :, 0, 0] = 0.05  # not blank
    prompts = click([[8.0, 5.0, 0.0, 1.0]], [[12.0, 5.0, 0.0, 1.0]])
    labels = IN_SLICES(flat, RegionGrower(), **prompts)[0, 0, :, 5, 0].tolist()
    # The windows are x in 5..15 and 9..19; logits fall with the distance from the click, ties go to the first object.
    assert labels == [0] * 5 + [1] * 6 + [2] * 9 + [0] * 10


def test_a_slice_with_many_objects_is_encoded_once(volume: torch.Tensor) -> None:
    network = RegionGrower()
    prompts = click([[3.0, 3.0, 2.0, 1.0]], [[12.0, 9.0, 2.0, 1.0]], [[15.0, 15.0, 4.0, 1.0]])
    IN_SLICES(volume, network, **prompts)
    assert network.encoded == 2


def test_slice_equals_the_network_called_on_that_slice() -> None:
    network = MobileSam(image_size=64).eval()
    image = torch.rand(1, 1, 30, 22, 3, generator=torch.Generator().manual_seed(0))
    labels = IN_SLICES(image, network, **click([[20.0, 9.0, 1.0, 1.0]]))
    with torch.no_grad():
        logits = network(
            image[..., 1].transpose(-1, -2), torch.tensor([[[[20.0, 9.0]]]]), torch.ones(1, 1, 1, dtype=torch.long)
        )
    torch.testing.assert_close(labels[0, 0, ..., 1].T, (logits[0, 0] > 0).to(torch.uint8))


def test_more_than_255_objects_are_told_apart() -> None:
    x, y = np.meshgrid(np.arange(20), np.arange(13), indexing="ij")
    boxes = torch.from_numpy(np.stack([x, y, 0 * x, x, y, 0 * x], -1).reshape(1, -1, 6)).float()
    flat = torch.zeros(1, 1, 20, 13, 1)
    flat[:, :, 0, 0] = 0.05  # not blank
    labels = IN_SLICES(flat, RegionGrower(), boxes=boxes)
    assert labels[0, 0, ..., 0].flatten().tolist() == list(range(1, 261))


def test_store_is_made_for_each_volume_and_spares_encoding(volume: torch.Tensor) -> None:
    stores: list[dict[int, ImageEmbedding]] = []

    def store(image: torch.Tensor, frame: SliceFrame, network: RegionGrower) -> dict[int, ImageEmbedding]:
        assert (image.shape, frame, network) == (volume[0].shape, SliceFrame(2), grower)
        stores.append(stores[0] if stores else {})
        return stores[-1]

    grower = RegionGrower()
    prompts = click([[5.0, 11.0, 3.0, 1.0]])
    first = VolumeInferer(store=store)(volume, grower, **prompts)
    encoded = grower.encoded
    assert encoded == len(stores[0]) > 1
    torch.testing.assert_close(VolumeInferer(store=store)(volume, grower, **prompts), first)
    assert grower.encoded == encoded


def test_each_volume_of_a_batch_has_its_own_prompts_and_axis(volume: torch.Tensor) -> None:
    pair = torch.cat([volume, volume.flip(2)])
    points = torch.tensor([[[[5.0, 11.0, 3.0]]], [[[2.0, 4.0, 1.0]]]])
    point_labels = torch.ones(2, 1, 1, dtype=torch.long)
    axis = torch.tensor([2, 0])
    together = VolumeInferer()(pair, RegionGrower(), points, point_labels, axis=axis)
    for b in range(2):
        chosen = slice(b, b + 1)
        alone = VolumeInferer()(pair[chosen], RegionGrower(), points[chosen], point_labels[chosen], axis=int(axis[b]))
        torch.testing.assert_close(together[chosen], alone)


def test_metadata_of_the_input_is_kept(volume: torch.Tensor) -> None:
    affine = torch.diag(torch.tensor([2.0, 3.0, 4.0, 1.0], dtype=torch.float64))
    image = MetaTensor(volume, affine=affine, meta={"filename_or_obj": "ct.nii.gz"})
    labels = VolumeInferer()(image, RegionGrower(), **click([[5.0, 11.0, 3.0, 1.0]]))
    assert isinstance(labels, MetaTensor)
    assert labels.dtype == torch.uint8
    assert labels.meta["filename_or_obj"] == "ct.nii.gz"
    torch.testing.assert_close(labels.affine, affine)


@pytest.mark.parametrize(
    ("prompts", "message"),
    [
        ({}, "nothing is prompted: give points with point_labels, boxes, or masks."),
        (
            {"masks": torch.zeros(1, 1, 18, 20, 6, dtype=torch.uint8)},
            "nothing is prompted: give points with point_labels, boxes, or masks.",
        ),
        (click([[5.0, 5.0, 2.0, -1.0]]), "nothing is prompted: no click, box or mask in the volume."),
        (
            click([[5.0, 5.0, 6.0, 1.0]]),
            "click 1 of object 1 lies outside the volume of 18 x 20 x 6 voxels: voxel [5.0, 5.0, 6.0].",
        ),
        (click([[5.0, 5.0, -0.5, 1.0]]), "prompts lie on slices [-1] of axis 2, out of slice_range 0 to 5."),
        (
            click([[5.0, 5.0, 4.0, 1.0]]) | {"slice_range": (1, 3)},
            "prompts lie on slices [4] of axis 2, out of slice_range 1 to 3.",
        ),
        (
            {"slice_range": (1, 6)} | click([[5.0, 5.0, 4.0, 1.0]]),
            "slice_range must be within slices 0 to 5, got 1 to 6.",
        ),
        (
            {"slice_range": (3, 1)} | click([[5.0, 5.0, 4.0, 1.0]]),
            "slice_range must be within slices 0 to 5, got 3 to 1.",
        ),
        (
            {"slice_range": (3,)} | click([[5.0, 5.0, 4.0, 1.0]]),
            "slice_range must be the first and the last slice, [2] or [B, 2], got shape (1,).",
        ),
        (
            click([[5.0, 5.0, 2.0, 0.0]]),
            "object 1 has only negative clicks, which do not say where it is: add a positive click, a box or a mask.",
        ),
        (
            click([[18.0, 5.0, 2.0, 1.0]]),
            "click 1 of object 1 lies outside the volume of 18 x 20 x 6 voxels: voxel [18.0, 5.0, 2.0].",
        ),
        (
            {"boxes": torch.tensor([[[2.0, -3.0, 2.0, 9.0, 9.0, 3.0]]])},
            "box of object 1 lies outside the volume of 18 x 20 x 6 voxels: voxel [2.0, -3.0, 2.0].",
        ),
        ({"boxes": torch.zeros(1, 6)}, "prompts must have the leading dimensions [B, N]."),
        (
            {"masks": torch.ones(1, 1, 18, 20, 5, dtype=torch.uint8)},
            "masks must be integers [B, 1, X, Y, Z] = [1, 1, 18, 20, 6], got [1, 1, 18, 20, 5] of torch.uint8.",
        ),
        (
            {"masks": torch.ones(1, 1, 18, 20, 6)},
            "masks must be integers [B, 1, X, Y, Z] = [1, 1, 18, 20, 6], got [1, 1, 18, 20, 6] of torch.float32.",
        ),
        (
            click([[5.0, 5.0, 2.0, 1.0]]) | {"masks": torch.full((1, 1, 18, 20, 6), 2)},
            "masks hold object 2, but the other prompts speak of 1 objects; their values are 2, where "
            "value n is object n.",
        ),
    ],
)
def test_wrong_prompts_are_refused_before_anything_is_encoded(
    volume: torch.Tensor, prompts: dict[str, torch.Tensor], message: str
) -> None:
    network = RegionGrower()
    with pytest.raises(ValueError) as caught:  # noqa: PT011
        VolumeInferer()(volume, network, **prompts)
    assert str(caught.value) == message
    assert network.encoded == 0


def test_wrong_arguments_are_refused(volume: torch.Tensor) -> None:
    with pytest.raises(ValueError, match=r"inputs must be volumes \[B, C, X, Y, Z\], got shape \(1, 18, 20, 6\)"):
        VolumeInferer()(volume[0], RegionGrower(), **click([[5.0, 5.0, 2.0, 1.0]]))
    with pytest.raises(ValueError, match="direction must be one of both, forward, backward, none, got 'up'"):
        VolumeInferer(direction="up")
    with pytest.raises(ValueError, match="output must be one of labels, logits, got 'probabilities'"):
        VolumeInferer(output="probabilities")


def test_progress_bar_counts_slices(volume: torch.Tensor, capsys: pytest.CaptureFixture[str]) -> None:
    inferer = VolumeInferer(progress=True, direction="none")
    inferer(volume, RegionGrower(), boxes=torch.tensor([[[1.0, 1, 1, 5, 5, 3]]]))
    assert "3/3" in capsys.readouterr().err


def test_masks_prompt_a_decoder_that_combines_prompts_with_all_of_them_and_another_one_with_their_box(
    tmp_path: Path,
) -> None:
    published = MobileSam(image_size=64)
    torch.save(dict(published.state_dict()), tmp_path / "whole.pt")  # without its metadata
    torch.save({k: v for k, v in published.state_dict().items() if k.startswith("image_encoder")}, tmp_path / "part.pt")
    together, alone = MaskPrompter(), MaskPrompter(mask=False, clicks=None)
    carried = MobileSam(image_size=64)
    torch.save(published.state_dict(), tmp_path / "ours.pt")
    export_decoder(tmp_path / "whole.pt", tmp_path / "both.pt", carry=tmp_path / "ours.pt")
    carried.load_checkpoint(tmp_path / "both.pt")
    networks = {
        "decoder for carrying": (carried, together),
        "as published": (published, together),
        "other encoder": (prepare(MobileSam(image_size=64), checkpoint=tmp_path / "part.pt"), together),
        "from scratch": (prepare(MobileSam(image_size=64), reset_decoder=True, seed=0), alone),
        "own decoder": (prepare(MobileSam(image_size=64), checkpoint=tmp_path / "whole.pt"), alone),
    }
    for name, (network, prompter) in networks.items():
        propagation = choose_propagation(network, "masks")
        assert isinstance(propagation, MaskPropagation), name
        assert propagation.prompter == prompter, name
