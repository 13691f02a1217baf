# Copyright (c) monai_synthfm contributors
# Licensed under the Apache License, Version 2.0 (http://www.apache.org/licenses/LICENSE-2.0).
# SPDX-License-Identifier: Apache-2.0
"""Networks that are asked for whole volumes."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
import torch

from monai_synthfm.evaluation.predictors import NetworkPredictor
from monai_synthfm.evaluation.volume_plan import PlannedPrompt
from monai_synthfm.evaluation.volume_predictors import NetworkVolumePredictor
from monai_synthfm.inferers.volume_inferer import VolumeInferer
from monai_synthfm.networks import ImageEmbedding, Sam, Sam2, Sam2Size
from monai_synthfm.prompts import Prompts
from tests.evaluation.stand_ins import tiny_sam

CLICKS = Prompts(torch.tensor([[[5.0, 3.0], [7.0, 8.0], [0.0, 0.0]]]), torch.tensor([[1, 0, -1]]))
BOX = Prompts(boxes=torch.tensor([[2.0, 3.0, 9.0, 7.0]]))
IMAGE = torch.rand(1, 12, 10, 6, generator=torch.Generator().manual_seed(0))
MASK = np.zeros((10, 12), bool)
MASK[3:8, 2:10] = True


class CountingSam(Sam):
    """Counts how many images it encodes."""

    encoded = 0

    def encode(self, image: torch.Tensor) -> ImageEmbedding:
        self.encoded += len(image)
        return super().encode(image)


def counting_sam() -> CountingSam:
    network = tiny_sam()
    network.__class__ = CountingSam
    assert isinstance(network, CountingSam)
    return network


def test_prompts_reach_the_network_as_they_were_without_padding() -> None:
    for prompt in (PlannedPrompt(4, CLICKS), PlannedPrompt(4, BOX), PlannedPrompt(4, Prompts(), MASK)):
        ((index, found),) = prompt.by_slice().items()
        assert (index, found.objects) == (4, [0])
        if prompt.prompts.points is not None:
            assert torch.equal(found.prompts.points, CLICKS.points[:, :2])
            assert torch.equal(found.prompts.point_labels, CLICKS.point_labels[:, :2])
        else:
            assert (found.prompts.point_labels == -1).all()
        if prompt.prompts.boxes is not None:
            assert torch.equal(found.prompts.boxes, BOX.boxes)
        else:
            assert found.prompts.boxes is None
        assert (found.masks is None) == (prompt.mask is None)
        if prompt.mask is not None:
            assert np.array_equal(found.masks[0], MASK)


def test_all_prompts_share_one_encoding_of_each_slice() -> None:
    network = counting_sam()
    predictor = NetworkVolumePredictor(NetworkPredictor("tiny", network))
    with predictor.look(IMAGE, 2) as seen:
        for prompt in (PlannedPrompt(2, CLICKS), PlannedPrompt(2, BOX), PlannedPrompt(3, Prompts(), MASK)):
            for direction in ("both", "forward", "backward", "none"):
                predictor.segment(seen, prompt, direction)
    assert 1 <= network.encoded <= IMAGE.shape[-1]


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_answers_are_those_of_the_inferer_whatever_was_asked_before(axis: int) -> None:
    network = tiny_sam().eval()
    predictor = NetworkVolumePredictor(NetworkPredictor("tiny", network))
    image = IMAGE.movedim(-1, axis + 1)
    places = np.insert(CLICKS.points[0, :2].numpy(), axis, 2, axis=1)
    corners = np.insert(BOX.boxes.numpy().reshape(2, 2), axis, 2, axis=1)
    mask = torch.zeros(1, 1, *image.shape[1:], dtype=torch.uint8)
    mask[0, 0].select(axis, 2).copy_(torch.from_numpy(MASK.T))
    clicks = {"points": torch.from_numpy(places)[None, None], "point_labels": CLICKS.point_labels[None, :, :2]}
    in_volume = [clicks, {"boxes": torch.from_numpy(corners).reshape(1, 1, 6)}, {"masks": mask}]
    with predictor.look(image, axis) as seen:
        predictor.segment(seen, PlannedPrompt(4, CLICKS), "both")
        for prompt, given in zip((Prompts(), CLICKS, BOX), (in_volume[2], *in_volume[:2]), strict=True):
            asked = PlannedPrompt(2, prompt, MASK if given is in_volume[2] else None)
            answer = predictor.segment(seen, asked, "both")
            alone = VolumeInferer()(image[None], network, **given, axis=axis)
            assert np.array_equal(answer, alone[0, 0] > 0)
            assert answer.any()


def test_the_description_tells_propagations_apart() -> None:
    def described(**options: Any) -> str:
        return json.dumps(NetworkVolumePredictor(NetworkPredictor("tiny", tiny_sam()), **options).describe())

    assert described() == described()
    assert described() != described(keep_largest=True)
    assert "MaskPropagation" in described()


def test_a_network_that_can_be_made_again_is_given_back() -> None:
    predictor = NetworkVolumePredictor(NetworkPredictor("tiny", tiny_sam))
    predictor.describe()
    predictor.release()
    assert predictor.predictor.network is None


def test_a_propagation_by_memory_is_described_for_json() -> None:
    size = Sam2Size(8, 1, (1, 1, 2, 1), (3,), (4, 4), hidden_dim=32, memory_dim=8, memory_layers=1, mlp_dim=32)
    predictor = NetworkVolumePredictor(NetworkPredictor("tiny", Sam2(size, image_size=64)))
    described = json.loads(json.dumps(predictor.describe()))
    assert described["propagation"] == {
        "name": "MemoryPropagation",
        "memory_dtype": "torch.bfloat16",
        "objects_per_pass": 4,
    }
