# Copyright (c) monai_synthfm contributors
# Licensed under the Apache License, Version 2.0 (http://www.apache.org/licenses/LICENSE-2.0).
# SPDX-License-Identifier: Apache-2.0
"""Tests of the user's own pairs of images and labels."""

from __future__ import annotations

import inspect
import re
import shutil
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
import SimpleITK
from PIL import Image

from monai_synthfm.data.datasets.anatomy import sides_of_the_body
from monai_synthfm.data.datasets.checks import check_data
from monai_synthfm.data.datasets.folder import FolderDataset
from tests.replicas.body import centred_affine, hounsfield, organ_masks

ORGANS = {"liver": 1, "spleen": 2, "kidney_left": 3, "kidney_right": 4}
SHAPE = (36, 28, 16)
AFFINES = {
    "las": centred_affine(np.diag([-5.0, 5.0, 5.0]), SHAPE),
    "lps": centred_affine(np.diag([-5.0, -5.0, 5.0]), SHAPE),
    "spr": centred_affine(np.array([[0.0, 0, 6], [0, -6, 0], [5, 0, 0]]), (16, 22, 30)),
}


def as_itk(voxels: np.ndarray, affine: np.ndarray) -> SimpleITK.Image:
    """The same volume as nibabel would describe it, for ITK."""
    image = SimpleITK.GetImageFromArray(voxels.transpose(2, 1, 0))
    lps = np.diag([-1, -1, 1]) @ affine[:3]
    spacing = np.linalg.norm(lps[:, :3], axis=0)
    image.SetSpacing(spacing.tolist())
    image.SetDirection((lps[:, :3] / spacing).ravel().tolist())
    image.SetOrigin(lps[:, 3].tolist())
    return image


def write_pair(root: Path, name: str, affine: np.ndarray, image_ending: str, label_ending: str) -> None:
    shape = SHAPE if name != "spr" else (16, 22, 30)
    masks = organ_masks(affine, shape, list(ORGANS))
    labels = sum(value * masks[organ] for organ, value in ORGANS.items()).astype(np.uint8)
    for part, voxels, ending in (("images", hounsfield(affine, shape), image_ending), ("labels", labels, label_ending)):
        (root / part).mkdir(exist_ok=True)
        path = root / part / f"{name}{ending}"
        if ending.startswith(".nii"):
            nib.save(nib.Nifti1Image(voxels, affine), path)
        else:
            SimpleITK.WriteImage(as_itk(voxels, affine), str(path))


@pytest.fixture
def root(tmp_path: Path) -> Path:
    write_pair(tmp_path, "las", AFFINES["las"], ".nii.gz", ".nii.gz")
    write_pair(tmp_path, "lps", AFFINES["lps"], ".mha", ".nii")
    write_pair(tmp_path, "spr", AFFINES["spr"], ".nrrd", ".mhd")
    return tmp_path


def test_volumes_of_all_formats_come_in_one_orientation_with_organs_in_place(root: Path) -> None:
    dataset = FolderDataset(root, ORGANS, modality="ct")
    assert [case["case_id"] for case in dataset.data] == ["las", "lps", "spr"]
    for sample in dataset:
        assert nib.aff2axcodes(sample["image"].affine.numpy()) == ("R", "A", "S")
        assert sample["spacing"] == pytest.approx(sample["image"].pixdim.tolist())
        assert all(sample["present"].values())
        findings = list(sides_of_the_body(sample))
        assert len(findings) == 2
        assert all(finding.plausible for finding in findings)
        assert sample["image"][0].numpy()[sample.mask("liver")].mean() == pytest.approx(120, abs=2)
    first, second = dataset[0], dataset[1]
    np.testing.assert_array_equal(first["label"].numpy(), second["label"].numpy())


def test_a_dicom_series_is_a_volume(tmp_path: Path, shared_dir: Path) -> None:
    series = shared_dir / "dcmqi_ct" / "dicom"
    folder = next((path for path in [series, *series.rglob("*")] if path.is_dir() and any(path.glob("*.dcm"))), None)
    if folder is None:
        pytest.skip("no DICOM series beside the real cases")
    for part in ("images", "labels"):
        (tmp_path / part).mkdir()
    shutil.copytree(folder, tmp_path / "images" / "case")
    shutil.copy(shared_dir / "dcmqi_ct" / "dcmqi_ct3_mask.nii.gz", tmp_path / "labels" / "case.nii.gz")
    sample = FolderDataset(tmp_path, {"heart": 1}, other_values=True)[0]
    reference = nib.as_closest_canonical(nib.load(shared_dir / "dcmqi_ct" / "dcmqi_ct3.nii.gz"))
    np.testing.assert_allclose(sample["image"][0].numpy(), reference.get_fdata(), atol=0.5)
    np.testing.assert_allclose(sample["image"].affine, reference.affine, atol=1e-3)


