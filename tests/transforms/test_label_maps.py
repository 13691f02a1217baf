# Copyright (c) monai_synthfm contributors
# Licensed under the Apache License, Version 2.0 (http://www.apache.org/licenses/LICENSE-2.0).
# SPDX-License-Identifier: Apache-2.0
"""Random label maps honour their ranges."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from monai_synthfm.synthesis.label_maps import synthmorph_labels
from monai_synthfm.transforms import RandSynthMorphLabels
from tests.transforms.draws import drawn


def test_label_map_parameters_cover_their_ranges() -> None:
    generator = RandSynthMorphLabels((32, 32), num_labels=(10, 12), warp_std=(0.02, 0.04)).set_random_state(seed=0)
    params = drawn(generator)
    assert {p.num_labels for p in params} == {10, 11, 12}
    deviations = [p.warp_std for p in params]
    assert 0.02 <= min(deviations) < 0.022
    assert 0.038 < max(deviations) <= 0.04
    assert len({p.seed for p in params}) == len(params)


def test_label_map_is_that_of_its_parameters() -> None:
    generator = RandSynthMorphLabels((20, 24, 28)).set_random_state(seed=0)
    labels = generator()
    assert labels.dtype == torch.int64
    assert torch.equal(labels.as_tensor()[0], synthmorph_labels(generator.params))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"spatial_size": (8,)}, "spatial_size must be two or three numbers"),
        ({"num_labels": (1, 4)}, "num_labels must be"),
        ({"num_labels": (10, 300)}, "num_labels must be"),
        ({"warp_std": 0.1}, "warp_std must be"),
    ],
)
def test_wrong_arguments_are_named(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        RandSynthMorphLabels(**{"spatial_size": (32, 32), **arguments})
