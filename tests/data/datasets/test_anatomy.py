# Copyright (c) monai_synthfm contributors
# Licensed under the Apache License, Version 2.0 (http://www.apache.org/licenses/LICENSE-2.0).
# SPDX-License-Identifier: Apache-2.0
"""Where organs lie, from their centroids in space; left and right found by their names."""

from __future__ import annotations

import numpy as np
import torch
from monai.data import MetaTensor

from monai_synthfm.data.datasets.anatomy import sides_of_the_body, structure_position
from monai_synthfm.data.datasets.case import LoadedCase
from tests.bundles.stored_volumes import OBLIQUE


def case(places: dict[str, list[tuple[int, int, int]]], affine: np.ndarray) -> LoadedCase:
    """Structures at voxels of a volume; those without voxels are absent."""
    label = torch.zeros(1, 12, 6, 5, dtype=torch.int16)
    values = {name: value for value, name in enumerate(places, 1)}
    for name, voxels in places.items():
        for voxel in voxels:
            label[(0, *voxel)] = values[name]
    return LoadedCase(
        dataset="d",
        case_id="c",
        patient_id="p",
        modality="ct",
        split="all",
        structures=values,
        image=MetaTensor(torch.zeros(label.shape), affine=torch.from_numpy(affine)),
        label=MetaTensor(label, affine=torch.from_numpy(affine)),
        present={name: bool(voxels) for name, voxels in places.items()},
    )


def test_a_structure_lies_at_the_mean_of_its_voxels_in_space() -> None:
    voxels = [(1, 2, 3), (5, 4, 0), (11, 0, 3)]
    expected = np.mean([(OBLIQUE @ (*voxel, 1))[:3] for voxel in voxels], axis=0)
    np.testing.assert_allclose(structure_position(case({"liver": voxels}, OBLIQUE), "liver"), expected, atol=1e-9)


def test_right_lies_right_of_left_and_the_liver_right_of_the_spleen() -> None:
    places = {
        "kidney_left": [(2, 0, 0)],
        "kidney_right": [(9, 3, 1)],
        "Right lung": [(4, 5, 4)],
        "Left lung": [(6, 5, 4)],
        "spleen": [(1, 1, 1)],
        "liver": [(10, 1, 1)],
    }
    said = "distance by which {} lies to the right of {}, mm"
    expected = {
        said.format("kidney_right", "kidney_left"): (14.0, True),
        said.format("Right lung", "Left lung"): (-4.0, False),
        said.format("liver", "spleen"): (18.0, True),
    }
    found = {one.quantity: one for one in sides_of_the_body(case(places, np.diag([2.0, 1.0, 1.0, 1.0])))}
    assert {name: (one.value, one.plausible) for name, one in found.items()} == expected
    mirrored = sides_of_the_body(case(places, np.diag([-2.0, 1.0, 1.0, 1.0])))
    assert {one.quantity: one.plausible for one in mirrored} == {name: not sane for name, (_, sane) in expected.items()}


def test_absent_structures_and_words_within_words_are_no_sides() -> None:
    places = {
        "kidney_left": [(2, 0, 0)],
        "kidney_right": [],
        "upright": [(1, 0, 0)],
        "upleft": [(3, 0, 0)],
        "liver": [(5, 5, 0)],
    }
    assert list(sides_of_the_body(case(places, np.eye(4)))) == []
