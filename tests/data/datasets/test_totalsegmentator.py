# Copyright (c) monai_synthfm contributors
# Licensed under the Apache License, Version 2.0 (http://www.apache.org/licenses/LICENSE-2.0).
# SPDX-License-Identifier: Apache-2.0
"""Tests of the TotalSegmentator reader on replicas of CT and MR."""

from __future__ import annotations

import shutil
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from monai_synthfm.data.datasets.anatomy import structure_position
from monai_synthfm.data.datasets.checks import check_data
from monai_synthfm.data.datasets.totalsegmentator import TotalSegmentatorDataset
from tests.replicas.body import centred_affine, hounsfield, organ_masks
from tests.replicas.totalsegmentator import MR_AXES, ORGANS, OTHERS, SHAPE, write_ct, write_mr


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return write_ct(tmp_path)


def test_split_is_read_through_byte_order_mark_and_blanks(root: Path) -> None:
    dataset = TotalSegmentatorDataset(root)
    assert {case["case_id"]: case["split"] for case in dataset.data} == {
        "s0011": "training",
        "s0013": "validation",
        "s0100": "test",
    }
    assert [case["case_id"] for case in TotalSegmentatorDataset(root, section="test").data] == ["s0100"]


def test_ct_and_mr_below_one_root_are_told_apart_by_their_images(tmp_path: Path) -> None:
    ct, mr = write_ct(tmp_path), write_mr(tmp_path)
    assert TotalSegmentatorDataset(tmp_path, "ct").root == ct
    assert TotalSegmentatorDataset(tmp_path, "mr").root == mr


def test_masks_keep_their_voxels_even_where_they_overlap(root: Path) -> None:
    samples = [*TotalSegmentatorDataset(root, structures="all")]
    assert [sample["label"].shape[0] for sample in samples] == [1, 2, 1]
    for sample in samples:
        for name in (*ORGANS, *OTHERS):
            stored = nib.load(root / sample["case_id"] / "segmentations" / f"{name}.nii.gz")
            np.testing.assert_array_equal(sample.mask(name), np.asanyarray(stored.dataobj) > 0)


def test_empty_masks_are_absent_structures(root: Path) -> None:
    present = [sample["present"] for sample in TotalSegmentatorDataset(root)]
    assert set(present[0]) == set(ORGANS)
    assert [item["prostate"] for item in present] == [True, True, False]


def test_turned_volumes_come_in_ras_with_organs_in_their_places(tmp_path: Path) -> None:
    root = write_mr(tmp_path)
    sample = TotalSegmentatorDataset(root, "mr", section="test")[0]
    assert sample["spacing"] == [4.0, 9.0, 4.0] == sample["image"].pixdim.tolist()
    assert nib.aff2axcodes(sample["image"].affine.numpy()) == ("R", "A", "S")
    matrix, shape = MR_AXES["s0030"]
    masks = organ_masks(centred_affine(matrix, shape), shape, ORGANS)
    for name in ("liver", "kidney_left"):
        expected = centred_affine(matrix, shape)[:3, :3] @ np.argwhere(masks[name]).mean(axis=0)
        expected += centred_affine(matrix, shape)[:3, 3]
        np.testing.assert_allclose(structure_position(sample, name), expected, atol=1e-6)


def test_release_without_prostate_is_refused_unless_structures_are_named(root: Path) -> None:
    for path in root.glob("*/segmentations/prostate.nii.gz"):
        path.unlink()
    with pytest.raises(ValueError, match=r"no masks of \['prostate'\] \(release 1"):
        TotalSegmentatorDataset(root)
    assert len(TotalSegmentatorDataset(root, structures=["liver"])) == 3


@pytest.mark.parametrize(("modality", "write"), [("ct", write_ct), ("mr", write_mr)])
def test_replica_is_sane_and_partial(tmp_path: Path, modality: str, write) -> None:
    write(tmp_path)
    report = check_data(f"totalsegmentator_{modality}", tmp_path, progress=False)
    assert report["sane"], report["faults"]
    assert report["status"] == "partial"
    assert sum(report["found"].values()) == 3
    empty = [notice["message"] for notice in report["notices"] if notice["code"] == "nothing_to_evaluate"]
    assert empty == ([] if modality == "ct" else ["all 11 masks of this subject are empty"])


def save(path: Path, change=lambda v: v, affine=lambda a: a) -> None:
    image = nib.load(path)
    nib.save(nib.Nifti1Image(change(np.asanyarray(image.dataobj).copy()), affine(image.affine.copy())), path)


def liver(root: Path) -> Path:
    return root / "s0011/segmentations/liver.nii.gz"


def drop_row(root: Path) -> None:
    path = root / "meta.csv"
    path.write_text(path.read_text(encoding="utf-8-sig").replace("s0011;", "s0012;"), encoding="utf-8-sig")


def unknown_split(root: Path) -> None:
    path = root / "meta.csv"
    path.write_text(path.read_text(encoding="utf-8-sig").replace("train ", "fold7"), encoding="utf-8-sig")


def exchange_kidneys(root: Path) -> None:
    left, right = (root / f"s0011/segmentations/kidney_{side}.nii.gz" for side in ("left", "right"))
    content = left.read_bytes()
    left.write_bytes(right.read_bytes())
    right.write_bytes(content)


def cut_short(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def labels_in_the_void(root: Path) -> None:
    air = hounsfield(centred_affine(np.diag([5.0, 5.0, 5.0]), SHAPE), SHAPE) < -900
    air[:, 3:] = False
    for path in (root / "s0011/segmentations").iterdir():
        save(path, np.zeros_like)
    save(liver(root), lambda v: air.astype(np.uint8))


@pytest.mark.parametrize(
    ("plant", "code"),
    [
        (lambda root: liver(root).unlink(), "missing_label"),
        (lambda root: (root / "s0011/ct.nii.gz").unlink(), "missing_image"),
        (lambda root: shutil.rmtree(root / "s0011"), "missing_image"),
        (lambda root: cut_short(root / "s0011/ct.nii.gz"), "unreadable"),
        (lambda root: cut_short(liver(root)), "unreadable"),
        (lambda root: save(root / "s0011/ct.nii.gz", lambda v: v * 0), "unreadable"),
        (lambda root: save(liver(root), affine=lambda a: a + np.outer([0, 1, 0, 0], [0, 0, 0, 3])), "affine_mismatch"),
        (lambda root: save(liver(root), lambda v: v[1:]), "shape_mismatch"),
        (lambda root: save(liver(root), lambda v: v * 5), "unexpected_label"),
        (lambda root: save(root / "s0011/ct.nii.gz", lambda v: np.where(v < -990, -9758, v)), "implausible"),
        (unknown_split, "no_metadata"),
        (exchange_kidneys, "implausible"),
        (labels_in_the_void, "implausible"),
        (lambda root: (root / "meta.csv").unlink(), "no_metadata"),
    ],
)
def test_planted_fault_is_found_and_named(root: Path, plant, code: str) -> None:
    plant(root)
    report = check_data("totalsegmentator_ct", root, progress=False)
    assert {fault["code"] for fault in report["faults"]} == {code}
    assert {fault["case_id"] for fault in report["faults"]} <= {"s0011", None}


def test_subject_without_row_and_row_without_folder_are_both_found(root: Path) -> None:
    drop_row(root)
    report = check_data("totalsegmentator_ct", root, progress=False)
    assert {(fault["case_id"], fault["code"]) for fault in report["faults"]} == {
        ("s0011", "no_metadata"),
        ("s0012", "missing_image"),
    }
