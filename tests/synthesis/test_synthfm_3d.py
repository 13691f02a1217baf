# Copyright (c) monai_synthfm contributors
# Licensed under the Apache License, Version 2.0 (http://www.apache.org/licenses/LICENSE-2.0).
# SPDX-License-Identifier: Apache-2.0
"""Whole volumes: targets are connected, large enough and numbered without gaps, against scipy on every label."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy import ndimage

from monai_synthfm.synthesis.synthfm_3d import VolumeParams, connected_targets, synthesize_volume
from monai_synthfm.transforms import RandSynthFM3D


def drawn(seed: int, **arguments: str) -> VolumeParams:
    generator = RandSynthFM3D((40, 32, 10), **arguments).set_random_state(seed=seed)
    generator.randomize()
    return generator.params


@given(
    hnp.arrays(np.int16, st.tuples(*[st.integers(1, 7)] * 3), elements=st.integers(0, 3)),
    st.integers(1, 6),
    st.integers(1, 3),
)
def test_targets_are_the_large_pieces_of_every_owner(owners: np.ndarray, voxels: int, slices: int) -> None:
    found = connected_targets(owners, voxels, slices)
    expected = set()
    for owner in range(1, 4):
        pieces, count = ndimage.label(owners == owner)
        for piece in range(1, count + 1):
            mask = pieces == piece
            if mask.sum() >= voxels and mask.any(axis=(0, 1)).sum() >= slices:
                expected.add(mask.tobytes())
    assert {(found == number).tobytes() for number in range(1, found.max() + 1)} == expected
    assert found.max() == len(expected)


def test_every_instance_is_one_piece_over_consecutive_slices() -> None:
    for seed, module in enumerate(("shape", "boundary", "both", "shape", "anatomy", "anatomy")):
        params = drawn(seed, module=module)
        labels = synthesize_volume(params)[1].numpy()
        assert labels.max() >= 1
        for number in range(1, labels.max() + 1):
            mask = labels == number
            assert ndimage.label(mask)[1] == 1
            assert mask.sum() >= params.min_voxels
            present = np.flatnonzero(mask.any(axis=(0, 1)))
            assert len(present) >= params.min_slices
            assert (np.diff(present) == 1).all()


def test_instances_lie_where_the_field_of_view_shows_them() -> None:
    seen = 0
    for seed in range(12):
        params = drawn(seed, preset="us")
        image, labels = synthesize_volume(params)
        if params.appearance.field is not None:
            seen += 1
            hidden = (image == 0).all(dim=2)
            assert hidden.any()
            assert labels[hidden].float().mean() < 0.05  # the few are dark tissue
    assert seen > 3


def test_an_anatomy_needs_a_scanner() -> None:
    params = replace(drawn(0, module="anatomy"), acquisition=None)
    with pytest.raises(ValueError, match="acquisition must be given for an anatomy, got None"):
        synthesize_volume(params)


def test_the_number_of_threads_does_not_change_a_bit() -> None:
    before = torch.get_num_threads()
    for seed, preset in enumerate(("ct", "mr", "us")):
        results = []
        for threads in (1, 3):
            torch.set_num_threads(threads)
            results.append(synthesize_volume(drawn(seed, preset=preset, module="all")))
        torch.set_num_threads(before)
        assert torch.equal(results[0][0], results[1][0])
        assert torch.equal(results[0][1], results[1][1])
