# Copyright (c) monai_synthfm contributors
# Licensed under the Apache License, Version 2.0 (http://www.apache.org/licenses/LICENSE-2.0).
# SPDX-License-Identifier: Apache-2.0
"""Where the weights of a network come from, seen on the smallest network there can be."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from ignite.engine import Engine
from monai.handlers import CheckpointLoader, CheckpointSaver
from monai.networks.utils import copy_model_state
from torch import nn

from monai_synthfm.inferers.propagation.choice import choose_propagation
from monai_synthfm.networks import ImageEmbedding, MobileSam, NetworkSettings, prepare
from monai_synthfm.networks.pretrained import PretrainedPromptable
from monai_synthfm.prompts import Prompts


class Small(PretrainedPromptable):
    """An encoder, a decoder, and a parameter of its own; it segments nothing."""

    def __init__(self) -> None:
        super().__init__()
        self.encoder = nn.Linear(2, 2)
        self.head = self._new_decoder()
        self.token = nn.Parameter(torch.zeros(3))

    @property
    def decoder(self) -> nn.Module:
        return self.head

    def _new_decoder(self) -> nn.Module:
        return nn.Linear(2, 3)

    def describe(self) -> NetworkSettings:
        return NetworkSettings("Small", {}, {})

    def encode(self, image: torch.Tensor) -> ImageEmbedding:
        raise NotImplementedError("it has weights to load and nothing to compute")

    def predict_masks(self, embedding: ImageEmbedding, prompts: Prompts) -> tuple[torch.Tensor, torch.Tensor]:
        raise NotImplementedError("it has weights to load and nothing to compute")

    def postprocess(self, logits: torch.Tensor, embedding: ImageEmbedding) -> torch.Tensor:
        raise NotImplementedError("it has weights to load and nothing to compute")

    def mask_prompt(self, masks: torch.Tensor, embedding: ImageEmbedding) -> torch.Tensor:
        raise NotImplementedError("it has weights to load and nothing to compute")


def filled(value: float, *parts: str) -> dict[str, torch.Tensor]:
    """A state dict of one value, of the parts with these names or of all."""
    return {
        key: torch.full_like(tensor, value)
        for key, tensor in Small().state_dict().items()
        if not parts or key.partition(".")[0] in parts
    }


def drawn(seed: int) -> nn.Linear:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return nn.Linear(2, 3)


def test_weights_are_set_from_the_whole_to_the_part(tmp_path: Path) -> None:
    torch.save(filled(1.0), tmp_path / "whole.pt")
    torch.save(filled(2.0, "token"), tmp_path / "token.pt")
    torch.save(filled(3.0, "head"), tmp_path / "head.pt")
    net = prepare(
        Small(), pretrained=tmp_path / "whole.pt", reset_decoder=True, seed=4, checkpoint=tmp_path / "token.pt"
    )
    assert (net.encoder.weight == 1).all()
    assert torch.equal(net.head.weight, drawn(4).weight)
    assert (net.token == 2).all()
    net = prepare(
        Small(), pretrained=tmp_path / "whole.pt", reset_decoder=True, seed=4, checkpoint=tmp_path / "head.pt"
    )
    assert (net.head.weight == 3).all()
    assert (net.token == 1).all()


def test_a_frozen_part_has_the_weights_that_were_loaded(tmp_path: Path) -> None:
    torch.save(filled(1.0, "encoder", "head"), tmp_path / "parts.pt")
    net = prepare(Small(), checkpoint=tmp_path / "parts.pt", frozen=["head"]).train()
    assert (net.head.weight == 1).all()
    assert [parameter.requires_grad for parameter in (net.head.weight, net.encoder.weight, net.token)] == [
        False,
        True,
        True,
    ]
    assert (net.head.training, net.encoder.training) == (False, True)


def test_an_optimiser_made_before_goes_on_with_the_new_decoder(tmp_path: Path) -> None:
    torch.save(filled(5.0, "token", "head"), tmp_path / "parts.pt")
    net = prepare(Small(), frozen=["head"])
    before = dict(net.named_parameters())
    net.reset_decoder(seed=1)
    net.load_checkpoint(tmp_path / "parts.pt")
    assert all(parameter is before[name] for name, parameter in net.named_parameters())
    assert not net.head.weight.requires_grad
    assert net.token.requires_grad
    assert net.token.is_leaf


def test_without_a_seed_the_global_generator_decides_and_goes_on() -> None:
    net = Small()
    torch.manual_seed(7)
    net.reset_decoder()
    first = net.head.weight.clone()
    assert torch.equal(first, drawn(7).weight)
    net.reset_decoder()
    assert not torch.equal(net.head.weight, first)


@pytest.mark.parametrize(
    ("state", "message"),
    [
        (filled(0.0, "head") | {"head2.weight": torch.zeros(1)}, r"unknown keys \['head2.weight'\] \(1 in all\)"),
        ({f"b{k}.x": torch.zeros(1) for k in range(5)}, r"unknown keys \['b0.x', 'b1.x', 'b2.x'\] \(5 in all\)"),
        ({"head.weight": torch.zeros(3, 2)}, r"do not fit Linear: 1 keys are missing \['bias'\], 0 are unknown"),
        (filled(0.0, "head") | {"head.extra": torch.zeros(1)}, r"0 keys are missing \[\], 1 are unknown \['extra'\]"),
        ({"token": torch.zeros(1)}, r"token has shape \(1,\), expected \(3,\)"),
    ],
    ids=["a longer name", "many", "torn", "too much", "parameter"],
)
def test_checkpoints_that_do_not_fit_name_file_and_keys(tmp_path: Path, state: dict, message: str) -> None:
    torch.save(state, tmp_path / "wrong.pt")
    with pytest.raises(ValueError, match=rf"wrong\.pt: .*{message}"):
        Small().load_checkpoint(tmp_path / "wrong.pt")


def test_pretrained_weights_are_those_of_the_whole_network(tmp_path: Path) -> None:
    torch.save(filled(1.0, "encoder", "head"), tmp_path / "parts.pt")
    with pytest.raises(ValueError, match=r"parts\.pt: these weights do not fit Small: 1 keys are missing \['token'\]"):
        Small().load_pretrained(tmp_path / "parts.pt")


def saved(network: nn.Module, path: Path) -> Path:
    torch.save({"model": network.state_dict()}, path)
    return path


def by_load_state_dict(source: MobileSam, other: MobileSam, path: Path) -> None:
    other.load_state_dict(torch.load(saved(source, path), weights_only=True)["model"])


def by_monai_checkpoint(source: MobileSam, other: MobileSam, path: Path) -> None:
    engine = Engine(lambda engine, batch: None)
    CheckpointSaver(str(path.parent), {"model": source}, save_final=True, final_filename=path.name).attach(engine)
    engine.run([0], max_epochs=1)
    CheckpointLoader(str(path), {"model": other}).attach(engine)
    engine.run([0], max_epochs=1)


def by_wrapped_network(source: MobileSam, other: MobileSam, path: Path) -> None:
    nn.Sequential(other).load_state_dict(nn.Sequential(source).state_dict())


@pytest.mark.parametrize("combines", [True, False, None])
@pytest.mark.parametrize("way", [by_load_state_dict, by_monai_checkpoint, by_wrapped_network])
def test_whether_the_decoder_combines_prompts_travels_with_its_weights(
    tmp_path: Path, way: Callable[[MobileSam, MobileSam, Path], None], combines: bool | None
) -> None:
    source, other = MobileSam(image_size=64), MobileSam(image_size=64)
    source.combines_prompts, other.combines_prompts = combines, not combines
    way(source, other, tmp_path / "net.pt")
    assert torch.equal(source.mask_decoder.iou_token.weight, other.mask_decoder.iou_token.weight)
    assert other.combines_prompts is combines


@pytest.mark.parametrize("combines", [True, False])
@pytest.mark.parametrize("argument", ["pretrained", "checkpoint"])
def test_a_network_follows_what_a_state_dict_says(tmp_path: Path, argument: str, combines: bool) -> None:
    source = MobileSam(image_size=64)
    source.combines_prompts = combines
    path = saved(source, tmp_path / "net.pt")
    assert prepare(MobileSam(image_size=64), **{argument: path}).combines_prompts is combines


def test_another_decoder_without_a_word_is_asked_about_before_a_volume_is_segmented() -> None:
    network, published = MobileSam(image_size=64), MobileSam(image_size=64)
    copy_model_state(network, dict(published.state_dict()))  # what monai.bundle.load does
    assert torch.equal(network.mask_decoder.iou_token.weight, published.mask_decoder.iou_token.weight)
    with pytest.raises(ValueError, match=r"do not say .* set network\.combines_prompts to True .* or False"):
        choose_propagation(network)
    network.combines_prompts = True
    assert choose_propagation(network).prompter == choose_propagation(published).prompter


def test_the_same_decoder_without_a_word_or_another_encoder_changes_nothing() -> None:
    network = prepare(MobileSam(image_size=64), reset_decoder=True)
    state = dict(network.state_dict())
    network.load_state_dict({**state, "image_encoder.neck.1.bias": state["image_encoder.neck.1.bias"] + 1})
    assert network.combines_prompts is False


def test_a_state_dict_has_its_publishers_keys_alone() -> None:
    assert all(key.partition(".")[0] in ("encoder", "head", "token") for key in Small().state_dict())
