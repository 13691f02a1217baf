# Copyright (c) monai_synthfm contributors
# Licensed under the Apache License, Version 2.0 (http://www.apache.org/licenses/LICENSE-2.0).
# SPDX-License-Identifier: Apache-2.0
"""What can be seen: steps at edges against a loop over pixels, and instances with and without contrast."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage

from monai_synthfm.synthesis.visibility import edge_visibility, stands_out, visible_instances


def two_squares(side: int = 96) -> torch.Tensor:
    labels = torch.zeros(side, side, dtype=torch.long)
    labels[side // 8 : side // 2, side // 8 : side // 2] = 1
    labels[side // 2 : -side // 8, side // 2 : -side // 8] = 2
    return labels


def steps_pixel_by_pixel(image: np.ndarray, labels: np.ndarray, reach: int) -> tuple[np.ndarray, np.ndarray]:
    ones = np.ones((2 * (reach // 2) + 1,) * 2)
    smooth = ndimage.convolve(image, ones, mode="constant") / ndimage.convolve(0 * image + 1, ones, mode="constant")
    edge, inner = ([[] for _ in range(labels.max() + 1)] for _ in range(2))
    for values, names in ((smooth, labels), (smooth.T, labels.T)):
        for row, tags in zip(values, names, strict=True):
            for left in range(reach - 1, len(row) - reach):
                near, far = left - reach + 1, left + reach
                step = abs(row[far] - row[near])
                if tags[left] != tags[left + 1]:
                    edge[tags[left]].append(step)
                    edge[tags[left + 1]].append(step)
                elif tags[near] == tags[left] == tags[far]:
                    inner[tags[left]].append(step)
    return tuple(np.array([np.mean(steps) if steps else 0.0 for steps in kind]) for kind in (edge, inner))


@given(seed=st.integers(0, 10_000), height=st.integers(16, 40), width=st.integers(16, 300))
@settings(max_examples=15)
def test_steps_are_those_of_a_loop_over_pixels(seed: int, height: int, width: int) -> None:
    random = np.random.default_rng(seed)
    image = random.random((height, width)).astype(np.float32)
    labels = np.kron(random.integers(0, 4, (height // 8, width // 8)), np.ones((8, 8), dtype=np.int64))
    image = image[: labels.shape[0], : labels.shape[1]]
    expected = steps_pixel_by_pixel(image.astype(np.float64), labels, reach=2)
    measured = edge_visibility(torch.from_numpy(image), torch.from_numpy(labels))
    for one, other in zip(measured, expected, strict=True):
        np.testing.assert_allclose(one.numpy(), other, atol=1e-5)


def test_without_noise_five_grey_levels_are_seen_and_three_are_not() -> None:
    labels = two_squares()
    image = 0.5 + (3.0 * (labels == 1) + 6.0 * (labels == 2)) / 255.0
    assert visible_instances(image, labels, 1.5).unique().tolist() == [0, 2]


@pytest.mark.parametrize("seed", range(3))
def test_noise_hides_what_is_fainter_than_itself(seed: int) -> None:
    labels = two_squares()
    noise = torch.randn(labels.shape, generator=torch.Generator().manual_seed(seed))
    image = 0.5 + 0.02 * (labels == 1) + 0.3 * (labels == 2) + 0.15 * noise
    assert visible_instances(image, labels, 1.5).unique().tolist() == [0, 2]


def test_kept_instances_keep_their_numbers_and_pixels() -> None:
    labels = two_squares()
    kept = visible_instances(0.2 + 0.5 * (labels == 2), labels, 1.5)
    assert torch.equal(kept, torch.where(labels == 2, 2, 0))


def test_an_image_without_instances_stays_without() -> None:
    empty = torch.zeros(16, 16, dtype=torch.long)
    assert torch.equal(visible_instances(torch.rand(16, 16), empty, 1.5), empty)


def test_turned_and_inverted_images_show_the_same() -> None:
    labels = two_squares(64)
    image = torch.rand(64, 64, generator=torch.Generator().manual_seed(0)) * 0.2 + 0.3 * (labels > 0)
    there = edge_visibility(image, labels)
    for other in (edge_visibility(1.0 - image, labels), edge_visibility(image.T, labels.T)):
        for one, another in zip(there, other, strict=True):
            torch.testing.assert_close(one, another)


def test_the_pairs_of_all_slices_count_together() -> None:
    random = np.random.default_rng(1)
    image = torch.from_numpy(random.random((3, 40, 48)).astype(np.float32))
    labels = torch.from_numpy(np.kron(random.integers(0, 3, (3, 5, 6)), np.ones((1, 8, 8), dtype=np.int64)))
    # slices that follow one another along a third axis of an image have no pairs across their seams in rows
    single = [edge_visibility(plane, names) for plane, names in zip(image, labels, strict=True)]
    together = edge_visibility(image, labels)
    for kind in (0, 1):
        low = torch.stack([one[kind][:3] for one in single if len(one[kind]) == 3]).amin(dim=0)
        high = torch.stack([one[kind][:3] for one in single if len(one[kind]) == 3]).amax(dim=0)
        assert (together[kind] >= low - 1e-6).all()
        assert (together[kind] <= high + 1e-6).all()
    repeated = edge_visibility(image[:1].expand(4, -1, -1), labels[:1].expand(4, -1, -1))
    for one, other in zip(repeated, single[0], strict=True):
        assert torch.allclose(one, other, atol=1e-6)


def test_an_instance_is_seen_in_a_volume_if_some_of_its_slices_show_it() -> None:
    labels = torch.stack([two_squares()] * 2)
    image = 0.5 + torch.stack([0.3 * (labels[0] == 1), torch.zeros(labels.shape[1:])])
    assert stands_out(image, labels, 1.5)[1:].tolist() == [True, False]


def test_steps_between_the_parts_of_an_instance_do_not_hide_it() -> None:
    labels = two_squares()
    stripes = (torch.arange(96) // 8 % 2).expand(96, 96)
    regions = labels * (1 + 2 * stripes)
    image = 0.2 + 0.2 * (labels > 0) + 0.4 * stripes * (labels == 1)
    edge, alone = edge_visibility(image, labels)
    same_edge, within = edge_visibility(image, labels, regions)
    assert torch.equal(edge, same_edge)
    assert alone[1] > 0.05
    assert within[1] < 0.5 * alone[1]
    level = float(edge[1] / alone[1]) * 1.1
    assert visible_instances(image, labels, level).unique().tolist() == [0, 2]
    assert visible_instances(image, labels, level, regions).unique().tolist() == [0, 1, 2]