def test_pictures_are_paired_by_suffix_in_one_folder(tmp_path: Path) -> None:
    grey = np.random.default_rng(0).integers(0, 255, (12, 20), dtype=np.uint8)
    colour = np.stack([grey, grey // 2, grey // 3], axis=-1)
    label = (grey > 128).astype(np.uint8)
    for name, values in (("b10", grey), ("b9", colour)):
        Image.fromarray(values).save(tmp_path / f"{name}.png")
        Image.fromarray(label).save(tmp_path / f"{name}_seg.png")
    mha = SimpleITK.GetImageFromArray(grey)
    mha.SetSpacing((0.3, 0.2))
    SimpleITK.WriteImage(mha, str(tmp_path / "c.mha"))
    nib.save(nib.Nifti1Image(label.T, np.diag([0.3, 0.2, 1, 1])), tmp_path / "c_seg.nii.gz")
    options = {"images": ".", "labels": ".", "label_suffix": "_seg", "dimensions": 2, "modality": "us"}
    dataset = FolderDataset(tmp_path, {"bright": 1}, pixel_spacing=True, **options)
    assert [case["case_id"] for case in dataset.data] == ["b9", "b10", "c"]
    assert [case["spacing"] for case in dataset.data] == [None, None, [0.2, 0.3]]
    assert [sample["image"].shape[0] for sample in dataset] == [3, 1, 1]
    for sample in dataset:
        np.testing.assert_array_equal(sample.mask("bright"), label > 0)
        np.testing.assert_array_equal(sample["image"][0].numpy(), grey)


@pytest.mark.parametrize("structures", ["liver, spleen", ["liver", "spleen"]])
def test_names_alone_are_of_the_values_from_1_on(root: Path, structures: str | list[str]) -> None:
    dataset = FolderDataset(root, structures, modality="CT", other_values=True)
    assert dataset.table == dict(dataset[0].structures) == {"liver": 1, "spleen": 2}
    assert dataset.data[0].modality == "ct"


def test_a_report_has_all_that_was_chosen(root: Path) -> None:
    described = FolderDataset(str(root), {"liver": 1}, modality="ct", other_values=True).describe()
    expected = {"root": str(root), "structures": {"liver": 1}, "modality": "ct", "other_values": True, "dimensions": 3}
    assert {name: described[name] for name in expected} == expected
    chosen = {*inspect.signature(FolderDataset).parameters} - {"options", "dataset"}
    assert chosen <= described.keys()


def test_labels_of_other_values_need_permission(root: Path) -> None:
    remedy = "name them in structures, or allow them: other_values true (`--other_values true` on the command line)"
    with pytest.raises(
        ValueError,
        match=rf"unexpected_label: .*las.nii.gz: values \[3, 4\], expected 0 and \[1, 2\]; {re.escape(remedy)}",
    ):
        FolderDataset(root, {"liver": 1, "spleen": 2})[0]
    assert FolderDataset(root, {"liver": 1}, other_values=True)[0]["present"] == {"liver": True}


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("images/las.nii.gz", "missing_image: .*las.nii.gz: a label map without an image"),
        ("labels/las.nii.gz", "missing_label: .*las.nii.gz: an image without a label map"),
    ],
)
def test_files_without_a_partner_are_named(root: Path, name: str, message: str) -> None:
    (root / name).unlink()
    with pytest.raises(ValueError, match=message):
        FolderDataset(root, ORGANS)


def test_two_files_of_one_name_and_two_series_in_one_folder_are_refused(root: Path) -> None:
    (root / "images" / "las.mha").write_bytes((root / "images" / "lps.mha").read_bytes())
    with pytest.raises(ValueError, match=r"duplicate: .*las"):
        FolderDataset(root, ORGANS)
    (root / "images" / "las.mha").unlink()
    (root / "images" / "series").mkdir()
    (root / "labels" / "series.nii").write_bytes((root / "labels" / "lps.nii").read_bytes())
    with pytest.raises(ValueError, match="expected one DICOM series in the folder, found 0"):
        FolderDataset(root, ORGANS)


