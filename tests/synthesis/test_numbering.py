# Copyright (c) monai_synthfm contributors
# Licensed under the Apache License, Version 2.0 (http://www.apache.org/licenses/LICENSE-2.0).
# SPDX-License-Identifier: Apache-2.0
"""Numbers without gaps, against scikit-image, at a cost that large labels do not raise."""

from __future__ import annotations

import numpy as np
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from skimage.segmentation import relabel_sequential

from monai_synthfm.synthesis.numbering import consecutive_labels


@settings(max_examples=100)
@given(st.lists(st.one_of(st.integers(0, 6), st.integers(0, 2**62)), min_size=1, max_size=30))
def test_labels_are_numbered_in_their_order(values: list[int]) -> None:
    labels = np.array(values, dtype=np.int64)
    expected = np.searchsorted(np.unique(np.append(labels, 0)), labels)
    assert consecutive_labels(torch.from_numpy(labels)).tolist() == expected.tolist()


def test_numbers_are_those_of_scikit_image() -> None:
    labels = np.random.RandomState(0).choice([0, 3, 4, 900, 70_000], size=(20, 30))
    assert consecutive_labels(torch.from_numpy(labels)).tolist() == relabel_sequential(labels)[0].tolist()
