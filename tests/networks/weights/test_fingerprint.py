# Copyright (c) monai_synthfm contributors
# Licensed under the Apache License, Version 2.0 (http://www.apache.org/licenses/LICENSE-2.0).
# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import inspect
import json
from typing import Any

import pytest
import torch

from monai_synthfm.networks import MobileSam, Promptable, Sam, Sam2, ViTSize, Zoom
from monai_synthfm.networks.weights.fingerprint import describe_embeddings, describe_network, state_sha256
from tests.networks.conftest import TINY
from tests.networks.upstream_sam2 import SMALL


def tiny(**settings: object) -> MobileSam:
    torch.manual_seed(0)
    return MobileSam(**{"image_size": 64, **settings})


def test_the_hash_of_weights_sees_every_bit() -> None:
    network = tiny()
    before = state_sha256(network)
    with torch.no_grad():
        network.mask_decoder.iou_token.weight[0, 0] += 1e-6
    assert state_sha256(network) != before


def test_the_description_tells_settings_apart() -> None:
    assert describe_network(tiny()) == describe_network(tiny())
    others = [tiny(preprocessing="medsam"), tiny(multimask="always"), tiny(image_size=128)]
    hashes = {describe_network(network)["state_sha256"] for network in (tiny(), *others[:2])}
    assert len(hashes) == 1
    described = [describe_network(network) for network in (tiny(), *others)]
    assert all(described[i] != described[j] for i in range(4) for j in range(i))


_NO_SETTINGS = {"objects_per_pass"}  # how much is computed at a time
_BUILT: dict[type[Promptable], dict[str, Any]] = {
    Sam: {"model": TINY, "image_size": 64},
    MobileSam: {"image_size": 64},
    Sam2: {"model": SMALL["2.1"], "image_size": 64},
}
_OTHER: dict[str, Any] = {
    "image_size": 128,
    "preprocessing": "contrast",
    "multimask": "always",
    "tracking_multimask": "never",
    "max_conditioning": 3,
}


@pytest.mark.parametrize(
    ("network", "setting"),
    [(kind, name) for kind in _BUILT for name in inspect.signature(kind).parameters if name not in _NO_SETTINGS],
)
def test_every_setting_of_a_constructor_is_described_by_the_network_and_by_what_wraps_it(
    network: type[Promptable], setting: str
) -> None:
    given = _BUILT[network]
    other = _OTHER[setting] if setting != "model" else ViTSize(32, 2, 4, (1,)) if network is Sam else SMALL["2.0"]
    for wrap in (lambda built: built, Zoom):
        settings = [wrap(network(**changed)).describe() for changed in (given, {**given, setting: other})]
        both = [json.dumps([one.embeddings, one.masks]) for one in settings]
        assert both[0] != both[1]
        of_masks = setting in ("multimask", "tracking_multimask", "max_conditioning")
        assert (settings[0].embeddings == settings[1].embeddings) == of_masks


def test_what_concerns_masks_alone_is_no_part_of_the_description_of_embeddings() -> None:
    first, second = tiny(), tiny(multimask="always")
    second.combines_prompts = False
    assert describe_embeddings(first) == describe_embeddings(second)
    assert describe_network(second)["combines_prompts"] is False
    wide = [describe_embeddings(Zoom(first, margin)) for margin in (2.0, 3.0)]
    assert wide[0] == wide[1] != describe_embeddings(first)


def test_a_network_without_a_description_is_refused() -> None:
    methods = {name: getattr(MobileSam, name) for name in Promptable.__abstractmethods__ - {"describe"}}
    with pytest.raises(TypeError, match=r"abstract method '?describe"):
        type("Undescribed", (Promptable,), methods)()
