# Copyright (c) monai_synthfm contributors
# Licensed under the Apache License, Version 2.0 (http://www.apache.org/licenses/LICENSE-2.0).
# SPDX-License-Identifier: Apache-2.0
"""Which way of carrying objects suits a network."""

from __future__ import annotations

from copy import deepcopy

import pytest

from monai_synthfm.inferers import MaskPropagation, MemoryPropagation, WindowPropagation
from monai_synthfm.inferers.propagation.choice import PROPAGATIONS, choose_propagation
from monai_synthfm.inferers.propagation.propagation import Propagation
from monai_synthfm.networks import MobileSam, Sam2, Zoom
from tests.bundles.small_bundle import TINY


def published() -> MobileSam:
    network = MobileSam(image_size=64)
    network.combines_prompts = True
    return network


def trained() -> MobileSam:
    """With a decoder of its own, and the published one beside it."""
    network = published()
    network.carry_decoder = deepcopy(network.mask_decoder)
    return network


@pytest.mark.parametrize(
    ("name", "kind"), [("windows", WindowPropagation), ("masks", MaskPropagation), ("memory", MemoryPropagation)]
)
def test_every_way_has_a_name(name: str, kind: type[Propagation]) -> None:
    assert isinstance(choose_propagation(trained(), name), kind)
    assert name in PROPAGATIONS


def test_sam_2_is_carried_by_its_memory_own_decoders_by_windows_and_published_ones_by_their_masks() -> None:
    assert isinstance(choose_propagation(trained()), WindowPropagation)
    assert isinstance(choose_propagation(Zoom(trained())), WindowPropagation)
    assert isinstance(choose_propagation(published()), MaskPropagation)
    assert isinstance(choose_propagation(Sam2(TINY, image_size=32)), MemoryPropagation)


def test_a_propagation_that_is_given_is_taken() -> None:
    given = MaskPropagation(max_change=7.0)
    assert choose_propagation(trained(), given) is given


def test_another_word_is_refused() -> None:
    with pytest.raises(ValueError, match="propagation must be one of windows, masks, memory, got 'mask'"):
        choose_propagation(published(), "mask")
