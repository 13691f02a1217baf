# Copyright (c) monai_synthfm contributors
# Licensed under the Apache License, Version 2.0 (http://www.apache.org/licenses/LICENSE-2.0).
# SPDX-License-Identifier: Apache-2.0
"""Label maps drawn on a small grid have the statistics of the direct recipe at full size."""

from __future__ import annotations

from collections.abc import Callable

import neurite.nn.functional as ne
import numpy as np
import pytest
import torch
from scipy import ndimage, stats
from skimage.measure import find_contours
from voxelmorph.nn.functional import spatial_transform

from monai_synthfm.synthesis.label_maps import LabelMapParams, synthmorph_labels

SIDE = 256
WARP_STD = 0.05
SEEDS = range(24)


def params(size: tuple[int, ...] = (64, 64), labels: int = 12, grid: int = 64, seed: int = 0) -> LabelMapParams:
    return LabelMapParams(size, labels, (0.125, 0.25), (0.0625, 0.125, 0.25), WARP_STD, grid, seed)


def direct_recipe(seed: int) -> np.ndarray:
    """The SynthMorph authors' recipe: noises and warps at full size, in pixels, then the arg max."""
    generator = torch.Generator().manual_seed(10_000 + seed)

    def noise(channels: int, scales: tuple[int, ...]) -> torch.Tensor:
        octaves = [
            ne.fractal_noise(
                (12, channels, SIDE, SIDE), [scale], method="upsample", standardize=False, generator=generator
            )
            for scale in scales
        ]
        return torch.stack(octaves).sum(dim=0)

    warps = noise(2, (16, 32, 64)) * (WARP_STD * SIDE / 3**0.5)
    return spatial_transform(noise(1, (32, 64)), warps, padding_mode="border")[:, 0].argmax(dim=0).numpy()


def clusters(labels: np.ndarray) -> float:
    """Connected pieces that can be seen."""
    sizes = [np.bincount(ndimage.label(labels == label)[0].ravel())[1:] for label in np.unique(labels)]
    return float(sum((areas >= 50).sum() for areas in sizes))


def largest_share(labels: np.ndarray) -> float:
    return np.bincount(labels.ravel()).max() / labels.size


def boundary_density(labels: np.ndarray) -> float:
    return float((np.diff(labels, axis=0) != 0).mean() + (np.diff(labels, axis=1) != 0).mean())


def outlines(labels: np.ndarray) -> list[np.ndarray]:
    """Outlines of the clusters, as points half a pixel apart or more."""
    return [
        contour
        for label in np.unique(labels)
        for contour in find_contours(ndimage.gaussian_filter((labels == label).astype(float), 1.5), 0.5)
        if len(contour) > 40
    ]


def mean_curvature(labels: np.ndarray) -> float:
    """Angle that outlines turn by over eight points, averaged over all of them."""
    turns = []
    for contour in outlines(labels):
        steps = contour[4::4] - contour[:-4:4]
        angles = np.unwrap(np.arctan2(steps[:, 0], steps[:, 1]))
        turns.append(np.abs(np.diff(angles)))
    return float(np.concatenate(turns).mean())


def present(labels: np.ndarray) -> float:
    return float(len(np.unique(labels)))


@pytest.fixture(scope="module")
def direct() -> list[np.ndarray]:
    return [direct_recipe(seed) for seed in SEEDS]


@pytest.fixture(scope="module")
def ours() -> list[np.ndarray]:
    return [synthmorph_labels(params((SIDE, SIDE), grid=128, seed=seed)).numpy() for seed in SEEDS]


@pytest.mark.parametrize(
    ("statistic", "tolerance"), [(clusters, 0.2), (largest_share, 0.2), (boundary_density, 0.15), (present, 0.05)]
)
def test_statistics_agree_with_the_direct_recipe(
    statistic: Callable[[np.ndarray], float], tolerance: float, direct: list[np.ndarray], ours: list[np.ndarray]
) -> None:
    theirs, mine = ([statistic(labels) for labels in maps] for maps in (direct, ours))
    assert np.mean(mine) == pytest.approx(np.mean(theirs), rel=tolerance)


def test_areas_are_distributed_as_in_the_direct_recipe(direct: list[np.ndarray], ours: list[np.ndarray]) -> None:
    theirs, mine = (np.concatenate([np.bincount(m.ravel(), minlength=12) for m in maps]) for maps in (direct, ours))
    assert stats.ks_2samp(theirs, mine).pvalue > 0.01


@pytest.mark.parametrize("statistic", [clusters, boundary_density, mean_curvature])
def test_maps_are_distributed_as_in_the_direct_recipe(
    statistic: Callable[[np.ndarray], float], direct: list[np.ndarray], ours: list[np.ndarray]
) -> None:
    theirs, mine = ([statistic(labels) for labels in maps] for maps in (direct, ours))
    assert stats.ks_2samp(theirs, mine).pvalue > 0.01


def test_outlines_bend_as_in_the_direct_recipe(direct: list[np.ndarray], ours: list[np.ndarray]) -> None:
    theirs, mine = (np.mean([mean_curvature(labels) for labels in maps]) for maps in (direct, ours))
    assert mine == pytest.approx(theirs, rel=0.1)


def test_borders_hold_as_many_boundaries_as_the_middle() -> None:
    # noise that ends half a cell before the border would be constant there and hold less than half of them
    maps = np.stack([synthmorph_labels(params((96, 96), grid=48, seed=seed)).numpy() for seed in range(100)])
    density = (maps[:, :, 1:] != maps[:, :, :-1]).mean(axis=(0, 1))
    for border in (density[:6], density[-6:]):
        assert 0.7 < border.mean() / density[30:65].mean() < 1.2


def test_every_label_is_equally_frequent() -> None:
    counts = sum(
        np.bincount(synthmorph_labels(params(labels=4, seed=s)).numpy().ravel(), minlength=4) for s in range(60)
    )
    np.testing.assert_allclose(counts / counts.sum(), 0.25, atol=0.06)


def test_a_larger_size_shows_the_same_map() -> None:
    small = synthmorph_labels(params((128, 128), grid=64, seed=3)).numpy()
    large = synthmorph_labels(params((256, 256), grid=64, seed=3)).numpy()
    assert (small.repeat(2, axis=0).repeat(2, axis=1) == large).mean() > 0.95


@pytest.mark.parametrize("size", [(40, 64), (65, 33), (24, 32, 28), (16, 16)])
def test_any_size_in_two_and_three_dimensions(size: tuple[int, ...]) -> None:
    labels = synthmorph_labels(params(size, labels=10, grid=32))
    assert tuple(labels.shape) == size
    assert labels.dtype == torch.int64
    assert labels.min() >= 0
    assert labels.max() < 10
    assert len(labels.unique()) > 3


def test_small_integers_hold_the_same_labels() -> None:
    for grid in (32, 64):
        found = synthmorph_labels(params(grid=grid), dtype=torch.int16)
        assert found.dtype == torch.int16
        assert torch.equal(found.long(), synthmorph_labels(params(grid=grid)))


def test_only_the_seed_decides() -> None:
    first = synthmorph_labels(params(seed=1))
    torch.manual_seed(99)
    state = torch.random.get_rng_state()
    assert torch.equal(first, synthmorph_labels(params(seed=1)))
    assert torch.equal(state, torch.random.get_rng_state())
    assert not torch.equal(first, synthmorph_labels(params(seed=2)))
