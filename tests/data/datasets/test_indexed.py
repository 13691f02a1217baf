# Copyright (c) monai_synthfm contributors
# Licensed under the Apache License, Version 2.0 (http://www.apache.org/licenses/LICENSE-2.0).
# SPDX-License-Identifier: Apache-2.0
"""Tests of collections with an index.csv, on a replica and on the real cases beside the checkout."""

from __future__ import annotations

import csv
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from PIL import Image

from monai_synthfm.data.datasets.checks import check_data, examine
from monai_synthfm.data.datasets.indexed import IndexedDataset
from tests.replicas.indexed import write_indexed


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return write_indexed(tmp_path)


def test_rows_of_one_case_become_one_case_with_several_structures(root: Path) -> None:
    cases = {case["case_id"]: case for case in IndexedDataset(root.parent).data}
    assert list(cases) == ["ct1", "mr1", "us1", "us2", "cells"]
    assert cases["ct1"]["structures"] == {"liver": 5, "spleen": 1}
    assert [case["modality"] for case in cases.values()] == ["ct", "mr", "us", "us", "microscopy"]
    assert [case["patient_id"] for case in cases.values()] == ["someone", "mr1", "us1", "p2", "cells"]
    assert [case["spacing"] for case in cases.values()] == [[8.0] * 3, [8.0] * 3, None, [0.2, 0.1], None]


def test_nrrd_and_its_nifti_mask_lie_in_one_place(root: Path) -> None:
    sample = IndexedDataset(root, structures=["tumour"])[0]
    image, mask = sample["image"][0].numpy(), sample.mask("tumour")
    assert image[mask].mean() == pytest.approx(1120, abs=3)
    np.testing.assert_allclose(sample["image"].affine, sample["label"].affine)
    stored = nib.as_closest_canonical(nib.load(root / "mr/mr1_mask.nii.gz"))
    np.testing.assert_array_equal(np.asanyarray(stored.dataobj) > 0, mask)


def test_pictures_are_rows_first_with_16_bits_kept_and_equal_channels_merged(root: Path) -> None:
    samples = {sample["case_id"]: sample for sample in IndexedDataset(root)}
    grey = np.asarray(Image.open(root / "us/us2.png"))[..., 0]
    for name in ("us1", "us2"):
        np.testing.assert_array_equal(samples[name]["image"][0].numpy(), grey)
        assert samples[name].mask("fetal_head")[10:18, 12:25].all()
    np.testing.assert_array_equal(samples["cells"]["image"][0].numpy(), grey.astype(float) * 200)


def test_instances_stay_apart_and_make_one_structure(root: Path) -> None:
    sample = IndexedDataset(root, structures=["nucleus"])[0]
    assert np.unique(sample["instances"]).tolist() == [0, 1, 2, 3]
    np.testing.assert_array_equal(sample.mask("nucleus"), sample["instances"][0].numpy() > 0)


def edit_row(root: Path, old: str, new: str) -> None:
    path = root / "index.csv"
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))


@pytest.mark.parametrize(
    ("plant", "code"),
    [
        (lambda root: (root / "ct/ct1_mask.nii.gz").unlink(), "missing_label"),
        (lambda root: (root / "us/us1.mha").unlink(), "missing_image"),
        (lambda root: (root / "us/us2.png").write_bytes(b"x"), "unreadable"),
        (lambda root: (root / "mr/mr1.nrrd").write_bytes(b"x"), "unreadable"),
        (lambda root: Image.new("L", (5, 5)).save(root / "us/us2_mask.png"), "shape_mismatch"),
        (lambda root: edit_row(root, "liver,CT", "liver,PET"), "unknown_modality"),
        (lambda root: edit_row(root, "2,fetal_head", "two,fetal_head"), "no_metadata"),
        (lambda root: edit_row(root, ",mr,3D", ",mr,4D"), "no_metadata"),
        (lambda root: edit_row(root, "case_id,image", "case,image"), "no_metadata"),
    ],
)
def test_planted_fault_is_found(root: Path, plant, code: str) -> None:
    plant(root)
    report = check_data("development", root, progress=False)
    assert {fault["code"] for fault in report["faults"]} == {code}


@pytest.mark.slow
def test_every_real_case_loads_and_has_the_voxels_that_the_table_counts(shared_dir: Path) -> None:
    dataset = IndexedDataset(shared_dir)
    report = examine(dataset)
    assert report["sane"], report["faults"]
    assert sum(report["found"].values()) == len(dataset)
    with open(shared_dir / "index.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    samples = {sample["case_id"]: sample for sample in dataset}
    assert len(samples) == len({row["case_id"] for row in rows})
    for row in rows:
        sample = samples[row["case_id"]]
        mask = sample.mask(row["structure"].removesuffix(" (instances)"))
        if row["n_voxels"]:
            assert mask.sum() == int(row["n_voxels"]), row["case_id"]
