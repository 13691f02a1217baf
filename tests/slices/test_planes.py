# Copyright (c) monai_synthfm contributors
# Licensed under the Apache License, Version 2.0 (http://www.apache.org/licenses/LICENSE-2.0).
# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from itertools import permutations, product

import nibabel as nib
import numpy as np
import pytest

from monai_synthfm.slices.planes import (
    DISPLAY_AXCODES,
    EDGES,
    PLANES,
    display_axis,
    plane_of,
    slicing_axis,
    stored_axis,
)

CODES = [
    "".join(pair[flip] for pair, flip in zip(order, flips, strict=True))
    for order in permutations(["LR", "PA", "IS"])
    for flips in product((0, 1), repeat=3)
]


def stored_as(codes: str, spacing: tuple[float, ...], sizes: tuple[int, ...]) -> tuple[np.ndarray, tuple[int, ...]]:
    """Affine and shape of a volume with the given spacing and sizes (along R, A, S) when stored as ``codes``."""
    ornt = nib.orientations.axcodes2ornt(codes)
    affine = np.diag([*spacing, 1.0]) @ nib.orientations.inv_ornt_aff(
        nib.orientations.ornt_transform(nib.orientations.axcodes2ornt("RAS"), ornt), sizes
    )
    return affine, tuple(sizes[int(axis)] for axis, _ in ornt)


@pytest.mark.parametrize(
    ("plane", "spacing", "sizes", "expected"),
    [
        ("auto", (1, 1, 1), (9, 8, 7), "axial"),
        ("auto", (0.8, 0.8, 5), (9, 8, 7), "axial"),
        ("auto", (4, 0.7, 0.7), (9, 8, 7), "sagittal"),
        ("auto", (0.7, 3, 0.8), (9, 8, 7), "coronal"),
        ("auto", (1.2, 1, 1), (9, 8, 7), "axial"),
        ("auto", (1, 1, 1), (9, 1, 7), "coronal"),
        ("coronal", (4, 0.7, 0.7), (9, 8, 7), "coronal"),
        ("sagittal", (1, 1, 1), (9, 8, 7), "sagittal"),
    ],
)
def test_plane_does_not_depend_on_how_the_volume_is_stored(
    plane: str, spacing: tuple[float, ...], sizes: tuple[int, ...], expected: str
) -> None:
    for codes in CODES:
        affine, shape = stored_as(codes, spacing, sizes)
        assert nib.aff2axcodes(affine) == tuple(codes)
        axis = display_axis(plane, affine, shape)
        assert PLANES[axis] == expected
        assert shape[stored_axis(affine, axis)] == sizes[axis]


def test_edges_name_the_ends_of_the_display_axes() -> None:
    assert [pair[1] for pair in EDGES] == list(DISPLAY_AXCODES)
    assert [{*pair} for pair in EDGES] == [{"L", "R"}, {"A", "P"}, {"I", "S"}]


def test_wrong_planes_are_refused() -> None:
    with pytest.raises(ValueError, match="plane must be one of auto, sagittal, coronal, axial, got 'oblique'"):
        display_axis("oblique", np.eye(4), (4, 4, 4))
    with pytest.raises(ValueError, match=r"plane axial: slices of a volume of shape \(4, 1, 4\) would be only one"):
        display_axis("axial", np.eye(4), (4, 1, 4))


@pytest.mark.parametrize("codes", ["RAS", "LPI", "PIR", "SAL"])
def test_axes_of_the_file_are_told_by_their_number_and_by_their_plane(codes: str) -> None:
    affine, shape = stored_as(codes, (1, 1, 1), (5, 6, 7))
    for stored in range(3):
        plane = PLANES[next(a for a, pair in enumerate(EDGES) if codes[stored] in pair)]
        assert slicing_axis(stored, affine, shape) == slicing_axis(str(stored), affine, shape) == stored
        assert slicing_axis(plane, affine, shape) == stored
        assert plane_of(affine, stored) == plane


@pytest.mark.parametrize("axis", ["depth", 3, -1, True, None])
def test_axes_that_do_not_exist_are_refused(axis: object) -> None:
    with pytest.raises(ValueError, match="axis must be one of auto, axial, coronal, sagittal, 0, 1, 2, got"):
        slicing_axis(axis, np.eye(4), (5, 6, 7))  # type: ignore[arg-type]
