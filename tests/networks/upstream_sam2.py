# Copyright (c) monai_synthfm contributors
# Licensed under the Apache License, Version 2.0 (http://www.apache.org/licenses/LICENSE-2.0).
# SPDX-License-Identifier: Apache-2.0
"""sam2's own networks, made from sam2's own YAML files with fewer channels and random weights."""

from __future__ import annotations

from pathlib import Path

import sam2
import torch
from hydra.utils import instantiate
from omegaconf import OmegaConf
from sam2.sam2_image_predictor import SAM2ImagePredictor
from sam2.sam2_video_predictor import SAM2VideoPredictor

from monai_synthfm.networks import Sam2, Sam2Size

IMAGE_SIZE = 64
CONFIGS = Path(sam2.__file__).parent / "configs"
SMALL = {
    "2.1": Sam2Size(8, 1, (1, 1, 2, 1), (3,), (4, 4), hidden_dim=32, memory_dim=8, memory_layers=2),
    "2.0": Sam2Size(8, 1, (1, 1, 2, 1), (3,), (4, 4), hidden_dim=32, memory_dim=8, memory_layers=2, version="2.0"),
}

# Seed, and standard deviation of the memory's weights, that make masks with an inside and an outside, objects that are
# there, and slices that depend on what is remembered.
_DRAWS = {"2.1": (7, 4.0), "2.0": (9, 2.5)}


def build_upstream(version: str, image_size: int = IMAGE_SIZE, **options: object) -> SAM2VideoPredictor:
    """sam2's video predictor of SMALL size as ``build_sam2_video_predictor`` would make it, without filling of holes.

    Args:
        version: ``"2.0"`` or ``"2.1"``.
        image_size: in pixels.
        options: further arguments of the predictor.
    """
    folder = "sam2" if version == "2.0" else "sam2.1"
    config = OmegaConf.load(CONFIGS / folder / f"{folder}_hiera_t.yaml").model
    size = SMALL[version]
    attention = {
        "embedding_dim": size.hidden_dim,
        "feat_sizes": [image_size // 16, image_size // 16],
    }
    small = {
        "_target_": "sam2.sam2_video_predictor.SAM2VideoPredictor",
        "image_size": image_size,
        "image_encoder": {
            "trunk": {
                "embed_dim": size.embed_dim,
                "num_heads": size.num_heads,
                "stages": list(size.stages),
                "global_att_blocks": list(size.global_att_blocks),
                "window_pos_embed_bkg_spatial_size": list(size.window_pos_embed),
            },
            "neck": {
                "d_model": size.hidden_dim,
                "position_encoding": {"num_pos_feats": size.hidden_dim},
                "backbone_channel_list": [size.embed_dim * factor for factor in (8, 4, 2, 1)],
            },
        },
        "memory_attention": {
            "d_model": size.hidden_dim,
            "num_layers": size.memory_layers,
            "layer": {
                "d_model": size.hidden_dim,
                "self_attention": attention,
                "cross_attention": {**attention, "kv_in_dim": size.memory_dim},
            },
        },
        "memory_encoder": {
            "in_dim": size.hidden_dim,
            "out_dim": size.memory_dim,
            "position_encoding": {"num_pos_feats": size.memory_dim},
            "mask_downsampler": {"embed_dim": size.hidden_dim},
            "fuser": {"layer": {"dim": size.hidden_dim}},
        },
        "binarize_mask_from_pts_for_mem_enc": True,
        "sam_mask_decoder_extra_args": {
            "dynamic_multimask_via_stability": True,
            "dynamic_multimask_stability_delta": 0.05,
            "dynamic_multimask_stability_thresh": 0.98,
        },
        **options,
    }
    network = instantiate(OmegaConf.merge(config, small))
    seed, memory_gain = _DRAWS[version]
    torch.manual_seed(seed)
    with torch.no_grad():
        for name, parameter in network.named_parameters():
            # No constants of the constructor (layer scales start at a millionth), so that every branch leaves a mark.
            fan_in = parameter[0].numel() if parameter.ndim > 1 else 4
            gain = memory_gain if name.startswith("memory_") else 1.3
            parameter.normal_(std=gain * fan_in**-0.5)
            if name.endswith("norm.weight"):
                parameter.add_(1.0)
    return network.eval()


def image_predictor(network: SAM2VideoPredictor) -> SAM2ImagePredictor:
    """sam2's image predictor, whose feature sizes are written for 1024 pixels."""
    predictor = SAM2ImagePredictor(network)
    predictor._bb_feat_sizes = [(network.image_size // stride,) * 2 for stride in (4, 8, 16)]
    return predictor


def same_weights(upstream: SAM2VideoPredictor, version: str, **options: object) -> Sam2:
    """Our network with upstream's weights, loaded strictly."""
    network = Sam2(SMALL[version], image_size=upstream.image_size, **options)
    network.load_state_dict(upstream.state_dict())
    return network.eval()
