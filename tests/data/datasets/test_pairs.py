# Copyright (c) monai_synthfm contributors
# Licensed under the Apache License, Version 2.0 (http://www.apache.org/licenses/LICENSE-2.0).
# SPDX-License-Identifier: Apache-2.0
"""One image or label map, whatever the ending of its name."""

from __future__ import annotations

from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
import SimpleITK
import torch
from monai.data import MetaTensor
from PIL import Image

from monai_synthfm.data.datasets.faults import FaultError
from monai_synthfm.data.datasets.pairs import (
    FORMATS,
    file_format,
    picture_spacing,
    read_labels_like,
    read_picture,
    read_volume,
    volume_spacing,
)

# Stored with axes that run to the patient's superior, left and anterior.
AFFINE = np.array([[0, -2.0, 0, 20], [0, 0, 3.0, -7], [1.5, 0, 0, 4], [0, 0, 0, 1]])
VOXELS = np.random.default_rng(0).integers(0, 200, (4, 5, 6)).astype(np.int16)
GREY = np.random.default_rng(1).integers(0, 255, (7, 11), dtype=np.uint8)
VOLUMES = ("nii", "nii.gz", "mha", "mhd", "nrrd")
PICTURES = ("nii.gz", "mha", "nrrd", "png", "bmp", "tiff")


def write_volume(path: Path, voxels: np.ndarray = VOXELS) -> Path:
    if path.name.endswith((".nii", ".nii.gz")):
        nib.save(nib.Nifti1Image(voxels, AFFINE), path)
        return path
    to_lps = np.diag([-1.0, -1, 1, 1]) @ AFFINE
    spacing = np.linalg.norm(to_lps[:3, :3], axis=0)
    image = SimpleITK.GetImageFromArray(voxels.transpose(2, 1, 0))
    image.SetSpacing(spacing.tolist())
    image.SetDirection((to_lps[:3, :3] / spacing).ravel().tolist())
    image.SetOrigin(to_lps[:3, 3].tolist())
    SimpleITK.WriteImage(image, str(path))
    return path


def write_picture(path: Path, values: np.ndarray = GREY) -> Path:
    """Rows are 0.2 mm apart and columns 0.3 mm, where the format can say so."""
    if path.name.endswith(".nii.gz"):
        nib.save(nib.Nifti1Image(values.T, np.diag([0.3, 0.2, 1, 1])), path)
    elif path.suffix in (".mha", ".nrrd"):
        image = SimpleITK.GetImageFromArray(values, isVector=values.ndim == 3)
        image.SetSpacing((0.3, 0.2))
        SimpleITK.WriteImage(image, str(path))
    else:
        Image.fromarray(values).save(path)
    return path


@pytest.mark.parametrize("ending", VOLUMES)
def test_a_volume_is_the_same_in_every_format(tmp_path: Path, ending: str) -> None:
    path = write_volume(tmp_path / f"a.{ending}")
    expected = nib.as_closest_canonical(nib.Nifti1Image(VOXELS, AFFINE))
    found = read_volume(path)
    assert (found.shape, found.dtype) == ((1, 5, 6, 4), torch.float32)
    np.testing.assert_array_equal(found[0], expected.get_fdata())
    np.testing.assert_allclose(found.affine, expected.affine, atol=1e-5)
    assert volume_spacing(path) == pytest.approx([2.0, 3.0, 1.5])


@pytest.mark.parametrize("ending", VOLUMES)
def test_labels_of_a_volume_lie_where_the_image_does(tmp_path: Path, ending: str) -> None:
    image = read_volume(write_volume(tmp_path / "image.nii"))
    labels = read_labels_like(image, write_volume(tmp_path / f"labels.{ending}", (VOXELS > 99).astype(np.uint8)))
    assert labels.dtype == torch.int16
    np.testing.assert_array_equal(labels, image > 99)
    np.testing.assert_allclose(labels.affine, image.affine, atol=1e-5)


def test_a_folder_of_slices_is_a_volume(tmp_path: Path) -> None:
    pytest.importorskip("pydicom", reason="pydicom writes the DICOM slices")
    from tests.data.datasets.test_dicom import SHAPE, VOXELS, write_stack

    (tmp_path / "series.1").mkdir()
    write_stack(tmp_path / "series.1")
    assert file_format(tmp_path / "series.1") == "dicom"
    found = read_volume(tmp_path / "series.1")
    assert found.shape == (1, *SHAPE)
    # rows and columns of an axial slice run to the patient's left and posterior
    np.testing.assert_array_equal(found[0], VOXELS[::-1, ::-1] - 1000)
    assert volume_spacing(tmp_path / "series.1") == pytest.approx(found.pixdim.tolist())


@pytest.mark.parametrize("ending", PICTURES)
def test_a_picture_is_the_same_in_every_format(tmp_path: Path, ending: str) -> None:
    found = read_picture(write_picture(tmp_path / f"a.{ending}"))
    assert (found.shape, found.dtype) == ((1, 7, 11), torch.float32)
    np.testing.assert_array_equal(found[0], GREY)


