# Copyright (c) monai_synthfm contributors
# Licensed under the Apache License, Version 2.0 (http://www.apache.org/licenses/LICENSE-2.0).
# SPDX-License-Identifier: Apache-2.0
"""State dicts of SAM: upstream's keys, other image sizes, parts, and the decoder from scratch."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from segment_anything import sam_model_registry
from segment_anything.modeling import MaskDecoder, TwoWayTransformer
from segment_anything.modeling.image_encoder import get_rel_pos
from torch.nn import functional as F

from monai_synthfm.networks import SAM_ENCODERS, Sam, prepare
from monai_synthfm.networks.sam import ResizableImageEncoder

from .conftest import TINY, build_upstream


@pytest.mark.parametrize("model", SAM_ENCODERS)
def test_keys_and_shapes_are_upstreams(model: str) -> None:
    with torch.device("meta"):
        ours, theirs = Sam(model).state_dict(), sam_model_registry[model]().state_dict()
    assert {key: value.shape for key, value in ours.items()} == {key: value.shape for key, value in theirs.items()}


def test_checkpoint_of_the_whole_network_makes_a_round_trip(tmp_path: Path, tiny_sam: Sam) -> None:
    torch.save({"model": tiny_sam.state_dict()}, tmp_path / "net.pt")
    torch.manual_seed(1)
    for arguments in ({"pretrained": tmp_path / "net.pt"}, {"checkpoint": str(tmp_path / "net.pt")}):
        copy = prepare(Sam(TINY, image_size=64), **arguments).state_dict()
        assert all(torch.equal(value, copy[key]) for key, value in tiny_sam.state_dict().items())


def test_checkpoint_of_another_image_size_loads_with_resized_positions(tmp_path: Path) -> None:
    large = build_upstream(256).state_dict()
    torch.save(large, tmp_path / "large.pt")
    small = prepare(Sam(TINY, image_size=64), pretrained=tmp_path / "large.pt").state_dict()
    changed = {key for key, value in large.items() if not torch.equal(value, small[key].expand_as(small[key]))}
    blocks = {f"image_encoder.blocks.1.attn.rel_pos_{axis}" for axis in "hw"}
    assert changed == {"image_encoder.pos_embed"} | blocks
    assert small["image_encoder.pos_embed"].shape == (1, 4, 4, 32)
    # Averages over 4 x 4 tokens are what antialiasing keeps of white noise.
    blocks_of_four = F.avg_pool2d(large["image_encoder.pos_embed"].permute(0, 3, 1, 2), 4)
    correlation = torch.corrcoef(
        torch.stack([blocks_of_four.flatten(), small["image_encoder.pos_embed"].permute(0, 3, 1, 2).flatten()])
    )[0, 1]
    assert correlation > 0.9


def test_positions_that_grow_evenly_still_do_after_resizing() -> None:
    with torch.device("meta"):
        encoder = ResizableImageEncoder(img_size=128, embed_dim=4, depth=1, num_heads=1, use_rel_pos=True)
    encoder = encoder.to_empty(device="cpu")
    fine = torch.arange(16.0)
    state = encoder.state_dict()
    state["pos_embed"] = (10 * fine[:, None] + fine)[None, :, :, None].expand(1, 16, 16, 4)
    state["blocks.0.attn.rel_pos_h"] = torch.arange(31.0)[:, None].expand(31, 4)
    encoder.load_state_dict(state)
    # a coarse token lies between two fine ones; two at each border lack fine ones that their average takes in
    between = torch.tensor([4.5, 6.5, 8.5, 10.5])
    torch.testing.assert_close(encoder.pos_embed[0, 2:6, 2:6, 0], 10 * between[:, None] + between)
    places = (np.arange(15) + 0.5) * 31 / 15 - 0.5
    expected = np.interp(places, np.arange(31), np.arange(31))
    np.testing.assert_allclose(encoder.blocks[0].attn.rel_pos_h[:, 0].detach(), expected, rtol=1e-5)


def test_relative_positions_are_resized_as_upstream_does_at_run_time() -> None:
    large = build_upstream(256)
    small = Sam(TINY, image_size=64)
    small.load_state_dict(large.state_dict())
    given = large.image_encoder.blocks[1].attn.rel_pos_h
    kept = small.image_encoder.blocks[1].attn.rel_pos_h
    torch.testing.assert_close(get_rel_pos(4, 4, kept), get_rel_pos(4, 4, given))


def test_part_of_a_network_is_a_checkpoint(tmp_path: Path, tiny_sam: Sam) -> None:
    decoder = {key: value for key, value in tiny_sam.state_dict().items() if key.startswith("mask_decoder.")}
    torch.save(decoder, tmp_path / "decoder.pt")
    torch.manual_seed(1)
    other = prepare(Sam(TINY, image_size=64), reset_decoder=True, checkpoint=tmp_path / "decoder.pt").state_dict()
    assert all(torch.equal(other[key], value) for key, value in decoder.items())
    key = "image_encoder.neck.0.weight"
    assert not torch.equal(other[key], tiny_sam.state_dict()[key])


def test_checkpoints_that_do_not_fit_are_refused(tmp_path: Path, tiny_sam: Sam) -> None:
    state = tiny_sam.state_dict()
    torch.save({"backbone.weight": torch.ones(1)}, tmp_path / "foreign.pt")
    with pytest.raises(ValueError, match=r"foreign.pt: unknown keys \['backbone.weight'\]"):
        tiny_sam.load_checkpoint(tmp_path / "foreign.pt")
    torch.save({"mask_decoder.iou_token.weight": state["mask_decoder.iou_token.weight"]}, tmp_path / "torn.pt")
    with pytest.raises(
        ValueError, match=r"torn.pt: these weights do not fit MaskDecoder: \d+ keys are missing .*, 0 are unknown"
    ):
        tiny_sam.load_checkpoint(tmp_path / "torn.pt")
    decoder = {key: value for key, value in state.items() if key.startswith("mask_decoder.")}
    torch.save(decoder, tmp_path / "decoder.pt")
    with pytest.raises(ValueError, match=r"decoder.pt: these weights do not fit Sam: \d+ keys are missing"):
        prepare(Sam(TINY, image_size=64), pretrained=tmp_path / "decoder.pt")
    state["mask_decoder.iou_token.weight"] = torch.zeros(1, 8)
    torch.save(state, tmp_path / "narrow.pt")
    with pytest.raises(ValueError, match=r"(?s)narrow.pt: .*size mismatch for iou_token.weight"):
        tiny_sam.load_checkpoint(tmp_path / "narrow.pt")


def test_reset_decoder_is_reproducible_and_leaves_the_global_generator_alone(tiny_sam: Sam) -> None:
    before = {key: value.clone() for key, value in tiny_sam.state_dict().items()}
    generator = torch.get_rng_state()
    tiny_sam.reset_decoder(seed=5)
    assert torch.equal(torch.get_rng_state(), generator)
    first = {key: value.clone() for key, value in tiny_sam.state_dict().items()}
    tiny_sam.reset_decoder(seed=6)
    second = {key: value.clone() for key, value in tiny_sam.state_dict().items()}
    tiny_sam.reset_decoder(seed=5)
    assert all(torch.equal(value, first[key]) for key, value in tiny_sam.state_dict().items())
    changed = {key for key in before if not torch.equal(first[key], before[key])}
    assert changed == {key for key in before if not torch.equal(first[key], second[key])}
    assert {key.partition(".")[0] for key in changed} == {"mask_decoder"}
    assert "mask_decoder.output_hypernetworks_mlps.0.layers.0.weight" in changed


def test_reset_decoder_draws_what_upstreams_constructor_draws(tiny_sam: Sam) -> None:
    torch.manual_seed(11)
    transformer = TwoWayTransformer(depth=2, embedding_dim=256, num_heads=8, mlp_dim=2048)
    expected = MaskDecoder(transformer_dim=256, transformer=transformer).state_dict()
    tiny_sam.reset_decoder(seed=11)
    found = tiny_sam.mask_decoder.state_dict()
    assert all(torch.equal(value, found[key]) for key, value in expected.items())


def test_the_decoder_of_pretrained_weights_is_drawn_anew(tmp_path: Path, tiny_sam: Sam) -> None:
    torch.save(tiny_sam.state_dict(), tmp_path / "net.pt")
    nets = [
        prepare(Sam(TINY, image_size=64), pretrained=tmp_path / "net.pt", reset_decoder=True, seed=3) for _ in range(2)
    ]
    states = [net.state_dict() for net in nets]
    assert all(torch.equal(value, states[1][key]) for key, value in states[0].items())
    assert not torch.equal(states[0]["mask_decoder.iou_token.weight"], tiny_sam.mask_decoder.iou_token.weight)
    assert torch.equal(states[0]["image_encoder.pos_embed"], tiny_sam.image_encoder.pos_embed)
