# Copyright (c) monai_synthfm contributors
# Licensed under the Apache License, Version 2.0 (http://www.apache.org/licenses/LICENSE-2.0).
# SPDX-License-Identifier: Apache-2.0
"""Decoding stored features against the whole network."""

from __future__ import annotations

import pytest
import torch

from monai_synthfm.networks import ImageEmbedding, Sam
from monai_synthfm.networks.embedding_decoder import EmbeddingDecoder
from monai_synthfm.networks.mask_augmentation import disturbed_masks
from monai_synthfm.prompts import Prompts

PROMPTS = {
    "points": torch.tensor([[[[20.0, 30.0]], [[50.0, 9.0]]]]),
    "point_labels": torch.ones(1, 2, 1, dtype=torch.int64),
    "boxes": torch.tensor([[[3.0, 4.0, 40.0, 50.0], [torch.nan] * 4]]),
}


def test_stored_features_give_the_masks_of_the_image_up_to_half_precision(tiny_sam: Sam) -> None:
    image = torch.rand(1, 1, 64, 64)
    with torch.no_grad():
        features = tiny_sam.encode(image).features
        expected = tiny_sam(image, **PROMPTS)
        exact = EmbeddingDecoder(tiny_sam, 64, upsample=True)(features, **PROMPTS)
        stored = EmbeddingDecoder(tiny_sam, 64, upsample=True)(features.half(), **PROMPTS)
        low = EmbeddingDecoder(tiny_sam, 64)(features, **PROMPTS)
    assert torch.equal(exact, expected)
    assert low.shape == (1, 2, 16, 16)
    assert 0 < (stored - expected).abs().max() < 5e-3 * expected.abs().max()


def test_it_trains_the_networks_own_decoder_and_leaves_frozen_parts_alone(tiny_sam: Sam) -> None:
    tiny_sam.freeze("image_encoder", "prompt_encoder")
    decoder = EmbeddingDecoder(tiny_sam, 64).train()
    assert not tiny_sam.image_encoder.training
    assert tiny_sam.mask_decoder.training
    decoder(torch.randn(1, 256, 4, 4), **PROMPTS).square().mean().backward()
    trained = {name.split(".")[0] for name, value in tiny_sam.named_parameters() if value.grad is not None}
    assert trained == {"mask_decoder"}


def test_alternatives_are_all_masks_and_their_iou(tiny_sam: Sam) -> None:
    features = torch.randn(1, 256, 4, 4)
    with torch.no_grad():
        logits, iou = EmbeddingDecoder(tiny_sam, 64, alternatives=True)(features, **PROMPTS)
        expected = tiny_sam.predict_masks(ImageEmbedding(features, (64, 64), (64, 64)), Prompts(**PROMPTS))
    assert logits.shape == (1, 2, 4, 16, 16)
    assert torch.equal(logits, expected[0])
    assert torch.equal(iou, expected[1])


def test_alternatives_in_the_images_size_are_refused(tiny_sam: Sam) -> None:
    with pytest.raises(ValueError, match="upsample is for one mask of an object"):
        EmbeddingDecoder(tiny_sam, 64, upsample=True, alternatives=True)


def test_in_training_a_mask_of_its_own_becomes_another_prompt(tiny_sam: Sam) -> None:
    features = torch.randn(1, 256, 4, 4)
    decoder = EmbeddingDecoder(tiny_sam, 64, refine_prob=1.0)
    with torch.no_grad():
        torch.manual_seed(3)
        found = decoder.train()(features, **PROMPTS)
        torch.manual_seed(3)
        torch.rand(())
        earlier = EmbeddingDecoder(tiny_sam, 64)(features, **PROMPTS)
        masks = disturbed_masks(earlier)[:, :, None]
        expected = EmbeddingDecoder(tiny_sam, 64)(features, **PROMPTS, masks=masks)
        plain = decoder.eval()(features, **PROMPTS)
    assert torch.equal(found, expected)
    assert torch.equal(plain, earlier)
    assert not torch.equal(found, plain)


def test_refined_alternatives_are_those_of_the_second_time_and_train_the_decoder(tiny_sam: Sam) -> None:
    features = torch.randn(1, 256, 4, 4)
    tiny_sam.freeze("image_encoder", "prompt_encoder")
    torch.manual_seed(3)
    logits, iou = EmbeddingDecoder(tiny_sam, 64, alternatives=True, refine_prob=1.0).train()(features, **PROMPTS)
    torch.manual_seed(3)
    first = EmbeddingDecoder(tiny_sam, 64, refine_prob=1.0).train()(features, **PROMPTS)
    assert torch.equal(logits[:, :, 0], first)
    (logits.square().mean() + iou.square().mean()).backward()
    trained = {name.split(".")[0] for name, value in tiny_sam.named_parameters() if value.grad is not None}
    assert trained == {"mask_decoder"}


