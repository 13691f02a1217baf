# Copyright (c) monai_synthfm contributors
# Licensed under the Apache License, Version 2.0 (http://www.apache.org/licenses/LICENSE-2.0).
# SPDX-License-Identifier: Apache-2.0
"""Tests of the CAMUS reader on replicas of both releases."""

from __future__ import annotations

import shutil
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from monai_synthfm.data.datasets.camus import CamusDataset
from monai_synthfm.data.datasets.checks import check_data
from tests.replicas.camus import FRAMES, HEIGHT, WIDTH, heart, write_camus_metaimage, write_camus_nifti


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return write_camus_nifti(tmp_path)


def test_cases_are_patients_views_and_instants_with_official_splits(root: Path) -> None:
    dataset = CamusDataset(root)
    assert [case["case_id"] for case in dataset.data[:4]] == [
        f"patient0001_{view}_{instant}" for view in ("2CH", "4CH") for instant in ("ED", "ES")
    ]
    assert {case["patient_id"]: case["split"] for case in dataset.data} == {
        "patient0001": "training",
        "patient0002": "test",
    }
    assert {case["quality"] for case in CamusDataset(root, section="test").data} == {"Poor"}
    assert dataset.data[0]["spacing"] == [0.308, 0.308]


def test_nifti_arrays_are_transposed_and_not_flipped(root: Path) -> None:
    sample = CamusDataset(root, structures="all")[1]
    image, label = heart(HEIGHT, WIDTH, 1.0, 0)
    np.testing.assert_array_equal(sample["image"][0].numpy(), image)
    for name, value in (("left_ventricle", 1), ("myocardium", 2), ("left_atrium", 3)):
        np.testing.assert_array_equal(sample.mask(name), label == value)


def test_half_sequences_run_from_end_diastole_to_end_systole(root: Path) -> None:
    dataset = CamusDataset(root, frames="half_sequence")
    assert [case["case_id"] for case in dataset.data[::2]] == [
        f"{p}_2CH_half_sequence" for p in ("patient0001", "patient0002")
    ]
    for seed, sample in enumerate([*dataset][::2]):
        assert sample["image"].shape == (1, HEIGHT, WIDTH, FRAMES)
        for frame, contraction in ((0, 0.0), (FRAMES - 1, 1.0)):
            image, label = heart(HEIGHT, WIDTH, contraction, seed)
            np.testing.assert_array_equal(sample["image"][0, ..., frame].numpy(), image)
            np.testing.assert_array_equal(sample["label"][0, ..., frame].numpy(), label)


def test_metaimage_release_has_other_pixels_and_ignores_the_testing_folder(tmp_path: Path) -> None:
    root = write_camus_metaimage(tmp_path)
    dataset = CamusDataset(tmp_path)
    assert dataset.root == root
    assert len(dataset) == 8
    assert {case["split"] for case in dataset.data} == {"training"}
    image, label = heart(2 * HEIGHT, WIDTH, 0.0, 0)
    np.testing.assert_array_equal(dataset[0]["image"][0].numpy(), image)
    np.testing.assert_array_equal(dataset[0]["label"][0].numpy(), label)
    assert dataset.data[0]["spacing"] == [0.154, 0.308]
    fold = CamusDataset(root, fold=3, section="test")
    assert {case["patient_id"] for case in fold.data} == {"patient0002"}
    with pytest.raises(ValueError, match="lists of splits without"):
        CamusDataset(root, fold=4)
    with pytest.raises(ValueError, match="sequences of the MetaImage release have no labels"):
        CamusDataset(root, frames="half_sequence")


def test_variants_of_the_tree_are_found(tmp_path: Path, root: Path) -> None:
    shutil.move(root, tmp_path / "x")
    shutil.move(tmp_path / "x", tmp_path / "CAMUS_public" / "CAMUS_public")
    inner = tmp_path / "CAMUS_public" / "CAMUS_public"
    for place in (tmp_path, inner, inner / "database_nifti"):
        assert CamusDataset(place).root == inner
    shutil.move(inner / "database_nifti", tmp_path / "only")
    with pytest.warns(UserWarning, match="no database_split"):
        dataset = CamusDataset(tmp_path / "only")
    assert {case["split"] for case in dataset.data} == {"training"}


