# Copyright (c) monai_synthfm contributors
# Licensed under the Apache License, Version 2.0 (http://www.apache.org/licenses/LICENSE-2.0).
# SPDX-License-Identifier: Apache-2.0
"""MobileSAM's encoder with a memory: it starts as MobileSAM and follows objects as SAM 2."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from monai_synthfm.inferers.propagation.memory_propagation import MemoryPropagation
from monai_synthfm.networks import MobileSam, MobileSam2, export_decoder, prepare
from monai_synthfm.networks.clip_tracker import ClipTracker
from monai_synthfm.networks.memory_bank import MemoryBank
from monai_synthfm.networks.sam2 import _no_tokens
from monai_synthfm.prompts import Prompts
from monai_synthfm.prompts.slice_prompts import SlicePrompts
from monai_synthfm.slices.slice_frame import SliceFrame
from monai_synthfm.slices.sliced_volume import SlicedVolume

SIZE = (40, 56)
CLICK = Prompts(torch.tensor([[[20.0, 30.0]], [[50.0, 4.0]]]), torch.tensor([[1], [1]]))


@pytest.fixture(scope="module")
def mobile_sam(tmp_path_factory: pytest.TempPathFactory) -> tuple[MobileSam, Path]:
    torch.manual_seed(2)
    network = MobileSam(image_size=64, preprocessing="contrast").eval()
    path = tmp_path_factory.mktemp("weights") / "mobile_sam.pt"
    torch.save(network.state_dict(), path)
    return network, path


@pytest.fixture
def network(mobile_sam: tuple[MobileSam, Path]) -> MobileSam2:
    torch.manual_seed(3)
    return prepare(MobileSam2(image_size=64), pretrained=mobile_sam[1]).eval()


def image(seed: int = 0) -> torch.Tensor:
    return torch.rand(1, 1, *SIZE, generator=torch.Generator().manual_seed(seed))


def awake(network: MobileSam2) -> MobileSam2:
    """Give the layers that start at zero some weight."""
    with torch.no_grad():
        for parameter in network.memory_attention.parameters():
            parameter.add_(0.05 * torch.randn(parameter.shape))
    return network


def test_it_sees_what_mobile_sam_sees(network: MobileSam2, mobile_sam: tuple[MobileSam, Path]) -> None:
    with torch.no_grad():
        ours, theirs = network.encode(image()), mobile_sam[0].encode(image())
    torch.testing.assert_close(ours.features, theirs.features, rtol=0, atol=0)
    assert ours.input_size == theirs.input_size == (46, 64)
    assert [tuple(finer.shape[1:]) for finer in ours.high_resolution] == [(32, 16, 16), (64, 8, 8)]
    assert not any(finer.any() for finer in ours.high_resolution)
    masks = torch.rand(2, *SIZE) > 0.5
    torch.testing.assert_close(network.mask_prompt(masks, ours), mobile_sam[0].mask_prompt(masks, theirs))


def test_its_decoder_starts_with_every_weight_of_mobile_sams(
    network: MobileSam2, mobile_sam: tuple[MobileSam, Path]
) -> None:
    own = network.sam_mask_decoder.state_dict()
    given = {
        key.replace("mlp.lin1", "mlp.layers.0").replace("mlp.lin2", "mlp.layers.1"): value
        for key, value in mobile_sam[0].mask_decoder.state_dict().items()
    }
    assert all(torch.equal(own[key], value) for key, value in given.items())
    assert {key.split(".")[0] for key in own.keys() - given.keys()} == {
        "conv_s0",
        "conv_s1",
        "obj_score_token",
        "pred_obj_score_head",
    }


def test_a_decoder_of_2d_training_is_taken_over_into_the_memory_network(
    network: MobileSam2, mobile_sam: tuple[MobileSam, Path], tmp_path: Path
) -> None:
    other = prepare(
        MobileSam(image_size=64, preprocessing="contrast"), pretrained=mobile_sam[1], reset_decoder=True, seed=5
    )
    other.combines_prompts = True
    torch.save(other.state_dict(), tmp_path / "trained.pt")
    export_decoder(tmp_path / "trained.pt", tmp_path / "decoder.pt", other)
    before = {key: value.clone() for key, value in network.memory_attention.state_dict().items()}
    network.load_checkpoint(tmp_path / "decoder.pt")
    assert torch.equal(
        network.sam_mask_decoder.mask_tokens.weight, other.mask_decoder.mask_tokens.weight.half().float()
    )
    assert network.combines_prompts
    assert all(torch.equal(before[key], value) for key, value in network.memory_attention.state_dict().items())


def test_an_untrained_memory_leaves_features_as_they_are(network: MobileSam2) -> None:
    with torch.no_grad():
        embedding = network.encode(image())
        tracked = network.track(embedding, MemoryBank(3), 0, prompts=CLICK)
        bank = MemoryBank(3).with_prompted(network.memorize(embedding, tracked, 0, is_prompted=True))
        recalled = bank.recall(1, reverse=False, past_only=True)
        attended = network._with_memory(embedding, recalled, bank.pointer_reach)
    torch.testing.assert_close(attended, embedding.features.expand(2, -1, -1, -1), rtol=0, atol=0)


def test_the_mask_of_the_slice_before_prompts_the_next_one(network: MobileSam2) -> None:
    known = torch.zeros(1, *SIZE, dtype=torch.bool)
    known[:, 10:30, 20:40] = True
    with torch.no_grad():
        embedding = network.encode(image())
        tracked = network.track(embedding, MemoryBank(3), 0, masks=known)
        memory = network.memorize(embedding, tracked, 0, is_prompted=True)
        bank = MemoryBank(3).with_prompted(memory)
        next_slice = network.encode(image(1))
        found = network.track(next_slice, bank, 1).decoded
        asked = network._decode_objects(
            next_slice.features, next_slice, _no_tokens(1, known.device), network.mask_prompt(known, embedding)
        ).logits[:, 0]
        assert not torch.allclose(found, network.track(next_slice, bank, 2).decoded, atol=1e-3)
        network.carry_mask = False
        assert network.memorize(embedding, tracked, 0, is_prompted=True).mask is None
        without = network.track(next_slice, bank, 1).decoded
    torch.testing.assert_close(found, asked)
    assert not torch.allclose(found, without, atol=1e-3)


def test_memories_of_slices_that_are_not_prompted_are_coarser(network: MobileSam2) -> None:
    with torch.no_grad():
        embedding = network.encode(image())
        tracked = network.track(embedding, MemoryBank(3), 0, prompts=CLICK)
        shapes = [network.memorize(embedding, tracked, 0, is_prompted=prompted).features.shape for prompted in (1, 0)]
    assert shapes == [(2, 64, 4, 4), (2, 64, 2, 2)]


@pytest.mark.parametrize("start", [0, 2])
def test_clips_are_followed_as_volumes_are(network: MobileSam2, start: int) -> None:
    awake(network)
    clip = torch.rand(1, 1, SIZE[1], SIZE[0], 4, generator=torch.Generator().manual_seed(5))
    with torch.no_grad():
        found = ClipTracker(network).eval()(
            clip, CLICK.points[None], CLICK.point_labels[None], prompt_slice=torch.tensor([start])
        )
        slices = SlicedVolume(clip[0], SliceFrame(2), network)
        expected = torch.full_like(found[0], -1024.0)
        propagation = MemoryPropagation(memory_dtype=torch.float32)
        for masks in propagation(slices, {start: SlicePrompts([0, 1], CLICK)}, "both", range(4)):
            expected[masks.objects, ..., masks.index] = masks.logits.mT
    torch.testing.assert_close(found[0], expected, rtol=1e-3, atol=1e-3)


def test_what_was_trained_is_passed_on_without_the_encoder(
    network: MobileSam2, mobile_sam: tuple[MobileSam, Path], tmp_path: Path
) -> None:
    torch.save(awake(network).state_dict(), tmp_path / "model.pt")
    export_decoder(tmp_path / "model.pt", tmp_path / "network.pt", network)
    written = torch.load(tmp_path / "network.pt", weights_only=True)
    assert not any("image_encoder" in key or "prompt_encoder" in key for key in written)
    again = prepare(MobileSam2(image_size=64), pretrained=mobile_sam[1], checkpoint=tmp_path / "network.pt").eval()
    for key, value in network.state_dict().items():
        torch.testing.assert_close(again.state_dict()[key], value, rtol=1e-3, atol=1e-4)


def test_every_part_that_is_not_frozen_learns(network: MobileSam2) -> None:
    awake(network).freeze("image_encoder", "sam_prompt_encoder")
    tracker = ClipTracker(network).train()
    found = tracker(torch.rand(1, 1, 56, 40, 3), CLICK.points[None], CLICK.point_labels[None])
    (found.logits.square().mean() + found.object_scores.square().mean() + found.iou.mean()).backward()
    silent = [
        name for name, p in network.named_parameters() if p.requires_grad and (p.grad is None or not p.grad.any())
    ]
    # pointers to absent objects are for objects that are absent
    allowed = {"no_obj_ptr", "no_obj_embed_spatial"}
    assert {name for name in silent if "output_hypernetworks" not in name} <= allowed
    assert all(p.grad is None for p in network.image_encoder.parameters())


def test_without_skips_the_finer_features_are_not_seen(network: MobileSam2) -> None:
    torch.nn.init.ones_(network.sam_mask_decoder.conv_s0.weight)
    with torch.no_grad():
        seen = network.decode(network.encode(image()), CLICK.batched())
        network.skips = False
        unseen = network.decode(network.encode(image()), CLICK.batched())
        torch.nn.init.zeros_(network.sam_mask_decoder.conv_s0.weight)
        network.skips = True
        silent = network.decode(network.encode(image()), CLICK.batched())
    assert not torch.allclose(seen, unseen)
    torch.testing.assert_close(unseen, silent)