def test_masks_that_are_given_are_not_replaced(tiny_sam: Sam) -> None:
    features, masks = torch.randn(1, 256, 4, 4), torch.randn(1, 2, 1, 16, 16)
    with torch.no_grad():
        found = EmbeddingDecoder(tiny_sam, 64, refine_prob=1.0).train()(features, **PROMPTS, masks=masks)
        assert torch.equal(found, EmbeddingDecoder(tiny_sam, 64)(features, **PROMPTS, masks=masks))


def test_a_refine_prob_that_is_none_is_refused(tiny_sam: Sam) -> None:
    with pytest.raises(ValueError, match="refine_prob must be in"):
        EmbeddingDecoder(tiny_sam, 64, refine_prob=1.5)


class Asked(torch.nn.Module):
    """Remembers the prompts that its network is asked with."""

    def __init__(self, network: Sam) -> None:
        super().__init__()
        self.network, self.prompts = network, list[Prompts]()
        self.answers = list[torch.Tensor]()

    def decode(self, embedding: ImageEmbedding, prompts: Prompts) -> torch.Tensor:
        return self.predict_masks(embedding, prompts)[0][:, :, 0]

    def predict_masks(self, embedding: ImageEmbedding, prompts: Prompts) -> tuple[torch.Tensor, torch.Tensor]:
        self.prompts.append(prompts)
        found = self.network.predict_masks(embedding, prompts)
        self.answers.append(found[0][:, :, 0].detach())
        return found


def test_in_training_a_click_on_the_error_of_a_first_answer_joins_the_prompts(tiny_sam: Sam) -> None:
    target = torch.zeros(1, 2, 16, 16)
    target[:, :, 4:12, 3:9] = 1.0
    with_masks = set()
    for _ in range(20):
        asked = Asked(tiny_sam)
        decoder = EmbeddingDecoder(asked, 64, correct_prob=1.0).train()  # type: ignore[arg-type]
        logits = decoder(torch.randn(1, 256, 4, 4), **PROMPTS, target=target)
        first, second = asked.prompts
        assert logits.requires_grad
        assert torch.equal(first.points, PROMPTS["points"])
        assert torch.equal(second.points[:, :, :-1], PROMPTS["points"])
        assert second.boxes is PROMPTS["boxes"]
        for n in range(2):
            column, row = ((second.points[0, n, -1] + 0.5) / 4 - 0.5).long().tolist()
            wanted = bool(target[0, n, row, column])
            assert bool(asked.answers[0][0, n, row, column] > 0) != wanted
            assert second.point_labels[0, n, -1] == int(wanted)
        with_masks.add(second.masks is not None)
        if second.masks is not None:
            assert torch.equal(second.masks[:, :, 0], asked.answers[0].clamp(-10, 10))
    assert with_masks == {True, False}


def test_nothing_is_corrected_in_inference(tiny_sam: Sam) -> None:
    asked = Asked(tiny_sam)
    decoder = EmbeddingDecoder(asked, 64, correct_prob=1.0).eval()  # type: ignore[arg-type]
    decoder(torch.randn(1, 256, 4, 4), **PROMPTS, target=torch.ones(1, 2, 16, 16))
    assert len(asked.prompts) == 1


def test_a_training_with_corrections_asks_for_the_target(tiny_sam: Sam) -> None:
    decoder = EmbeddingDecoder(tiny_sam, 64, correct_prob=0.01).train()
    with pytest.raises(ValueError, match="correct_prob needs the target"):
        decoder(torch.randn(1, 256, 4, 4), **PROMPTS)


def test_batches_are_refined_or_corrected_not_both(tiny_sam: Sam) -> None:
    for refined, corrected in ((0.8, 0.2), (0.9, 0.1), (0.3, 0.7)):
        EmbeddingDecoder(tiny_sam, 64, refine_prob=refined, correct_prob=corrected)
    with pytest.raises(ValueError, match=r"must add up to at most 1, got 0\.5 and 0\.6"):
        EmbeddingDecoder(tiny_sam, 64, refine_prob=0.5, correct_prob=0.6)
