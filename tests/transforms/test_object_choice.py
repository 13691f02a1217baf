# Copyright (c) monai_synthfm contributors
# Licensed under the Apache License, Version 2.0 (http://www.apache.org/licenses/LICENSE-2.0).
# SPDX-License-Identifier: Apache-2.0
"""Objects drawn out of a volume."""

from __future__ import annotations

from collections import Counter

import pytest
import torch

from monai_synthfm.transforms.object_choice import RandObjectChoice


def instances() -> torch.Tensor:
    """The first two touch; the third is on one of nine slices, the sixth on four, and there is no fourth nor fifth."""
    volume = torch.zeros(9, 20, 20, dtype=torch.int32)
    volume[:, 2:6, 2:6], volume[:, 6:10, 2:6] = 1, 2
    volume[0, 15:, 15:], volume[:4, 2:6, 15:] = 3, 6
    return volume


def drawn(union_prob: float, count: int = 1600) -> Counter[tuple[int, ...]]:
    """How often which objects were drawn together."""
    choice, volume = RandObjectChoice(union_prob).set_random_state(seed=0), instances()
    found: Counter[tuple[int, ...]] = Counter()
    for _ in range(count):
        mask = choice(volume)
        assert mask is not None
        numbers = volume[mask].unique().tolist()
        assert mask.sum() == sum((volume == number).sum() for number in numbers)
        found[tuple(numbers)] += 1
    return found


def test_objects_of_more_slices_are_drawn_more_often() -> None:
    found = drawn(0.0)
    shares = {(1,): 3, (2,): 3, (3,): 1, (6,): 2}  # square roots of 9, 9, 1 and 4
    assert found.keys() == shares.keys()
    assert all(found[key] == pytest.approx(1600 * share / 9, abs=70) for key, share in shares.items())


def test_only_objects_that_touch_are_drawn_together() -> None:
    assert set(drawn(1.0, 100)) == {(1, 2), (3,), (6,)}
    assert drawn(0.3)[1, 2] == pytest.approx(0.3 * 1600 * 6 / 9, abs=60)


def test_a_volume_without_objects_gives_none() -> None:
    assert RandObjectChoice()(torch.zeros(2, 4, 4, dtype=torch.int32)) is None


def test_a_probability_out_of_its_range_is_refused() -> None:
    with pytest.raises(ValueError, match=r"union_prob must lie in 0..1, got 1.5"):
        RandObjectChoice(1.5)
