# Copyright (c) monai_synthfm contributors
# Licensed under the Apache License, Version 2.0 (http://www.apache.org/licenses/LICENSE-2.0).
# SPDX-License-Identifier: Apache-2.0
"""Our SAM 2 on single images against sam2's own image predictor with the same random weights."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from sam2.sam2_image_predictor import SAM2ImagePredictor
from torch.nn import functional as F

from monai_synthfm.networks import Sam2, prepare
from monai_synthfm.networks.contrast_channels import contrast_channels
from monai_synthfm.prompts.prompts import Prompts
from tests.networks.upstream_sam2 import IMAGE_SIZE, SMALL, build_upstream, image_predictor, same_weights

# sam2's image predictor scripts its transforms
pytestmark = pytest.mark.filterwarnings(r"ignore:.torch\.jit\.script. is deprecated:FutureWarning")

SIZES = [(64, 64), (100, 200), (170, 90), (33, 40)]
GRID = IMAGE_SIZE // 4
MASK = np.random.RandomState(3).randn(1, GRID, GRID).astype(np.float32)


@pytest.fixture(scope="module", params=SMALL)
def version(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.fixture(scope="module")
def upstream(version: str) -> SAM2ImagePredictor:
    # The image predictor asks for no stable mask unless multimask_output is off; index 0 is then the unambiguous one.
    return image_predictor(build_upstream(version, sam_mask_decoder_extra_args=None))


@pytest.fixture(scope="module")
def ours(upstream: SAM2ImagePredictor, version: str) -> Sam2:
    return same_weights(upstream.model, version)


def random_image(size: tuple[int, int]) -> np.ndarray:
    return np.random.RandomState(sum(size)).randint(0, 256, (*size, 3), dtype=np.uint8)


def as_tensor(image: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(image).permute(2, 0, 1)[None] / 255


def prompts_of(kind: str, size: tuple[int, int]) -> tuple[dict[str, np.ndarray], Prompts]:
    """One object, as arguments of upstream's ``predict`` and as ours."""
    height, width = size
    clicks = np.array([[0.3 * width, 0.6 * height], [0.8 * width, 0.1 * height], [1.0, 2.0]], dtype=np.float32)
    box = np.array([0.1 * width, 0.2 * height, 0.7 * width, 0.9 * height], dtype=np.float32)
    pieces = {
        "click": {"point_coords": clicks[:1], "point_labels": np.array([1])},
        "clicks": {"point_coords": clicks, "point_labels": np.array([1, 0, 0])},
        "box": {"box": box},
        "mask": {"mask_input": MASK},
    }
    given = {key: value for part in kind.split("+") for key, value in pieces[part].items()}
    names = {"point_coords": "points", "point_labels": "point_labels", "box": "boxes", "mask_input": "masks"}
    return given, Prompts(**{names[key]: torch.from_numpy(value)[None, None] for key, value in given.items()})


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("kind", ["click", "clicks", "box", "clicks+box", "mask", "clicks+mask", "clicks+box+mask"])
def test_logits_and_iou_equal_upstream(
    ours: Sam2, upstream: SAM2ImagePredictor, kind: str, size: tuple[int, int]
) -> None:
    image = random_image(size)
    upstream.set_image(image)
    given, prompts = prompts_of(kind, size)
    single, _, single_low = upstream.predict(**given, multimask_output=False, return_logits=True)
    _, iou, multi_low = upstream.predict(**given, multimask_output=True, return_logits=True)
    with torch.no_grad():
        embedding = ours.encode(as_tensor(image))
        low, quality = ours.predict_masks(embedding, prompts)
        best = ours.decode(embedding, prompts, multimask="always")
        full = ours(as_tensor(image), prompts.points, prompts.point_labels, prompts.boxes, prompts.masks)
    # Upstream limits its low-resolution logits to 32.
    np.testing.assert_allclose(low[0, 0, :1].clamp(-32, 32), single_low, atol=1e-4)
    np.testing.assert_allclose(low[0, 0, 1:].clamp(-32, 32), multi_low, atol=1e-4)
    np.testing.assert_allclose(quality[0, 0, 1:], iou, atol=1e-5)
    assert single.std() > 0.5
    if kind == "mask":  # which is answered as it is, see test_padded_square.py
        return
    np.testing.assert_allclose(best[0, 0].clamp(-32, 32), multi_low[iou.argmax()], atol=1e-4)
    np.testing.assert_allclose(full[0], single, atol=1e-4)


def test_embedding_equals_upstream(ours: Sam2, upstream: SAM2ImagePredictor) -> None:
    image = random_image((100, 200))
    upstream.set_image(image)
    with torch.no_grad():
        embedding = ours.encode(as_tensor(image))
    memoryless = embedding.features + ours.no_mem_embed.view(1, -1, 1, 1)
    torch.testing.assert_close(memoryless, upstream.get_image_embedding(), atol=1e-5, rtol=0)
    for found, expected in zip(embedding.high_resolution, upstream._features["high_res_feats"], strict=True):
        torch.testing.assert_close(found, expected, atol=1e-5, rtol=0)
    assert [features.shape[-1] for features in embedding.high_resolution] == [16, 8]


