# Copyright (c) monai_synthfm contributors
# Licensed under the Apache License, Version 2.0 (http://www.apache.org/licenses/LICENSE-2.0).
# SPDX-License-Identifier: Apache-2.0
"""Tests of the CHAOS reader on a replica."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

pydicom = pytest.importorskip("pydicom", reason="pydicom writes the DICOM slices of the replica")
from monai_synthfm.data.datasets.chaos import ChaosDataset  # noqa: E402
from monai_synthfm.data.datasets.checks import check_data  # noqa: E402
from tests.replicas.body import hounsfield  # noqa: E402
from tests.replicas.chaos import SHAPE, liver, lps_grid, write_chaos  # noqa: E402


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("chaos")
    write_chaos(folder)
    return folder


@pytest.fixture
def root(tmp_path: Path, original: Path) -> Path:
    shutil.copytree(original, tmp_path, dirs_exist_ok=True)
    return tmp_path / "CHAOS_Train_Sets" / "Train_Sets"


def test_ct_and_mr_patients_of_one_number_are_different_people(tmp_path: Path, root: Path) -> None:
    ct = ChaosDataset(tmp_path, ("ct",))
    mr = ChaosDataset(tmp_path, ("t1_in", "t1_out", "t2"))
    assert [case["case_id"] for case in ct.data] == ["CT_1", "CT_16"]
    assert [case["case_id"] for case in mr.data[:3]] == ["MR_1_t1_in", "MR_1_t1_out", "MR_1_t2"]
    assert {case["patient_id"] for case in mr.data} == {"MR_1", "MR_2"}
    assert ChaosDataset(root, ("ct",)).root == root / "CT"


def test_ct_is_in_hounsfield_units_with_its_own_masks_though_names_run_against_z(root: Path) -> None:
    sample = ChaosDataset(root, ("ct",))[0]
    # Axes of the replica run to the left and to the back, those of a loaded volume to the right and to the front.
    np.testing.assert_array_equal(sample["image"][0].numpy(), hounsfield(lps_grid(), SHAPE, 0)[::-1, ::-1])
    np.testing.assert_array_equal(sample.mask("liver"), liver()[::-1, ::-1])
    assert sample["image"].affine[:3, :3].diagonal().tolist() == [4.0, 4.0, 2.0]
    assert sample["spacing"] == [4.0, 4.0, 2.0]
    lowest = sample["image"].affine[:3, 3].tolist()
    assert lowest == [-lps_grid()[0, 3], -lps_grid()[1, 3], -6.0]


def test_mr_phases_share_labels_but_not_images(root: Path) -> None:
    first, second, spir = (ChaosDataset(root, (name,))[0] for name in ("t1_in", "t1_out", "t2"))
    np.testing.assert_array_equal(first["label"].numpy(), second["label"].numpy())
    expected = hounsfield(lps_grid(4.0), SHAPE, 10)[::-1, ::-1] + 1000
    np.testing.assert_array_equal(first["image"][0].numpy(), expected)
    np.testing.assert_array_equal(second["image"][0].numpy(), expected // 2)
    np.testing.assert_array_equal(spir["image"][0].numpy(), expected // 3)
    np.testing.assert_array_equal(first.mask("liver"), liver(4.0)[::-1, ::-1])
    assert first.mask("kidney_right").sum() > first.mask("kidney_left").sum()


@pytest.mark.parametrize("name", ["chaos_ct", "chaos_mr", "chaos_mr_t1in", "chaos_mr_t1out", "chaos_mr_t2"])
def test_replica_is_sane_and_partial(root: Path, name: str) -> None:
    report = check_data(name, root, progress=False)
    assert report["sane"], report["faults"]
    assert report["dataset"] == name
    assert (report["status"], report["found"]) == ("partial", {"training": 4 if name == "chaos_mr" else 2})
    gains = [summary["min"] for key, summary in report["findings"].items() if "mirrored" in key]
    assert len(gains) == 2
    assert min(gains) > 0.1
    if name == "chaos_ct":
        assert 110 < report["findings"]["mean HU of the liver"]["min"] < 130


def test_greys_within_the_official_bands_are_accepted(root: Path) -> None:
    for path in (root / "MR" / "1" / "T2SPIR" / "Ground").iterdir():
        stored = np.asarray(Image.open(path)).astype(int)
        Image.fromarray((stored + np.where(stored > 0, np.where(stored > 200, -11, 6), 0)).astype(np.uint8)).save(path)
    assert check_data("chaos_mr_t2", root, progress=False)["sane"]


def test_names_without_zeros_are_paired_as_numbers(root: Path) -> None:
    expected = ChaosDataset(root, ("ct",))[0]
    for path in [*(root / "CT" / "1" / "DICOM_anon").iterdir()]:
        path.rename(path.with_name(f"i{int(path.name[1:5])},0000b.dcm"))
    for path in [*(root / "CT" / "1" / "Ground").iterdir()]:
        path.rename(path.with_name(f"liver_GT_{int(path.stem[-3:])}.png"))
    found = ChaosDataset(root, ("ct",))[0]
    for key in ("image", "label"):
        np.testing.assert_array_equal(found[key].numpy(), expected[key].numpy())


@pytest.mark.parametrize("given", [".", "CHAOS", "CHAOS/CT", "CHAOS/Tumour CT"])
def test_the_folder_of_the_patients_is_known_by_what_it_holds(tmp_path: Path, root: Path, given: str) -> None:
    root.rename(tmp_path / "CHAOS")
    if given.endswith("Tumour CT"):
        (tmp_path / "CHAOS" / "CT").rename(tmp_path / given)
    assert [case["case_id"] for case in ChaosDataset(tmp_path / given, ("ct",)).data] == ["CT_1", "CT_16"]


def test_a_download_without_the_modality_says_what_it_holds(tmp_path: Path, root: Path) -> None:
    shutil.rmtree(root / "MR")
    with pytest.raises(FileNotFoundError, match=r"expected MR patients of CHAOS \(MR/1/T1DUAL/.*found CT/\.$"):
        ChaosDataset(root, ("t1_in", "t2"))


@pytest.mark.parametrize("sequences", [("ct", "t2"), ("flair",), "ct", ()])
def test_sequences_that_do_not_go_together_are_refused(root: Path, sequences: object) -> None:
    with pytest.raises(ValueError, match="sequences must be"):
        ChaosDataset(root, sequences)


def reversed_masks(folder: Path) -> None:
    paths = sorted(folder.iterdir())
    stored = [path.read_bytes() for path in paths]
    for path, content in zip(paths, reversed(stored), strict=True):
        path.write_bytes(content)


def ct_masks_in_order_of_position(root: Path) -> None:
    reversed_masks(root / "CT" / "1" / "Ground")


def mr_masks_in_reversed_order(root: Path) -> None:
    reversed_masks(root / "MR" / "1" / "T2SPIR" / "Ground")


def upside_down_masks(root: Path) -> None:
    for path in (root / "CT" / "1" / "Ground").iterdir():
        Image.open(path).transpose(Image.Transpose.FLIP_TOP_BOTTOM).save(path)


def regrey(folder: Path, old: int, new: int) -> None:
    for path in folder.iterdir():
        stored = np.asarray(Image.open(path)).copy()
        a, b = stored == old, stored == new
        stored[a], stored[b] = new, old
        Image.fromarray(stored).save(path)


def swapped_kidneys(root: Path) -> None:
    regrey(root / "MR" / "1" / "T2SPIR" / "Ground", 126, 189)


def odd_grey(root: Path) -> None:
    regrey(root / "MR" / "1" / "T2SPIR" / "Ground", 252, 90)


def missing_mask(root: Path) -> None:
    (root / "CT" / "1" / "Ground" / "liver_GT_003.png").unlink()


def missing_slice_and_mask(root: Path) -> None:
    (root / "CT" / "1" / "Ground" / "liver_GT_003.png").unlink()
    (root / "CT" / "1" / "DICOM_anon" / "i0003,0000b.dcm").unlink()


def no_masks(root: Path) -> None:
    for path in (root / "CT" / "1" / "Ground").iterdir():
        path.unlink()


def no_slices(root: Path) -> None:
    for path in (root / "CT" / "1" / "DICOM_anon").iterdir():
        path.unlink()


def broken_slice(root: Path) -> None:
    path = root / "CT" / "1" / "DICOM_anon" / "i0005,0000b.dcm"
    path.write_bytes(path.read_bytes()[:700])


def broken_mask(root: Path) -> None:
    path = root / "CT" / "1" / "Ground" / "liver_GT_003.png"
    path.write_bytes(path.read_bytes()[:40])


def small_mask(root: Path) -> None:
    path = root / "CT" / "1" / "Ground" / "liver_GT_003.png"
    Image.open(path).crop((0, 0, 20, 20)).save(path)


def renamed_mask(root: Path) -> None:
    folder = root / "MR" / "1" / "T2SPIR" / "Ground"
    os.rename(folder / "IMG-0002-00001.png", folder / "IMG-0002-00099.png")


def exchanged_phases(root: Path) -> None:
    folder = root / "MR" / "1" / "T1DUAL" / "DICOM_anon"
    names = [sorted(path.name for path in (folder / phase).iterdir()) for phase in ("InPhase", "OutPhase")]
    for inner, outer in zip(*names, strict=True):
        a, b = folder / "InPhase" / inner, folder / "OutPhase" / outer
        content = a.read_bytes()
        a.write_bytes(b.read_bytes())
        b.write_bytes(content)


@pytest.mark.parametrize(
    ("name", "plant", "code"),
    [
        ("chaos_ct", ct_masks_in_order_of_position, "implausible"),
        ("chaos_mr_t2", mr_masks_in_reversed_order, "implausible"),
        ("chaos_ct", upside_down_masks, "implausible"),
        ("chaos_mr_t2", swapped_kidneys, "implausible"),
        ("chaos_mr_t2", odd_grey, "unexpected_label"),
        ("chaos_ct", missing_mask, "count_mismatch"),
        ("chaos_ct", missing_slice_and_mask, "slice_gap"),
        ("chaos_ct", no_masks, "missing_label"),
        ("chaos_ct", no_slices, "missing_image"),
        ("chaos_ct", broken_slice, "unreadable"),
        ("chaos_ct", broken_mask, "unreadable"),
        ("chaos_ct", small_mask, "shape_mismatch"),
        ("chaos_mr_t2", renamed_mask, "pairing"),
        ("chaos_mr_t1in", exchanged_phases, "implausible"),
    ],
)
def test_planted_fault_is_found_and_named(root: Path, name: str, plant, code: str) -> None:
    plant(root)
    report = check_data(name, root, progress=False)
    assert {fault["code"] for fault in report["faults"]} == {code}
    assert {fault["case_id"].split("_")[1] for fault in report["faults"]} == {"1"}
