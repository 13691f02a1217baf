# Copyright (c) monai_synthfm contributors
# Licensed under the Apache License, Version 2.0 (http://www.apache.org/licenses/LICENSE-2.0).
# SPDX-License-Identifier: Apache-2.0
"""SAM 2: its state dicts, what the constructor refuses, and one step of tracking against sam2's ``track_step``."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from hydra.utils import instantiate
from omegaconf import OmegaConf
from sam2.sam2_video_predictor import SAM2VideoPredictor
from torch.nn import functional as F

from monai_synthfm.networks import (
    SAM2_SIZES,
    ImageEmbedding,
    MemoryBank,
    Sam2,
    SliceMemory,
    TrackedMasks,
    prepare,
)
from monai_synthfm.prompts.prompts import Prompts
from tests.networks.test_sam2_parts import YAML_LETTERS
from tests.networks.upstream_sam2 import CONFIGS, IMAGE_SIZE, SMALL, build_upstream, same_weights

SIZE = (40, 50)
CLICK = Prompts(torch.tensor([[[20.0, 30.0]]]), torch.tensor([[1]]))
BOX = Prompts(boxes=torch.tensor([[5.0, 6.0, 30.0, 33.0]]))
LENGTH = 9


@pytest.fixture
def small() -> Sam2:
    """A network that a test may change."""
    torch.manual_seed(0)
    return Sam2(SMALL["2.1"], image_size=IMAGE_SIZE)


@pytest.mark.parametrize(
    "name", [n if n.endswith("tiny") else pytest.param(n, marks=pytest.mark.slow) for n in SAM2_SIZES]
)
def test_keys_and_shapes_are_those_of_the_yaml_file(name: str) -> None:
    folder, _, size = name.partition("_hiera_")
    config = OmegaConf.load(CONFIGS / folder / f"{folder}_hiera_{YAML_LETTERS[size]}.yaml")
    theirs = instantiate(config.model).state_dict()
    ours = Sam2(name).state_dict()
    assert {key: value.shape for key, value in ours.items()} == {key: value.shape for key, value in theirs.items()}


@pytest.mark.parametrize("version", SMALL)
def test_a_published_checkpoint_loads_strictly(tmp_path: Path, version: str) -> None:
    state = build_upstream(version).state_dict()
    torch.save({"model": state}, tmp_path / "sam2.pt")
    for arguments in ({"pretrained": tmp_path / "sam2.pt"}, {"checkpoint": str(tmp_path / "sam2.pt")}):
        loaded = prepare(Sam2(SMALL[version], image_size=IMAGE_SIZE), **arguments).state_dict()
        assert loaded.keys() == state.keys()
        assert all(torch.equal(value, loaded[key]) for key, value in state.items())


def test_the_versions_do_not_fit_each_other(tmp_path: Path) -> None:
    torch.save(build_upstream("2.0").state_dict(), tmp_path / "old.pt")
    with pytest.raises(ValueError, match=r"old.pt: these weights do not fit Sam2: 3 keys are missing"):
        prepare(Sam2(SMALL["2.1"], image_size=IMAGE_SIZE), pretrained=tmp_path / "old.pt")


def test_the_same_weights_serve_another_image_size(tmp_path: Path, small: Sam2) -> None:
    torch.save(small.state_dict(), tmp_path / "small.pt")
    large = prepare(Sam2(SMALL["2.1"], image_size=128), pretrained=tmp_path / "small.pt").eval()
    assert all(torch.equal(value, small.state_dict()[key]) for key, value in large.state_dict().items())
    assert large(torch.rand(1, 1, 50, 60)).shape == (1, 1, 50, 60)


def test_parts_and_single_parameters_are_checkpoints(tmp_path: Path, small: Sam2) -> None:
    part = {
        key: value
        for key, value in small.state_dict().items()
        if key.startswith(("memory_attention.", "maskmem_tpos_enc"))
    }
    torch.save(part, tmp_path / "memory.pt")
    other = prepare(Sam2(SMALL["2.1"], image_size=IMAGE_SIZE), checkpoint=tmp_path / "memory.pt").state_dict()
    same = {key for key, value in small.state_dict().items() if torch.equal(value, other[key])}
    assert part.keys() <= same
    assert "no_mem_embed" not in same
    torch.save({"maskmem_tpos_enc": torch.zeros(5, 1, 1, 8)}, tmp_path / "short.pt")
    with pytest.raises(
        ValueError, match=r"short.pt: maskmem_tpos_enc has shape \(5, 1, 1, 8\), expected \(7, 1, 1, 8\)"
    ):
        small.load_checkpoint(tmp_path / "short.pt")
    torch.save({"mask_decoder.weight": torch.zeros(1)}, tmp_path / "sam.pt")
    with pytest.raises(ValueError, match=r"sam.pt: unknown keys \['mask_decoder.weight'\]"):
        small.load_checkpoint(tmp_path / "sam.pt")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"model": "hiera_tiny"}, r"model must be one of \['sam2.1_hiera_tiny', .*'sam2_hiera_large'\] or a Sam2Size"),
        ({"preprocessing": "medsam"}, r"preprocessing must be one of \['sam', 'contrast'\], got 'medsam'"),
        ({"image_size": 80}, "image_size must be a positive multiple of 32 pixels, got 80"),
        ({"objects_per_pass": 0}, "objects_per_pass must be at least 1, got 0"),
        ({"max_conditioning": 1}, "max_conditioning must be at least 2, one on either side, got 1"),
        ({"tracking_multimask": "sometimes"}, "multimask must be one of .*got 'sometimes'"),
    ],
)
def test_arguments_that_make_no_network_are_refused(arguments: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Sam2(**{"model": SMALL["2.1"], "image_size": IMAGE_SIZE, **arguments})


def test_upstream_weights_of_the_tests_leave_no_branch_unseen() -> None:
    network = same_weights(build_upstream("2.1"), "2.1")
    assert all(parameter.std() > 0.01 for parameter in network.parameters() if parameter.numel() > 1)


@pytest.fixture(scope="module", params=SMALL)
def version(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.fixture(scope="module")
def upstream(version: str) -> SAM2VideoPredictor:
    return build_upstream(version)


@pytest.fixture(scope="module")
def ours(upstream: SAM2VideoPredictor, version: str) -> Sam2:
    return same_weights(upstream, version)


@pytest.fixture
def trainable() -> Sam2:
    """A network of version 2.1 that a test may train."""
    return same_weights(build_upstream("2.1"), "2.1").train()


def slices(count: int, batch: int = 1) -> list[torch.Tensor]:
    generator = torch.Generator().manual_seed(7)
    return [torch.rand(batch, 1, *SIZE, generator=generator) for _ in range(count)]


def upstream_step(network: SAM2VideoPredictor, ours: Sam2, image: torch.Tensor, **arguments: Any) -> dict[str, Any]:
    """sam2's ``track_step`` on an image [1, 1, H, W]."""
    square = F.interpolate(image, (IMAGE_SIZE,) * 2, mode="bilinear", antialias=True)
    square = (square - ours.pixel_mean) / ours.pixel_std
    _, features, positions, sizes = network._prepare_backbone_features(network.forward_image(square))
    return network.track_step(
        current_vision_feats=features,
        current_vision_pos_embeds=positions,
        feat_sizes=sizes,
        num_frames=LENGTH,
        **arguments,
    )


