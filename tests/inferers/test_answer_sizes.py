# Copyright (c) monai_synthfm contributors
# Licensed under the Apache License, Version 2.0 (http://www.apache.org/licenses/LICENSE-2.0).
# SPDX-License-Identifier: Apache-2.0
"""The next smaller or larger answer in an inference, which is that of an interactive session."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from monai.data import MetaTensor

from monai_synthfm.batch.jobs import describe_settings
from monai_synthfm.inferers import AnswerSizes, InteractiveSession, VolumeInferer
from monai_synthfm.inferers.answer_sizes import OfferedSizes
from monai_synthfm.networks import Sam2
from tests.inferers.blob_segmenter import BlobSegmenter
from tests.inferers.clicks import click
from tests.inferers.level_segmenter import LevelSegmenter
from tests.inferers.session.test_interactive_session import SHAPE, A, bright, labels, only
from tests.networks.upstream_sam2 import SMALL

DISPLAYED = torch.diag(torch.tensor([-1.0, -1.0, -1.0, 1.0]))
BOX = [9.0, 4.0, 5.0, 13.0, 10.0, 6.0]
CLICK = [4.0, 5.0, 3.0]
GREY = torch.from_numpy((bright() / 220.0).round())[None, None]
"""The bright boxes of the sessions, 1 on 0."""


def segmented(sizes: AnswerSizes | None, network: Any = None, direction: str = "none", **prompts: Any) -> np.ndarray:
    inferer = VolumeInferer(direction=direction, sizes=sizes)
    return inferer(GREY, network or LevelSegmenter(), **prompts)[0, 0].numpy()


def said(direction: str) -> InteractiveSession:
    session = InteractiveSession(LevelSegmenter(), axis=2, modality="mr", direction=direction)
    session.set_image(MetaTensor(torch.from_numpy(bright())[None], affine=DISPLAYED))
    return session


@pytest.mark.parametrize("direction", ["none", "both", "forward"])
@pytest.mark.parametrize("size", ["smaller", "larger"])
def test_it_is_what_a_session_takes(size: str, direction: str) -> None:
    session = said(direction)
    session.add_points([CLICK], [1])
    session.add_box(BOX, object_id=2)
    before = labels(session).copy()
    session.resize(size, 1)
    session.resize(size, 2)
    prompts = {**click([[*CLICK, 1.0]], [[0.0, 0.0, 0.0, -1.0]])}
    boxes = torch.tensor([[[torch.nan] * 6, BOX]])
    found = segmented(AnswerSizes(size), direction=direction, boxes=boxes, **prompts)
    np.testing.assert_array_equal(found, labels(session))
    assert not np.array_equal(found, before)
    np.testing.assert_array_equal(segmented(None, direction=direction, boxes=boxes, **prompts), before)


def test_sizes_of_all_alternatives_are_said_whether_one_is_chosen_or_not() -> None:
    prompts = {**click([[*CLICK, 1.0]], [[0.0, 0.0, 0.0, -1.0]]), "boxes": torch.tensor([[[torch.nan] * 6, BOX]])}
    square = (9, 25, 49)
    of_box = tuple(2 * (side[0] * side[1]) for side in ((3, 5), (5, 7), (7, 9)))
    expected = {
        "never": [OfferedSizes(0, square), OfferedSizes(1, of_box)],
        "smaller": [OfferedSizes(0, square, 25, 0), OfferedSizes(1, of_box, of_box[1], 0)],
        "larger": [OfferedSizes(0, square, 25, 2), OfferedSizes(1, of_box, of_box[1], 2)],
    }
    for multimask, offered in expected.items():
        sizes = AnswerSizes(multimask)
        for _ in range(2):
            segmented(sizes, **prompts)
            assert sizes.found == [offered]


def test_each_volume_of_a_batch_has_its_sizes() -> None:
    sizes, both = AnswerSizes("larger"), GREY.repeat(2, 1, 1, 1, 1)
    points = torch.tensor([[[CLICK]], [[[11.0, 6.0, 3.0]]]])
    found = VolumeInferer(direction="none", sizes=sizes)(both, LevelSegmenter(), points, torch.ones(2, 1, 1))
    assert [[one.pixels[one.chosen] for one in of] for of in sizes.found] == [[49], [63]]
    assert [int((of > 0).sum()) for of in found] == [49, 63]


def test_masks_beside_prompts_are_given_to_the_network_and_masks_alone_stay(caplog: pytest.LogCaptureFixture) -> None:
    known = torch.zeros(1, 1, *SHAPE, dtype=torch.uint8)
    known[0, 0][torch.from_numpy(only(A)) > 0] = 1
    known[..., :7] = 0
    sizes = AnswerSizes("smaller")
    found = segmented(sizes, masks=known, **click([[*CLICK, 1.0]]))
    assert found[..., 3].sum() == 9
    np.testing.assert_array_equal(found[..., 7:], known[0, 0, ..., 7:].numpy())
    assert sizes.found == [[OfferedSizes(0, (9, 25, 49), 25, 0)]]
    assert not caplog.records


def test_an_object_without_such_an_answer_stays_with_a_warning(caplog: pytest.LogCaptureFixture) -> None:
    prompts = click([[*CLICK, 1.0]])
    sizes = AnswerSizes("larger")
    found = segmented(sizes, BlobSegmenter(), **prompts)
    np.testing.assert_array_equal(found, segmented(None, BlobSegmenter(), **prompts))
    assert sizes.found == [[OfferedSizes(0, (), 25, None)]]
    assert "no larger answer for object 1, which stays as it is" in caplog.text


def test_blank_slices_of_a_box_offer_nothing() -> None:
    volume = torch.from_numpy(bright())[None].clone()
    volume[..., 6] = 1.0
    session = InteractiveSession(LevelSegmenter(), axis=2, modality="mr", direction="none")
    session.set_image(MetaTensor(volume, affine=DISPLAYED))
    session.add_box(BOX)
    assert session.alternatives().areas == (15, 35, 63)


def test_words_and_networks_that_do_not_fit_are_refused() -> None:
    message = "multimask must be one of never, single_click, always, smaller, larger, got 'bigger'"
    with pytest.raises(ValueError, match=message):
        AnswerSizes("bigger")
    network = Sam2(SMALL["2.1"], image_size=64).eval()
    with pytest.raises(ValueError, match="multimask always is for networks of single images: with Sam2 give tracking"):
        segmented(AnswerSizes("always"), network, **click([[*CLICK, 1.0]]))


def test_what_was_asked_is_a_setting_and_what_was_found_is_none() -> None:
    inferer = VolumeInferer(sizes=AnswerSizes("smaller"))
    before = describe_settings(inferer)
    assert before["sizes"]["multimask"] == "smaller"
    inferer(GREY, LevelSegmenter(), **click([[*CLICK, 1.0]]))
    assert inferer.sizes is not None
    assert inferer.sizes.found
    assert describe_settings(inferer) == before
