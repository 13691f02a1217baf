# Copyright (c) monai_synthfm contributors
# Licensed under the Apache License, Version 2.0 (http://www.apache.org/licenses/LICENSE-2.0).
# SPDX-License-Identifier: Apache-2.0
"""MobileSAM as a whole: segment-anything around the same encoder, its published size, and its constructor."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from segment_anything import SamPredictor
from segment_anything.modeling import MaskDecoder, PromptEncoder, TwoWayTransformer
from segment_anything.modeling import Sam as UpstreamSam

from monai_synthfm.networks import MobileSam, prepare
from monai_synthfm.networks.tiny_vit import TinyViT
from monai_synthfm.prompts import Prompts


class UpstreamTinyViT(TinyViT):
    """The encoder as segment-anything's predictor needs it."""

    img_size = 64


@pytest.fixture(scope="module")
def net() -> MobileSam:
    torch.manual_seed(0)
    return MobileSam(image_size=64).eval()


@pytest.fixture(scope="module")
def upstream(net: MobileSam) -> SamPredictor:
    """segment-anything around our encoder, with the state dict of our network, loaded strictly."""
    model = UpstreamSam(
        image_encoder=UpstreamTinyViT(256),
        prompt_encoder=PromptEncoder(
            embed_dim=256, image_embedding_size=(4, 4), input_image_size=(64, 64), mask_in_chans=16
        ),
        mask_decoder=MaskDecoder(
            num_multimask_outputs=3,
            transformer=TwoWayTransformer(depth=2, embedding_dim=256, mlp_dim=2048, num_heads=8),
            transformer_dim=256,
            iou_head_depth=3,
            iou_head_hidden_dim=256,
        ),
    )
    model.load_state_dict(net.state_dict())
    return SamPredictor(model.eval())


@pytest.mark.parametrize("size", [(64, 64), (64, 40), (24, 64)])
def test_a_click_with_a_box_gives_what_segment_anything_gives(
    net: MobileSam, upstream: SamPredictor, size: tuple[int, int]
) -> None:
    picture = np.random.default_rng(0).integers(0, 256, (*size, 3), dtype=np.uint8)
    upstream.set_image(picture)
    click, box = np.array([[11.0, 17.0]]), np.array([4.0, 6.0, 30.0, 20.0])
    _, iou, low = upstream.predict(click, np.array([0]), box, multimask_output=True, return_logits=True)
    full, _, _ = upstream.predict(click, np.array([0]), box, multimask_output=False, return_logits=True)
    image = torch.from_numpy(picture).permute(2, 0, 1)[None] / 255
    points, boxes = (torch.from_numpy(given).float()[None, None] for given in (click, box))
    prompts = Prompts(points, torch.zeros(1, 1, 1, dtype=torch.int64), boxes)
    with torch.no_grad():
        logits, quality = net.predict_masks(net.encode(image), prompts)
        found = net(image, prompts.points, prompts.point_labels, prompts.boxes)
    np.testing.assert_allclose(logits[0, 0, 1:], low, atol=1e-4)
    np.testing.assert_allclose(quality[0, 0, 1:], iou, atol=1e-4)
    np.testing.assert_allclose(found[0], full, atol=1e-4)
    assert full.std() > 1e-3


def test_it_has_as_many_parameters_as_the_published_file() -> None:
    # 10 130 092 in mobile_sam.pt, of which a classifier of 1000 classes and the norm before it are not used
    unused = 320 * 1000 + 1000 + 2 * 320
    with torch.device("meta"):
        assert sum(parameter.numel() for parameter in MobileSam().parameters()) == 10_130_092 - unused


def test_images_of_a_batch_do_not_see_each_other_even_in_training(net: MobileSam) -> None:
    images = torch.rand(3, 1, 50, 64)
    with torch.no_grad():
        together = net.train().encode(images).features
        alone = torch.cat([net.eval().encode(image[None]).features for image in images])
    torch.testing.assert_close(together, alone, atol=1e-4, rtol=1e-4)


def test_the_smallest_input_is_one_patch() -> None:
    net = MobileSam(image_size=16).eval()
    with torch.no_grad():
        assert net.encode(torch.rand(1, 1, 30, 20)).features.shape == (1, 256, 1, 1)
        assert net(torch.rand(1, 1, 30, 20)).shape == (1, 1, 30, 20)


def test_the_constructor_hands_on_every_choice() -> None:
    made = MobileSam(64, "medsam", multimask="always", objects_per_pass=2)
    assert (made.image_size, made.preprocessing, made.multimask, made.objects_per_pass) == (64, "medsam", "always", 2)


@pytest.mark.parametrize("name", ["pretrained", "checkpoint"])
def test_weights_that_are_nowhere_are_named(tmp_path: Path, name: str) -> None:
    with pytest.raises(FileNotFoundError, match=r"nowhere\.pt"):
        prepare(MobileSam(16), **{name: tmp_path / "nowhere.pt"})  # type: ignore[arg-type]
