# Copyright (c) monai_synthfm contributors
# Licensed under the Apache License, Version 2.0 (http://www.apache.org/licenses/LICENSE-2.0).
# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
import torch
from monai.data import MetaTensor
from scipy.special import expit

from monai_synthfm.data.nifti import label_image, probability_image
from monai_synthfm.data.volume_files import geometry_of, load_image, load_mask, source_name

AFFINE = np.array([[0.0, -1.5, 0, 9], [2.0, 0, 0, -4], [0, 0, 3.0, 7], [0, 0, 0, 1]])


def image_file(folder: Path, shape: tuple[int, ...] = (5, 6, 4)) -> Path:
    image = nib.Nifti1Image(np.arange(np.prod(shape), dtype=np.int16).reshape(shape), AFFINE)
    image.set_sform(AFFINE, code=4)
    nib.save(image, folder / "in.nii.gz")
    return folder / "in.nii.gz"


def series(folder: Path) -> np.ndarray:
    pytest.importorskip("pydicom", reason="pydicom writes the DICOM slices")
    from tests.data.datasets.test_dicom import write_stack

    folder.mkdir()
    return write_stack(folder, "coronal")[1]


def test_a_dicom_series_is_read_in_mm_of_nifti(tmp_path: Path) -> None:
    affine = series(tmp_path / "scan")
    from tests.data.datasets.test_dicom import VOXELS

    image = load_image(tmp_path / "scan")
    np.testing.assert_array_equal(image[0], VOXELS - 1000)
    np.testing.assert_allclose(image.affine, affine, atol=1e-6)
    np.testing.assert_allclose(image.meta["original_affine"], affine, atol=1e-6)


def test_what_is_made_of_a_dicom_series_lies_where_it_lies(tmp_path: Path) -> None:
    affine = series(tmp_path / "scan")
    image = load_image(tmp_path / "scan")
    labels = (np.asarray(image[0]) > 1000).astype(np.uint8)
    nib.save(label_image(labels, geometry_of(image)), tmp_path / "out.nii.gz")
    written = nib.load(tmp_path / "out.nii.gz")
    np.testing.assert_allclose(written.affine, affine, atol=1e-5)
    np.testing.assert_array_equal(written.dataobj, labels)
    codes = [int(written.header[code]) for code in ("qform_code", "sform_code")]
    assert (codes, written.header.get_xyzt_units()) == ([1, 1], ("mm", "unknown"))


def test_real_dicom_slices_agree_with_their_nifti_copy(shared_dir: Path) -> None:
    folder = shared_dir / "dcmqi_ct"
    image = load_image(folder / "dicom")
    stored = nib.load(folder / "dcmqi_ct3.nii.gz")
    np.testing.assert_allclose(image.affine, stored.affine, atol=1e-3)
    np.testing.assert_allclose(image[0], stored.get_fdata(), atol=0.5)


@pytest.mark.parametrize("count", [0, 2])
def test_a_folder_without_one_series_is_refused(tmp_path: Path, count: int) -> None:
    if count:
        series(tmp_path / "scan")
        import pydicom

        path = next((tmp_path / "scan").glob("*.dcm"))
        item = pydicom.dcmread(path)
        item.SeriesInstanceUID = "1.2.4"
        item.save_as(path)
    else:
        (tmp_path / "scan").mkdir()
    with pytest.raises(ValueError, match=f"expected one DICOM series in the folder, found {count}"):
        load_image(tmp_path / "scan")


def test_geometry_is_the_files_own_header(tmp_path: Path) -> None:
    path = image_file(tmp_path)
    assert geometry_of(load_image(path)).header == nib.load(path).header


def test_an_image_without_a_file_has_the_geometry_of_its_affine() -> None:
    made = geometry_of(MetaTensor(torch.zeros(1, 5, 6, 4), affine=torch.from_numpy(AFFINE)))
    assert made.shape == (5, 6, 4)
    np.testing.assert_allclose(made.affine, AFFINE)


def test_probabilities_keep_their_side_of_one_half(tmp_path: Path) -> None:
    path = image_file(tmp_path)
    logits = np.linspace(-12, 12, 240).reshape(2, 5, 6, 4).astype(np.float16)
    logits[0, 0, 0, :4] = [0, 1e-6, np.inf, -np.inf]
    values = expit(logits.astype(np.float64))
    nib.save(probability_image(logits, path), tmp_path / "out.nii.gz")
    written = nib.load(tmp_path / "out.nii.gz")
    assert (written.shape, written.get_data_dtype()) == ((5, 6, 4, 2), np.uint8)
    found = np.moveaxis(written.get_fdata(), -1, 0)
    np.testing.assert_allclose(found, values, atol=1 / 255)
    np.testing.assert_array_equal(found > 0.5, logits > 0)
    assert found[0, 0, 0, 2:4].tolist() == pytest.approx([1, 0])
    np.testing.assert_array_equal(written.affine, nib.load(path).affine)
    assert written.header["sform_code"] == 4
    with pytest.raises(ValueError, match=r"expected the shape \(5, 6, 4\), got \(5, 6, 3\)"):
        probability_image(logits[..., :3], path)