def points_of(prompts: Prompts) -> dict[str, torch.Tensor]:
    """Clicks in upstream's frame, with the box first."""
    coords, labels = [], []
    if prompts.boxes is not None:
        coords.append(prompts.boxes.view(1, 2, 2))
        labels.append(torch.tensor([[2, 3]]))
    if prompts.points is not None:
        coords.append(prompts.points)
        labels.append(prompts.point_labels)
    scale = torch.tensor([IMAGE_SIZE / SIZE[1], IMAGE_SIZE / SIZE[0]])
    return {"point_coords": torch.cat(coords, 1) * scale, "point_labels": torch.cat(labels, 1).int()}


def remembered(ours: Sam2, images: list[torch.Tensor], prompts: Prompts) -> MemoryBank:
    """The first image prompted, the others tracked upwards."""
    bank = MemoryBank(LENGTH)
    for index, image in enumerate(images):
        embedding = ours.encode(image)
        tracked = ours.track(embedding, bank, index, prompts if index == 0 else None)
        memory = ours.memorize(embedding, tracked, index, is_prompted=index == 0)
        bank = bank.with_prompted(memory) if index == 0 else bank.with_tracked(memory, coming=index + 1)
    return bank


def as_outputs(bank: MemoryBank, network: SAM2VideoPredictor) -> dict[str, dict[int, dict[str, Any]]]:
    """A bank in upstream's form."""

    def output(memory: SliceMemory) -> dict[str, Any]:
        position = network.memory_encoder.position_encoding(memory.features)
        return {"maskmem_features": memory.features, "maskmem_pos_enc": [position], "obj_ptr": memory.pointer}

    return {
        "cond_frame_outputs": {memory.index: output(memory) for memory in bank.prompted},
        "non_cond_frame_outputs": {memory.index: output(memory) for memory in bank.recent},
    }


