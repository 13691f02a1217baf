# Copyright (c) monai_synthfm contributors
# Licensed under the Apache License, Version 2.0 (http://www.apache.org/licenses/LICENSE-2.0).
# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
import SimpleITK as sitk  # noqa: N813
import torch
from monai.data import MetaTensor
from monai.transforms import Orientation
from PIL import Image
from scipy.spatial.transform import Rotation
from scipy.special import expit

from monai_synthfm.io.canonical_volumes import nifti_spacing, read_nifti
from monai_synthfm.io.nifti import label_image, probability_image
from monai_synthfm.io.volume_files import check_space, geometry_of, load_image, load_mask, source_name
from monai_synthfm.transforms.medsam import MedSAMIntensity
from tests.bundles.stored_volumes import ORIENTATIONS, store
from tests.data.datasets.dicom_files import write_series
from tests.io.dicom.test_volume import VOXELS, write_stack

AFFINE = np.array([[0.0, -1.5, 0, 9], [2.0, 0, 0, -4], [0, 0, 3.0, 7], [0, 0, 0, 1]])

PIXELS = np.random.default_rng(0).integers(0, 4000, (5, 6, 4))


def image_file(folder: Path, shape: tuple[int, ...] = (5, 6, 4)) -> Path:
    image = nib.Nifti1Image(np.arange(np.prod(shape), dtype=np.int16).reshape(shape), AFFINE)
    image.set_sform(AFFINE, code=4)
    nib.save(image, folder / "in.nii.gz")
    return folder / "in.nii.gz"


def series(folder: Path) -> np.ndarray:
    folder.mkdir(exist_ok=True)
    return write_stack(folder, "coronal")[1]


def test_a_dicom_series_is_read_in_mm_of_nifti(tmp_path: Path) -> None:
    affine = series(tmp_path / "scan")
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


def test_a_series_is_chosen_in_a_folder_with_several(tmp_path: Path) -> None:
    series(tmp_path)
    other = write_series(tmp_path, PIXELS, np.diag([1.0, 1, 2, 1]), SeriesInstanceUID="1.2.4", SeriesNumber=8)
    with pytest.raises(ValueError, match=r"expected one DICOM series in the folder, found 2: .*option series"):
        load_image(tmp_path)
    np.testing.assert_array_equal(load_image(tmp_path, 8)[0], PIXELS)
    with pytest.raises(ValueError, match=r"series 8 is to be chosen in a folder .* is none"):
        load_image(other[0], 8)


def test_the_modality_of_a_header_travels_with_the_image(tmp_path: Path) -> None:
    write_series(tmp_path / "mr", PIXELS, np.eye(4), Modality="MR", RescaleIntercept=-42675, RescaleSlope=1)
    image = load_image(tmp_path / "mr")
    assert image.min() < -42000
    assert MedSAMIntensity()(image + 42675).meta["medsam_intensity"]["policy"] == "percentiles"
    image = load_image(tmp_path / "mr")
    record = MedSAMIntensity(percentiles=(0, 100))(image + 43000).meta["medsam_intensity"]
    assert (record["policy"], record["reason"]) == ("percentiles", "auto: the header of the file says MR")
    write_series(tmp_path / "ct", PIXELS, np.eye(4), Modality="CT")  # no air in it
    assert MedSAMIntensity()(load_image(tmp_path / "ct")).meta["medsam_intensity"]["policy"] == "window"


@pytest.mark.parametrize("ending", ["dcm", "IMA", ""])
def test_a_dicom_file_is_an_image_of_its_own(tmp_path: Path, ending: str) -> None:
    path = write_series(tmp_path, PIXELS, AFFINE, lambda z: f"{z}.{ending}".strip("."), SliceThickness=3)[1]
    image = load_image(path)
    np.testing.assert_array_equal(image[0], PIXELS[..., 1:2])
    expected = AFFINE.copy()
    expected[:, 3] = AFFINE @ [0, 0, 1, 1]
    np.testing.assert_allclose(image.affine, expected, atol=1e-6)


