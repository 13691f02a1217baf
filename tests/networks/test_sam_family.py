# Copyright (c) monai_synthfm contributors
# Licensed under the Apache License, Version 2.0 (http://www.apache.org/licenses/LICENSE-2.0).
# SPDX-License-Identifier: Apache-2.0
"""What SAM and MobileSAM share, around an encoder so simple that its features can be computed by hand."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn
from torch.nn import functional as F

from monai_synthfm.networks.promptable import ImageEmbedding
from monai_synthfm.networks.sam_family import EMBED_DIM, SamFamily, checked_image_size
from monai_synthfm.prompts import Prompts

SIDE = 64


class Patches(nn.Module):
    """Means of patches of 16 pixels, the three channels repeated to 256; keeps what it was given."""

    def __init__(self) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.ones(()))
        self.given = torch.empty(0)

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        self.given = image.detach().clone()
        return self.scale * F.avg_pool2d(image, 16).repeat(1, 86, 1, 1)[:, :EMBED_DIM]


def network(**arguments: object) -> SamFamily:
    torch.manual_seed(0)
    options = {"image_size": SIDE, "preprocessing": "sam", "multimask": "never", "objects_per_pass": 8}
    net = SamFamily(Patches(), **{**options, **arguments}).eval()  # type: ignore[arg-type]
    # segment-anything's constructor leaves some parameters at zero
    for parameter in net.mask_decoder.parameters():
        if not parameter.any():
            nn.init.normal_(parameter, std=0.3)
    return net


@given(st.integers(-100, 5000))
def test_image_sizes_are_positive_multiples_of_16(value: int) -> None:
    if value in range(16, 5001, 16):
        assert checked_image_size(value) == value
    else:
        with pytest.raises(ValueError, match=f"image_size must be a positive multiple of 16 pixels, got {value}"):
            checked_image_size(value)


def test_the_encoder_sees_sams_normalised_image_above_zeros() -> None:
    net = network()
    image = torch.rand(2, 3, 24, SIDE)
    embedding = net.encode(image)
    # mean and standard deviation of ImageNet, as torchvision states them, on 0-255
    mean, std = 255 * np.array([0.485, 0.456, 0.406]), 255 * np.array([0.229, 0.224, 0.225])
    expected = np.zeros((2, 3, SIDE, SIDE))
    expected[:, :, :24] = (255 * image.numpy() - mean[:, None, None]) / std[:, None, None]
    np.testing.assert_allclose(net.image_encoder.given, expected, atol=1e-5)
    means = expected.reshape(2, 3, 4, 16, 4, 16).mean(axis=(3, 5))
    np.testing.assert_allclose(embedding.features.detach()[:, [0, 1, 2, 255]], means[:, [0, 1, 2, 0]], atol=1e-5)
    assert (embedding.original_size, embedding.input_size) == ((24, SIDE), (24, SIDE))


def test_the_encoder_sees_medsams_image_stretched_and_not_padded() -> None:
    net = network(preprocessing="medsam")
    image = 0.2 + 0.5 * torch.rand(2, 1, SIDE, SIDE)
    embedding = net.encode(image)
    arrays = image.numpy()
    low, high = (function(axis=(1, 2, 3), keepdims=True) for function in (arrays.min, arrays.max))
    expected = np.broadcast_to((arrays - low) / (high - low), (2, 3, SIDE, SIDE))
    np.testing.assert_allclose(net.image_encoder.given, expected, atol=1e-6)
    assert net.encode(torch.rand(1, 1, 20, 90)).input_size == (SIDE, SIDE)
    assert embedding.original_size == (SIDE, SIDE)


@pytest.mark.parametrize("preprocessing", ["sam", "medsam"])
@pytest.mark.parametrize("size", [(SIDE, SIDE), (100, 200), (90, 30), (33, SIDE)])
def test_a_plane_of_logits_is_the_same_plane_over_the_image(size: tuple[int, int], preprocessing: str) -> None:
    net = network(preprocessing=preprocessing)
    height, width = size
    embedding = net.encode(torch.rand(1, 1, height, width))
    inner_height, inner_width = embedding.input_size
    # logits that are 3 x - 2 y + 5 in pixels of the image, at the centres of the low-resolution pixels
    centres = 4 * torch.arange(SIDE // 4) + 1.5
    x = (centres + 0.5) * width / inner_width - 0.5
    y = (centres + 0.5) * height / inner_height - 0.5
    found = net.postprocess((3 * x - 2 * y[:, None] + 5)[None, None], embedding)
    assert found.shape == (1, 1, height, width)
    rows, columns = np.indices(size)
    # bilinear interpolation is exact, but for half a coarse pixel at the border, where it repeats the last
    margin = np.ceil([3 * height / inner_height + 1, 3 * width / inner_width + 1]).astype(int)
    inside = np.s_[margin[0] : height - margin[0], margin[1] : width - margin[1]]
    np.testing.assert_allclose(found[0, 0].numpy()[inside], (3 * columns - 2 * rows + 5)[inside], atol=1e-2)


@pytest.mark.parametrize("per_pass", [1, 2, 7])
def test_every_object_of_a_batch_has_its_own_mask_prompt(per_pass: int) -> None:
    net = network(objects_per_pass=per_pass)
    generator = torch.Generator().manual_seed(1)
    embedding = net.encode(torch.rand(2, 1, SIDE, SIDE, generator=generator))
    masks = torch.randn(2, 3, 1, 16, 16, generator=generator)
    points = 60 * torch.rand(2, 3, 2, 2, generator=generator)
    # unlike numbers of clicks are decoded apart and have to come back in order
    labels = torch.tensor([[[1, 0], [1, -1], [0, 1]], [[-1, -1], [1, 1], [0, -1]]])
    with torch.no_grad():
        logits, iou = net.predict_masks(embedding, Prompts(points, labels, masks=masks))
        for b, n in np.ndindex(2, 3):
            used = labels[b, n] >= 0
            clicks = (points[b, n, used][None], labels[b, n, used][None]) if used.any() else None
            sparse, dense = net.prompt_encoder(clicks, None, masks[b, n][None])
            low, quality = net.mask_decoder.predict_masks(
                image_embeddings=embedding.features[b : b + 1],
                image_pe=net.prompt_encoder.get_dense_pe(),
                sparse_prompt_embeddings=sparse,
                dense_prompt_embeddings=dense,
            )
            torch.testing.assert_close(logits[b, n], low[0], atol=1e-4, rtol=1e-4)
            torch.testing.assert_close(iou[b, n], quality[0], atol=1e-4, rtol=1e-4)


def test_mask_prompts_keep_the_share_of_a_pixel_that_thin_structures_cover() -> None:
    net = network()
    embedding = ImageEmbedding(torch.zeros(1, EMBED_DIM, 4, 4), (SIDE, SIDE), (SIDE, SIDE))
    line = torch.zeros(1, SIDE, SIDE, dtype=torch.bool)
    line[:, :, 30] = True
    prompt = net.mask_prompt(line, embedding)[0, 0]
    # one column of 64 is lost by taking every fourth; on average it covers 1 / 64 of plus and minus 10
    assert prompt.mean() == pytest.approx(-10 + 20 / SIDE, abs=1e-3)
    assert (prompt[:, 7] > prompt[:, 3] + 1).all()
