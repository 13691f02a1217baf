# Copyright (c) monai_synthfm contributors
# Licensed under the Apache License, Version 2.0 (http://www.apache.org/licenses/LICENSE-2.0).
# SPDX-License-Identifier: Apache-2.0
"""Layouts of folders: what ``*`` stands for, and which file is whose."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from monai_synthfm.data.datasets.layout import Layout, case_id, pair_up

ENDINGS = (".nii.gz", ".nii", ".png", ".dcm")
LAYOUTS = {
    "KiTS": (
        ("*/imaging.nii.gz", "*/segmentation.nii.gz"),
        ("case_00000/imaging.nii.gz", "case_00000/segmentation.nii.gz", "case_00001/imaging.nii.gz"),
        ("case_00001/segmentation.nii.gz", "kits.json"),
        ["case_00000", "case_00001"],
    ),
    "BraTS": (
        ("*/*_flair", "*/*_seg"),
        ("BraTS20_001/BraTS20_001_flair.nii", "BraTS20_001/BraTS20_001_seg.nii", "BraTS20_001/BraTS20_001_t1.nii"),
        ("name_mapping.csv",),
        ["BraTS20_001"],
    ),
    "ACDC": (
        ("training/*/*_frame*", "training/*/*_frame*_gt"),
        ("training/patient001/patient001_frame01.nii.gz", "training/patient001/patient001_frame01_gt.nii.gz"),
        (
            "training/patient001/patient001_frame12.nii.gz",
            "training/patient001/patient001_frame12_gt.nii.gz",
            "training/patient001/patient001_4d.nii.gz",
            "training/patient001/Info.cfg",
        ),
        ["patient001_01", "patient001_12"],
    ),
    "MSD": (
        ("imagesTr", "labelsTr"),
        ("imagesTr/spleen_9.nii.gz", "labelsTr/spleen_9.nii.gz", "imagesTs/spleen_1.nii.gz"),
        ("imagesTr/._spleen_9.nii.gz", "dataset.json"),
        ["spleen_9"],
    ),
    "nnU-Net": (
        ("imagesTr/*_0000", "labelsTr"),
        ("imagesTr/liver_0001_0000.nii.gz", "imagesTr/liver_0001_0001.nii.gz", "labelsTr/liver_0001.nii.gz"),
        (),
        ["liver_0001"],
    ),
    "prefixes": (
        ("images/image_*", "labels/label_*.png"),
        ("images/image_1.NII.GZ", "labels/label_1.PNG", "images/image_2.dcm", "labels/label_2.png"),
        ("labels/label_2.nii", "images/other_2.png"),
        ["1", "2"],
    ),
}


@pytest.mark.parametrize("name", LAYOUTS)
def test_pairs_of_public_layouts_are_found(tmp_path: Path, name: str) -> None:
    patterns, files, others, expected = LAYOUTS[name]
    for file in (*files, *others):
        (tmp_path / file).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / file).touch()
    images, labels, twice, _ = pair_up(*(Layout(tmp_path, pattern, "", ENDINGS) for pattern in patterns))
    assert list(images) == list(labels) == expected
    assert all(images[key] != labels[key] for key in expected)
    assert not twice


def test_a_name_of_two_files_is_a_fault_of_that_case(tmp_path: Path) -> None:
    for name in ("a.nii", "a.nii.gz", "b.nii", "a_seg.nii", "b_seg.nii"):
        (tmp_path / name).touch()
    images, labels, twice, _ = pair_up(Layout(tmp_path, ".", "", ENDINGS), Layout(tmp_path, ".", "_seg", ENDINGS))
    assert (list(images), list(labels), list(twice)) == (["a", "b"], ["a", "b"], ["a"])
    assert twice["a"].message == "the same case as a.nii; keep one of them"


@given(st.lists(st.text("ab1_", min_size=1, max_size=4), min_size=1, max_size=4))
def test_an_id_tells_each_part_once_and_in_order(parts: list[str]) -> None:
    assert case_id(tuple(parts)) == case_id((*parts, *parts)) == "_".join(sorted(set(parts), key=parts.index))


def test_what_is_there_instead_of_a_missing_folder_is_told(tmp_path: Path) -> None:
    (tmp_path / "case_00000").mkdir()
    with pytest.raises(FileNotFoundError, match=r"no such folder: .*images; found case_00000/\. images and labels say"):
        Layout(tmp_path, "images", "", ENDINGS)
    with pytest.raises(ValueError, match=r"put '_0000' into the pattern '\*/a' itself"):
        Layout(tmp_path, "*/a", "_0000", ENDINGS)
