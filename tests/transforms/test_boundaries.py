# Copyright (c) monai_synthfm contributors
# Licensed under the Apache License, Version 2.0 (http://www.apache.org/licenses/LICENSE-2.0).
# SPDX-License-Identifier: Apache-2.0
"""Random boundary masks honour their ranges, in two and three dimensions."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from scipy import ndimage

from monai_synthfm.synthesis.label_maps import synthmorph_labels
from monai_synthfm.transforms import RandBoundaryMask, RandSynthMorphLabels
from tests.transforms.draws import drawn


def test_number_of_erosions_covers_its_range_and_at_least_one_cluster_is_eroded() -> None:
    generator = RandBoundaryMask((32, 32), eroded_fraction=(0.0, 0.0), iterations=(2, 4)).set_random_state(seed=0)
    for params in drawn(generator):
        assert np.count_nonzero(params.iterations) == 1
        assert len(params.iterations) == params.label_map.num_labels
    everything = RandBoundaryMask((32, 32), eroded_fraction=(1.0, 1.0), iterations=(2, 4)).set_random_state(seed=0)
    assert {times for params in drawn(everything) for times in params.iterations} == {2, 3, 4}


def test_the_share_of_eroded_clusters_follows_its_range() -> None:
    generator = RandBoundaryMask((32, 32), eroded_fraction=(0.4, 0.6)).set_random_state(seed=0)
    shares = [np.count_nonzero(params.iterations) / len(params.iterations) for params in drawn(generator, 200)]
    assert np.mean(shares) == pytest.approx(0.5 + 0.5 / 12, abs=0.04)  # one chosen cluster is always eroded


def test_gaps_lie_on_the_boundaries_of_the_label_map() -> None:
    generator = RandBoundaryMask((96, 96), eroded_fraction=(1.0, 1.0), iterations=(2, 2)).set_random_state(seed=3)
    gaps = generator().as_tensor()[0].numpy() == 0
    labels = synthmorph_labels(generator.params.label_map).numpy()
    near = np.zeros_like(gaps)
    for axis in (0, 1):
        edge = np.diff(labels, axis=axis) != 0
        near |= np.pad(edge, [(0, int(axis == a)) for a in (0, 1)]) | np.pad(
            edge, [(int(axis == a), 0) for a in (0, 1)]
        )
    np.testing.assert_array_equal(gaps, ndimage.binary_dilation(near))


def test_instances_are_connected_and_numbered_from_one() -> None:
    instances = RandBoundaryMask((64, 80)).set_random_state(seed=1)().as_tensor()[0].numpy()
    assert np.unique(instances).tolist() == list(range(instances.max() + 1))
    for label in range(1, instances.max() + 1):
        assert ndimage.label(instances == label)[1] == 1


def test_a_given_label_map_generator_is_used_at_the_size_of_the_mask() -> None:
    label_map = RandSynthMorphLabels((16, 16), num_labels=(3, 3))
    generator = RandBoundaryMask((40, 48), label_map=label_map).set_random_state(seed=0)
    assert generator().shape == (1, 40, 48)
    assert generator.params.label_map.num_labels == 3


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"spatial_size": (8, 8, 8, 8)}, "spatial_size must be two or three numbers"),
        ({"eroded_fraction": (0.0, 1.5)}, "eroded_fraction must be"),
        ({"iterations": (0, 2)}, "iterations must be"),
    ],
)
def test_wrong_arguments_are_named(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        RandBoundaryMask(**{"spatial_size": (32, 32), **arguments})
