# Copyright (c) monai_synthfm contributors
# Licensed under the Apache License, Version 2.0 (http://www.apache.org/licenses/LICENSE-2.0).
# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import torch

from monai_synthfm.networks import MobileSam
from monai_synthfm.networks.signature import describe_network, state_sha256


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
    hashes = {describe_network(network)["weights_sha256"] for network in (tiny(), *others[:2])}
    assert len(hashes) == 1
    described = [describe_network(network) for network in (tiny(), *others)]
    assert all(described[i] != described[j] for i in range(4) for j in range(i))
