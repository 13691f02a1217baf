# Copyright (c) monai_synthfm contributors
# Licensed under the Apache License, Version 2.0 (http://www.apache.org/licenses/LICENSE-2.0).
# SPDX-License-Identifier: Apache-2.0
"""Models that have a name: each can be built, at its published size, from weights that are known."""

from __future__ import annotations

import pytest
import torch

from monai_synthfm.bundles import bundle_path
from monai_synthfm.networks.weights.files import WEIGHTS
from monai_synthfm.networks.weights.known_models import MODELS, SHIPPED

# width, blocks and heads of the image encoders in segment-anything's build_sam.py
SAM_SIZES = {
    "sam_vit_b": (768, 12, 12),
    "sam_vit_l": (1024, 24, 16),
    "sam_vit_h": (1280, 32, 16),
    "medsam": (768, 12, 12),
}


def test_every_model_has_known_weights_or_needs_those_of_the_user() -> None:
    assert {name for name, known in MODELS.items() if known.weights is None} == {"medsam"}
    assert {known.weights for known in MODELS.values()} - {None} <= WEIGHTS.keys()


@pytest.mark.parametrize("name", SAM_SIZES)
def test_sizes_of_sam_are_those_of_its_authors(name: str) -> None:
    known = MODELS[name]
    with torch.device("meta"):
        network = known.network(**known.options)
    blocks = network.image_encoder.blocks
    assert (blocks[0].attn.qkv.in_features, len(blocks), blocks[0].attn.num_heads) == SAM_SIZES[name]
    assert network.image_size == 1024
    assert network.preprocessing == ("medsam" if name == "medsam" else "sam")


@pytest.mark.parametrize("name", [name for name in MODELS if name.startswith("sam2")])
def test_models_of_sam2_are_built_under_their_own_names(name: str) -> None:
    assert MODELS[name].weights == MODELS[name].options["model"] == name


def test_a_decoder_alone_finds_encoders_with_published_weights_for_every_architecture() -> None:
    first = {known.network: known for known in reversed(MODELS.values())}
    assert all(known.weights is not None for known in first.values())


@pytest.mark.parametrize(("name", "bundle"), SHIPPED.items())
def test_shipped_models_belong_to_bundles_of_this_project(name: str, bundle: str) -> None:
    assert name not in MODELS
    assert (bundle_path(bundle) / "configs" / "metadata.json").is_file()