@pytest.mark.parametrize(
    "options",
    [
        *({"structures": wrong} for wrong in ({}, {"a": "1"}, {"a": True}, ["a", "a"], [1], "", None)),
        {"dimensions": 4},
        {"modality": "pet"},
    ],
)
def test_wrong_arguments_are_refused(root: Path, options: dict) -> None:
    with pytest.raises(ValueError, match=f"{next(iter(options))} must"):
        FolderDataset(root, **{"structures": ORGANS, **options})


def test_missing_folder_and_indistinct_names_are_refused(root: Path) -> None:
    with pytest.raises(FileNotFoundError, match="no such folder"):
        FolderDataset(root, ORGANS, labels="masks")
    with pytest.raises(ValueError, match="must tell them apart"):
        FolderDataset(root, ORGANS, labels="images")


@pytest.mark.parametrize("flat", [True, False])
def test_radiographs_are_pictures_as_files_or_in_folders_of_their_own(tmp_path: Path, flat: bool) -> None:
    pytest.importorskip("pydicom", reason="pydicom writes the radiographs")
    from tests.io.dicom.test_pictures import GREY, write_image

    for part in ("images", "labels"):
        (tmp_path / part).mkdir()
    if not flat:
        (tmp_path / "images" / "c1").mkdir()
    write_image(tmp_path / ("images/c1.dcm" if flat else "images/c1/IM0"), GREY, ImagerPixelSpacing=[0.2, 0.3])
    Image.fromarray((GREY > 2000).astype(np.uint8)).save(tmp_path / "labels" / "c1.png")
    (case,) = FolderDataset(tmp_path, {"bright": 1}, dimensions=2, modality="xray", pixel_spacing=True)
    assert (case["case_id"], case["spacing"]) == ("c1", [0.2, 0.3])
    np.testing.assert_array_equal(case["image"][0], GREY)
    np.testing.assert_array_equal(case.mask("bright"), GREY > 2000)


def test_slices_of_dicom_masks_are_a_label_map(tmp_path: Path) -> None:
    pytest.importorskip("pydicom", reason="pydicom writes the slices")
    from tests.io.dicom.test_volume import VOXELS, write_stack
    from tests.replicas.chaos import write_slice

    for part in ("images", "labels"):
        (tmp_path / part / "c1").mkdir(parents=True)
    files, affine = write_stack(tmp_path / "images" / "c1")
    for z, file in enumerate(files):
        values = (VOXELS[:, :, z] > 2000) * 3
        write_slice(tmp_path / "labels" / "c1" / file.name, values, np.diag([-1.0, -1, 1, 1]) @ affine, z, "1.9", z)
        _take_geometry(tmp_path / "labels" / "c1" / file.name, file)
    (case,) = FolderDataset(tmp_path, {"bright": 3})
    np.testing.assert_array_equal(case.mask("bright"), case["image"][0].numpy() > 1000)


def _take_geometry(path: Path, other: Path) -> None:
    import pydicom

    item, like = pydicom.dcmread(path), pydicom.dcmread(other)
    for tag in ("ImagePositionPatient", "ImageOrientationPatient"):
        setattr(item, tag, getattr(like, tag))
    item.save_as(path)


def write_pictures(root: Path, label: np.ndarray, image_ending: str = ".png", label_ending: str = ".png") -> None:
    grey = np.random.default_rng(0).integers(0, 255, label.shape, dtype=np.uint8)
    for part, values, ending in (("images", grey, image_ending), ("labels", label, label_ending)):
        (root / part).mkdir(exist_ok=True)
        Image.fromarray(values).save(root / part / f"c1{ending}")


SQUARE = np.zeros((12, 20), np.uint8)
SQUARE[2:6, 3:9] = 255


def test_a_mask_of_255_says_what_its_object_is_called_by(tmp_path: Path) -> None:
    write_pictures(tmp_path, SQUARE)
    message = r"labels/c1\.png: values \[255\], expected 0 and \[1\]; 255 is object 255 .*structures \{'lung': 255\}"
    with pytest.raises(ValueError, match=message):
        FolderDataset(tmp_path, {"lung": 1}, dimensions=2)[0]
    assert FolderDataset(tmp_path, {"lung": 255}, dimensions=2)[0]["present"] == {"lung": True}


def test_label_maps_that_jpeg_has_changed_are_told_as_such(tmp_path: Path) -> None:
    write_pictures(tmp_path, SQUARE, label_ending=".jpg")
    with pytest.raises(ValueError, match=r"c1\.jpg: values .*; JPEG changes the values of label maps"):
        FolderDataset(tmp_path, {"lung": 255}, dimensions=2)[0]


