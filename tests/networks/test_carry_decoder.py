# Copyright (c) monai_synthfm contributors
# Licensed under the Apache License, Version 2.0 (http://www.apache.org/licenses/LICENSE-2.0).
# SPDX-License-Identifier: Apache-2.0
"""A second decoder, which carries objects from slice to slice, comes with weights and travels with them."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from monai_synthfm.networks import MobileSam, MobileSam2, Zoom, export_decoder, load_state, prepare
from monai_synthfm.networks.mask_prompter import MaskPrompter
from monai_synthfm.networks.mask_tracker import MaskTracker
from monai_synthfm.prompts import Prompts

BOX = Prompts(boxes=torch.tensor([[[10.0, 12.0, 40.0, 50.0]]]))
IMAGE = torch.rand(1, 1, 64, 64, generator=torch.Generator().manual_seed(0))


def drawn(seed: int) -> MobileSam:
    """A network with an encoder of its own seed alone and a decoder of this one."""
    torch.manual_seed(0)
    return prepare(MobileSam(image_size=64), reset_decoder=True, seed=seed).eval()


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path, Path]:
    """Files of one decoder, of another, and of both."""
    folder = tmp_path_factory.mktemp("decoders")
    for seed, name in ((1, "one"), (2, "two")):
        torch.save(drawn(seed).state_dict(), folder / f"{name}.pt")
    export_decoder(folder / "one.pt", folder / "both.pt", carry=[folder / "two.pt", folder / "two.pt"])
    return folder / "one.pt", folder / "two.pt", folder / "both.pt"


@pytest.fixture
def both(files: tuple[Path, Path, Path]) -> MobileSam:
    network = drawn(3)
    network.load_checkpoint(files[2])
    return network.eval()


@torch.no_grad()
def test_images_are_segmented_by_the_one_decoder_and_neighbours_by_the_other(both: MobileSam) -> None:
    embedding = both.encode(IMAGE)
    torch.testing.assert_close(both.decode(embedding, BOX), drawn(1).decode(embedding, BOX), rtol=0.05, atol=0.05)
    torch.testing.assert_close(both.carry(embedding, BOX), drawn(2).decode(embedding, BOX), rtol=0.05, atol=0.05)
    assert not torch.allclose(both.carry(embedding, BOX), both.decode(embedding, BOX), rtol=0.05, atol=0.05)


@torch.no_grad()
def test_masks_of_a_neighbouring_slice_prompt_the_decoder_for_neighbours(both: MobileSam) -> None:
    embedding = both.encode(IMAGE)
    masks = torch.full((1, 64, 64), -10.0)
    masks[0, 20:40, 16:30] = 10.0
    found = MaskPrompter()(both, embedding, masks)
    torch.testing.assert_close(found, MaskPrompter()(drawn(2), embedding, masks), rtol=0.05, atol=0.05)


@torch.no_grad()
def test_a_second_look_is_for_images_alone(both: MobileSam) -> None:
    zoom = Zoom(both)
    seen = zoom.encode(IMAGE)
    plain = both.encode(IMAGE)
    torch.testing.assert_close(zoom.carry(seen, BOX), both.postprocess(both.carry(plain, BOX), plain))
    alone = Zoom(drawn(1))
    torch.testing.assert_close(alone.carry(seen, BOX), alone.decode(seen, BOX))


def test_a_state_dict_brings_it_and_one_without_it_takes_it_away(both: MobileSam) -> None:
    other = drawn(4)
    other.load_state_dict(both.state_dict())
    assert other.carry_decoder is not None
    assert all(torch.equal(value, both.state_dict()[key]) for key, value in other.state_dict().items())
    other.load_state_dict(drawn(5).state_dict())
    assert other.carry_decoder is None
    assert not any("carry" in key for key in other.state_dict())


def test_opening_it_draws_no_random_numbers(both: MobileSam) -> None:
    other, before = drawn(4), torch.get_rng_state()
    other.load_state_dict(both.state_dict())
    assert torch.equal(torch.get_rng_state(), before)


def test_a_file_of_both_holds_the_mean_of_what_carries_and_passes_on_whole(
    files: tuple[Path, Path, Path], tmp_path: Path
) -> None:
    one, two, both = (load_state(file) for file in files)
    assert {key.partition(".")[0] for key in both} == {"mask_decoder", "carry_decoder"}
    for key in (key for key in one if key.startswith("mask_decoder.")):
        assert torch.equal(both[key], one[key].half())
        assert torch.equal(both[key.replace("mask_", "carry_", 1)], two[key].half())
    export_decoder(files[2], tmp_path / "again.pt")
    again = load_state(tmp_path / "again.pt")
    assert again.keys() == both.keys()
    assert all(torch.equal(again[key], both[key]) for key in both)
    export_decoder(files[2], tmp_path / "other.pt", carry=files[0])
    other = load_state(tmp_path / "other.pt")
    assert all(torch.equal(other[f"carry_{key}"], other[f"mask_{key}"]) for key in _names(other, "mask_"))


def test_a_second_decoder_of_another_layout_or_of_other_features_is_refused(
    files: tuple[Path, Path, Path], tmp_path: Path
) -> None:
    torch.save(MobileSam2(image_size=64).state_dict(), tmp_path / "memory.pt")
    with pytest.raises(ValueError, match="carry: expected a mask decoder of the same layout"):
        export_decoder(files[0], tmp_path / "joined.pt", carry=tmp_path / "memory.pt")
    for network, name in ((drawn(1), "ours.pt"), (MobileSam(image_size=96), "larger.pt")):
        torch.save(network.state_dict(), tmp_path / "whole.pt")
        export_decoder(tmp_path / "whole.pt", tmp_path / name, network)
    with pytest.raises(ValueError, match="carry: its files differ from those of checkpoint in image_size, image_enc"):
        export_decoder(tmp_path / "ours.pt", tmp_path / "joined.pt", carry=tmp_path / "larger.pt")
    assert not (tmp_path / "joined.pt").exists()


def test_a_decoder_that_is_trained_further_carries_by_itself(files: tuple[Path, Path, Path]) -> None:
    assert prepare(drawn(3), checkpoint=files[2]).carry_decoder is None
    assert prepare(drawn(3), checkpoint=files[2], frozen=["mask_decoder", "carry_decoder"]).carry_decoder is not None


def test_a_decoder_that_is_drawn_anew_carries_by_itself(both: MobileSam) -> None:
    both.reset_decoder(5)
    assert both.carry_decoder is None


def test_networks_without_a_use_for_it_leave_it_aside(files: tuple[Path, Path, Path]) -> None:
    network = prepare(MobileSam2(image_size=64, preprocessing="sam"), checkpoint=files[2])
    assert not any("carry" in key for key in network.state_dict())
    assert MaskTracker(prepare(drawn(3), checkpoint=files[2]), 64).network.carry_decoder is None


def _names(state: dict[str, torch.Tensor], start: str) -> list[str]:
    return [key.removeprefix(start) for key in state if key.startswith(start)]