def check_equal(found: TrackedMasks, expected: dict[str, Any]) -> None:
    torch.testing.assert_close(found.logits[:, None], expected["pred_masks"], atol=1e-4, rtol=0)
    torch.testing.assert_close(found.pointer, expected["obj_ptr"], atol=1e-5, rtol=0)
    torch.testing.assert_close(found.object_score[:, None], expected["object_score_logits"], atol=1e-5, rtol=0)


@pytest.mark.parametrize("prompts", [CLICK, BOX, replace(BOX, points=CLICK.points, point_labels=CLICK.point_labels)])
@torch.no_grad()
def test_a_prompted_slice_and_its_memory_equal_upstream(
    ours: Sam2, upstream: SAM2VideoPredictor, prompts: Prompts
) -> None:
    (image,) = slices(1)
    expected = upstream_step(
        upstream,
        ours,
        image,
        frame_idx=0,
        is_init_cond_frame=True,
        point_inputs=points_of(prompts),
        mask_inputs=None,
        output_dict={},
    )
    embedding = ours.encode(image)
    found = ours.track(embedding, MemoryBank(LENGTH), 0, prompts)
    check_equal(found, expected)
    memory = ours.memorize(embedding, found, 0, is_prompted=True)
    torch.testing.assert_close(memory.features, expected["maskmem_features"], atol=1e-4, rtol=0)


@torch.no_grad()
def test_a_known_mask_is_kept_and_remembered_as_upstream_does(ours: Sam2, upstream: SAM2VideoPredictor) -> None:
    (image,) = slices(1)
    mask = torch.zeros(1, *SIZE, dtype=torch.bool)
    mask[0, 10:25, 12:40] = True
    square = F.interpolate(mask[None].float(), (IMAGE_SIZE,) * 2, mode="bilinear", antialias=True) >= 0.5
    expected = upstream_step(
        upstream,
        ours,
        image,
        frame_idx=0,
        is_init_cond_frame=True,
        point_inputs=None,
        mask_inputs=square.float(),
        output_dict={},
    )
    embedding = ours.encode(image)
    found = ours.track(embedding, MemoryBank(LENGTH), 0, masks=mask)
    check_equal(found, expected)
    back = ours.postprocess(found.logits[None], embedding)[0] > 0
    assert (back & mask).sum() / (back | mask).sum() > 0.85
    empty = ours.track(embedding, MemoryBank(LENGTH), 0, masks=torch.zeros_like(mask))
    assert not empty.present
    assert torch.equal(empty.pointer, ours.no_obj_ptr)


@pytest.mark.parametrize("prompts", [None, CLICK, BOX])
@pytest.mark.parametrize("reverse", [False, True])
@torch.no_grad()
def test_a_slice_with_memory_equals_upstream_with_and_without_corrections(
    ours: Sam2, upstream: SAM2VideoPredictor, prompts: Prompts | None, reverse: bool
) -> None:
    images = slices(4)
    bank = remembered(ours, images[:3], CLICK)
    index = 3
    if reverse:
        flipped = [replace(memory, index=LENGTH - 1 - memory.index) for memory in (*bank.prompted, *bank.recent)]
        bank = MemoryBank(LENGTH, tuple(flipped[:1]), tuple(flipped[1:]))
        index = LENGTH - 1 - index
    low = 5.0 * torch.randn(1, 1, 16, 16, generator=torch.Generator().manual_seed(2))
    expected = upstream_step(
        upstream,
        ours,
        images[3],
        frame_idx=index,
        is_init_cond_frame=False,
        point_inputs=None if prompts is None else points_of(prompts),
        mask_inputs=None,
        output_dict=as_outputs(bank, upstream),
        track_in_reverse=reverse,
        prev_sam_mask_logits=None if prompts is None else low,
    )
    given = None if prompts is None else replace(prompts, masks=low)
    embedding = ours.encode(images[3])
    found = ours.track(embedding, bank, index, given, reverse=reverse)
    check_equal(found, expected)
    alone = ours.track(embedding, MemoryBank(LENGTH), index, given or CLICK)
    assert (found.decoded - alone.decoded).abs().mean() > 0.1