@pytest.mark.parametrize("channels", [1, 3])
def test_contrast_channels_are_those_of_the_squashed_image(ours: Sam2, version: str, channels: int) -> None:
    contrast = Sam2(SMALL[version], image_size=IMAGE_SIZE, preprocessing="contrast").eval()
    contrast.load_state_dict(ours.state_dict())
    image = torch.rand(2, channels, 50, 70)
    squashed = F.interpolate(image, (IMAGE_SIZE, IMAGE_SIZE), mode="bilinear", antialias=True)
    with torch.no_grad():
        found, by_hand = contrast.encode(image), ours.encode(contrast_channels(squashed))
        plain = ours.encode(image)
    torch.testing.assert_close(found.features, by_hand.features, atol=0, rtol=0)
    for one, other in zip(found.high_resolution, by_hand.high_resolution, strict=True):
        torch.testing.assert_close(one, other, atol=0, rtol=0)
    assert (found.original_size, found.input_size) == (plain.original_size, plain.input_size)
    assert not torch.allclose(found.features, plain.features, atol=1e-3)


def test_objects_of_a_batch_equal_upstream_one_by_one(ours: Sam2, upstream: SAM2ImagePredictor) -> None:
    images = [random_image((50, 70)), random_image((50, 70))[::-1].copy()]
    points = torch.tensor([[[20.0, 30.0], [5.0, 6.0]], [[60.0, 10.0], [0.0, 0.0]], [[0.0, 0.0], [0.0, 0.0]]])
    labels = torch.tensor([[1, 0], [1, -1], [-1, -1]])
    boxes = torch.full((3, 4), torch.nan)
    boxes[2] = torch.tensor([10.0, 10.0, 60.0, 40.0])
    prompts = Prompts(*(value.expand(2, *value.shape) for value in (points, labels, boxes)))
    with torch.no_grad():
        found = ours(
            torch.cat([as_tensor(image) for image in images]), prompts.points, prompts.point_labels, prompts.boxes
        )
    for image, masks in zip(images, found, strict=True):
        upstream.set_image(image)
        for n, mask in enumerate(masks):
            known = labels[n] >= 0
            expected, _, _ = upstream.predict(
                point_coords=points[n, known].numpy() if known.any() else None,
                point_labels=labels[n, known].numpy() if known.any() else None,
                box=boxes[n].numpy() if n == 2 else None,
                multimask_output=False,
                return_logits=True,
            )
            np.testing.assert_allclose(mask, expected[0], atol=1e-4)


def test_grey_image_equals_the_same_image_in_three_channels(ours: Sam2) -> None:
    grey = torch.rand(1, 1, 60, 90)
    with torch.no_grad():
        torch.testing.assert_close(ours(grey), ours(grey.expand(-1, 3, -1, -1)), atol=1e-4, rtol=0)


def test_mask_prompt_is_the_way_back_of_postprocess(ours: Sam2) -> None:
    with torch.no_grad():
        embedding = ours.encode(torch.rand(1, 1, 128, 192))
    mask = torch.zeros(2, 128, 192, dtype=torch.bool)
    mask[0, 32:96, 48:144] = True
    low = ours.mask_prompt(mask, embedding)
    assert low.shape == (2, 1, GRID, GRID)
    assert (low.abs() <= 10.0 + 1e-5).all()
    back = ours.postprocess(low[:, 0][None], embedding)[0] > 0
    assert (back == mask).float().mean() > 0.99
    torch.testing.assert_close(ours.mask_prompt(20.0 * mask - 10.0, embedding), low)


def test_masks_of_another_size_and_other_batches_are_refused(ours: Sam2) -> None:
    with torch.no_grad():
        embedding = ours.encode(torch.rand(2, 1, 30, 40))
        with pytest.raises(ValueError, match=r"masks must be low-resolution logits of \(16, 16\) pixels"):
            ours.decode(embedding, Prompts(masks=torch.zeros(2, 1, 1, 8, 8)))
        with pytest.raises(ValueError, match="the embedding holds 2 images but the prompts describe 1"):
            ours.decode(embedding, Prompts(torch.ones(3, 1, 2), torch.ones(3, 1, dtype=torch.int64)))
    with pytest.raises(ValueError, match=r"image must be \[B, 1 or 3, H, W\]"):
        ours.encode(torch.zeros(1, 2, 8, 8))


def test_reset_decoder_draws_the_decoder_alone_and_is_reproducible() -> None:
    torch.manual_seed(0)
    small = Sam2(SMALL["2.1"], image_size=IMAGE_SIZE)
    before = {key: value.clone() for key, value in small.state_dict().items()}
    states = []
    for seed in (5, 6, 5):
        small.reset_decoder(seed)
        states.append({key: value.clone() for key, value in small.state_dict().items()})
    changed = {key for key, value in before.items() if not torch.equal(value, states[0][key])}
    assert {key.partition(".")[0] for key in changed} == {"sam_mask_decoder"}
    assert changed == {key for key, value in states[1].items() if not torch.equal(value, states[0][key])}
    assert all(torch.equal(value, states[2][key]) for key, value in states[0].items())


def test_a_frozen_encoder_leaves_the_decoders_own_convolutions_trainable() -> None:
    network = prepare(Sam2(SMALL["2.1"], image_size=IMAGE_SIZE), frozen=["image_encoder"])
    network(torch.rand(2, 1, 30, 40)).square().mean().backward()
    trained = {name for name, parameter in network.named_parameters() if parameter.grad is not None}
    assert {"sam_mask_decoder.conv_s0.weight", "no_mem_embed"} <= trained
    assert not any(name.startswith("image_encoder") for name in trained)
