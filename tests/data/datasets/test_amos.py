# Copyright (c) monai_synthfm contributors
# Licensed under the Apache License, Version 2.0 (http://www.apache.org/licenses/LICENSE-2.0).
# SPDX-License-Identifier: Apache-2.0
"""Tests of the AMOS22 reader on a replica."""

from __future__ import annotations

import shutil
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from monai.data import CacheDataset, Dataset
from monai.transforms import Compose

from monai_synthfm.data.datasets.amos import AmosDataset
from monai_synthfm.data.datasets.checks import check_data
from tests.replicas.amos import LABELS, LAS, SHAPE, write_amos, write_sexes
from tests.replicas.body import centred_affine, organ_masks


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return write_amos(tmp_path)


def ids(dataset: Dataset) -> list[str]:
    return [case["case_id"] for case in dataset.data]


def test_modality_is_told_from_the_number_and_split_from_the_folder(root: Path) -> None:
    ct, mr = AmosDataset(root, "ct"), AmosDataset(root, "mr")
    assert ids(ct) == ["amos_0001", "amos_0008"]
    assert ids(mr) == ["amos_0507", "amos_0540"]
    assert [case["split"] for case in ct.data] == ["training", "validation"]
    assert ids(AmosDataset(root, "mr", section="validation")) == ["amos_0540"]
    assert (ct.data[0]["modality"], mr.data[0]["dataset"]) == ("ct", "amos_mr")


@pytest.mark.parametrize("level", ["", "amos22", "copy/copy"])
def test_root_is_found_at_any_level(tmp_path: Path, level: str) -> None:
    root = write_amos(tmp_path / level)
    assert AmosDataset(tmp_path).root == root
    assert AmosDataset(root).root == root


def test_two_copies_below_the_root_are_refused(tmp_path: Path) -> None:
    root = write_amos(tmp_path)
    shutil.copytree(root, tmp_path / "again")
    with pytest.raises(ValueError, match=r"several folders hold .*again, .*amos22"):
        AmosDataset(tmp_path)


def test_volume_and_label_lie_where_nibabel_says_in_ras(root: Path) -> None:
    dataset = AmosDataset(root, structures="all")
    sample = dataset[0]
    stored = nib.as_closest_canonical(nib.load(root / "imagesTr" / "amos_0001.nii.gz"))
    np.testing.assert_array_equal(sample["image"][0].numpy(), np.asanyarray(stored.dataobj))
    np.testing.assert_allclose(sample["image"].affine.numpy(), stored.affine)
    np.testing.assert_allclose(sample["label"].affine.numpy(), stored.affine)
    assert sample["spacing"] == [4.5, 4.5, 5.0] == sample["image"].pixdim.tolist()
    masks = organ_masks(centred_affine(LAS, SHAPE), SHAPE, list(LABELS))
    np.testing.assert_array_equal(sample.mask("liver"), masks["liver"][::-1])


def test_structures_default_to_the_eight_of_the_paper_and_absent_ones_are_flagged(root: Path) -> None:
    dataset = AmosDataset(root)
    assert len(dataset.data[0]["structures"]) == 8
    assert dataset[0]["present"]["prostate_or_uterus"]
    assert not dataset[1]["present"]["prostate_or_uterus"]
    assert AmosDataset(root, structures=["aorta"]).data[0]["structures"] == {"aorta": 8}
    assert AmosDataset(root, structures="all").data[0]["structures"]["duodenum"] == 13


def test_label_15_is_named_by_sex_where_the_table_lies_in_the_folder(root: Path) -> None:
    write_sexes(root, {1: "M", 8: "F", 507: "unknown"})
    male, female = AmosDataset(root).data
    assert male["structures"]["prostate"] == 15
    assert 15 not in female["structures"].values()
    assert AmosDataset(root, structures="all").data[1]["structures"]["uterus"] == 15
    assert AmosDataset(root, "mr").data[0]["structures"]["prostate_or_uterus"] == 15


def test_names_of_nnunet_copies_and_validation_labels_in_the_test_folder_are_understood(root: Path) -> None:
    for path in [*root.glob("images*/amos*.nii.gz")]:
        path.rename(path.with_name(path.name.replace(".nii.gz", "_0000.nii.gz")))
    (root / "labelsVa").rename(root / "labelsTs")
    (root / "labelsTs" / "amos_0002.nii.gz").write_bytes(b"a label of the hidden test set")
    assert ids(AmosDataset(root)) == ["amos_0001", "amos_0008"]


def test_cases_work_in_monai_datasets(root: Path) -> None:
    dataset = AmosDataset(root, transform=lambda sample: sample["case_id"])
    assert [*dataset] == ["amos_0001", "amos_0008"]
    assert [*dataset[0:1]] == ["amos_0001"]
    cached = CacheDataset(dataset.data, Compose([dataset.load]), progress=False)
    assert cached[1]["image"].shape == (1, *SHAPE)


