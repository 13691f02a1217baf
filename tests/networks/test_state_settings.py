# Copyright (c) monai_synthfm contributors
# Licensed under the Apache License, Version 2.0 (http://www.apache.org/licenses/LICENSE-2.0).
# SPDX-License-Identifier: Apache-2.0
"""State dicts that say what network they are for, in files that are plain state dicts."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from monai_synthfm.networks import MobileSam, export_decoder
from monai_synthfm.networks.state_settings import settings_of, with_settings
from monai_synthfm.networks.weights.files import read_weights
from monai_synthfm.networks.weights.fingerprint import file_settings


def decoder_of(network: MobileSam, folder: Path) -> dict[str, torch.Tensor]:
    """What torch reads of the file in which the decoder of a network is passed on."""
    torch.save(with_settings(network.state_dict(), file_settings(network)), folder / "whole.pt")
    export_decoder(folder / "whole.pt", folder / "decoder.pt")
    return torch.load(folder / "decoder.pt", weights_only=True)


def test_a_file_holds_tensors_alone_and_says_what_it_is_for(tmp_path: Path) -> None:
    network = MobileSam(image_size=64, preprocessing="contrast")
    said = with_settings(network.state_dict(), file_settings(network))
    torch.save(said, tmp_path / "net.pt")
    content = torch.load(tmp_path / "net.pt", weights_only=True)
    assert list(content) == list(network.state_dict())
    assert settings_of(content) == read_weights(tmp_path / "net.pt")[1] == file_settings(network)
    # what torch keeps there stays: versions of modules
    assert content._metadata["mask_decoder"] == network.state_dict()._metadata["mask_decoder"]
    assert settings_of(network.state_dict()) == {"combines_prompts": True}
    assert settings_of({}) == {}


def test_a_decoder_is_loaded_strictly_on_the_encoders_that_it_was_trained_on(tmp_path: Path) -> None:
    trained = MobileSam(image_size=64)
    trained.combines_prompts = False
    other = MobileSam(image_size=64)
    other.image_encoder.load_state_dict(trained.image_encoder.state_dict())
    prompt_encoder = {key: value.clone() for key, value in other.prompt_encoder.state_dict().items()}
    found = other.load_state_dict(decoder_of(trained, tmp_path))
    assert found.missing_keys == found.unexpected_keys == []
    assert other.combines_prompts is False
    for key, value in trained.mask_decoder.state_dict().items():
        assert torch.equal(other.mask_decoder.state_dict()[key], value.half().float())
    assert all(torch.equal(value, prompt_encoder[key]) for key, value in other.prompt_encoder.state_dict().items())


@pytest.mark.parametrize(
    ("other", "message"),
    [
        ({"image_size": 64}, "trained on another image encoder than that of this MobileSam: open_network makes"),
        ({"image_size": 128}, "trained with image_size=64, MobileSam has 128"),
        ({"image_size": 64, "preprocessing": "contrast"}, "trained with preprocessing='sam', MobileSam has 'contrast'"),
    ],
)
def test_another_network_refuses_a_decoder_and_stays_as_it_was(tmp_path: Path, other: dict, message: str) -> None:
    state = decoder_of(MobileSam(image_size=64), tmp_path)
    network = MobileSam(**other)
    before = {key: value.clone() for key, value in network.state_dict().items()}
    with pytest.raises(ValueError, match=message):
        network.load_state_dict(state)
    assert all(torch.equal(value, before[key]) for key, value in network.state_dict().items())
    # who asks for it gets what fits, as in torch
    assert network.load_state_dict(state, strict=False).unexpected_keys == []


def test_a_part_of_the_decoder_is_not_enough(tmp_path: Path) -> None:
    trained = MobileSam(image_size=64)
    state = decoder_of(trained, tmp_path)
    one = next(iter(state))
    state.pop(one)
    state = with_settings(state, file_settings(trained))
    with pytest.raises(RuntimeError, match=f"Missing key.*{one}"):
        trained.load_state_dict(state)
