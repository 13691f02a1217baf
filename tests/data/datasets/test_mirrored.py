# Copyright (c) monai_synthfm contributors
# Licensed under the Apache License, Version 2.0 (http://www.apache.org/licenses/LICENSE-2.0).
# SPDX-License-Identifier: Apache-2.0
"""Mirror images of label maps, told from the label maps themselves."""

from __future__ import annotations

import numpy as np
import pytest

from monai_synthfm.data.datasets.mirrored import border_contrast, mirrored_labels
from tests.replicas.body import centred_affine, hounsfield, organ_masks

SHAPE = (44, 34, 20)
AFFINE = centred_affine(np.diag([4.5, 4.5, 5.0]), SHAPE)
WORDS = {"left to right": 0, "front to back": 1}


@pytest.fixture(scope="module")
def body() -> tuple[np.ndarray, np.ndarray]:
    masks = organ_masks(AFFINE, SHAPE, ["liver", "gallbladder"])
    return hounsfield(AFFINE, SHAPE).astype(np.float32), 2 * masks["liver"] + 7 * masks["gallbladder"]


@pytest.mark.parametrize("axis", [0, 1])
def test_only_a_mirrored_label_map_fits_worse_than_its_mirror_image(
    body: tuple[np.ndarray, np.ndarray], axis: int
) -> None:
    image, label = body
    right = [finding.value for finding in mirrored_labels(image, label, WORDS)]
    wrong = list(mirrored_labels(image, np.flip(label, axis), WORDS))
    assert min(right) > 0.5
    assert wrong[axis].value == pytest.approx(-right[axis], abs=1e-6)
    assert not wrong[axis].plausible


def test_contrast_is_the_share_of_variance_that_the_side_of_the_border_explains() -> None:
    label = np.zeros((20, 20), int)
    label[5:12, 6:14] = 3
    image = np.random.default_rng(0).normal(0, 1, label.shape) + 2.0 * (label > 0)
    rows, columns = np.mgrid[:20, :20]
    inside = (label > 0) & ~((rows >= 7) & (rows < 10) & (columns >= 8) & (columns < 12))
    away = np.maximum(0, np.maximum(5 - rows, rows - 11)) + np.maximum(0, np.maximum(6 - columns, columns - 13))
    outside = (label == 0) & (away <= 2)
    low, high = np.percentile(image, (0.5, 99.5))
    a, b = (np.clip(image, low, high)[part] for part in (inside, outside))
    within = a.size * a.var() + b.size * b.var()
    total = (a.size + b.size) * np.concatenate([a, b]).var()
    assert border_contrast(image, label) == pytest.approx(1 - within / total)


def test_symmetrical_labels_and_images_of_one_value_tell_nothing() -> None:
    label = np.zeros((9, 9, 1), int)
    label[3:6, 3:6] = 1
    for image in (1.0 * label, np.full(label.shape, 5.0)):
        assert [finding.value for finding in mirrored_labels(image, label, WORDS)] == [0.0, 0.0]