def test_replica_is_sane_and_partial(root: Path) -> None:
    for name in ("amos_ct", "amos_mr"):
        report = check_data(name, root, progress=False)
        assert report["sane"], report["faults"]
        assert report["status"] == "partial"
        assert report["found"] == {"training": 1, "validation": 1}
        assert min(summary["min"] for key, summary in report["findings"].items() if "right of" in key) > 30


def missing_label(root: Path) -> None:
    (root / "labelsTr" / "amos_0001.nii.gz").unlink()


def missing_image(root: Path) -> None:
    (root / "imagesTr" / "amos_0001.nii.gz").unlink()


def edge_number(root: Path) -> None:
    for kind in ("imagesTr", "labelsTr"):
        (root / kind / "amos_0001.nii.gz").rename(root / kind / "amos_0500.nii.gz")


def truncated(root: Path) -> None:
    path = root / "imagesTr" / "amos_0001.nii.gz"
    path.write_bytes(path.read_bytes()[:-2000])


def truncated_label(root: Path) -> None:
    path = root / "labelsTr" / "amos_0001.nii.gz"
    path.write_bytes(path.read_bytes()[:-300])


def not_nifti(root: Path) -> None:
    (root / "imagesTr" / "amos_0001.nii.gz").write_bytes(b"404 not found")


def edited(root: Path, voxels=lambda v: v, affine=lambda a: a) -> None:
    path = root / "labelsTr" / "amos_0001.nii.gz"
    image = nib.load(path)
    stored = np.asanyarray(image.dataobj).copy()
    nib.save(nib.Nifti1Image(voxels(stored), affine(image.affine.copy())), path)


def unexpected_value(root: Path) -> None:
    edited(root, lambda v: np.where(v == 8, 16, v).astype(np.uint16))


def fractional_value(root: Path) -> None:
    edited(root, lambda v: np.where(v == 8, 7.5, v).astype(np.float32))


def cropped(root: Path) -> None:
    edited(root, lambda v: v[:, :, :-1])


def shifted(root: Path) -> None:
    edited(root, affine=lambda a: a + np.outer([1, 0, 0, 0], [0, 0, 0, 2.0]))


def swapped_kidneys(root: Path) -> None:
    edited(root, lambda v: np.choose(v, [0, 1, 3, 2, *range(4, 16)]).astype(np.uint16))


def flipped_label(root: Path) -> None:
    edited(root, lambda v: v[::-1])


@pytest.mark.parametrize(
    ("plant", "code"),
    [
        (missing_label, "missing_label"),
        (missing_image, "missing_image"),
        (edge_number, "unknown_modality"),
        (truncated, "unreadable"),
        (truncated_label, "unreadable"),
        (not_nifti, "unreadable"),
        (unexpected_value, "unexpected_label"),
        (fractional_value, "unexpected_label"),
        (cropped, "shape_mismatch"),
        (shifted, "affine_mismatch"),
        (swapped_kidneys, "implausible"),
        (flipped_label, "implausible"),
    ],
)
def test_planted_fault_is_found_and_named(root: Path, plant, code: str) -> None:
    plant(root)
    report = check_data("amos_ct", root, progress=False)
    assert not report["sane"]
    assert {fault["code"] for fault in report["faults"]} == {code}
    assert "amos_0001" in report["faults"][0]["file"] or "amos_0500" in report["faults"][0]["file"]


def test_faults_seen_from_names_raise_or_are_listed_or_excluded(root: Path) -> None:
    missing_label(root)
    with pytest.raises(ValueError, match=r"amos_0001: missing_label: .*an image without a label"):
        AmosDataset(root)
    dataset = AmosDataset(root, on_fault="skip")
    assert ids(dataset) == ["amos_0008"]
    assert dataset.skip_report()[0]["code"] == "missing_label"
    excluded = AmosDataset(root, exclude=["amos_0001"])
    assert [fault["code"] for fault in excluded.skip_report()] == ["excluded"]
    assert ids(AmosDataset(root, section="validation", exclude=["amos_0001"])) == ["amos_0008"]
    with pytest.raises(ValueError, match="exclude names cases that amos_ct does not have"):
        AmosDataset(root, exclude=["amos_9"])


def test_faults_of_another_section_do_not_matter(root: Path) -> None:
    missing_label(root)
    assert ids(AmosDataset(root, section="validation")) == ["amos_0008"]


@pytest.mark.parametrize(
    "options",
    [
        {"modality": "us"},
        {"section": "test"},
        {"structures": ["heart"]},
        {"structures": "liver, heart"},
        {"on_fault": "x"},
        {"exclude": "amos_0001"},
    ],
)
def test_wrong_arguments_are_refused(root: Path, options: dict) -> None:
    with pytest.raises(ValueError, match=f"{next(iter(options))} must be"):
        AmosDataset(root, **options)


def test_folder_without_the_dataset_is_refused(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="expected the folder imagesTr or imagesVa"):
        AmosDataset(tmp_path)
    with pytest.raises(FileNotFoundError, match="no such folder"):
        AmosDataset(tmp_path / "nowhere")
