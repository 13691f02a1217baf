# Copyright (c) monai_synthfm contributors
# Licensed under the Apache License, Version 2.0 (http://www.apache.org/licenses/LICENSE-2.0).
# SPDX-License-Identifier: Apache-2.0
"""Slices that lie on a grid become a volume with the affine of that grid; all others are refused by name."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pydicom
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from monai_synthfm.io.dicom.volume import dicom_spacing, read_dicom_stack
from monai_synthfm.io.faults import FaultError
from tests.data.datasets.dicom_files import TO_LPS, change, write_series

SHAPE = (6, 5, 7)
VOXELS = np.random.default_rng(0).integers(0, 4000, SHAPE)
TURNED = np.eye(4)
TURNED[:3, :3] = Rotation.from_euler("xyz", [0.3, -0.2, 0.5]).as_matrix() * [0.8, 0.9, 2.5]
TURNED[:3, 3] = [-30, 20, 100]


def tilted(degrees: float) -> np.ndarray:
    """Axial slices of 2.5 mm along the couch, from a gantry that leans."""
    angle = np.deg2rad(degrees)
    affine = np.eye(4)
    rows = [0, np.cos(angle), np.sin(angle)]
    affine[:3, :3] = TO_LPS @ np.stack([[0.7, 0, 0], np.multiply(rows, 0.7), [0, 0, 2.5]], axis=1)
    return affine


@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    turn=st.tuples(*[st.floats(-3, 3)] * 3),
    spacing=st.tuples(*[st.floats(0.3, 6)] * 3),
    origin=st.tuples(*[st.floats(-500, 500)] * 3),
    order=st.permutations(range(SHAPE[2])),
)
def test_every_pixel_lies_where_its_own_file_says(
    tmp_path: Path, turn: tuple, spacing: tuple, origin: tuple, order: list[int]
) -> None:
    affine = np.eye(4)
    affine[:3, :3] = Rotation.from_euler("xyz", turn).as_matrix() * spacing
    affine[:3, 3] = origin
    files = write_series(tmp_path, VOXELS, affine, lambda z: f"{order[z]}.dcm")
    voxels, found, index = read_dicom_stack(files)
    for z, k in enumerate(index):
        item = pydicom.dcmread(files[k])
        row, column = np.split(np.array(item.ImageOrientationPatient, float), 2)
        for x, y in ((0, 0), (5, 0), (2, 4)):
            # formula C.7.6.2.1-1 of DICOM PS3.3
            lps = np.array(item.ImagePositionPatient, float)
            lps = lps + row * float(item.PixelSpacing[1]) * x + column * float(item.PixelSpacing[0]) * y
            np.testing.assert_allclose((found @ [x, y, z, 1])[:3], TO_LPS @ lps, atol=1e-5)
            assert voxels[x, y, z] == item.pixel_array[y, x]


@pytest.mark.parametrize("degrees", [-30.0, 12.5, 18.0, 30.0])
def test_a_tilted_gantry_is_kept_as_it_is(tmp_path: Path, degrees: float) -> None:
    affine = tilted(degrees)
    files = write_series(tmp_path, VOXELS, affine)
    voxels, found, _ = read_dicom_stack(files)
    np.testing.assert_allclose(found, affine, atol=1e-6)
    np.testing.assert_array_equal(voxels, VOXELS)
    # planes are nearer to each other than the steps along the couch
    np.testing.assert_allclose(dicom_spacing(files[::-1]), [0.7, 0.7, 2.5 * np.cos(np.deg2rad(degrees))], atol=1e-5)


def test_positions_that_were_rounded_to_a_tenth_of_a_mm_are_a_grid(tmp_path: Path) -> None:
    files = write_series(tmp_path, VOXELS, TURNED)
    for path in files:
        change(path, ImagePositionPatient=[round(float(v), 1) for v in pydicom.dcmread(path).ImagePositionPatient])
    np.testing.assert_allclose(read_dicom_stack(files)[1], TURNED, atol=0.15)


def moved(path: Path, by: tuple[float, float, float]) -> None:
    item = pydicom.dcmread(path)
    change(path, ImagePositionPatient=(np.array(item.ImagePositionPatient, float) + by).tolist())


def along(axis: int, mm: float) -> tuple[float, float, float]:
    return tuple(TO_LPS @ TURNED[:3, axis] / np.linalg.norm(TURNED[:3, axis]) * mm)


WRONG: dict[str, tuple[Callable[[list[Path]], object], str, int | None]] = {
    "one slice shifted along its rows": (lambda f: moved(f[3], along(0, 15)), "slice_geometry: .*it lies", 3),
    "one slice shifted along its columns": (lambda f: moved(f[4], along(1, -2)), "slice_geometry: .*it lies", 4),
    "a shift of a third of a pixel": (lambda f: moved(f[3], along(0, 0.4)), "slice_geometry: .*voxels. off", 3),
    "half the stack shifted": (lambda f: [moved(p, along(0, 20)) for p in f[3:]], "slice_geometry: .*it lies", None),
    "larger pixels": (lambda f: change(f[2], PixelSpacing=[0.9, 0.7]), "pixels of .* mm, those of", 2),
    "no pixel size": (lambda f: [change(p, PixelSpacing=None) for p in f], "no pixel spacing", None),
    "no position": (lambda f: change(f[2], ImagePositionPatient=None), "others have none", 2),
    "no positions": (
        lambda f: [change(p, ImagePositionPatient=None) for p in f],
        r"no position \(0020,0032\) .* nor have the 6 others",
        None,
    ),
    "a skewed orientation": (
        lambda f: [change(p, ImageOrientationPatient=[1, 0, 0, 0.2, 0.9, 0]) for p in f],
        "not that of two perpendicular axes",
        None,
    ),
    "no size": (lambda f: [change(p, PixelSpacing=[0, 0]) for p in f], "is not above 0", None),
    "missing": (lambda f: f.pop(3), "slice_gap: .*a slice is missing or there twice", None),
    "there twice": (lambda f: f.append(f[2]), "slice_gap: .*a slice is missing or there twice", None),
}


@pytest.mark.parametrize("name", WRONG)
def test_slices_off_the_grid_are_refused_by_name(tmp_path: Path, name: str) -> None:
    files = write_series(tmp_path, VOXELS, TURNED)
    plant, message, culprit = WRONG[name]
    plant(files)
    with pytest.raises(FaultError, match=message) as caught:
        read_dicom_stack(files)
    if culprit is not None:
        assert caught.value.file == str(files[culprit])
    with pytest.raises(FaultError):
        dicom_spacing(files)


def test_steps_that_add_up_to_another_place_are_refused(tmp_path: Path) -> None:
    files = write_series(tmp_path, np.repeat(VOXELS, 6, axis=2), TURNED)
    for k, path in enumerate(files[20:]):
        moved(path, along(2, 0.2 * (k + 1)))  # 8 % more than the steps before
    with pytest.raises(FaultError, match=r"slice_geometry: .*0\.25 voxels at most"):
        read_dicom_stack(files)


def test_slices_beside_each_other_are_no_tilted_gantry(tmp_path: Path) -> None:
    files = write_series(tmp_path, VOXELS[:, :, :2], TURNED)
    moved(files[1], along(0, 40))
    with pytest.raises(FaultError, match=r"it lies 40 mm beside its neighbour and 2\.5 mm above"):
        read_dicom_stack(files)


TWICE = {
    "echoes": ("EchoTime", [2.3, 4.6], r"14 slices at 7 places, which differ in EchoTime \(2\.3, 4\.6\)"),
    "phases": ("TemporalPositionIdentifier", [1, 2], r"differ in TemporalPositionIdentifier \(1, 2\)"),
    "diffusion weights": ("DiffusionBValue", [0.0, 1000.0], r"differ in DiffusionBValue \(0\.0, 1000\.0\)"),
    "magnitude and phase": ("ImageType", [["ORIGINAL", "M"], ["ORIGINAL", "P"]], "differ in ImageType"),
    "nothing": ("SeriesNumber", [1, 1], "14 slices at 7 places: several volumes"),
}


@pytest.mark.parametrize("name", TWICE)
def test_several_volumes_in_one_series_are_told_by_what_differs(tmp_path: Path, name: str) -> None:
    tag, values, message = TWICE[name]
    files = [
        file
        for k, value in enumerate(values)
        for file in write_series(tmp_path / str(k), VOXELS, TURNED, **{tag: value})
    ]
    with pytest.raises(FaultError, match=f"several_volumes: .*{message}.*dcm2niix"):
        read_dicom_stack(files)
