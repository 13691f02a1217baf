# Copyright (c) monai_synthfm contributors
# Licensed under the Apache License, Version 2.0 (http://www.apache.org/licenses/LICENSE-2.0).
# SPDX-License-Identifier: Apache-2.0
"""Label maps of users: whole numbers of any type are taken, everything else is named."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from monai.data import MetaTensor

from monai_synthfm.transforms.clip_prompts import RandClipPrompts
from monai_synthfm.transforms.label_values import whole_labels
from monai_synthfm.transforms.prompts import RandPrompts

KINDS = [np.uint8, np.uint16, np.uint32, np.int16, np.int64, np.float16, np.float32, np.float64]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("convert", [lambda x: x, torch.as_tensor, MetaTensor])
def test_whole_numbers_of_any_type_are_taken(kind: Any, convert: Any) -> None:
    array = np.array([[0, 1], [7, 200]], dtype=kind)
    labels = whole_labels("label", convert(array))
    assert type(labels) is torch.Tensor
    assert labels.dtype == torch.int64
    assert labels.tolist() == [[0, 1], [7, 200]]


def test_booleans_are_0_and_1() -> None:
    assert whole_labels("label", torch.tensor([True, False])).tolist() == [1, 0]


@pytest.mark.parametrize(
    ("values", "found"),
    [
        ([0.0, 0.5, 1.0], "got 0, 0.5, 1;"),
        ([0.0, 1 / 255, 2 / 255], "got 0, 0.00392157, 0.00784314;"),
        ([0.0, float("nan"), 1.0], "got 0, 1, nan;"),
        ([0.0, float("inf")], "got 0, inf;"),
        ([-1.0, 0.0], "got -1, 0;"),
        ([k / 10 for k in range(20)], "got 0, 0.1, 0.2, 0.3, 0.4, 0.5 and 14 other values;"),
    ],
)
def test_other_numbers_are_refused_with_the_values_found(values: list[float], found: str) -> None:
    with pytest.raises(ValueError, match=f"label must hold whole numbers, 0 for background and 1..K for .*{found}"):
        whole_labels("label", np.array([values]))


def test_an_empty_label_map_is_refused() -> None:
    with pytest.raises(ValueError, match=r"labels of shape \(1, 0, 8\) has no pixel"):
        whole_labels("labels", torch.zeros(1, 0, 8))


def test_prompts_name_the_values_of_all_slices_of_a_clip() -> None:
    clip = torch.zeros(1, 16, 16, 3)
    clip[:, 4:12, 4:12, 0] = 1.0
    clip[:, 4:12, 4:12, 2] = 0.5  # not on the slice that is prompted
    with pytest.raises(ValueError, match=r"label must hold whole numbers.*got 0, 0\.5, 1;"):
        RandClipPrompts(prompt_slice="first")(clip)
    with pytest.raises(ValueError, match=r"label must hold whole numbers.*got 0, 0\.5;"):
        RandPrompts()(clip[..., 2])