def test_uncompressed_files_are_read(root: Path) -> None:
    for path in (root / "database_nifti/patient0001").glob("*.nii.gz"):
        nib.save(nib.load(path), str(path)[:-3])
        path.unlink()
    assert CamusDataset(root)[0]["image"].shape == (1, HEIGHT, WIDTH)


@pytest.mark.parametrize("name", ["camus", "camus_half_sequence"])
def test_replicas_are_sane_and_partial(root: Path, tmp_path: Path, name: str) -> None:
    reports = [check_data(name, root, progress=False)]
    if name == "camus":
        reports.append(check_data(name, write_camus_metaimage(tmp_path / "A"), progress=False))
    for report in reports:
        assert report["sane"], report["faults"]
        assert report["status"] == "partial"
        assert report["findings"]["share of views with a larger ventricle at ED than at ES"]["min"] == 1
        assert report["findings"]["rows from the ventricle down to the atrium"]["min"] > 10


def stored(root: Path, name: str) -> Path:
    return root / "database_nifti/patient0001" / name


def change_all(root: Path, change) -> None:
    for path in root.glob("database_nifti/*/*_E[DS]*.nii.gz"):
        image = nib.load(path)
        nib.save(nib.Nifti1Image(change(np.asanyarray(image.dataobj)), image.affine), path)


def exchange_instants(root: Path) -> None:
    for path in root.glob("database_nifti/*/*_ED_gt.nii.gz"):
        other = path.with_name(path.name.replace("ED", "ES"))
        content = path.read_bytes()
        path.write_bytes(other.read_bytes())
        other.write_bytes(content)


def change_label(root: Path, change) -> None:
    path = stored(root, "patient0001_2CH_ED_gt.nii.gz")
    image = nib.load(path)
    nib.save(nib.Nifti1Image(change(np.asanyarray(image.dataobj)).astype(np.float32), image.affine), path)


@pytest.mark.parametrize(
    ("plant", "code"),
    [
        (lambda root: stored(root, "patient0001_2CH_ED.nii.gz").unlink(), "missing_image"),
        (lambda root: stored(root, "patient0001_2CH_ED_gt.nii.gz").unlink(), "missing_label"),
        (lambda root: stored(root, "Info_4CH.cfg").unlink(), "no_metadata"),
        (lambda root: stored(root, "Info_4CH.cfg").write_text("ED: first\nES: 2\n"), "no_metadata"),
        (lambda root: (root / "database_split/subgroup_training.txt").write_text("patient0003\n"), "no_metadata"),
        (lambda root: (root / "database_split/subgroup_training.txt").unlink(), "no_metadata"),
        (lambda root: stored(root, "patient0001_2CH_ED.nii.gz").write_bytes(b"x"), "unreadable"),
        (lambda root: change_label(root, lambda v: np.where(v == 3, 4, v)), "unexpected_label"),
        (lambda root: change_label(root, lambda v: v * 0.7), "unexpected_label"),
        (lambda root: change_label(root, lambda v: v[:-3]), "shape_mismatch"),
        (lambda root: change_all(root, lambda v: v[:, ::-1]), "implausible"),
        (exchange_instants, "implausible"),
    ],
)
def test_planted_fault_is_found_and_named(root: Path, plant, code: str) -> None:
    plant(root)
    report = check_data("camus", root, progress=False)
    assert {fault["code"] for fault in report["faults"]} == {code}


def test_missing_raw_file_is_named(tmp_path: Path) -> None:
    root = write_camus_metaimage(tmp_path)
    (root / "training/patient0002/patient0002_4CH_ES_gt.raw").unlink()
    report = check_data("camus", root, progress=False)
    assert [(fault["code"], fault["case_id"]) for fault in report["faults"]] == [("unreadable", "patient0002_4CH_ES")]


@pytest.mark.parametrize("options", [{"frames": "all"}, {"fold": 11}])
def test_wrong_arguments_are_refused(root: Path, options: dict) -> None:
    with pytest.raises(ValueError, match=f"{next(iter(options))} must be"):
        CamusDataset(root, **options)
