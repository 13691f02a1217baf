# Copyright (c) monai_synthfm contributors
# Licensed under the Apache License, Version 2.0 (http://www.apache.org/licenses/LICENSE-2.0).
# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import pytest
import torch

from monai_synthfm.inferers import FileOrderInferer, VolumeInferer

from .blob_segmenter import BlobSegmenter

CLICK = {"points": torch.tensor([[[[2.0, 2.0, 3.0]]]]), "point_labels": torch.ones(1, 1, 1, dtype=torch.long)}
COLUMN = torch.full((1, 1, 5, 5, 8), 0.9)
COLUMN[:, :, 0, 0] = 0.0


def slices(labels: torch.Tensor) -> list[int]:
    return labels[0, 0].flatten(0, 1).any(dim=0).nonzero().flatten().tolist()


@pytest.mark.parametrize("reverse", [True, torch.tensor([True])])
@pytest.mark.parametrize(("direction", "expected"), [("forward", [0, 1, 2, 3]), ("backward", [3, 4, 5, 6, 7])])
def test_one_way_directions_turn_with_the_file(direction: str, expected: list[int], reverse: object) -> None:
    inferer = FileOrderInferer(direction=direction)
    assert slices(inferer(COLUMN, BlobSegmenter(), **CLICK, reverse=reverse)) == expected
    assert inferer.direction == direction


@pytest.mark.parametrize("direction", ["both", "none", "forward", "backward"])
def test_otherwise_it_is_a_volume_inferer(direction: str) -> None:
    reverse = direction in ("both", "none")
    found = FileOrderInferer(direction=direction)(COLUMN, BlobSegmenter(), **CLICK, reverse=reverse)
    assert torch.equal(found, VolumeInferer(direction=direction)(COLUMN, BlobSegmenter(), **CLICK))


def test_files_of_one_batch_must_agree() -> None:
    pair = {name: value.repeat(2, *[1] * (value.ndim - 1)) for name, value in CLICK.items()}
    with pytest.raises(ValueError, match="direction 'forward': files of one batch count slices in different"):
        FileOrderInferer(direction="forward")(
            COLUMN.repeat(2, 1, 1, 1, 1), BlobSegmenter(), **pair, reverse=torch.tensor([True, False])
        )
