# Copyright (c) monai_synthfm contributors
# Licensed under the Apache License, Version 2.0 (http://www.apache.org/licenses/LICENSE-2.0).
# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import numpy as np
import pytest
import torch
from monai.data import MetaTensor
from monai.transforms import Orientation

from monai_synthfm.prompts.map_prompts import MapPromptsToImaged

AFFINE = torch.tensor([[0.1, -2.0, 0.1, 5.0], [1.5, 0.1, 0.0, -7.0], [0.0, 0.2, 4.0, 3.0], [0, 0, 0, 1.0]]).double()


def test_prompts_stay_on_their_voxel_when_the_image_is_reoriented() -> None:
    image = MetaTensor(torch.arange(5 * 6 * 7.0).reshape(1, 5, 6, 7), affine=AFFINE, meta={"original_affine": AFFINE})
    points = torch.cartesian_prod(*(torch.arange(size) for size in (5, 6, 7))).double()[None]
    data = {"image": image, "points": points, "boxes": torch.full((1, 6), torch.nan), "axis": 2}
    data["image"] = Orientation("LPI", labels=None)(image)
    assert data["image"].shape != image.shape
    mapped = MapPromptsToImaged()(data)
    i, j, k = mapped["points"][0].long().T
    assert mapped["image"][0, i, j, k].tolist() == image.flatten().tolist()
    assert mapped["points"].dtype == torch.float32
    assert torch.isnan(mapped["boxes"]).all()
    assert mapped["axis"] == 2


def test_box_holds_the_same_voxels_in_the_reoriented_image() -> None:
    image = MetaTensor(torch.zeros(1, 5, 6, 7), affine=AFFINE, meta={"original_affine": AFFINE})
    image[0, 1:4, 2:6, 3:5] = 1
    data = {"image": Orientation("LPI", labels=None)(image), "points": torch.zeros(1, 1, 3)}
    box = MapPromptsToImaged()({**data, "boxes": torch.tensor([[1.0, 2, 3, 3, 5, 4]])})["boxes"][0].long().tolist()
    inside = np.argwhere(data["image"][0].numpy() == 1)
    assert box == [*inside.min(0), *inside.max(0)]


@pytest.mark.parametrize("key", ["points", "boxes"])
def test_items_may_have_clicks_alone_or_boxes_alone(key: str) -> None:
    image = MetaTensor(torch.zeros(1, 5, 6, 7), affine=AFFINE, meta={"original_affine": AFFINE})
    given = {"points": torch.ones(1, 1, 3), "boxes": torch.ones(1, 6)}
    mapped = MapPromptsToImaged()({"image": image, key: given[key]})
    assert mapped.keys() == {"image", key}
    torch.testing.assert_close(mapped[key], given[key])
