# Copyright (c) monai_synthfm contributors
# Licensed under the Apache License, Version 2.0 (http://www.apache.org/licenses/LICENSE-2.0).
# SPDX-License-Identifier: Apache-2.0
"""Modules of SAM 2: sizes and settings of sam2's own YAML files, shapes, and rotation angles."""

from __future__ import annotations

import inspect
import subprocess
import sys
from typing import Any

import numpy as np
import pytest
import torch
from omegaconf import ListConfig, OmegaConf
from sam2.modeling.backbones.hieradet import Hiera
from torch import nn

from monai_synthfm.networks.sam2_parts import (
    SAM2_SIZES,
    Sam2Size,
    new_image_encoder,
    new_mask_decoder,
    new_memory_attention,
    new_memory_encoder,
    new_prompt_encoder,
)
from tests.networks.upstream_sam2 import CONFIGS, IMAGE_SIZE, SMALL, build_upstream

SIZE = SMALL["2.1"]
YAML_LETTERS = {"tiny": "t", "small": "s", "base_plus": "b+", "large": "l"}


def settings(module: nn.Module) -> dict[str, Any]:
    """What a module and its parts were made with: how they print, and their numbers, words, flags and lists of them."""
    return {
        f"{name} {type(part).__name__}.{key}": tuple(value) if isinstance(value, (tuple, list, ListConfig)) else value
        for name, part in module.named_modules()
        for key, value in {**vars(part), "printed": repr(part)}.items()
        if isinstance(value, (bool, int, float, str, tuple, list, ListConfig))
    }


@pytest.mark.parametrize("name", SAM2_SIZES)
def test_sizes_are_those_of_the_yaml_file(name: str) -> None:
    folder, _, letter = name.partition("_hiera_")
    model = OmegaConf.load(CONFIGS / folder / f"{folder}_hiera_{YAML_LETTERS[letter]}.yaml").model
    defaults = {key: value.default for key, value in inspect.signature(Hiera).parameters.items()}
    trunk = {**defaults, **OmegaConf.to_container(model.image_encoder.trunk)}
    size = SAM2_SIZES[name]
    assert (size.embed_dim, size.num_heads) == (trunk["embed_dim"], trunk["num_heads"])
    assert size.stages == tuple(trunk["stages"])
    assert size.global_att_blocks == tuple(trunk["global_att_blocks"])
    assert size.window_pos_embed == tuple(trunk["window_pos_embed_bkg_spatial_size"])
    assert size.window_spec == tuple(trunk["window_spec"])
    channels = [size.embed_dim * 2**stage for stage in (3, 2, 1, 0)]
    assert channels == list(model.image_encoder.neck.backbone_channel_list)
    attention, encoder = model.memory_attention, model.memory_encoder
    assert size.hidden_dim == model.image_encoder.neck.d_model == attention.d_model
    assert (size.memory_layers, size.mlp_dim) == (attention.num_layers, attention.layer.dim_feedforward)
    assert size.memory_dim == encoder.out_dim == attention.layer.cross_attention.kv_in_dim


@pytest.mark.parametrize("version", SMALL)
def test_every_module_is_made_with_upstreams_settings(version: str) -> None:
    upstream, size = build_upstream(version), SMALL[version]
    pairs = {
        "image encoder": (new_image_encoder(size), upstream.image_encoder),
        "prompt encoder": (new_prompt_encoder(size, IMAGE_SIZE), upstream.sam_prompt_encoder),
        "mask decoder": (new_mask_decoder(size), upstream.sam_mask_decoder),
        "memory attention": (new_memory_attention(size, IMAGE_SIZE), upstream.memory_attention),
        "memory encoder": (new_memory_encoder(size), upstream.memory_encoder),
    }
    for name, (ours, theirs) in pairs.items():
        found, expected = settings(ours.eval()), settings(theirs)
        different = {key for key in {*found, *expected} if found.get(key) != expected.get(key)}
        # how sure the unambiguous mask must be is decided by the network and not by its decoder
        assert {key for key in different if "dynamic_multimask" not in key} == set(), name
        assert len(found) > 5, name


def test_the_encoder_makes_maps_of_a_fourth_an_eighth_and_a_sixteenth() -> None:
    with torch.no_grad():
        found = new_image_encoder(SIZE).eval()(torch.rand(2, 3, IMAGE_SIZE, 2 * IMAGE_SIZE))
    shapes = [(2, SIZE.hidden_dim, IMAGE_SIZE // stride, 2 * IMAGE_SIZE // stride) for stride in (4, 8, 16)]
    assert [tuple(features.shape) for features in found["backbone_fpn"]] == shapes
    assert found["vision_features"] is found["backbone_fpn"][-1]


def test_a_memory_has_its_own_channels_at_a_sixteenth_of_the_mask() -> None:
    encoder = new_memory_encoder(SIZE).eval()
    features = torch.rand(3, SIZE.hidden_dim, 4, 4)
    empty, full = torch.zeros(3, 1, IMAGE_SIZE, IMAGE_SIZE), torch.full((3, 1, IMAGE_SIZE, IMAGE_SIZE), 20.0)
    with torch.no_grad():
        memories = [encoder(features, mask)["vision_features"] for mask in (empty, full)]
    assert memories[0].shape == (3, SIZE.memory_dim, 4, 4)
    assert (memories[0] - memories[1]).abs().max() > 1e-4


def test_rotation_angles_are_those_of_the_grid_of_the_image() -> None:
    height = width = 96 // 16
    channels = SIZE.hidden_dim
    # half of the pairs of channels turn with x and half with y, each pair at its own pace
    pace = 10000.0 ** -(np.arange(0, channels, 4) / channels)
    y, x = (axis.ravel()[:, None] for axis in np.indices((height, width)))
    expected = np.exp(1j * np.concatenate([x * pace, y * pace], axis=1))
    for layer in new_memory_attention(SIZE, 96).layers:
        for attention in (layer.self_attn, layer.cross_attn_image):
            np.testing.assert_allclose(attention.freqs_cis.numpy(), expected, atol=1e-5)


def test_memory_attention_can_be_trained_after_it_was_used_for_inference() -> None:
    attention = new_memory_attention(SIZE, 96).train()
    tokens, memories = torch.rand(36, 2, SIZE.hidden_dim), torch.rand(72, 2, SIZE.memory_dim)
    arguments = {"curr_pos": tokens, "memory_pos": memories, "num_obj_ptr_tokens": 0}
    with torch.inference_mode():
        attention([tokens], memories, **{**arguments, "curr_pos": [tokens]})
    attention(tokens, memories, **arguments).square().mean().backward()
    assert all(parameter.grad is not None for parameter in attention.parameters())


def test_hydra_is_left_to_the_program() -> None:
    program = (
        "from hydra.core.global_hydra import GlobalHydra\n"
        "import monai_synthfm.networks\n"
        "assert not GlobalHydra.instance().is_initialized()\n"
        "from hydra import initialize_config_module\n"
        "initialize_config_module('sam2', version_base='1.2')\n"
        "import importlib; importlib.reload(monai_synthfm.networks.sam2_parts)\n"
        "assert GlobalHydra.instance().is_initialized()\n"
    )
    subprocess.run([sys.executable, "-c", program], check=True)


@pytest.mark.parametrize("block", [1, 4, 9])
def test_a_block_of_the_whole_image_does_not_start_a_stage(block: int) -> None:
    with pytest.raises(ValueError, match=rf"global_att_blocks \[{block}\] must be among the 5 blocks"):
        Sam2Size(8, 1, (1, 1, 2, 1), (3, block), (4, 4))