def test_pictures_taken_for_volumes_and_volumes_for_pictures_are_told_by_the_argument(
    tmp_path: Path, root: Path
) -> None:
    (tmp_path / "pictures").mkdir()
    write_pictures(tmp_path / "pictures", SQUARE)
    with pytest.raises(ValueError, match=r"expected a volume, found a picture; pictures are read with dimensions 2 "):
        FolderDataset(tmp_path / "pictures", {"lung": 255})
    with pytest.raises(ValueError, match=r"las\.nii\.gz: expected a 2D image, .*; volumes are read with dimensions 3 "):
        FolderDataset(root, ORGANS, dimensions=2)[0]


def test_names_that_do_not_pair_are_shown_with_what_to_say(tmp_path: Path) -> None:
    write_pictures(tmp_path, SQUARE)
    (tmp_path / "images" / "c1.png").rename(tmp_path / "images" / "image_1.png")
    (tmp_path / "labels" / "c1.png").rename(tmp_path / "labels" / "label_1.png")
    message = r"pairing: .*: images are called 'image_1', label maps 'label_1': no two .*'images/image_\*'"
    with pytest.raises(ValueError, match=message):
        FolderDataset(tmp_path, {"lung": 255}, dimensions=2)
    patterns = {"images": "images/image_*", "labels": "labels/label_*"}
    dataset = FolderDataset(tmp_path, {"lung": 255}, dimensions=2, **patterns)
    assert [case["case_id"] for case in dataset.data] == ["1"]


def test_a_folder_of_unknown_files_says_what_it_holds_and_others_are_told_in_notices(tmp_path: Path) -> None:
    write_pictures(tmp_path, SQUARE)
    for name in ("c1.json", "c2.npy", "notes.txt", "IM0001"):
        (tmp_path / "images" / name).touch()
    (notice,) = FolderDataset(tmp_path, {"lung": 255}, dimensions=2).skipped
    assert (notice.code, notice.notice) == ("unused", True)
    assert notice.message.endswith("with a known ending: IM0001, c2.npy, notes.txt")
    (tmp_path / "images" / "c1.png").unlink()
    with pytest.raises(
        ValueError, match=r"empty: .*images: no name with a known .* fits 'images/\*', found IM0001, c1\.json"
    ):
        FolderDataset(tmp_path, {"lung": 255}, dimensions=2)


def test_one_folder_per_case_has_the_folder_as_patient(tmp_path: Path, root: Path) -> None:
    for frame in ("01", "12"):
        for part, end in (("images", ""), ("labels", "_gt")):
            target = tmp_path / "acdc" / "patient001" / f"patient001_frame{frame}{end}.nii.gz"
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(root / part / "las.nii.gz", target)
    patterns = {"images": "*/*_frame*", "labels": "*/*_frame*_gt"}
    dataset = FolderDataset(tmp_path / "acdc", ORGANS, **patterns)
    assert [(case["case_id"], case["patient_id"]) for case in dataset.data] == [
        ("patient001_01", "patient001"),
        ("patient001_12", "patient001"),
    ]
    assert all(dataset[0]["present"].values())


@pytest.mark.parametrize("axis", [0, 1])
def test_labels_that_are_mirrored_are_no_sane_data(tmp_path: Path, root: Path, axis: int) -> None:
    options = {"structures": {"first": 1, "second": 2}, "other_values": True}
    assert check_data("folder", root, progress=False, options=options)["sane"]
    for name in ("las", "lps"):
        path = next((root / "labels").glob(f"{name}.*"))
        stored = nib.load(path)
        voxels = np.asarray(stored.dataobj).copy()  # no memory map of the file that is written over
        nib.save(nib.Nifti1Image(np.flip(voxels, axis), stored.affine), path)
    report = check_data("folder", root, progress=False, options=options)
    assert not report["sane"]
    words = ("left to right", "front to back")[axis]
    assert {(fault["case_id"], fault["code"]) for fault in report["faults"] if words in fault["message"]} == {
        ("las", "implausible"),
        ("lps", "implausible"),
    }


def test_sides_are_told_from_any_names_that_say_left_and_right(root: Path) -> None:
    names = {"Right Kidney": 3, "left kidney": 4, "liver": 1, "spleen": 2}
    report = check_data("folder", root, progress=False, options={"structures": names})
    assert {fault["message"].split(",")[0] for fault in report["faults"]} == {
        "distance by which Right Kidney lies to the right of left kidney"
    }
    assert len(report["faults"]) == 3