@torch.no_grad()
def test_objects_and_volumes_in_one_batch_equal_each_alone(ours: Sam2) -> None:
    images = slices(3, batch=2)
    points = torch.tensor([[[[20.0, 30.0]], [[5.0, 6.0]]], [[[44.0, 12.0]], [[9.0, 31.0]]]])
    together = remembered(ours, images[:2], Prompts(points, torch.ones(2, 2, 1, dtype=torch.int64)))
    found = ours.track(ours.encode(images[2]), together, 2)
    assert found.logits.shape == (4, 16, 16)
    for row in range(4):
        volume = [image[row // 2 : row // 2 + 1] for image in images]
        click = Prompts(points[row // 2, row % 2][None], torch.ones(1, 1, dtype=torch.int64))
        alone = ours.track(ours.encode(volume[2]), remembered(ours, volume[:2], click), 2)
        torch.testing.assert_close(found.logits[row], alone.logits[0], atol=1e-3, rtol=0)
        torch.testing.assert_close(found.pointer[row], alone.pointer[0], atol=1e-3, rtol=0)


def test_gradients_reach_the_prompted_slice_through_the_memory(trainable: Sam2) -> None:
    first, second = (trainable.encode(image) for image in slices(2))
    first = replace(first, features=first.features.detach().requires_grad_())
    trainable.tracking_multimask = "never"
    tracked = trainable.track(first, MemoryBank(2), 0, CLICK)
    bank = MemoryBank(2).with_prompted(trainable.memorize(first, tracked, 0, is_prompted=True))
    trainable.track(second, bank, 1).decoded.square().mean().backward()
    assert first.features.grad.abs().sum() > 0
    trained = {name for name, parameter in trainable.named_parameters() if parameter.grad is not None}
    for name in ("memory_encoder.out_proj.weight", "maskmem_tpos_enc", "obj_ptr_tpos_proj.weight", "no_mem_embed"):
        assert name in trained
    assert "no_mem_pos_enc" not in trained


def test_training_remembers_prompted_slices_in_grey(trainable: Sam2) -> None:
    (image,) = slices(1)
    with torch.no_grad():
        embedding = trainable.encode(image)
        tracked = trainable.track(embedding, MemoryBank(2), 0, CLICK)
        tracked = replace(tracked, object_score=torch.ones(1))
        grey = [trainable.memorize(embedding, tracked, 0, is_prompted).features for is_prompted in (True, False)]
        trainable.eval()
        black = trainable.memorize(embedding, tracked, 0, is_prompted=True).features
    assert 0.1 < (tracked.logits > 0).float().mean() < 0.9
    assert torch.equal(*grey)
    assert not torch.allclose(grey[0], black, atol=1e-2)


@pytest.mark.parametrize(("mode", "alternatives"), [("never", False), ("single_click", True), ("always", True)])
@torch.no_grad()
def test_slices_without_prompts_take_alternatives_as_told(
    ours: Sam2, monkeypatch: pytest.MonkeyPatch, mode: str, alternatives: bool
) -> None:
    images = slices(2)
    bank = remembered(ours, images[:1], CLICK)
    embedding = ours.encode(images[1])
    monkeypatch.setattr(ours, "tracking_multimask", mode)
    found = ours.track(embedding, bank, 1)
    chosen = 1 + int(found.iou[0, 1:].argmax()) if alternatives else 0
    assert torch.equal(found.decoded, found.candidates[:, chosen])


@torch.no_grad()
def test_what_cannot_be_tracked_is_said(ours: Sam2) -> None:
    (image,) = slices(1)
    embedding: ImageEmbedding = ours.encode(image)
    with pytest.raises(ValueError, match="without prompts and without memory"):
        ours.track(embedding, MemoryBank(LENGTH), 0)
    with pytest.raises(ValueError, match="give prompts or masks, not both"):
        ours.track(embedding, MemoryBank(LENGTH), 0, CLICK, masks=torch.ones(1, *SIZE))
    two = Prompts(torch.ones(2, 1, 2), torch.ones(2, 1, dtype=torch.int64))
    with pytest.raises(ValueError, match="the memory is of 1 objects, the prompts of 2"):
        ours.track(embedding, remembered(ours, [image], CLICK), 1, two)