@pytest.mark.parametrize("ending", [".mha", ".nrrd", ".nii.gz", ".mhd"])
def test_files_of_itk_lie_where_itk_has_them(tmp_path: Path, ending: str) -> None:
    made = sitk.GetImageFromArray(PIXELS.T.astype(np.int16))
    made.SetSpacing([0.7, 0.8, 2.5])
    made.SetOrigin([3.0, -4.0, 5.0])
    made.SetDirection(Rotation.from_euler("xyz", [0.3, -0.2, 1.5]).as_matrix().ravel().tolist())
    sitk.WriteImage(made, tmp_path / f"in{ending}")
    image = load_image(tmp_path / f"in{ending}")
    np.testing.assert_array_equal(image[0], PIXELS)
    labels = (PIXELS > 2000).astype(np.uint8)
    nib.save(label_image(labels, geometry_of(image)), tmp_path / "out.nii.gz")
    written = sitk.ReadImage(tmp_path / "out.nii.gz")
    for index in ((0, 0, 0), (4, 5, 3), (1, 2, 3)):
        found = written.TransformPhysicalPointToIndex(made.TransformIndexToPhysicalPoint(index))
        assert found == index
        assert written[found] == labels[index]
    nib.save(nib.Nifti1Image(labels, np.asarray(image.affine)), tmp_path / "mask.nii")
    np.testing.assert_array_equal(load_mask(tmp_path / "mask.nii", image), labels)


