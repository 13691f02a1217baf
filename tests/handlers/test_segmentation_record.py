# Copyright (c) monai_synthfm contributors
# Licensed under the Apache License, Version 2.0 (http://www.apache.org/licenses/LICENSE-2.0).
# SPDX-License-Identifier: Apache-2.0
"""The account of a segmentation, against numbers worked out by hand."""

from __future__ import annotations

import hashlib
import json
import math
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from monai_synthfm.handlers.segmentation_record import describe_alternatives, describe_objects, describe_weights, plain
from monai_synthfm.inferers.answer_sizes import OfferedSizes
from monai_synthfm.prompts import Prompts

AFFINE = np.array([[2.0, 0, 0, -10], [0, -3.0, 0, 5], [0, 0, 4.0, 1], [0, 0, 0, 1]])
LABELS = np.zeros((6, 7, 8), np.int16)
LABELS[1:3, 2:5, 4:7] = 1
LABELS[5, 6, 7] = 3
NO_CLICK = (torch.zeros(3, 1, 3), torch.full((3, 1), -1))


def three(**given: torch.Tensor) -> Prompts:
    """Prompts of three objects, of which none is prompted unless said."""
    points, labels = NO_CLICK
    return Prompts(**{"points": points, "point_labels": labels, "boxes": torch.full((3, 6), torch.nan), **given})


@pytest.mark.parametrize(("axis", "first", "third"), [(0, [1, 2], [5, 5]), (1, [2, 4], [6, 6]), (2, [4, 6], [7, 7])])
def test_objects_have_their_voxels_volume_and_slices(axis: int, first: list[int], third: list[int]) -> None:
    assert describe_objects(three(), AFFINE, LABELS, axis) == [
        {"label": 1, "voxels": 18, "mm3": 18 * 24.0, "slices": first, "points": []},
        {"label": 2, "voxels": 0, "mm3": 0.0, "points": []},
        {"label": 3, "voxels": 1, "mm3": 24.0, "slices": third, "points": []},
    ]


def test_an_object_says_at_which_blank_slices_it_ends() -> None:
    found = describe_objects(three(), AFFINE, LABELS, 2, blank=[3, 5, 6])
    assert [item.get("ends_at_blank") for item in found] == [[3], None, [6]]
    assert describe_objects(three(), AFFINE, LABELS, 1, blank=[0, 6])[0] == {
        "label": 1,
        "voxels": 18,
        "mm3": 18 * 24.0,
        "slices": [2, 4],
        "points": [],
    }


@pytest.mark.parametrize(("axis", "pixel"), [(0, 12.0), (1, 8.0), (2, 6.0)])
def test_alternatives_have_their_areas_in_pixels_and_mm2(axis: int, pixel: float) -> None:
    offered = [OfferedSizes(0, (2, 5, 7), 5, 0), OfferedSizes(2, (4,))]
    assert describe_alternatives(offered, AFFINE, axis) == {
        0: {
            "pixels": [2, 5, 7],
            "mm2": [2 * pixel, 5 * pixel, 7 * pixel],
            "single": {"pixels": 5, "mm2": 5 * pixel},
            "chosen": 0,
        },
        2: {"pixels": [4], "mm2": [4 * pixel]},
    }
    unknown = describe_alternatives(offered, AFFINE, axis, in_mm=False)
    assert (unknown[0]["mm2"], unknown[0]["single"]) == (None, {"pixels": 5, "mm2": None})


def test_nothing_found_is_an_account_as_well() -> None:
    found = describe_objects(three(), AFFINE, np.zeros_like(LABELS), 2)
    assert [(item["voxels"], "slices" in item) for item in found] == [(0, False)] * 3


def test_a_voxel_of_a_sheared_grid_has_the_volume_of_its_parallelepiped() -> None:
    sheared = np.eye(4)
    sheared[:3, :3] = [[0, 0.5, 2], [3, 0.1, 0], [0, 1.5, 0.2]]
    a, b, c = sheared[:3, :3].T
    found = describe_objects(three(), sheared, LABELS, 0)
    assert found[0]["mm3"] == pytest.approx(18 * abs(np.dot(a, np.cross(b, c))), abs=5e-4)


def test_prompts_are_told_in_voxels_of_the_file_and_in_mm_without_padding() -> None:
    points = torch.tensor([[[5.0, 1, 2], [9, 9, 9]], [[9, 9, 9], [9, 9, 9]], [[4, 1, 1], [0, 0, 0.25]]])
    labels = torch.tensor([[1, -1], [-1, -1], [0, 1]])
    boxes = torch.full((3, 6), torch.nan)
    boxes[1] = torch.tensor([1.0, 2, 3, 4, 5, 6])
    first, second, third = describe_objects(three(points=points, point_labels=labels, boxes=boxes), AFFINE, LABELS, 2)
    assert first["points"] == [{"label": 1, "voxel": [5.0, 1.0, 2.0], "world": [0.0, 2.0, 9.0]}]
    assert (second["points"], "box" in first, "box" in third) == ([], False, False)
    assert second["box"] == {"voxel": [1.0, 2.0, 3.0, 4.0, 5.0, 6.0], "world": [-8.0, -1.0, 13.0, -2.0, -10.0, 25.0]}
    assert [item["label"] for item in third["points"]] == [0, 1]
    assert third["points"][1] == {"label": 1, "voxel": [0.0, 0.0, 0.25], "world": [-10.0, 5.0, 2.0]}
    assert json.loads(json.dumps([first, second, third])) == [first, second, third]


@settings(max_examples=40)
@given(st.tuples(*[st.floats(-60, 60, width=32)] * 3), st.tuples(*[st.floats(-3, 3)] * 3))
def test_any_click_is_told_to_a_thousandth_and_never_as_minus_zero(
    click: tuple[float, float, float], turns: tuple[float, float, float]
) -> None:
    affine = nib.affines.from_matvec(nib.eulerangles.euler2mat(*turns), [1, 2, 3])
    points = torch.tensor(click).expand(3, 1, 3)
    (found,) = describe_objects(three(points=points, point_labels=torch.ones(3, 1).long()), affine, LABELS, 0)[0][
        "points"
    ]
    for told, exact in ((found["voxel"], click), (found["world"], nib.affines.apply_affine(affine, click))):
        np.testing.assert_allclose(told, exact, atol=5.01e-4)
        assert [round(value, 3) for value in told] == told
        assert all(value or math.copysign(1, value) == 1 for value in told)


def test_weights_are_named_with_their_hash_in_the_order_of_loading(tmp_path: Path) -> None:
    contents = {"b.pt": b"first", "a.pt": b"second"}
    for name, content in contents.items():
        (tmp_path / name).write_bytes(content)
    found = describe_weights([tmp_path / "b.pt", None, str(tmp_path / "a.pt")])
    expected = [(str(tmp_path / name), hashlib.sha256(content).hexdigest()) for name, content in contents.items()]
    assert [(item["file"], item["sha256"]) for item in found] == expected
    assert describe_weights([None]) == []


def test_weights_that_are_nowhere_are_named(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"gone\.pt"):
        describe_weights([tmp_path / "gone.pt"])


def test_tensors_and_arrays_become_plain_at_any_depth() -> None:
    nested = {
        1: (np.float32(0.5), torch.tensor([[1, 2]])),
        "a": {"b": [np.array([True]), torch.tensor(3.0)]},
        "n": None,
    }
    found = plain(nested)
    assert found == {"1": [0.5, [[1, 2]]], "a": {"b": [[True], 3.0]}, "n": None}
    assert json.loads(json.dumps(found)) == found
    assert isinstance(nested[1], tuple)
