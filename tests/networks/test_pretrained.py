# Copyright (c) monai_synthfm contributors
# Licensed under the Apache License, Version 2.0 (http://www.apache.org/licenses/LICENSE-2.0).
# SPDX-License-Identifier: Apache-2.0
"""Where the weights of a network come from, seen on the smallest network there can be."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from monai_synthfm.networks import ImageEmbedding
from monai_synthfm.networks.pretrained import PretrainedPromptable
from monai_synthfm.prompts import Prompts


class Small(PretrainedPromptable):
    """An encoder, a decoder, and a parameter of its own; it segments nothing."""

    def __init__(self, **arguments: Any) -> None:
        super().__init__()
        self.encoder = nn.Linear(2, 2)
        self.head = self._new_decoder()
        self.token = nn.Parameter(torch.zeros(3))
        defaults = {"pretrained": None, "reset_decoder": False, "seed": None, "checkpoint": None, "frozen": ()}
        self._initialise(**{**defaults, **arguments})

    @property
    def decoder(self) -> nn.Module:
        return self.head

    def _new_decoder(self) -> nn.Module:
        return nn.Linear(2, 3)

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
    net = Small(pretrained=tmp_path / "whole.pt", reset_decoder=True, seed=4, checkpoint=tmp_path / "token.pt")
    assert (net.encoder.weight == 1).all()
    assert torch.equal(net.head.weight, drawn(4).weight)
    assert (net.token == 2).all()
    net = Small(pretrained=tmp_path / "whole.pt", reset_decoder=True, seed=4, checkpoint=tmp_path / "head.pt")
    assert (net.head.weight == 3).all()
    assert (net.token == 1).all()


def test_a_frozen_part_has_the_weights_that_were_loaded(tmp_path: Path) -> None:
    torch.save(filled(1.0, "encoder", "head"), tmp_path / "parts.pt")
    net = Small(checkpoint=tmp_path / "parts.pt", frozen=["head"]).train()
    assert (net.head.weight == 1).all()
    assert [parameter.requires_grad for parameter in (net.head.weight, net.encoder.weight, net.token)] == [
        False,
        True,
        True,
    ]
    assert (net.head.training, net.encoder.training) == (False, True)


def test_an_optimiser_made_before_goes_on_with_the_new_decoder(tmp_path: Path) -> None:
    torch.save(filled(5.0, "token", "head"), tmp_path / "parts.pt")
    net = Small(frozen=["head"])
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
        Small(pretrained=tmp_path / "parts.pt")
