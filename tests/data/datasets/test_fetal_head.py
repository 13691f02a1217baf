# Copyright (c) monai_synthfm contributors
# Licensed under the Apache License, Version 2.0 (http://www.apache.org/licenses/LICENSE-2.0).
# SPDX-License-Identifier: Apache-2.0
"""Tests of the readers of FH-PS-AOP, PSFHS and JNU-IFM on replicas."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import SimpleITK
from PIL import Image

from monai_synthfm.data.datasets.checks import check_data
from monai_synthfm.data.datasets.fetal_head import FetalHeadDataset, JnuIfmDataset
from tests.replicas.fetal_head import FRAMES, VIDEOS, picture, write_fh_ps_aop, write_jnu_ifm, write_psfhs


@pytest.mark.parametrize(("name", "write"), [("fh_ps_aop", write_fh_ps_aop), ("psfhs", write_psfhs)])
def test_channels_as_axis_and_as_vectors_give_one_grey_picture(tmp_path: Path, name: str, write) -> None:
    root = write(tmp_path)
    dataset = FetalHeadDataset(tmp_path, release=name, structures="all")
    assert dataset.root == root
    for seed, sample in enumerate(dataset):
        image, label = picture(seed)
        np.testing.assert_array_equal(sample["image"].numpy(), image[None])
        np.testing.assert_array_equal(sample.mask("pubic_symphysis"), label == 1)
        np.testing.assert_array_equal(sample.mask("fetal_head"), label == 2)
        assert sample["spacing"] is None
    report = check_data(name, tmp_path, progress=False)
    assert report["sane"], report["faults"]
    assert (report["status"], report["found"]) == ("partial", {"training": 3})


def test_more_images_than_the_release_has_are_reported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root = write_psfhs(tmp_path)
    monkeypatch.setitem(__import__("monai_synthfm.data.datasets.fetal_head", fromlist=["_"])._SIZES, "psfhs", 2)
    with pytest.raises(ValueError, match="3 images, but psfhs has 2: is this another release"):
        FetalHeadDataset(root, release="psfhs")


def test_frames_of_jnu_ifm_keep_their_video_and_lose_7_and_8(tmp_path: Path) -> None:
    root = write_jnu_ifm(tmp_path)
    dataset = JnuIfmDataset(tmp_path, structures="all")
    assert dataset.root == root
    assert [case["patient_id"] for case in dataset.data] == [video for video in VIDEOS for _ in range(3)]
    assert [case["frame_class"] for case in dataset.data[:3]] == [4, 5, 6]
    present = [sample["present"] for sample in dataset][:3]
    assert [[*item.values()] for item in present] == [[True, False], [False, True], [True, True]]
    image, label = picture(0)
    np.testing.assert_array_equal(dataset[2]["image"][0].numpy(), image)
    np.testing.assert_array_equal(dataset[2]["label"][0].numpy(), label)
    report = check_data("jnu_ifm", root, progress=False)
    assert report["sane"], report["faults"]
    assert (report["status"], report["found"]) == ("unknown", {"training": 6})


def write_label(path: Path, change) -> None:
    values = SimpleITK.GetArrayFromImage(SimpleITK.ReadImage(str(path)))
    SimpleITK.WriteImage(SimpleITK.GetImageFromArray(change(values)), str(path))


def write_mask(path: Path, change) -> None:
    Image.fromarray(change(np.asarray(Image.open(path)).copy()).astype(np.uint8)).save(path)


def colour_channel(root: Path) -> None:
    def change(values: np.ndarray) -> np.ndarray:
        values[1] //= 2
        return values

    write_label(root / "image_mha/00744.mha", change)


@pytest.mark.parametrize(
    ("plant", "code"),
    [
        (lambda root: (root / "image_mha/00744.mha").unlink(), "missing_image"),
        (lambda root: (root / "label_mha/00744.mha").unlink(), "missing_label"),
        (lambda root: (root / "label_mha/00744.mha").write_bytes(b"x"), "unreadable"),
        (lambda root: write_label(root / "label_mha/00744.mha", lambda v: np.where(v == 2, 3, v)), "unexpected_label"),
        (lambda root: write_label(root / "label_mha/00744.mha", lambda v: v[:-1]), "shape_mismatch"),
        (lambda root: write_label(root / "image_mha/00744.mha", lambda v: np.repeat(v, 2, axis=0)), "shape_mismatch"),
        (lambda root: write_label(root / "label_mha/00744.mha", lambda v: np.choose(v, [0, 2, 1])), "implausible"),
        (colour_channel, "colour"),
    ],
)
def test_planted_fault_is_found_and_named(tmp_path: Path, plant, code: str) -> None:
    plant(write_fh_ps_aop(tmp_path))
    report = check_data("fh_ps_aop", tmp_path, progress=False)
    assert [(fault["code"], fault["case_id"]) for fault in report["faults"]] == [(code, "00744")]


@pytest.mark.parametrize(
    ("plant", "code"),
    [
        (lambda video: (video / "image" / f"{video.name}_10.png").unlink(), "missing_image"),
        (lambda video: (video / "mask" / f"{video.name}_10_mask.png").unlink(), "missing_label"),
        (lambda video: (video / "frame_label.csv").unlink(), "no_metadata"),
        (lambda video: (video / "frame_label.csv").write_text("frame_id,frame_label\n1,9\n"), "no_metadata"),
        (
            lambda video: write_mask(video / "mask" / f"{video.name}_12_mask.png", lambda v: v - 6 * (v > 0)),
            "unexpected_label",
        ),
        (lambda video: write_mask(video / "mask" / f"{video.name}_12_mask.png", lambda v: v * (v == 8)), "implausible"),
        (
            lambda video: write_mask(
                video / "mask" / f"{video.name}_12_mask.png", lambda v: np.where(v > 0, 15 - v, 0)
            ),
            "implausible",
        ),
    ],
)
def test_planted_fault_in_a_video_is_found_and_named(tmp_path: Path, plant, code: str) -> None:
    assert len(FRAMES) == 4
    plant(write_jnu_ifm(tmp_path) / VIDEOS[0])
    report = check_data("jnu_ifm", tmp_path, progress=False)
    assert {fault["code"] for fault in report["faults"]} == {code}
    assert report["found"]["training"] >= 3


def test_frames_that_no_table_lists_are_noticed(tmp_path: Path) -> None:
    video = write_jnu_ifm(tmp_path) / VIDEOS[0]
    (video / "image" / f"{video.name}_99.png").write_bytes((video / "image" / f"{video.name}_9.png").read_bytes())
    dataset = JnuIfmDataset(tmp_path)
    assert [(fault.code, fault.case_id, fault.notice) for fault in dataset.skipped] == [
        ("no_metadata", f"{video.name}_99", True)
    ]


def test_real_images_of_psfhs_are_read(shared_dir: Path) -> None:
    dataset = FetalHeadDataset(shared_dir / "psfhs", release="psfhs")
    report = check_data("psfhs", shared_dir / "psfhs", progress=False)
    assert report["sane"], report["faults"]
    assert report["structures"] == {"fetal_head": len(dataset)}
    assert dataset[0]["image"].shape == (1, 256, 256)
