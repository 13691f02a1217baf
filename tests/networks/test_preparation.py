# Copyright (c) monai_synthfm contributors
# Licensed under the Apache License, Version 2.0 (http://www.apache.org/licenses/LICENSE-2.0).
# SPDX-License-Identifier: Apache-2.0
"""The start of a training, compared with the same steps written out."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from segment_anything.modeling import MaskDecoder, TwoWayTransformer

from monai_synthfm.networks import MobileSam, MobileSam2, Sam, Sam2, prepare
from monai_synthfm.networks.pretrained import PretrainedPromptable
from monai_synthfm.networks.weights.fingerprint import file_settings, state_sha256

from .conftest import TINY
from .upstream_sam2 import SMALL

MAKERS: dict[str, Callable[[], PretrainedPromptable]] = {
    "Sam": lambda: Sam(TINY, image_size=64),
    "MobileSam": lambda: MobileSam(image_size=64),
    "Sam2": lambda: Sam2(SMALL["2.1"], image_size=64),
    "MobileSam2": lambda: MobileSam2(image_size=64),
}


def made(name: str, seed: int) -> PretrainedPromptable:
    torch.manual_seed(seed)
    return MAKERS[name]()


def decoder_of(network: PretrainedPromptable) -> str:
    return next(name for name, part in network.named_children() if part is network.decoder)


@pytest.mark.parametrize("name", MAKERS)
def test_a_start_is_that_of_its_steps_one_by_one(tmp_path: Path, name: str) -> None:
    published, trained = made(name, 1), made(name, 2)
    decoder = decoder_of(published)
    prompts = decoder.replace("mask_decoder", "prompt_encoder")
    torch.save(published.state_dict(), tmp_path / "published.pt")
    part = {key: value for key, value in trained.state_dict().items() if key.startswith(f"{prompts}.")}
    torch.save(part, tmp_path / "part.pt")
    network = made(name, 3)
    prepare(
        network,
        pretrained=tmp_path / "published.pt",
        reset_decoder=True,
        seed=5,
        checkpoint=tmp_path / "part.pt",
        frozen=["image_encoder", prompts],
    )
    torch.manual_seed(5)
    fresh = network._new_decoder().state_dict()
    expected = {
        key: part.get(key, fresh[key.removeprefix(f"{decoder}.")] if key.startswith(f"{decoder}.") else value)
        for key, value in published.state_dict().items()
    }
    assert all(torch.equal(value, expected[key]) for key, value in network.state_dict().items())
    untrained = {key.partition(".")[0] for key, value in network.named_parameters() if not value.requires_grad}
    assert untrained - {"no_mem_pos_enc"} == {"image_encoder", prompts}
    assert network.combines_prompts is False
    assert [path.name for path in network.weight_files] == ["published.pt", "part.pt"]


def test_without_arguments_a_network_is_left_as_it_is() -> None:
    network = made("Sam", 4)
    before, generator = state_sha256(network), torch.get_rng_state()
    assert prepare(network) is network
    assert state_sha256(network) == before
    assert torch.equal(torch.get_rng_state(), generator)
    assert all(parameter.requires_grad for parameter in network.parameters())


def test_an_aligned_decoder_is_upstreams_with_twice_the_queries_as_keys() -> None:
    network = prepare(made("MobileSam", 4), reset_decoder=True, aligned=True)
    torch.manual_seed(0)
    transformer = TwoWayTransformer(depth=2, embedding_dim=256, num_heads=8, mlp_dim=2048)
    drawn = MaskDecoder(transformer_dim=256, transformer=transformer).state_dict()
    for key, value in network.mask_decoder.state_dict().items():
        expected = drawn[key]
        if re.search(r"attn_(token_to_image|image_to_token)\.[qk]_proj\.", key):
            queries = 2.0 * drawn[key.replace("k_proj", "q_proj")]
            expected = queries if key.endswith("weight") else torch.zeros_like(value)
        assert torch.equal(value, expected), key


def test_only_a_decoder_that_is_drawn_anew_is_aligned(tmp_path: Path) -> None:
    network = made("MobileSam", 4)
    before = state_sha256(network)
    assert state_sha256(prepare(network, aligned=True)) == before
    decoder = {key: value.clone() for key, value in network.state_dict().items() if key.startswith("mask_decoder.")}
    torch.save(decoder, tmp_path / "decoder.pt")
    prepare(network, reset_decoder=True, aligned=True, checkpoint=tmp_path / "decoder.pt")
    assert state_sha256(network) == before


def test_alternatives_are_those_of_the_checkpoints_mask(tmp_path: Path) -> None:
    trained = made("MobileSam", 1)
    torch.save(trained.state_dict(), tmp_path / "model.pt")
    network = made("MobileSam", 2)
    torch.manual_seed(6)
    prepare(network, checkpoint=tmp_path / "model.pt", new_alternatives=True)
    tokens = trained.mask_decoder.mask_tokens.weight[:1].repeat(4, 1)
    torch.manual_seed(6)
    tokens[1:] += 0.3 * torch.randn(3, 256)
    torch.testing.assert_close(network.mask_decoder.mask_tokens.weight, tokens)
    first, *others = network.mask_decoder.output_hypernetworks_mlps
    trained_first = trained.mask_decoder.output_hypernetworks_mlps[0].state_dict()
    for mlp in (first, *others):
        assert all(torch.equal(value, trained_first[key]) for key, value in mlp.state_dict().items())


def test_a_checkpoint_of_another_preprocessing_is_taken_when_asked_for(tmp_path: Path) -> None:
    trained = MobileSam(image_size=64, preprocessing="contrast")
    torch.save({"model": trained.state_dict(), "settings": file_settings(trained)}, tmp_path / "model.pt")
    with pytest.raises(ValueError, match="trained with preprocessing='contrast', but this network has 'sam'"):
        prepare(MobileSam(image_size=64), checkpoint=tmp_path / "model.pt")
    network = prepare(MobileSam(image_size=64), checkpoint=tmp_path / "model.pt", any_preprocessing=True)
    assert state_sha256(network) == state_sha256(trained)


@pytest.mark.parametrize("name", MAKERS)
@pytest.mark.parametrize("argument", ["pretrained", "reset_decoder", "seed", "checkpoint", "frozen"])
def test_constructors_only_build(name: str, argument: str) -> None:
    kind = type(made(name, 0))
    with pytest.raises(TypeError, match=f"unexpected keyword argument '{argument}'"):
        kind(**{argument: None})
