# Copyright (c) monai_synthfm contributors
# Licensed under the Apache License, Version 2.0 (http://www.apache.org/licenses/LICENSE-2.0).
# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import pytest
import torch

from monai_synthfm.networks import ImageEmbedding
from monai_synthfm.networks.mask_prompter import MaskPrompter
from monai_synthfm.prompts import Prompts
from monai_synthfm.prompts.clicks import ClickSimulator
from tests.inferers.blob_segmenter import BlobSegmenter


class Recorder(BlobSegmenter):
    """Remembers the prompts it was given."""

    def predict_masks(self, embedding: ImageEmbedding, prompts: Prompts) -> tuple[torch.Tensor, torch.Tensor]:
        self.given = prompts
        return super().predict_masks(embedding, prompts)


@pytest.fixture
def masks() -> torch.Tensor:
    """Two objects, the first one in a large, a small and a tiny part, logits [2, 30, 40]."""
    logits = torch.full((2, 30, 40), -3.0)
    logits[0, 2:12, 3:13] = 2.0
    logits[0, 20:24, 30:36] = 1.0
    logits[0, 28, 2] = 1.0
    logits[1, 15:20, 5:25] = 2.0
    return logits


def prompted(masks: torch.Tensor, prompter: MaskPrompter) -> tuple[Prompts, torch.Tensor]:
    network = Recorder()
    found = prompter(network, network.encode((masks.amax(dim=0) > 0)[None, None].float()), masks)
    return network.given, found


def test_each_part_but_specks_is_prompted_and_their_union_is_the_object(masks: torch.Tensor) -> None:
    given, found = prompted(masks, MaskPrompter())
    assert given.boxes[0].tolist() == [[2.5, 1.5, 12.5, 11.5], [29.5, 19.5, 35.5, 23.5], [4.5, 14.5, 24.5, 19.5]]
    expected = masks > 0
    expected[0, 28, 2] = False
    torch.testing.assert_close(found > 0, expected)


def test_the_mask_prompt_of_a_part_is_without_the_other_parts(masks: torch.Tensor) -> None:
    given, _ = prompted(masks, MaskPrompter())
    part = torch.full((30, 40), -3.0)
    part[2:12, 3:13] = 2.0
    part[20:24, 30:36] = part[28, 2] = -1.0
    torch.testing.assert_close(given.masks[0, 0, 0], part)


def test_only_the_largest_parts_are_followed(masks: torch.Tensor) -> None:
    given, _ = prompted(masks, MaskPrompter(max_parts=1))
    assert given.boxes[0].tolist() == [[2.5, 1.5, 12.5, 11.5], [4.5, 14.5, 24.5, 19.5]]


def test_margin_of_the_box_stays_in_the_image(masks: torch.Tensor) -> None:
    given, _ = prompted(masks, MaskPrompter(box_margin=4.5))
    assert given.boxes[0].tolist() == [[0, 0, 16.5, 15.5], [25.5, 15.5, 39, 27.5], [0.5, 10.5, 28.5, 23.5]]


def test_clicks_follow_their_rules_and_are_padded_where_a_part_is_small() -> None:
    logits = torch.full((2, 30, 40), -3.0)
    logits[0, 5, 7] = 1.0
    logits[1, 10:21, 20:31] = 1.0
    given, _ = prompted(logits, MaskPrompter(clicks=ClickSimulator(num_positive=2)))
    assert given.points[0, 0, 0].tolist() == [7, 5]
    assert given.points[0, 1, 0].tolist() == [25, 15]
    assert given.point_labels[0].tolist() == [[1, -1], [1, 1]]


@pytest.mark.parametrize(
    ("options", "left"),
    [
        ({"box": False}, {"points", "point_labels", "masks"}),
        ({"clicks": None}, {"boxes", "masks"}),
        ({"mask": False}, {"points", "point_labels", "boxes"}),
    ],
)
def test_parts_of_the_prompt_can_be_left_out(masks: torch.Tensor, options: dict[str, object], left: set[str]) -> None:
    given, _ = prompted(masks, MaskPrompter(**options))
    assert {name for name, value in vars(given).items() if value is not None} == left


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"box": False, "clicks": None}, "box or clicks must be used: a mask alone is given back as it is"),
        ({"box_margin": -0.1}, "box_margin must not be negative, got -0.1"),
        ({"max_parts": 0}, "max_parts must be at least 1, got 0"),
    ],
)
def test_wrong_options_are_refused(options: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        MaskPrompter(**options)