@pytest.mark.parametrize("ending", PICTURES[:3])
def test_a_picture_of_whole_numbers_is_float32(tmp_path: Path, ending: str) -> None:
    found = read_picture(write_picture(tmp_path / f"a.{ending}", GREY.astype(np.int16)))
    assert found.dtype == torch.float32
    np.testing.assert_array_equal(found[0], GREY)


def test_a_nifti_file_of_colours_is_refused(tmp_path: Path) -> None:
    colours = np.zeros((5, 6, 1), dtype=[("R", "u1"), ("G", "u1"), ("B", "u1")])
    nib.save(nib.Nifti1Image(colours, np.eye(4)), tmp_path / "a.nii")
    with pytest.raises(FaultError, match=r"a\.nii: expected one number for each voxel, found \('R', 'G', 'B'\)"):
        read_picture(tmp_path / "a.nii")


@pytest.mark.parametrize("ending", PICTURES[:3])
def test_spacing_of_a_picture_is_that_of_rows_first(tmp_path: Path, ending: str) -> None:
    assert picture_spacing(write_picture(tmp_path / f"a.{ending}")) == pytest.approx([0.2, 0.3])


@pytest.mark.parametrize("ending", ["mha", "nrrd", "png", "bmp"])
def test_channels_are_kept_unless_they_are_identical(tmp_path: Path, ending: str) -> None:
    same, other = np.dstack([GREY] * 3), np.dstack([GREY, GREY, 255 - GREY])
    np.testing.assert_array_equal(read_picture(write_picture(tmp_path / f"a.{ending}", same)), GREY[None])
    np.testing.assert_array_equal(
        read_picture(write_picture(tmp_path / f"b.{ending}", other)), np.moveaxis(other, -1, 0)
    )


@pytest.mark.parametrize("ending", PICTURES)
def test_labels_of_a_picture_are_whole_numbers(tmp_path: Path, ending: str) -> None:
    image = MetaTensor(torch.zeros(3, 7, 11))
    labels = read_labels_like(image, write_picture(tmp_path / f"a.{ending}"))
    assert (labels.shape, labels.dtype) == ((1, 7, 11), torch.int16)
    np.testing.assert_array_equal(labels[0], GREY)


@pytest.mark.parametrize(
    ("name", "values", "code"),
    [
        ("a.png", np.dstack([GREY, GREY, 255 - GREY]), "colour"),
        ("a.mha", GREY + np.float32(0.5), "unexpected_label"),
        ("a.nii.gz", np.full((7, 11), -1, np.int16), "unexpected_label"),
        ("a.nii.gz", np.zeros((3, 7, 11), np.uint8), "shape_mismatch"),
    ],
)
def test_labels_that_are_none_are_refused(tmp_path: Path, name: str, values: np.ndarray, code: str) -> None:
    with pytest.raises(FaultError, match=rf"{code}: .*{name}"):
        read_labels_like(MetaTensor(torch.zeros(1, 7, 11)), write_picture(tmp_path / name, values))


def test_a_picture_is_no_volume_and_a_volume_no_picture(tmp_path: Path) -> None:
    for read in (read_volume, volume_spacing):
        with pytest.raises(FaultError, match=r"shape_mismatch: .*a\.png: expected a"):
            read(write_picture(tmp_path / "a.png"))
    for ending in VOLUMES:
        with pytest.raises(FaultError, match=r"shape_mismatch: .*expected a 2D image, found an array of shape"):
            read_picture(write_volume(tmp_path / f"a.{ending}"))


@pytest.mark.parametrize("name", ["a.gz", "a.dcm.gz", "nii", "a.nii.xz", "a"])
def test_other_endings_are_refused_with_those_that_are_known(tmp_path: Path, name: str) -> None:
    with pytest.raises(FaultError, match="unknown_format") as error:
        file_format(tmp_path / name)
    assert all(repr(ending) in str(error.value) for ending in FORMATS)


def test_a_palette_picture_is_read_as_it_looks_and_palette_labels_as_their_indexes(tmp_path: Path) -> None:
    ramp = np.arange(64, dtype=np.uint8).reshape(8, 8) * 4
    stored = Image.fromarray(ramp).quantize(64)
    stored.save(tmp_path / "a.png")
    with Image.open(tmp_path / "a.png") as written:
        assert written.mode == "P"
    picture = read_picture(tmp_path / "a.png")
    np.testing.assert_array_equal(picture[0], ramp)
    np.testing.assert_array_equal(read_labels_like(picture, tmp_path / "a.png")[0], np.asarray(stored))


def test_a_file_of_several_pages_is_no_picture(tmp_path: Path) -> None:
    pages = [Image.fromarray(np.full((4, 5), value, np.uint8)) for value in (1, 2, 3)]
    pages[0].save(tmp_path / "a.tif", save_all=True, append_images=pages[1:])
    with pytest.raises(FaultError, match=r"shape_mismatch: .*a\.tif: expected a single image, found 3 pages"):
        read_picture(tmp_path / "a.tif")