@pytest.mark.parametrize("shape", [(5, 6, 4), (5, 6)])
def test_a_mask_holds_object_numbers(tmp_path: Path, shape: tuple[int, ...]) -> None:
    image = load_image(image_file(tmp_path, shape))
    numbers = np.zeros(shape, np.float32)
    numbers[1:3, 2] = 2
    nib.save(nib.Nifti1Image(numbers, AFFINE), tmp_path / "mask.nii")
    found = load_mask(tmp_path / "mask.nii", image)
    assert found.dtype == np.int16
    np.testing.assert_array_equal(found, numbers.reshape(image.shape[1:]))


@pytest.mark.parametrize(
    ("voxels", "affine", "message"),
    [
        (np.ones((5, 6, 3)), AFFINE, r"expected the shape \(5, 6, 4\) of the image, found \(5, 6, 3\)"),
        (np.ones((6, 5, 4)), AFFINE, r"expected the shape \(5, 6, 4\) of the image, found \(6, 5, 4\)"),
        (np.ones((5, 6, 4)), np.eye(4), "its affine differs from the image's"),
        (np.full((5, 6, 4), 0.5), AFFINE, "label values are not whole numbers"),
    ],
)
def test_a_mask_on_other_voxels_is_refused(
    tmp_path: Path, voxels: np.ndarray, affine: np.ndarray, message: str
) -> None:
    image = load_image(image_file(tmp_path))
    nib.save(nib.Nifti1Image(voxels, affine), tmp_path / "mask.nii")
    with pytest.raises(ValueError, match=message):
        load_mask(tmp_path / "mask.nii", image)
    with pytest.raises(FileNotFoundError, match=r"mask .*nothing\.nii: no such file"):
        load_mask(tmp_path / "nothing.nii", image)


@pytest.mark.parametrize("ending", [".nii", ".nii.gz", ".nii.bz2", ".NII", ".NII.GZ"])
def test_results_keep_the_header_of_every_kind_of_nifti_file(tmp_path: Path, ending: str) -> None:
    stored = nib.Nifti1Image(np.arange(120, dtype=np.int16).reshape(5, 6, 4, 1), AFFINE)
    stored.header.set_xyzt_units("mm", "msec")
    stored.set_qform(AFFINE, code=3)
    stored.set_sform(AFFINE, code=4)
    nib.save(stored, tmp_path / f"ct{ending}")
    made = geometry_of(load_image(tmp_path / f"ct{ending}"))
    assert made.shape == (5, 6, 4, 1)
    assert made.header.get_xyzt_units() == ("mm", "msec")
    assert (int(made.header["qform_code"]), int(made.header["sform_code"])) == (3, 4)
    assert source_name(tmp_path / f"ct{ending}") == "ct"


def test_a_compression_that_nobody_can_read_is_told(tmp_path: Path) -> None:
    (tmp_path / "ct.nii.zst").write_bytes(b"(\xb5/\xfd" + bytes(40))
    with pytest.raises(ValueError, match=r"image .*ct\.nii\.zst: not a readable NIfTI file"):
        load_image(tmp_path / "ct.nii.zst")


def test_files_are_named_as_the_image_was_given_and_not_after_what_a_link_points_to(tmp_path: Path) -> None:
    (tmp_path / "objects").mkdir()
    (tmp_path / "objects" / "MD5E-s48--0f3a.gz").write_bytes(b"")
    for name in ("sub-1_T1w.nii.gz", "sub-2_T1w.nii.gz", "series"):
        (tmp_path / name).symlink_to(tmp_path / "objects" / ("" if name == "series" else "MD5E-s48--0f3a.gz"))
    found = [source_name(tmp_path / name) for name in ("sub-1_T1w.nii.gz", "sub-2_T1w.nii.gz", "series/", "series/.")]
    assert found == ["sub-1_T1w", "sub-2_T1w", "series", "series"]


def test_files_are_named_after_the_image(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert [source_name(name) for name in ("a/ct.nii.gz", "ct.v2.nii", ".")] == ["ct", "ct.v2", tmp_path.name]