def test_a_picture_is_a_slice_without_mm(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    shown = np.arange(30, dtype=np.uint8).reshape(5, 6)
    Image.fromarray(shown).save(tmp_path / "in.png")
    image = load_image(tmp_path / "in.png")
    np.testing.assert_array_equal(image[0, :, :, 0], shown.T)
    assert "does not say where in the patient it lies or how large a pixel is" in caplog.text
    template = geometry_of(image)
    assert template.header.get_xyzt_units()[0] == "unknown"
    itk = sitk.ReadImage(str(tmp_path / "in.png"))  # which has pictures in the plane of the first two axes of LPS+
    place = -np.array(itk.TransformIndexToPhysicalPoint((5, 4)))
    np.testing.assert_allclose(template.affine @ [5, 4, 0, 1], [*place, 0, 1])
    with pytest.raises(ValueError, match=r"space world: image .*in\.png does not say where it lies; give prompts in"):
        check_space(image, "world")
    check_space(image, "voxel")
    Image.fromarray((shown > 12).astype(np.uint8) * 3).save(tmp_path / "mask.png")
    np.testing.assert_array_equal(load_mask(tmp_path / "mask.png", image)[..., 0], (shown.T > 12) * 3)
    nib.save(label_image(shown.T[..., None], template), tmp_path / "mask.nii")  # as an earlier run wrote it
    np.testing.assert_array_equal(load_mask(tmp_path / "mask.nii", image)[..., 0], shown.T)
    write_series(tmp_path, np.zeros((6, 5, 1)) + np.arange(5)[:, None], AFFINE, lambda z: "placed.dcm")
    with pytest.raises(ValueError, match="its affine differs from the image's"):
        load_mask(tmp_path / "mask.png", load_image(tmp_path / "placed.dcm"))


def test_a_colour_picture_is_refused(tmp_path: Path) -> None:
    Image.fromarray(np.arange(90, dtype=np.uint8).reshape(5, 6, 3)).save(tmp_path / "in.png")
    with pytest.raises(ValueError, match="expected grey or three identical channels, found channels that differ"):
        load_image(tmp_path / "in.png")


def test_what_is_made_of_a_tilted_gantry_has_no_qform(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    affine = np.array([[-0.7, 0, 0, 9], [0, -0.68, 0, 8], [0, 0.18, 2.5, 7], [0, 0, 0, 1]])
    write_series(tmp_path / "ct", PIXELS, affine)
    image = load_image(tmp_path / "ct")
    nib.save(label_image(PIXELS.astype(np.uint16), geometry_of(image)), tmp_path / "out.nii.gz")
    written = nib.load(tmp_path / "out.nii.gz")
    np.testing.assert_allclose(written.affine, affine, atol=1e-5)
    assert [int(written.header[code]) for code in ("qform_code", "sform_code")] == [0, 1]
    np.testing.assert_allclose(written.header.get_zooms(), np.linalg.norm(affine[:3, :3], axis=0), rtol=1e-5)
    assert "its axes are not perpendicular, which a qform cannot say" in caplog.text


UNITS = {"meter": 1000.0, "mm": 1.0, "micron": 0.001, "unknown": 1.0}


@pytest.mark.parametrize("unit", UNITS)
def test_units_are_mm_within_and_the_files_own_in_what_is_written(tmp_path: Path, unit: str) -> None:
    in_units = AFFINE.copy()
    in_units[:3] /= UNITS[unit]
    stored = nib.Nifti1Image(PIXELS.astype(np.int16), in_units)
    stored.header.set_xyzt_units(unit)
    nib.save(stored, tmp_path / "in.nii.gz")
    image = load_image(tmp_path / "in.nii.gz")
    np.testing.assert_allclose(image.affine, AFFINE, rtol=1e-5)
    np.testing.assert_allclose(image.meta["original_affine"], AFFINE, rtol=1e-5)
    np.testing.assert_allclose(nifti_spacing(tmp_path / "in.nii.gz"), [1.5, 2, 3], rtol=1e-5)
    np.testing.assert_allclose(nifti_spacing(tmp_path / "in.nii.gz", as_stored=True), [2, 1.5, 3], rtol=1e-5)
    np.testing.assert_allclose(np.sort(read_nifti(tmp_path / "in.nii.gz").pixdim), [1.5, 2, 3], rtol=1e-5)
    written = label_image(PIXELS.astype(np.uint16), geometry_of(image))
    np.testing.assert_array_equal(written.affine, nib.load(tmp_path / "in.nii.gz").affine)
    assert written.header.get_xyzt_units()[0] == unit
    # a mask may be in the image's unit, in mm, or say nothing of its unit and have the image's numbers
    for name, affine in ((unit, in_units), ("mm", AFFINE), ("unknown", in_units)):
        mask = nib.Nifti1Image((PIXELS > 2000).astype(np.uint8), affine)
        mask.header.set_xyzt_units(name)
        nib.save(mask, tmp_path / "mask.nii")
        np.testing.assert_array_equal(load_mask(tmp_path / "mask.nii", image), PIXELS > 2000)


OBLIQUE = AFFINE @ np.array([[0.8, -0.6, 0, 0], [0.6, 0.8, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1.0]])


@pytest.mark.parametrize("affine", [AFFINE, OBLIQUE], ids=["straight", "oblique"])
@pytest.mark.parametrize("shape", [(5, 6, 4), (5, 6, 1), (5, 1, 4)])
def test_a_mask_may_store_its_voxels_in_any_order(tmp_path: Path, shape: tuple[int, ...], affine: np.ndarray) -> None:
    image = nib.Nifti1Image(np.arange(np.prod(shape), dtype=np.int16).reshape(shape), affine)
    nib.save(image, tmp_path / "in.nii")
    stored = load_image(tmp_path / "in.nii")
    drawn = np.random.default_rng(1).integers(0, 4, shape).astype(np.uint8)
    for ornt in ORIENTATIONS:
        store(tmp_path / "mask.nii", drawn, affine, ornt)
        np.testing.assert_array_equal(load_mask(tmp_path / "mask.nii", stored), drawn)


def test_a_mask_half_a_voxel_off_is_refused(tmp_path: Path) -> None:
    image = load_image(image_file(tmp_path))
    moved = AFFINE.copy()
    moved[:3, 3] += AFFINE[:3, 0] / 2
    nib.save(nib.Nifti1Image(np.ones((5, 6, 4), np.uint8), moved), tmp_path / "mask.nii")
    with pytest.raises(ValueError, match=r"its affine differs from the image's, by 0\.5 voxels at a corner"):
        load_mask(tmp_path / "mask.nii", image)


def test_a_reoriented_image_still_lies_as_its_file_does(tmp_path: Path) -> None:
    affine = series(tmp_path / "scan")
    turned = Orientation("LPI", labels=None)(load_image(tmp_path / "scan"))
    template = geometry_of(turned)
    assert template.shape == tuple(load_image(tmp_path / "scan").shape[1:]) != tuple(turned.shape[1:])
    np.testing.assert_allclose(template.affine, affine, atol=1e-6)
    with pytest.raises(ValueError, match=r"labels: expected the shape \(9, 7, 5\) of the image, got \(9, 5, 7\)"):
        label_image(np.zeros((9, 5, 7), np.uint8), template)
    with pytest.raises(ValueError, match=r"logits: expected the shape \(9, 7, 5\), got \(9, 5, 7\)"):
        probability_image(np.zeros((2, 9, 5, 7), np.float16), template)


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
