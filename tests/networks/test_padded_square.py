# Copyright (c) monai_synthfm contributors
# Licensed under the Apache License, Version 2.0 (http://www.apache.org/licenses/LICENSE-2.0).
# SPDX-License-Identifier: Apache-2.0
"""Mask prompts: from the original image to the frame of the network and back."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch

from monai_synthfm.networks import MobileSam, Promptable, Sam2, Zoom
from monai_synthfm.prompts import Prompts
from tests.networks.upstream_sam2 import SMALL


@pytest.fixture(scope="module")
def net() -> MobileSam:
    torch.manual_seed(0)
    return MobileSam(image_size=128).eval()


def discs(height: int, width: int) -> torch.Tensor:
    """Two discs, one of them near the lower right corner, booleans [2, H, W]."""
    y, x = torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij")
    radius = 0.2 * min(height, width)
    centres = ((0.3 * width, 0.4 * height), (0.85 * width, 0.8 * height))
    return torch.stack([(x - cx) ** 2 + (y - cy) ** 2 <= radius**2 for cx, cy in centres])


@pytest.mark.parametrize("preprocessing", ["sam", "medsam"])
@pytest.mark.parametrize("size", [(128, 128), (90, 160), (300, 200), (60, 40)])
def test_postprocessing_a_mask_prompt_gives_the_mask_back(size: tuple[int, int], preprocessing: str) -> None:
    net = MobileSam(image_size=128, preprocessing=preprocessing).eval()
    masks = discs(*size)
    embedding = net.encode(torch.rand(1, 1, *size))
    prompt = net.mask_prompt(masks, embedding)
    assert prompt.shape == (2, 1, 32, 32)
    found = net.postprocess(prompt[None, :, 0], embedding)[0] > 0
    overlap = (found & masks).sum(dim=(1, 2)) / (found | masks).sum(dim=(1, 2))
    assert (overlap > 0.9).all(), overlap


def test_logits_are_taken_as_they_are_and_booleans_are_strong(net: MobileSam) -> None:
    embedding = net.encode(torch.rand(1, 1, 128, 128))
    flat = torch.full((1, 128, 128), 2.5)
    torch.testing.assert_close(net.mask_prompt(flat, embedding), torch.full((1, 1, 32, 32), 2.5))
    everywhere = net.mask_prompt(flat > 0, embedding)
    torch.testing.assert_close(everywhere, torch.full((1, 1, 32, 32), 10.0))
    torch.testing.assert_close(net.mask_prompt(flat < 0, embedding), -everywhere)


def test_padding_is_outside_the_mask(net: MobileSam) -> None:
    embedding = net.encode(torch.rand(1, 1, 60, 120))
    prompt = net.mask_prompt(torch.ones(1, 60, 120, dtype=torch.bool), embedding)[0, 0]
    assert (prompt[:15] > 0).all()
    assert (prompt[17:] < 0).all()


def test_a_mask_prompt_is_accepted_by_the_decoder(net: MobileSam) -> None:
    embedding = net.encode(torch.rand(1, 1, 90, 100))
    masks = net.mask_prompt(discs(90, 100), embedding)
    boxes = torch.tensor([[10.0, 10, 50, 50], [60.0, 50, 99, 89]])
    assert net.decode(embedding, Prompts(boxes=boxes, masks=masks).batched()).shape == (1, 2, 32, 32)


BUILT: dict[str, Callable[[], Promptable]] = {
    "MobileSam": lambda: MobileSam(image_size=128),
    "always": lambda: MobileSam(image_size=128, multimask="always"),
    "Sam2": lambda: Sam2(SMALL["2.1"], image_size=128),
    "Zoom": lambda: Zoom(MobileSam(image_size=128)),
}


@pytest.mark.parametrize("name", BUILT)
@torch.no_grad()
def test_a_mask_that_nothing_else_prompts_with_is_the_answer(name: str) -> None:
    network = BUILT[name]().eval()
    image, masks = torch.rand(1, 1, 90, 100), discs(90, 100)
    embedding = network.encode(image)
    prompt = network.mask_prompt(masks, embedding)[None]
    found = network(image, masks=prompt)[0] > 0
    assert ((found & masks).sum(dim=(1, 2)) / (found | masks).sum(dim=(1, 2)) > 0.9).all()
    # padding and missing boxes are no prompts, a click or a box is one
    points, labels = torch.zeros(1, 2, 1, 2), torch.full((1, 2, 1), -1)
    boxes = torch.full((1, 2, 4), torch.nan)
    assert torch.equal(network.decode(embedding, Prompts(points, labels, boxes, prompt))[0], prompt[0, :, 0])
    clicked = Prompts(torch.tensor([[[[30.0, 36.0]], [[0.0, 0.0]]]]), torch.tensor([[[1], [-1]]]), boxes, prompt)
    boxed = Prompts(points, labels, torch.tensor([[[10.0, 10.0, 50.0, 50.0], [torch.nan] * 4]]), prompt)
    for prompts in (clicked, boxed):
        answer = network.decode(embedding, prompts)[0]
        assert not torch.equal(answer[0], prompt[0, 0, 0])
        assert torch.equal(answer[1], prompt[0, 1, 0])
    # a mask without any inside says nothing
    empty = Prompts(masks=torch.full_like(prompt, -10.0))
    assert not torch.equal(network.decode(embedding, empty), empty.masks[:, :, 0])
